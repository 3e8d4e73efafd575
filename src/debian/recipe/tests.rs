#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

use globset::GlobBuilder;
use proptest::prelude::*;

use super::pattern::{PackagePattern, package_fault};
use super::*;
use crate::ImagePath;
use crate::rootfs::EntryKind;

fn built_in() -> Recipes {
    Recipes::built_in().unwrap()
}

fn recipe(reference: &str) -> Recipe {
    built_in().find(&reference.parse().unwrap()).unwrap()
}

fn all() -> Vec<Recipe> {
    let recipes = built_in();
    let all = recipes.all();
    all.iter()
        .map(|it| recipes.find(&it.reference).unwrap())
        .collect()
}

fn omits(recipe: &Recipe, path: &str) -> bool {
    let matches = |globs: &[String]| {
        globs.iter().any(|glob| {
            let glob = GlobBuilder::new(glob).literal_separator(true).build();
            glob.unwrap().compile_matcher().is_match(path)
        })
    };
    let mut omissions = recipe.omissions.iter();
    omissions.any(|it| matches(&it.paths) && !matches(&it.keep))
}

const COMMON: &str = "schema = 1\nuser = \"1:1\"\n[[exclusions]]\npackages = [\"bash*\"]\nbecause = \"it is a shell\"\n[[unneeded]]\npackages = [\"libcups2*\"]\nbecause = \"nobody prints\"\n";
const HEAD: &str = "schema = 1\ndistribution = \"debian\"\nrelease = \"sid\"\narchitectures = [\"amd64\", \"arm64\"]\n";
const BASE: &str = "[[bases]]\nname = \"a\"\ndescription = \"b\"\n";

fn parse(common: &str, release: &str) -> Result<Recipes, RecipeError> {
    Recipes::parse(("common.toml", common), &[("mine.toml", release)])
}

#[test]
fn every_file_in_the_folder_is_embedded_and_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bases/debian");
    let mut releases = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let stem = name.strip_suffix(".toml").unwrap().to_owned();
        if stem != "common" && stem != "foundation" {
            releases.insert(stem);
        }
    }
    let embedded: BTreeSet<String> = (built_in().all().iter())
        .map(|it| format!("{}-{}", it.reference.distribution, it.reference.release))
        .collect();
    assert_eq!(embedded, releases);
}

#[test]
fn every_release_has_the_same_bases() {
    let all = built_in().all();
    let releases: BTreeSet<_> = all.iter().map(|it| &it.reference.release).collect();
    for release in releases {
        let bases = all.iter().filter(|it| it.reference.release == *release);
        let names: Vec<&str> = bases.map(|it| it.reference.base.as_str()).collect();
        let expected = ["static", "base", "cc", "python3", "nodejs", "java"];
        assert_eq!(names, expected, "{release}");
    }
}

#[test]
fn a_base_has_what_the_bases_have_that_it_extends() {
    let python = recipe("debian:bookworm/python3");
    let packages = python.packages_for(Architecture::Arm64);
    for name in [
        "base-files",
        "libc6",
        "libssl3",
        "libstdc++6",
        "python3.11-minimal",
    ] {
        assert!(
            packages.iter().any(|it| it == name),
            "{name} is not in {packages:?}"
        );
    }
    assert!(packages.is_sorted());
    assert_eq!(python.user, "65532:65532");
    let env: Vec<String> = python.env.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(
        env,
        [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            "LANG=C.UTF-8",
        ]
    );
    let mut links = python.alternatives.iter();
    let link = links.find(|it| it.link == "/usr/bin/python3").unwrap();
    assert_eq!(link.target, "/usr/bin/python3.11");
}

#[test]
fn a_static_base_has_no_library() {
    for recipe in all().iter().filter(|it| it.reference.base == "static") {
        let packages = recipe.packages_for(Architecture::Amd64);
        assert!(
            !packages.iter().any(|it| it.starts_with("lib")),
            "{packages:?}"
        );
    }
}

#[test]
fn no_base_can_hold_a_shell_a_package_manager_or_coreutils() {
    for recipe in all() {
        for name in [
            "dash",
            "bash",
            "bash-static",
            "busybox",
            "busybox-static",
            "zsh",
            "zsh-common",
            "ksh",
            "ksh93u+m",
            "mksh",
            "fish",
            "tcsh",
            "apt",
            "apt-utils",
            "aptitude",
            "dpkg",
            "coreutils",
            "debconf",
            "debconf-i18n",
            "cdebconf",
            "perl",
            "perl-base",
            "perl-modules-5.36",
            "util-linux",
            "login",
            "passwd",
            "tar",
            "gzip",
            "sed",
            "grep",
            "findutils",
            "init-system-helpers",
            "lsb-base",
            "mawk",
            "gawk",
            "openssl",
            "libpam-modules",
            "adduser",
            "ucf",
            "base-passwd",
            "npm",
            "python3-pip",
        ] {
            let mut exclusions = recipe.exclusions.iter();
            let known = exclusions.any(|it| PackagePattern::new(&it.package).matches(name));
            assert!(known, "{name} may come into {}", recipe.reference);
        }
    }
}

#[test]
fn no_library_that_a_program_may_link_to_is_left_out_for_good() {
    for recipe in all() {
        for name in [
            "libpam0g",
            "libapt-pkg6.0",
            "libperl5.36",
            "libsystemd0",
            "libuuid1",
            "libmount1",
            "libselinux1",
            "libzsh",
            "libssl3",
            "libcrypt1",
            "libreadline8",
            "libcups2",
        ] {
            let mut exclusions = recipe.exclusions.iter();
            let known = exclusions.find(|it| PackagePattern::new(&it.package).matches(name));
            assert_eq!(known, None, "{name}");
        }
    }
}

#[test]
fn what_is_unneeded_comes_when_something_added_needs_it() {
    let java = recipe("debian:bookworm/java");
    let leaves_out = |added: &[&str], name: &str| {
        let added = added.iter().map(|name| (*name).to_owned()).collect();
        let exclusions = java.exclusions_beside(&added);
        exclusions
            .iter()
            .any(|it| PackagePattern::new(&it.package).matches(name))
    };
    assert!(leaves_out(&[], "libfreetype6"));
    assert!(leaves_out(&["libcups2"], "libfreetype6"));
    assert!(!leaves_out(
        &["libpng16-16", "libfreetype6"],
        "libfreetype6"
    ));
    assert!(
        leaves_out(&["dash"], "dash"),
        "an exclusion holds whatever was added"
    );
}

#[test]
fn every_package_of_distroless_can_come_or_has_a_reason() {
    for recipe in all() {
        for package in &recipe.distroless {
            let explained = recipe
                .not_as_distroless
                .iter()
                .any(|(name, _)| name == package);
            let exclusions = recipe.exclusions_beside(&BTreeSet::new());
            let left_out =
                (exclusions.iter()).any(|it| PackagePattern::new(&it.package).matches(package));
            assert!(
                explained || !left_out,
                "{} leaves {package} out, which distroless has, without a reason",
                recipe.reference
            );
        }
    }
    assert!(recipe("debian:trixie/python3").distroless.len() > 30);
}

#[test]
fn documentation_goes_and_licences_stay() {
    for recipe in all() {
        assert!(omits(&recipe, "/usr/share/doc/libc6/changelog.gz"));
        assert!(omits(&recipe, "/usr/share/doc/libc6/examples/x/y"));
        assert!(!omits(&recipe, "/usr/share/doc/libc6/copyright"));
        assert!(
            !omits(&recipe, "/usr/share/doc/libgcc-s1"),
            "it may be a link to another's"
        );
        assert!(!omits(&recipe, "/usr/share/common-licenses/GPL-3"));
    }
}

#[test]
fn what_programs_read_at_run_time_stays() {
    for recipe in all() {
        for path in [
            "/etc/services",
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/ld.so.conf.d/libc.conf",
            "/usr/lib/os-release",
            "/usr/lib/locale/C.utf8/LC_CTYPE",
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules",
            "/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
            "/usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so",
            "/usr/lib/jvm/java-17-openjdk-amd64/lib/server/classes.jsa",
            "/usr/lib/jvm/java-17-openjdk-amd64/lib/modules",
            "/usr/lib/python3.11/encodings/utf_8.py",
            "/usr/lib/python3.11/unittest/mock.py",
            "/usr/share/nodejs/undici/undici-fetch.js",
            "/usr/share/zoneinfo/Europe/Berlin",
            "/usr/share/zoneinfo/US/Eastern",
            "/usr/share/zoneinfo/tzdata.zi",
        ] {
            assert!(!omits(&recipe, path), "{} omits {path}", recipe.reference);
        }
    }
}

#[test]
fn what_a_base_keeps_comes_there_and_nowhere_else() {
    assert!(omits(&recipe("debian:trixie/cc"), "/usr/sbin/ldconfig"));
    assert!(!omits(
        &recipe("debian:trixie/python3"),
        "/usr/sbin/ldconfig"
    ));
    assert!(omits(&recipe("debian:trixie/python3"), "/usr/bin/ldd"));
}

/// Bases take what iconv needs from the same list as apps do that bring it from the host.
#[test]
fn the_character_sets_are_those_of_the_rule_gconv() {
    let text = include_str!("../../../bases/plugins.toml");
    let rules: toml::Table = text.parse().unwrap();
    let rules = rules["rule"].as_array().unwrap();
    let named = |rule: &&toml::Value| rule["name"].as_str() == Some("gconv");
    let bring = rules.iter().find(named).unwrap()["bring"]
        .as_array()
        .unwrap();
    let theirs: BTreeSet<String> = (bring.iter())
        .map(|it| it.as_str().unwrap().replace("{lib}", "/usr/lib/*"))
        .filter(|it| it.ends_with(".so"))
        .collect();
    let base = recipe("debian:bookworm/base");
    let mut omissions = base.omissions.iter();
    let gconv = omissions
        .find(|it| it.paths[0].contains("/gconv/"))
        .unwrap();
    assert_eq!(gconv.keep.iter().cloned().collect::<BTreeSet<_>>(), theirs);
}

#[test]
fn a_suite_is_asked_for_where_it_has_the_architecture() {
    let urls = |reference: &str, architecture| -> Vec<String> {
        let recipe = recipe(reference);
        let archives = recipe.archives_for(architecture);
        archives
            .iter()
            .map(|(archive, url)| format!("{url} {}", archive.suite))
            .collect()
    };
    assert_eq!(
        urls("debian:bookworm/cc", Architecture::Amd64),
        [
            "http://deb.debian.org/debian bookworm",
            "http://deb.debian.org/debian bookworm-updates",
            "http://deb.debian.org/debian-security bookworm-security",
        ]
    );
    assert_eq!(urls("debian:bookworm/cc", Architecture::S390x).len(), 2);
    assert!(
        urls("ubuntu:noble/cc", Architecture::Arm64)
            .iter()
            .all(|it| it.starts_with("http://ports.ubuntu.com/ubuntu-ports noble"))
    );
    assert!(
        !recipe("debian:bookworm/cc")
            .architectures
            .contains(&Architecture::Riscv64)
    );
}

#[test]
fn a_package_for_one_architecture_is_not_asked_for_elsewhere() {
    let text = format!(
        "{HEAD}{BASE}packages = [\"libc6\", {{ name = \"libx32\", architectures = [\"amd64\"] }}]\n"
    );
    let recipes = parse(COMMON, &text).unwrap();
    let recipe = recipes.find(&"debian:sid/a".parse().unwrap()).unwrap();
    assert_eq!(
        recipe.packages_for(Architecture::Amd64),
        ["libc6", "libx32"]
    );
    assert_eq!(recipe.packages_for(Architecture::Arm64), ["libc6"]);
}

#[test]
fn an_unknown_base_is_told_with_what_there_is() {
    let message = |reference: &str| {
        built_in()
            .find(&reference.parse().unwrap())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        message("debian:trixie/go"),
        "there is no base debian:trixie/go; debian:trixie has static, base, cc, python3, nodejs, java"
    );
    assert_eq!(
        message("debian:woody/cc"),
        "there is no base debian:woody/cc; there are bases of debian:bookworm, debian:trixie, ubuntu:noble"
    );
}

#[test]
fn the_foundation_has_accounts_and_directories_and_nothing_that_packages_bring() {
    let recipe = recipe("debian:bookworm/java");
    let base = recipe.foundation().unwrap();
    assert_eq!(base.name, "debian:bookworm/java");
    assert_eq!(base.config.user, "65532:65532");
    assert_eq!(base.config.env, recipe.env);
    let get = |path: &str| base.rootfs().get(&ImagePath::new(path).unwrap());
    assert_eq!(get("/tmp").unwrap().mode, 0o1777);
    let home = get("/home/nonroot").unwrap();
    assert_eq!((home.uid, home.gid, home.mode), (65532, 65532, 0o700));
    for path in ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf"] {
        assert!(
            matches!(get(path).unwrap().kind, EntryKind::File(_)),
            "{path}"
        );
    }
    for path in [
        "/etc/os-release",
        "/etc/services",
        "/etc/protocols",
        "/etc/ssl/certs/ca-certificates.crt",
        "/usr/share/zoneinfo/Etc/UTC",
    ] {
        assert_eq!(get(path), None, "{path}");
    }
}

#[test]
fn the_directories_that_the_foundation_makes_links_of_do_not_come_from_packages() {
    let recipe = recipe("debian:bookworm/static");
    let base = recipe.foundation().unwrap();
    for (path, entry) in base.rootfs().iter() {
        if matches!(entry.kind, EntryKind::Symlink(_)) && path.as_bytes().starts_with(b"/var/") {
            assert!(omits(&recipe, &path.to_string()), "{path}");
        }
    }
}

#[test]
fn a_fault_is_told_with_its_file_its_line_and_what_was_possible() {
    let release = |rest: &str| parse(COMMON, &format!("{HEAD}{rest}"));
    let base = |rest: &str| release(&format!("{BASE}{rest}"));
    let common = |rest: &str| parse(&format!("{COMMON}{rest}"), HEAD);
    let archive = |rest: &str| {
        release(&format!(
            "[[archives]]\ncomponents = [\"main\"]\nkeyring = \"debian\"\n{rest}"
        ))
    };
    for (result, parts) in [
        (
            parse("schema = 2\nuser = \"1\"\n", HEAD),
            &["common.toml:1:", "schema 1"][..],
        ),
        (
            parse("schema = 1\n", HEAD),
            &["common.toml", "missing field `user`"],
        ),
        (
            common("colour = 1\n"),
            &["common.toml:9:", "colour", "packages", "because"],
        ),
        (
            common("[[exclusions]]\npackages = [\"Bash\"]\nbecause = \"x\"\n"),
            &["common.toml:10:", "\"Bash\"", "perl*"],
        ),
        (
            common("[[exclusions]]\npackages = [\"*\"]\nbecause = \"x\"\n"),
            &["common.toml:10:", "nearly everything"],
        ),
        (
            common("[[exclusions]]\npackages = [\"dash\"]\nbecause = \"It is.\"\n"),
            &["common.toml:11:", "full stop"],
        ),
        (
            common("[[omissions]]\npaths = [\"/lib/x\"]\nbecause = \"x\"\n"),
            &["common.toml:10:", "/usr/lib/x"],
        ),
        (
            common("[[omissions]]\npaths = [\"usr/x\"]\nbecause = \"x\"\n"),
            &["common.toml:10:", "begins with"],
        ),
        (
            common("[[omissions]]\npaths = [\"/usr/../x\"]\nbecause = \"x\"\n"),
            &["common.toml:10:", "\"..\""],
        ),
        (
            common("[[omissions]]\npaths = [\"/usr/[x\"]\nbecause = \"x\"\n"),
            &["common.toml:10:", "no glob"],
        ),
        (
            common("[[omissions]]\npaths = [\"/usr/{arch}\"]\nbecause = \"x\"\n"),
            &["common.toml:10:", "no variables"],
        ),
        (
            common("[[alternatives]]\nlink = \"/usr/a*\"\ntarget = \"/usr/b\"\nbecause = \"x\"\n"),
            &["common.toml:10:", "a link has one path"],
        ),
        (
            common("[[alternatives]]\nlink = \"/usr/a\"\ntarget = \"/usr/{x}\"\nbecause = \"x\"\n"),
            &["common.toml:11:", "{triplet} and {arch}"],
        ),
        (
            release("colour = 1\n"),
            &["mine.toml:5:", "colour", "archives", "bases"],
        ),
        (
            parse(COMMON, &HEAD.replace("arm64", "arm")),
            &["mine.toml:4:", "\"arm\"", "arm64, armhf"],
        ),
        (
            parse(COMMON, &HEAD.replace("sid", "Sid")),
            &["mine.toml:3:", "\"Sid\""],
        ),
        (
            archive("suite = \"sid\"\nurls = [{ url = \"ftp://x/y\" }]\n"),
            &["mine.toml:9:", "http://HOST/PATH"],
        ),
        (
            archive("suite = \"sid\"\nurls = [{ url = \"http://u:p@x/y\" }]\n"),
            &["mine.toml:9:", "no URL"],
        ),
        (
            archive("suite = \"../x\"\nurls = []\n"),
            &["mine.toml:8:", "part of a URL"],
        ),
        (
            release("[[archives]]\ncomponents = []\nkeyring = \"x\"\nsuite = \"sid\"\nurls = []\n"),
            &["mine.toml:7:", "debian and ubuntu"],
        ),
        (
            archive("suite = \"sid\"\nurls = []\ncontents = \"{x}/y\"\n"),
            &["mine.toml:10:", "{component} and {arch}"],
        ),
        (
            base("packages = [1]\n"),
            &["mine.toml:8:", "the name of a package or {"],
        ),
        (
            base("packages = [\"X\"]\n"),
            &["mine.toml:8:", "\"X\"", "lower-case"],
        ),
        (
            base("packages = [\"aa\", \"aa\"]\n"),
            &["mine.toml:8:", "aa is asked for twice"],
        ),
        (
            base("packages = [\"bash-doc\"]\n"),
            &[
                "mine.toml:8:",
                "bash-doc",
                "\"bash*\"",
                "because it is a shell",
            ],
        ),
        (
            base("packages = [\"libcups2t64\"]\n"),
            &["mine.toml:8:", "libcups2t64", "nobody prints"],
        ),
        (base("env = [\"A\"]\n"), &["mine.toml:8:", "NAME=VALUE"]),
        (
            base("extends = \"b\"\n"),
            &["mine.toml:8:", "\"b\"", "there are a"],
        ),
        (base("extends = \"a\"\n"), &["mine.toml:8:", "a loop?"]),
        (base(BASE), &["mine.toml:9:", "debian:sid/a is there twice"]),
        (
            base("[[bases.not_as_distroless]]\npackages = [\"libx1\"]\nbecause = \"x\"\n"),
            &["mine.toml:9:", "libx1", "not in the list"],
        ),
        (
            base(
                "packages = [\"libx1\"]\ndistroless = [\"libx1\"]\n[[bases.not_as_distroless]]\npackages = [\"libx1\"]\nbecause = \"x\"\n",
            ),
            &["mine.toml:11:", "libx1", "as in distroless"],
        ),
    ] {
        let message = result.unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_pattern_matches_as_a_glob_does(pattern in "[ab*?]{0,6}", name in "[ab]{0,8}") {
        let glob = GlobBuilder::new(&pattern).build().unwrap().compile_matcher();
        prop_assert_eq!(PackagePattern::new(&pattern).matches(&name), glob.is_match(&name));
    }

    #[test]
    fn no_text_makes_the_loader_panic(common in ".{0,80}", rest in "\\PC{0,80}") {
        let _ = parse(&common, HEAD);
        let _ = parse(COMMON, &format!("{HEAD}{BASE}{rest}"));
        let _ = parse(COMMON, &format!("{HEAD}{BASE}packages = [\"{rest}\"]\nenv = [\"{rest}\"]\n"));
        let _ = parse(&format!("{COMMON}[[omissions]]\npaths = [\"{rest}\"]\nbecause = \"x\"\n"), HEAD);
    }

    #[test]
    fn a_name_that_is_accepted_can_be_part_of_a_path(name in "\\PC{0,12}") {
        if package_fault(&name).is_none() {
            let path = format!("/{name}");
            prop_assert!(ImagePath::new(path).is_ok());
            prop_assert!(!name.contains(['/', '*', '?', '[']));
        }
    }
}

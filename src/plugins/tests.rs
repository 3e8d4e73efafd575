#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::ImagePath;
use crate::app::Role;
use crate::elf::{Resolver, Root, resolve};
use crate::rootfs::{EntryKind, Origin};
use crate::sysroot::Directory;

/// Placeholders of the same length in compiled fixtures: names are written over them.
const LENGTH: usize = 48;

/// How a fixture is compiled.
#[derive(Clone, Copy)]
enum Fixture {
    Library,
    /// With the version by which glibc's parts know each other.
    PartOfLibc,
    Program,
}

fn compiled(fixture: Fixture) -> &'static [u8] {
    static FILES: [OnceLock<Vec<u8>>; 3] = [const { OnceLock::new() }; 3];
    FILES[fixture as usize].get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let function = "f".repeat(LENGTH);
        let source = format!(
            "extern void {function}(void); void own(void) {{ {function}(); }} void _start(void) {{}}"
        );
        std::fs::write(at("x.c"), source).unwrap();
        std::fs::write(at("map"), "GLIBC_PRIVATE { global: own; };").unwrap();
        let soname = format!("-Wl,-soname,{}", "S".repeat(LENGTH));
        let map = format!("-Wl,--version-script,{}", at("map").display());
        let mut command = Command::new("cc");
        command.arg(at("x.c")).arg("-o").arg(at("x")).arg("-nostdlib");
        match fixture {
            Fixture::Library => command.args(["-shared", "-fPIC", &soname]),
            Fixture::PartOfLibc => command.args(["-shared", "-fPIC", &soname, &map]),
            Fixture::Program => command.args(["-static", "-Wl,--unresolved-symbols=ignore-all"]),
        };
        assert!(command.status().unwrap().success());
        std::fs::read(at("x")).unwrap()
    })
}

fn overwrite(bytes: &mut [u8], placeholder: &str, name: &str) {
    let placeholder = placeholder.repeat(LENGTH).into_bytes();
    let mut padded = name.as_bytes().to_vec();
    padded.resize(LENGTH, 0);
    let at = bytes
        .windows(LENGTH)
        .position(|window| window == placeholder)
        .unwrap();
    bytes[at..at + LENGTH].copy_from_slice(&padded);
}

/// A system in a directory, with the roots of a closure.
struct System {
    directory: tempfile::TempDir,
    roots: Vec<Root>,
}

impl System {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            roots: Vec::new(),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    fn bytes(&self, path: &str, bytes: &[u8], mode: u32) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn files(&self, paths: &[&str]) {
        for path in paths {
            self.bytes(path, b"content", 0o644);
        }
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn library_with(&mut self, path: &str, fixture: Fixture, imports: &str, machine: u16) {
        let mut bytes = compiled(fixture).to_vec();
        overwrite(&mut bytes, "S", path.rsplit('/').next().unwrap());
        overwrite(&mut bytes, "f", imports);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        self.bytes(path, &bytes, 0o644);
        self.roots.push(Root::Plugin { path: path.into() });
    }

    fn library(&mut self, path: &str) {
        self.library_with(path, Fixture::Library, "nothing", X86_64);
    }

    fn program(&mut self, path: &str) {
        self.bytes(path, compiled(Fixture::Program), 0o755);
        self.roots.push(Root::Program { path: path.into() });
    }

    fn closure(&self, sysroot: &Directory) -> Closure {
        resolve(sysroot, &self.roots, &Resolver::default()).unwrap()
    }

    fn try_apply(&self, rules: &str, choice: &Choice) -> Result<Applied, RulesError> {
        let sysroot = Directory::new(self.directory.path()).unwrap();
        let rules = Rules::parse(Path::new("r.toml"), &format!("schema = 1\n{rules}")).unwrap();
        rules.apply(&sysroot, &self.closure(&sysroot), choice)
    }

    fn apply(&self, rules: &str) -> Applied {
        self.try_apply(rules, &Choice::default()).unwrap()
    }

    /// A rule with this in it.
    fn rule(&self, text: &str) -> Applied {
        self.apply(&format!(
            "[[rule]]\nname = \"r\"\nbecause = \"it must\"\n{text}"
        ))
    }

    /// The paths that the rule brings.
    fn brings(&self, text: &str) -> Vec<String> {
        paths(&self.rule(text))
    }
}

const X86_64: u16 = 62;
const AARCH64: u16 = 183;

fn paths(applied: &Applied) -> Vec<String> {
    let files = applied.companions.iter().flat_map(|group| &group.files);
    files.map(|file| file.path.to_string()).collect()
}

fn choice(with: &[&str], without: &[&str]) -> Choice {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Choice {
        with: names(with),
        without: names(without),
    }
}

#[test]
fn the_built_in_rules_are_good_and_each_says_why() {
    let rules = Rules::built_in().unwrap();
    assert!(rules.iter().count() >= 25);
    for rule in rules.iter() {
        assert!(rule.reason.len() > 10, "{}", rule.name);
        assert!(
            !rule.reason.ends_with('.'),
            "{}: a phrase, no sentence",
            rule.name
        );
    }
}

#[test]
fn a_soname_brings_what_lies_beside_its_library() {
    let mut system = System::new();
    system.library("/usr/lib/x86_64-linux-gnu/libx11.so.3.1");
    system.files(&[
        "/usr/lib/x86_64-linux-gnu/x/a.so",
        "/usr/lib/x86_64-linux-gnu/x/b.so",
        "/usr/lib/x86_64-linux-gnu/x/c.txt",
        "/usr/share/x/3.1/data",
        "/etc/x.conf",
    ]);
    let rule = r#"
        when = [{ soname = ["libx*.so.*"] }]
        bring = ["{dir}/x/*.so", "{prefix}/share/x/{2}", "{etc}/x.conf", "/usr/lib/{triplet}/x/c.txt"]
    "#;
    assert_eq!(
        system.brings(rule),
        [
            "/etc/x.conf",
            "/usr/lib/x86_64-linux-gnu/x/a.so",
            "/usr/lib/x86_64-linux-gnu/x/b.so",
            "/usr/lib/x86_64-linux-gnu/x/c.txt",
            "/usr/share/x/3.1",
            "/usr/share/x/3.1/data",
        ]
    );
    let applied = system.rule(rule);
    let group = &applied.companions[0];
    assert_eq!(group.by, Provenance::Rule("r".to_owned()));
    assert_eq!(group.reason, "it must");
    assert!(
        group
            .files
            .iter()
            .all(|file| file.entry.origin == Origin::Runtime)
    );
    assert_eq!(
        system.brings("when = [{ soname = [\"liby*\"] }]\nbring = [\"/etc\"]"),
        [""; 0]
    );
}

#[test]
fn another_machines_system_has_its_own_directories() {
    let mut system = System::new();
    let path = "/usr/lib/aarch64-linux-gnu/libx.so.1";
    system.library_with(path, Fixture::Library, "nothing", AARCH64);
    system.files(&[
        "/usr/lib/aarch64-linux-gnu/x/a",
        "/usr/lib/x86_64-linux-gnu/x/a",
    ]);
    assert_eq!(
        system.brings("when = [{ soname = [\"libx.so.1\"] }]\nbring = [\"{lib}/x/*\"]"),
        ["/usr/lib/aarch64-linux-gnu/x/a"]
    );
}

#[test]
fn a_program_is_known_by_any_name_of_its_file() {
    let mut system = System::new();
    system.program("/usr/lib/x/15/bin/server");
    system.files(&["/usr/lib/x/15/share/data"]);
    let rule = |name: &str| {
        format!("when = [{{ program = [\"{name}\"] }}]\nbring = [\"{{prefix}}/share/*\"]")
    };
    assert_eq!(system.brings(&rule("serv*")), ["/usr/lib/x/15/share/data"]);
    assert_eq!(system.brings(&rule("other")), [""; 0]);
    system.link("/usr/bin/other", "../lib/x/15/bin/server");
    let path = "/usr/bin/other".into();
    system.roots = vec![Root::Program { path }];
    assert_eq!(system.brings(&rule("other")), ["/usr/lib/x/15/share/data"]);
    assert_eq!(
        system.brings("when = [{ soname = [\"server\"] }]\nbring = [\"/usr/lib/x/15/share\"]"),
        [""; 0]
    );
}

#[test]
fn an_import_counts_unless_it_is_libcs_own_or_excepted() {
    let rule = |more: &str| {
        format!(
            "when = [{{ soname = [\"libc.so.6\"], imports = [\"convert\", \"other\"]{more} }}]\n\
             bring = [\"{{lib}}/gconv\"]"
        )
    };
    let brought = ["/usr/lib/gconv", "/usr/lib/gconv/A.so"];
    let mut system = System::new();
    system.files(&["/usr/lib/gconv/A.so"]);
    system.library_with("/usr/lib/libc.so.6", Fixture::PartOfLibc, "convert", X86_64);
    system.library("/usr/lib/liba.so");
    assert_eq!(system.brings(&rule("")), [""; 0]);
    system.library_with("/usr/lib/libb.so", Fixture::Library, "convert", X86_64);
    assert_eq!(system.brings(&rule("")), brought);
    assert_eq!(system.brings(&rule(", except = [\"libb.*\"]")), [""; 0]);
    let mut without_libc = System::new();
    without_libc.library_with("/usr/lib/libb.so", Fixture::Library, "convert", X86_64);
    without_libc.files(&["/usr/lib/gconv/A.so"]);
    assert_eq!(without_libc.brings(&rule("")), [""; 0]);
    let alone = "when = [{ imports = [\"convert\"] }]\nbring = [\"{dir}/gconv/*\"]";
    assert_eq!(without_libc.brings(alone), ["/usr/lib/gconv/A.so"]);
}

#[test]
fn one_condition_is_enough_and_all_that_is_in_it_must_hold() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    system.files(&["/etc/x", "/etc/there"]);
    let brings = |when: &str| {
        let rule = format!("when = [{when}]\nbring = [\"/etc/x\"]");
        !system.brings(&rule).is_empty()
    };
    assert!(brings(
        "{ program = [\"none\"] }, { soname = [\"liba.so\"] }"
    ));
    assert!(!brings("{ program = [\"none\"], soname = [\"liba.so\"] }"));
    assert!(brings(
        "{ soname = [\"liba.so\"], exists = [\"/etc/none\", \"{etc}/th*\"] }"
    ));
    assert!(!brings(
        "{ soname = [\"liba.so\"], exists = [\"/etc/none\"] }"
    ));
    assert!(brings("{ exists = [\"/etc/there\"] }"));
    let rule = "when = [{ soname = [\"liba.so\"] }]\nunless = [{ exists = [\"/etc/there\"] }]\n\
                bring = [\"/etc/x\"]";
    assert_eq!(system.brings(rule), [""; 0]);
}

#[test]
fn links_come_with_all_that_they_lead_to() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    system.files(&["/opt/real/file", "/opt/tree/leaf", "/usr/share/x/plain"]);
    system.link("/usr/share/x/one", "two");
    system.link("/usr/share/x/two", "/opt/real/file");
    system.link("/usr/share/x/tree", "../../../opt/tree");
    system.link("/usr/share/x/nowhere", "none");
    system.link("/usr/share/x/up", "..");
    system.link("/usr/share/x/root", "/");
    system.link("/usr/share/x/loop", "loop");
    system.link("/srv", "usr/share");
    let rule = "when = [{ soname = [\"liba.so\"] }]\nbring = [\"/srv/x\"]";
    assert_eq!(
        system.brings(rule),
        [
            "/opt/real/file",
            "/opt/tree",
            "/opt/tree/leaf",
            "/srv",
            "/usr/share/x",
            "/usr/share/x/one",
            "/usr/share/x/plain",
            "/usr/share/x/root",
            "/usr/share/x/tree",
            "/usr/share/x/two",
            "/usr/share/x/up",
        ]
    );
}

#[test]
fn two_spellings_of_one_directory_bring_it_once_and_two_links_to_one_file_both() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    system.files(&["/usr/lib/x/helper"]);
    system.link("/usr/lib64", "lib");
    system.link("/usr/lib/x/helper-https", "helper");
    assert_eq!(
        system.brings("when = [{ soname = [\"liba.so\"] }]\nbring = [\"{lib}/x/helper-*\", \"{lib}/x/helper\"]"),
        ["/usr/lib/x/helper", "/usr/lib/x/helper-https", "/usr/lib64"],
    );
}

#[test]
fn what_is_excluded_stays_out_and_a_link_to_it_stays() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    system.files(&[
        "/usr/share/x/keep",
        "/usr/share/x/a.pod",
        "/usr/share/x/deep/test/t",
        "/usr/share/x/deep/more",
        "/etc/ssl/certs/bundle",
    ]);
    system.link("/usr/share/x/certs", "/etc/ssl/certs");
    system.link("/usr/share/x/bundle", "/etc/ssl/certs/bundle");
    assert_eq!(
        system.brings(
            "when = [{ soname = [\"liba.so\"] }]\nbring = [\"/usr/share/x\"]\n\
             exclude = [\"*.pod\", \"test\", \"{etc}/ssl/certs\"]"
        ),
        [
            "/usr/share/x",
            "/usr/share/x/bundle",
            "/usr/share/x/certs",
            "/usr/share/x/deep",
            "/usr/share/x/deep/more",
            "/usr/share/x/keep",
        ]
    );
}

#[test]
fn a_runtime_may_be_in_a_directory_with_an_excluded_name() {
    let mut system = System::new();
    system.library("/opt/test/lib/liba.so");
    system.files(&["/opt/test/lib/x/keep", "/opt/test/lib/x/test/t"]);
    assert_eq!(
        system.brings(
            "when = [{ soname = [\"liba.so\"] }]\nbring = [\"{lib}/x\"]\nexclude = [\"test\"]"
        ),
        ["/opt/test/lib/x", "/opt/test/lib/x/keep"]
    );
}

#[test]
fn what_not_everybody_may_read_stays_out_with_a_notice() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    system.files(&["/etc/x/public"]);
    system.bytes("/etc/x/secret", b"", 0o640);
    let applied = system.rule("when = [{ soname = [\"liba.so\"] }]\nbring = [\"/etc/x\"]");
    assert_eq!(paths(&applied), ["/etc/x", "/etc/x/public"]);
    let shown = system
        .directory
        .path()
        .canonicalize()
        .unwrap()
        .join("etc/x/secret");
    assert_eq!(
        applied.notices,
        [format!(
            "rule r: {} is left out, since not everybody may read it (mode 0640); if it is no \
             secret, `chmod a+r` it, else mount it where the container runs",
            shown.display()
        )]
    );
}

#[test]
fn elf_files_have_the_role_of_their_rule_and_others_are_data() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    system.files(&["/usr/lib/x/text.so"]);
    system.bytes("/usr/lib/x/real.so", compiled(Fixture::Library), 0o4755);
    for (objects, role) in [("", Role::Optional), ("objects = \"needed\"", Role::Object)] {
        let applied = system.rule(&format!(
            "when = [{{ soname = [\"liba.so\"] }}]\nbring = [\"/usr/lib/x/*\"]\n{objects}"
        ));
        let files = &applied.companions[0].files;
        assert_eq!((files[0].role, files[1].role), (role, Role::Data));
        assert_eq!(files[0].entry.mode, 0o755);
        assert!(matches!(files[0].entry.kind, EntryKind::File(_)));
    }
}

#[test]
fn what_the_closure_holds_does_not_come_again() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    system.bytes("/usr/lib/x/plugin.so", compiled(Fixture::Library), 0o644);
    system.files(&["/usr/lib/x/data"]);
    let rule =
        "when = [{ soname = [\"liba.so\"] }]\nbring = [\"/usr/lib/x/*\"]\nenv = { X = \"1\" }";
    let first = system.rule(rule);
    assert_eq!(paths(&first), ["/usr/lib/x/data", "/usr/lib/x/plugin.so"]);
    assert_eq!(paths(&system.rule(rule)), paths(&first));
    system.roots.push(Root::Plugin {
        path: "/usr/lib/x/plugin.so".into(),
    });
    let second = system.rule(rule);
    assert_eq!(paths(&second), ["/usr/lib/x/data"]);
    assert_eq!(second.env, first.env);
}

#[test]
fn a_file_comes_by_the_first_rule_and_the_first_value_of_a_variable_stands() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    system.files(&["/etc/x", "/etc/y"]);
    let applied = system.apply(
        r#"
        [[rule]]
        name = "one"
        because = "first"
        when = [{ soname = ["liba.so"] }]
        bring = ["/etc/x"]
        env = { A = "1" }
        [[rule]]
        name = "two"
        because = "second"
        when = [{ soname = ["liba.so"] }]
        bring = ["/etc/*"]
        env = { A = "2", B = "2" }
        arguments = ["-x"]
        [[rule]]
        name = "three"
        because = "third"
        when = [{ soname = ["liba.so"] }]
        bring = ["/etc/none"]
        env = { C = "3" }
        arguments = ["-y"]
        "#,
    );
    assert_eq!(paths(&applied), ["/etc/x", "/etc/y"]);
    assert_eq!(applied.companions.len(), 2);
    let env: Vec<_> = applied
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(env, ["A=1", "B=2"]);
    assert_eq!(applied.arguments, ["-x"]);
}

#[test]
fn what_is_absent_is_told_only_where_nothing_starts_without() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    system.files(&["/etc/second"]);
    let rule = |needs: &str| {
        system.rule(&format!(
            "when = [{{ soname = [\"liba.so\"] }}]\nbring = [\"/etc/none\"]\nneeds = [{needs}]"
        ))
    };
    assert_eq!(rule("").notices, [""; 0]);
    assert_eq!(rule("\"/etc/first\", \"/etc/second\"").notices, [""; 0]);
    assert_eq!(
        rule("\"{etc}/first\", \"/etc/third*\"").notices,
        [
            "rule r: nothing is at /etc/first or /etc/third*, and without it the program will not \
          start; install it, or add it with `--include`"
        ]
    );
}

#[test]
fn links_and_directories_are_made_whatever_the_system_has_there() {
    let mut system = System::new();
    system.program("/usr/sbin/server");
    system.files(&["/etc/server/conf"]);
    system.bytes("/var/log/server.log", b"old", 0o644);
    let applied = system.rule(
        r#"
        when = [{ program = ["server"] }]
        bring = ["/etc/server"]
        make = [
            { path = "/var/log/server.log", link = "/dev/stdout" },
            { path = "/run/server", mode = 0o1777 },
            { path = "/etc/server/conf", link = "/elsewhere" },
        ]
        "#,
    );
    let files = &applied.companions[0].files;
    let kind = |path: &str| {
        let path = ImagePath::new(path).unwrap();
        &files.iter().find(|file| file.path == path).unwrap().entry
    };
    assert_eq!(
        kind("/var/log/server.log").kind,
        EntryKind::Symlink("/dev/stdout".into())
    );
    assert_eq!(kind("/run/server").kind, EntryKind::Directory);
    assert_eq!(kind("/run/server").mode, 0o1777);
    assert!(matches!(kind("/etc/server/conf").kind, EntryKind::File(_)));
}

#[test]
fn rules_are_asked_for_and_refused_by_name() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    system.files(&["/etc/x", "/usr/share/fonts/f"]);
    let rules = r#"
        [[rule]]
        name = "usual"
        because = "it must"
        when = [{ soname = ["liba.so"] }]
        bring = ["/etc/x"]
        [[rule]]
        name = "fonts"
        because = "text is drawn"
        default = false
        bring = ["{prefix}/share/fonts/*"]
        [[rule]]
        name = "other"
        because = "of libb"
        default = false
        when = [{ soname = ["libb.so"] }]
        bring = ["/etc/x"]
        "#;
    let apply = |with: &[&str], without: &[&str]| system.try_apply(rules, &choice(with, without));
    assert_eq!(paths(&apply(&[], &[]).unwrap()), ["/etc/x"]);
    assert_eq!(
        paths(&apply(&["fonts"], &["usual"]).unwrap()),
        ["/usr/share/fonts/f"]
    );
    assert_eq!(
        apply(&["other"], &[]).unwrap().notices,
        ["--with other: nothing in the image asks for it (of libb)"]
    );
    assert_eq!(
        apply(&["font"], &[]).unwrap_err().to_string(),
        "there is no rule \"font\"; did you mean fonts?; the rules are usual, fonts, other"
    );
    assert!(
        apply(&[], &["xyz"])
            .unwrap_err()
            .to_string()
            .contains("no rule \"xyz\"; the rules")
    );
    assert!(
        apply(&["fonts"], &["fonts"])
            .unwrap_err()
            .to_string()
            .contains("asked for and refused")
    );
}

#[test]
fn a_fault_in_a_rule_is_told_with_its_line_and_name() {
    let message = |rule: &str| {
        let text = format!(
            "schema = 1\n[[rule]]\nname = \"good\"\nbecause = \"b\"\ndefault = false\nbring = [\"/x\"]\n\
             [[rule]]\nname = \"bad\"\n{rule}"
        );
        Rules::parse(Path::new("r.toml"), &text)
            .unwrap_err()
            .to_string()
    };
    let rest = "because = \"b\"\nwhen = [{ soname = [\"a*\"] }]\n";
    for (rule, told) in [
        ("because = 1", "r.toml:9: rule bad: invalid type"),
        (
            "becuase = \"\"",
            "r.toml:9: rule bad: unknown field `becuase`",
        ),
        ("because = \" \"\nbring = [\"/x\"]", "`because` is empty"),
        ("because = \"b\"\nbring = [\"/x\"]", "it would apply always"),
        (
            "because = \"b\"\nwhen = [{}]\nbring = [\"/x\"]",
            "a condition without",
        ),
        (
            "because = \"b\"\nwhen = [{ soname = [\"a\"], except = [\"b\"] }]\nbring = [\"/x\"]",
            "`except` says nothing",
        ),
        (
            "because = \"b\"\nwhen = [{ exists = [\"/x\"] }]\nbring = [\"{dir}/x\"]",
            "{dir} has no value",
        ),
        (rest, "it does nothing"),
        (&format!("{rest}bring = [\"/x/{{2}}\"]"), "{2} has no value"),
        (
            &format!("{rest}bring = [\"x\"]"),
            "does not say where it is",
        ),
        (
            &format!("{rest}env = {{ \"A=\" = \"\" }}"),
            "no environment variable",
        ),
        (
            &format!("{rest}make = [{{ path = \"/x\" }}]"),
            "either a `link`",
        ),
        (
            &format!("{rest}make = [{{ path = \"/\", mode = 0 }}]"),
            "/ itself cannot be made",
        ),
        (
            &format!("{rest}make = [{{ path = \"/x\", mode = 4095 }}]"),
            "is no mode",
        ),
        (
            &format!("{rest}bring = [\"/x\"]\n[[rule]]\nname = \"good\"\n{rest}bring = [\"/x\"]"),
            "there twice",
        ),
    ] {
        let message = message(rule);
        assert!(message.contains(told), "{rule}: {message}");
    }
    let schema = Rules::parse(Path::new("r.toml"), "schema = 2").unwrap_err();
    assert!(
        schema
            .to_string()
            .starts_with("r.toml:1: schema 2 is not known")
    );
}

#[test]
fn what_a_rule_brought_is_not_looked_for_again_while_the_closure_grows() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    system.files(&["/etc/a/x", "/etc/b/y"]);
    let text = "schema = 1\n\
        [[rule]]\nname = \"a\"\nbecause = \"b\"\nbring = [\"/etc/a\"]\n\
        when = [{ soname = [\"liba.so\"] }]\nenv = { A = \"1\" }\n\
        [[rule]]\nname = \"b\"\nbecause = \"b\"\nbring = [\"/etc/a/x\", \"/etc/b\"]\n\
        when = [{ soname = [\"libb.so\"] }]\n";
    let rules = Rules::parse(Path::new("r.toml"), text).unwrap();
    let sysroot = Directory::new(system.directory.path()).unwrap();
    let choice = Choice::default();
    let mut application = rules.application(&choice).unwrap();
    let first = application
        .apply(&sysroot, &system.closure(&sysroot))
        .unwrap();
    assert_eq!(paths(&first), ["/etc/a", "/etc/a/x"]);

    system.library("/usr/lib/libb.so");
    std::fs::remove_file(system.directory.path().join("etc/a/x")).unwrap();
    let second = application
        .apply(&sysroot, &system.closure(&sysroot))
        .unwrap();
    assert_eq!(paths(&second), ["/etc/a", "/etc/a/x", "/etc/b", "/etc/b/y"]);
    assert_eq!(second.env, first.env);
}

#[test]
fn a_directory_with_nothing_in_it_is_no_reason_to_tell_of_a_rule() {
    let mut system = System::new();
    system.library("/usr/lib/liba.so");
    std::fs::create_dir_all(system.directory.path().join("etc/mech.d")).unwrap();
    let when = "when = [{ soname = [\"liba.so\"] }]";
    let applied = system.rule(&format!("{when}\nbring = [\"/etc/mech.d\"]"));
    assert!(applied.companions.is_empty());
    let made = "make = [{ path = \"/run/a\", mode = 0o1777 }]";
    assert_eq!(paths(&system.rule(&format!("{when}\n{made}"))), ["/run/a"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_the_loader_fall(text in "(schema = 1\n)?(\\[\\[rule\\]\\]|name|=|\"|\n|[a-z/*{}0-9\\[\\]]){0,40}") {
        let _ = Rules::parse(Path::new("r.toml"), &text);
    }

    #[test]
    fn no_rule_makes_the_search_fall_or_leave_the_system(
        soname in "[*?a-z./]{1,12}", path in "[/*?a-z{}0-9.]{0,24}", exclude in "[/*?a-z.]{1,8}"
    ) {
        let rule = format!(
            "schema = 1\n[[rule]]\nname = \"r\"\nbecause = \"b\"\nwhen = [{{ soname = [\"{soname}\"] }}]\n\
             bring = [\"/{path}\", \"{{dir}}/{path}\"]\nexclude = [\"{exclude}\"]"
        );
        if let Ok(rules) = Rules::parse(Path::new("r.toml"), &rule) {
            let mut system = System::new();
            system.library("/usr/lib/liba.so");
            system.files(&["/etc/a/b", "/usr/a"]);
            let sysroot = Directory::new(system.directory.path()).unwrap();
            let applied = rules.apply(&sysroot, &system.closure(&sysroot), &Choice::default()).unwrap();
            for file in applied.companions.iter().flat_map(|group| &group.files) {
                prop_assert!(sysroot.node(&file.path).is_ok());
            }
        }
    }
}

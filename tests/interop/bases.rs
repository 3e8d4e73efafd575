//! Bases of real packages from the Debian archive: what is in them, and that it runs.
//!
//! They share one cache below `target/`, and the system's own mirror.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::container::{Bundle, open_to_all};
use crate::image::{Image, contents};
use crate::kept::kept;
use crate::tools::{Outcome, run, tool};
use crate::workshop::{Workshop, assert_tells, installed, program_under_test};

const RELEASES: [&str; 2] = ["debian:bookworm", "debian:trixie"];

const TLS: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
int main(void) {
    void *library = dlopen("libssl.so.3", RTLD_NOW);
    if (!library) { puts(dlerror()); return 1; }
    int (*init)(unsigned long, void *) = dlsym(library, "OPENSSL_init_ssl");
    printf("%d\n", init(0, NULL));
    return 0;
}
"#;

const CPLUSPLUS: &str = r#"
#include <iostream>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>
int main() {
    int sum = 0;
    std::thread thread([&] {
        std::vector<int> numbers(9);
        std::iota(numbers.begin(), numbers.end(), 0);
        sum = std::accumulate(numbers.begin(), numbers.end(), 6);
    });
    thread.join();
    try { throw std::runtime_error("caught"); }
    catch (const std::exception &error) { std::cout << error.what() << ' ' << sum << std::endl; }
}
"#;

const PYTHON: &str = r#"
import asyncio, bz2, ctypes, decimal, hashlib, json, lzma, os, sqlite3, ssl, sys, urllib.request
import uuid, zlib, zoneinfo
from concurrent.futures import ThreadPoolExecutor

database = sqlite3.connect(":memory:")
assert database.execute("select 6 * 7").fetchone() == (42,)
context = ssl.create_default_context()
assert len(context.get_ca_certs()) > 100, len(context.get_ca_certs())
assert zoneinfo.ZoneInfo("Europe/Berlin").key == "Europe/Berlin"
assert lzma.decompress(lzma.compress(b"x")) == bz2.decompress(bz2.compress(b"x")) == b"x"
assert ctypes.CDLL(None).getpid() == os.getpid()
assert sys.getfilesystemencoding() == "utf-8"
with ThreadPoolExecutor() as pool:
    assert list(pool.map(str, [1])) == ["1"]
print("python", os.getuid(), hashlib.sha256(b"abc").hexdigest()[:8])
"#;

const NODE: &str = r#"
const crypto = require('crypto');
const zlib = require('zlib');
if (zlib.gunzipSync(zlib.gzipSync('x')).toString() !== 'x') process.exit(1);
if (new Intl.NumberFormat('de-DE').format(1234.5) !== '1.234,5') process.exit(2);
console.log('node', process.getuid(), crypto.createHash('sha256').update('abc').digest('hex').slice(0, 8));
"#;

const JAVA: &str = r#"
import java.security.KeyStore;
import java.security.MessageDigest;
import java.util.HexFormat;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

public class Hello {
    public static void main(String[] arguments) throws Exception {
        var factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init((KeyStore) null);
        var trusted = ((X509TrustManager) factory.getTrustManagers()[0]).getAcceptedIssuers();
        if (trusted.length < 100) throw new IllegalStateException("trusted: " + trusted.length);
        java.time.ZoneId.of("Europe/Berlin");
        byte[] digest = MessageDigest.getInstance("SHA-256").digest("abc".getBytes());
        System.out.println("java " + HexFormat.of().formatHex(digest, 0, 4));
    }
}
"#;

/// Where the packages that the tests fetch stay from one run to the next.
fn cache() -> PathBuf {
    kept("packages", "1", |_| {})
}

/// A build with the shared cache.
fn command(workshop: &Workshop, app: &Path, output: &str, options: &[&str]) -> Command {
    let mut command = workshop.build_command(app, output, options);
    command.env("XDG_CACHE_HOME", cache());
    command
}

#[track_caller]
fn build(workshop: &Workshop, app: &Path, output: &str, options: &[&str]) -> Image {
    run(&mut command(workshop, app, output, options)).output();
    Image::new(workshop.path(output), "latest")
}

fn bases(workshop: &Workshop, arguments: &[&str]) -> Outcome {
    run(workshop
        .distrobuild()
        .arg("bases")
        .args(arguments)
        .env("XDG_CACHE_HOME", cache()))
}

/// The jar of a program, made for Java 17.
fn jar(workshop: &Workshop) -> PathBuf {
    let source = workshop.write("java/Hello.java", JAVA);
    let directory = source.parent().unwrap();
    run(tool("javac")
        .current_dir(directory)
        .args(["--release", "17", "Hello.java"]))
    .output();
    run(tool("jar")
        .current_dir(directory)
        .args(["cfe", "hello.jar", "Hello", "Hello.class"]))
    .output();
    directory.join("hello.jar")
}

/// An app for each base, and what it prints.
fn apps(workshop: &Workshop) -> Vec<(&'static str, PathBuf, Vec<&'static str>, &'static str)> {
    let hello = "#include <stdio.h>\nint main(void) { puts(\"here\"); }\n";
    vec![
        (
            "static",
            workshop.compile("gcc", hello, "apps/hello", &["-static"]),
            vec![],
            "here\n",
        ),
        (
            "base",
            workshop.compile("gcc", TLS, "apps/tls", &[]),
            vec!["--dlopen", "libssl.so.3"],
            "1\n",
        ),
        (
            "cc",
            workshop.compile("g++", CPLUSPLUS, "apps/cplusplus", &[]),
            vec![],
            "caught 42\n",
        ),
        (
            "python3",
            workshop.write("apps/app.py", PYTHON),
            vec![],
            "python 65532 ba7816bf\n",
        ),
        (
            "nodejs",
            workshop.write("apps/app.js", NODE),
            vec![],
            "node 65532 ba7816bf\n",
        ),
        ("java", jar(workshop), vec![], "java ba7816bf\n"),
    ]
}

/// The names of the programs of these packages, which no image may hold.
fn programs_of(packages: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for package in packages {
        let list = run(tool("dpkg").args(["-L", package])).output();
        let programs = list.lines().filter(|line| {
            ["/bin/", "/sbin/"]
                .iter()
                .any(|directory| line.contains(directory))
        });
        names.extend(programs.filter_map(|line| Some(line.rsplit_once('/')?.1.to_owned())));
    }
    names
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn programs_run_on_each_base_of_each_release_and_none_has_a_shell() {
    let workshop = Workshop::new();
    let apps = apps(&workshop);
    let mut forbidden =
        programs_of(&["dash", "bash", "apt", "dpkg", "coreutils", "busybox-static"]);
    forbidden.extend(["busybox", "sh", "zsh", "ksh", "perl", "apk", "rpm"].map(str::to_owned));
    assert!(forbidden.len() > 100);
    for release in RELEASES {
        for (base, app, options, expected) in &apps {
            let name = format!("{release}/{base}");
            let mut options = options.clone();
            options.extend(["--base", &name, "--smoke"]);
            let output = format!("{}-{base}.oci", release.replace(':', "-"));
            let image = build(&workshop, app, &output, &options);
            let bundle = Bundle::of(&image, &workshop);
            assert_eq!(bundle.run().output(), *expected, "{name}");
            assert_eq!(bundle.read_only().run().output(), *expected, "{name}");
            let programs: Vec<_> = (image.paths().into_iter())
                .filter(|path| ["bin/", "sbin/"].iter().any(|it| path.contains(it)))
                .filter(|path| {
                    let name = path.rsplit('/').next().unwrap_or_default();
                    forbidden.contains(name)
                })
                .collect();
            assert!(programs.is_empty(), "{name}: {programs:?}");
        }
    }
}

/// dpkg's status format (deb-control(5)): fields by name.
fn stanza(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::<String, String>::new();
    let mut last = String::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            let field = fields.get_mut(&last).expect(text);
            field.push('\n');
            field.push_str(line);
        } else if !line.is_empty() {
            let (name, value) = line.split_once(':').expect(text);
            last = name.to_owned();
            assert_eq!(
                fields.insert(last.clone(), value.trim().to_owned()),
                None,
                "{text}"
            );
        }
    }
    fields
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_scanner_finds_each_package_with_its_version_its_sums_and_its_copyright() {
    let workshop = Workshop::new();
    let script = workshop.write("apps/app.py", "print('here')\n");
    let image = build(
        &workshop,
        &script,
        "app.oci",
        &["--base", "debian:bookworm/python3"],
    );
    let rootfs = Bundle::of(&image, &workshop).rootfs();
    let shown = bases(&workshop, &["show", "debian:bookworm/python3", "--json"]).output();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["archives"][0]["suite"], "bookworm", "{shown}");
    let packages = shown["packages"].as_array().unwrap();
    assert!(packages.len() > 15, "{shown}");
    let directory = rootfs.join("var/lib/dpkg/status.d");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let status = stanza(&fs::read_to_string(directory.join(name)).unwrap());
        assert_eq!(status["Package"], name);
        assert_eq!(status["Version"], package["version"].as_str().unwrap());
        assert_eq!(
            status["Architecture"],
            package["architecture"].as_str().unwrap()
        );
        assert!(status.contains_key("Maintainer"), "{name}");
        let copyright = rootfs.join(format!("usr/share/doc/{name}/copyright"));
        let facts = fs::metadata(&copyright);
        assert!(
            facts.is_ok_and(|it| it.len() > 0),
            "{}",
            copyright.display()
        );
        let sums = directory.join(format!("{name}.md5sums"));
        if fs::metadata(&sums).unwrap().len() > 0 {
            run(tool("md5sum")
                .args(["--check", "--strict", "--quiet"])
                .arg(&sums)
                .current_dir(&rootfs))
            .output();
        }
    }
    let listed = fs::read_dir(&directory).unwrap().count();
    assert_eq!(listed, 2 * packages.len());
    let os = fs::read_to_string(rootfs.join("etc/os-release")).unwrap();
    assert_tells(&os, &["ID=debian", "VERSION_ID=\"12\""]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_base_is_shown_with_its_archives_and_its_reasons_in_one_column() {
    let workshop = Workshop::new();
    let shown = bases(&workshop, &["show", "debian:trixie/python3"]).output();
    assert_tells(&shown, &["trixie-security (main)"]);
    let (_, left_out) = shown.split_once("Left out").unwrap();
    let columns: BTreeSet<usize> = left_out
        .lines()
        .filter(|line| line.starts_with("  "))
        .map(|line| {
            let name = line.trim_start().find(' ').unwrap() + 2;
            line[name..].find(|it| it != ' ').unwrap() + name
        })
        .collect();
    assert_eq!(columns.len(), 1, "{shown}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_arm64_image_is_made_here_and_starts_under_an_emulator() {
    let workshop = Workshop::new();
    let source = "#include <math.h>\n#include <stdio.h>\n\
                  int main(int argc, char **argv) { printf(\"%.0f\\n\", sqrt(1763 + argc)); }\n";
    let arguments = ["-fno-builtin", "-lm"];
    let program = workshop.compile("aarch64-linux-gnu-gcc", source, "arm/program", &arguments);
    // The program says for which machine.
    let image = build(
        &workshop,
        &program,
        "program.oci",
        &["--base", "debian:bookworm/cc"],
    );
    assert_eq!(image.config()["architecture"], "arm64");
    let rootfs = Bundle::of(&image, &workshop).rootfs();
    let emulated = |rootfs: &Path, program: &str| {
        let mut command = tool("qemu-aarch64-static");
        command.arg("-L").arg(rootfs).arg(rootfs.join(program));
        command
    };
    assert_eq!(run(&mut emulated(&rootfs, "app/program")).output(), "42\n");

    let script = workshop.write(
        "arm/app.py",
        "import platform, ssl, sqlite3\nprint(platform.machine())\n",
    );
    let options = ["--base", "debian:trixie/python3", "--arch", "arm64"];
    let image = build(&workshop, &script, "script.oci", &options);
    assert_eq!(image.config()["architecture"], "arm64");
    let rootfs = Bundle::of(&image, &workshop).rootfs();
    let python = image.config()["config"]["Entrypoint"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let python = fs::canonicalize(rootfs.join(python.trim_start_matches('/'))).unwrap();
    let python = python
        .strip_prefix(&rootfs)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let mut command = emulated(&rootfs, &python);
    command
        .arg(rootfs.join("app/app.py"))
        .env("PYTHONHOME", rootfs.join("usr"));
    assert_eq!(run(&mut command).output(), "aarch64\n");

    let message = run(&mut command_for_another_machine(&workshop, &program)).exited_with(1);
    assert_tells(
        &message,
        &["AArch64", "x86-64", "debian:bookworm/cc", "--arch arm64"],
    );
}

fn command_for_another_machine(workshop: &Workshop, program: &Path) -> Command {
    let options = ["--base", "debian:bookworm/cc", "--arch", "amd64"];
    command(workshop, program, "wrong.oci", &options)
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_library_that_the_base_lacks_is_named_with_its_package_and_added_when_asked_for() {
    let workshop = Workshop::new();
    let jq = installed("jq");
    let base = ["--base", "debian:bookworm/base"];
    let message = run(&mut command(&workshop, &jq, "jq.oci", &base)).exited_with(1);
    assert_tells(
        &message,
        &[
            "libjq.so.1",
            "package libjq1",
            "--add-missing",
            "--package libjq1",
        ],
    );
    assert!(!workshop.path("jq.oci").exists());
    let image = build(
        &workshop,
        &jq,
        "jq.oci",
        &[&base[..], &["--add-missing"]].concat(),
    );
    let output = Bundle::of(&image, &workshop)
        .with(&["-n", "6 * 7"])
        .run()
        .output();
    assert_eq!(output, "42\n");
    assert!(
        image.paths().contains("var/lib/dpkg/status.d/libonig5"),
        "{:?}",
        image.paths()
    );

    // The program itself from a package: nothing of this machine is in the image.
    let options = [&base[..], &["--package", "jq"]].concat();
    let image = build(&workshop, Path::new("jq"), "package.oci", &options);
    assert_eq!(image.config()["config"]["Entrypoint"][0], "/usr/bin/jq");
    let output = Bundle::of(&image, &workshop)
        .with(&["-n", "6 * 7"])
        .run()
        .output();
    assert_eq!(output, "42\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_lock_gives_the_same_bytes_to_anybody_anywhere() {
    let workshop = Workshop::new();
    let script = workshop.write("here/app.py", "import ssl\nprint('here')\n");
    let base = "debian:bookworm/python3";
    bases(&workshop, &["lock", base, "--lock", "here/bases.lock"]).output();
    let lock = workshop.path("here/bases.lock");
    let options = ["--base", base, "--lock", lock.to_str().unwrap()];
    let first = contents(&build(&workshop, &script, "first.oci", &options).layout);

    let copy = workshop.path("there/distrobuild");
    fs::copy(program_under_test(), &copy).unwrap();
    let elsewhere = workshop.path("there/sources of mine/app.py");
    fs::copy(&script, &elsewhere).unwrap();
    open_to_all(&workshop.directory("open"));
    let mut shell = tool("sh");
    shell
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .arg(&copy)
        .args(["build", "--report", "none", "-o"])
        .arg(workshop.path("open/second.oci"))
        .args(options)
        .arg(&elsewhere)
        .current_dir(workshop.path("open"))
        .env("XDG_CACHE_HOME", workshop.path("open/cache"))
        .env("HOME", "/nonexistent")
        .env("TZ", "Asia/Tokyo")
        .env("LC_ALL", "de_DE.UTF-8")
        .env("VIRTUAL_ENV", "/nonexistent/venv")
        .gid(65534)
        .uid(65534);
    run(&mut shell).output();
    assert_eq!(first, contents(&workshop.path("open/second.oci")));
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_python_image_is_far_smaller_than_fifty_megabytes() {
    let workshop = Workshop::new();
    let script = workshop.write("apps/app.py", PYTHON);
    let options = ["--base", "debian:bookworm/python3", "--max-size", "20MB"];
    let image = build(&workshop, &script, "app.oci", &options);
    assert_eq!(
        Bundle::of(&image, &workshop).run().output(),
        "python 65532 ba7816bf\n"
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_base_is_no_larger_than_the_distroless_image_of_its_kind() {
    use distrobuild::debian::{BaseRequest, Recipes, Session, SessionOptions};
    use distrobuild::download::Quiet;
    let session = Session::new(SessionOptions {
        cache: Some(cache().join("distrobuild/packages")),
        ..SessionOptions::default()
    })
    .unwrap();
    let mut compared = 0;
    for summary in Recipes::built_in().unwrap().all() {
        let name = summary.reference.to_string();
        let architecture = "amd64".parse().unwrap();
        let recipe = session.recipe(&summary.reference, architecture).unwrap();
        if recipe.distroless.is_empty() {
            continue;
        }
        compared += 1;
        let request = BaseRequest {
            reference: summary.reference.clone(),
            architecture,
            packages: Vec::new(),
        };
        let locked = session.resolve(&request, &Quiet).unwrap().locked;
        let ours: BTreeSet<&str> = locked.packages.iter().map(|it| it.name.as_str()).collect();
        let explained: BTreeSet<&str> = (recipe.not_as_distroless.iter())
            .map(|(package, _)| package.as_str())
            .collect();
        let mut theirs = 0;
        for package in &recipe.distroless {
            assert!(
                ours.contains(package.as_str()) != explained.contains(package.as_str()),
                "{name}: {package} is to be there or to have a reason, and not both"
            );
            let candidate = session.candidate(&request, package, &Quiet).unwrap();
            theirs += candidate.expect(package).installed_size * 1024;
        }
        // Node.js and Java come to theirs from elsewhere: their sizes are no Debian package's.
        if ["nodejs", "java"].contains(&summary.reference.base.as_str()) {
            continue;
        }
        let base = session.base(&locked, &Quiet).unwrap().base;
        let size: u64 = base.rootfs().iter().map(|(_, entry)| entry.size()).sum();
        assert!(
            size <= theirs,
            "{name} has {size} bytes, distroless's packages {theirs}"
        );
    }
    assert!(compared >= 4, "{compared}");
}

//! Programs of many kinds do in their images what they do on the host.

use std::fs;
use std::path::{Path, PathBuf};

use crate::container::Bundle;
use crate::tools::{run, tool};
use crate::workshop::{Workshop, installed};

/// Says which program it is; with the C library in it or not.
const HELLO: &str = r#"
#include <stdio.h>
int main(int argc, char **argv) {
    printf("%s says hello to %s\n", argv[0], argc > 1 ? argv[1] : "nobody");
    return argc > 2 ? 7 : 0;
}
"#;

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn jq_filters_json() {
    let workshop = Workshop::new();
    let image = workshop.build(
        installed("jq"),
        "jq.oci",
        &["--", "-nc", "[range(3) | {a: (. * .)}]"],
    );
    let output = Bundle::of(&image, &workshop).run().output();
    assert_eq!(output, "[{\"a\":0},{\"a\":1},{\"a\":4}]\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_entrypoint_is_the_program_and_arguments_follow_it() {
    let workshop = Workshop::new();
    let program = workshop.compile("gcc", HELLO, "tree/hello", &[]);
    let image = workshop.build(&program, "hello.oci", &["--", "you"]);
    assert_eq!(
        image.config()["config"]["Entrypoint"],
        serde_json::json!(["/app/hello"])
    );
    let bundle = Bundle::of(&image, &workshop);
    assert_eq!(bundle.command_line(), ["/app/hello", "you"]);
    assert_eq!(bundle.run().output(), "/app/hello says hello to you\n");
    // The exit code comes through.
    bundle.with(&["more"]).run().exited_with(7);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_cpp_program_throws_streams_and_cancels_threads() {
    let workshop = Workshop::new();
    // pthread_exit and pthread_cancel make libc open libgcc_s.so.1 by itself.
    let program = workshop.compile(
        "g++",
        r#"
#include <iostream>
#include <pthread.h>
#include <regex>
#include <stdexcept>
#include <unistd.h>

struct Unwound { ~Unwound() { std::cout << "unwound" << std::endl; } };

static void *wait_forever(void *) { Unwound unwound; for (;;) pause(); }
static void *leave(void *) { Unwound unwound; pthread_exit(nullptr); }

int main() {
    try {
        std::regex("(");
    } catch (const std::regex_error &) {
        std::cout << "caught" << std::endl;
    }
    for (auto body : {wait_forever, leave}) {
        pthread_t thread;
        if (pthread_create(&thread, nullptr, body, nullptr)) return 1;
        if (body == wait_forever) { usleep(20000); pthread_cancel(thread); }
        pthread_join(thread, nullptr);
    }
}
"#,
        "tree/threads",
        &["-pthread"],
    );
    let image = workshop.build(&program, "threads.oci", &[]);
    let output = Bundle::of(&image, &workshop).run().output();
    assert_eq!(output, "caught\nunwound\nunwound\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_c_program_gets_libgcc_s_that_only_libc_asks_for() {
    let workshop = Workshop::new();
    let program = workshop.compile(
        "gcc",
        r#"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void *wait_forever(void *unused) { for (;;) pause(); return unused; }
int main(void) {
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, NULL, wait_forever, NULL)) return 1;
    pthread_cancel(thread);
    pthread_join(thread, &result);
    puts(result == PTHREAD_CANCELED ? "cancelled" : "odd");
    return 0;
}
"#,
        "tree/cancel",
        &["-pthread"],
    );
    let image = workshop.build(&program, "cancel.oci", &[]);
    assert_eq!(Bundle::of(&image, &workshop).run().output(), "cancelled\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn sqlite_answers_a_query() {
    let workshop = Workshop::new();
    let image = workshop.build(installed("sqlite3"), "sqlite.oci", &[]);
    let output = Bundle::of(&image, &workshop)
        .with(&[
            ":memory:",
            "create table t(a); insert into t values (20), (22); select sum(a) from t;",
        ])
        .run()
        .output();
    assert_eq!(output, "42\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn node_evaluates_hashes_and_knows_languages() {
    let workshop = Workshop::new();
    let image = workshop.build(installed("node"), "node.oci", &as_options(&node_parts()));
    let script = r#"
        const crypto = require('crypto'), https = require('https'), fs = require('fs');
        const inflated = require('zlib').gunzipSync(require('zlib').gzipSync('packed')).toString();
        console.log(JSON.stringify({
            user: process.getuid(),
            hash: crypto.createHash('sha256').update('abc').digest('hex').slice(0, 8),
            https: typeof https.request,
            inflated,
            date: new Intl.DateTimeFormat('de-DE', {dateStyle: 'long', timeZone: 'Asia/Tokyo'})
                .format(new Date('2024-02-29T20:00:00Z')),
            roots: /BEGIN CERTIFICATE/.test(fs.readFileSync(process.env.SSL_CERT_FILE, 'utf8')),
        }));
    "#;
    let output = Bundle::of(&image, &workshop)
        .with(&["-e", script])
        .run()
        .output();
    let value: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "user": 65532,
            "hash": "ba7816bf",
            "https": "function",
            "inflated": "packed",
            "date": "1. März 2024",
            "roots": true,
        })
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn ffmpeg_with_its_two_hundred_libraries_encodes() {
    let workshop = Workshop::new();
    let closure = workshop.closure(installed("ffmpeg"));
    assert!(closure.len() > 100, "{} objects", closure.len());
    let image = workshop.build(installed("ffmpeg"), "ffmpeg.oci", &[]);
    let bundle = Bundle::of(&image, &workshop).with(&[
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc=duration=0.2:size=64x64:rate=10",
        "-c:v",
        "mpeg4",
        "-f",
        "framemd5",
        "-",
    ]);
    let frames = bundle.run().output();
    let lines = frames.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(lines, 2, "{frames}");
    let version = bundle
        .instead(&["/usr/bin/ffmpeg", "-version"])
        .run()
        .output();
    assert!(version.starts_with("ffmpeg version "), "{version}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_static_program_is_alone_in_its_image() {
    let workshop = Workshop::new();
    for (name, flag) in [("static", "-static"), ("static-pie", "-static-pie")] {
        let program = workshop.compile("gcc", HELLO, &format!("tree/{name}"), &[flag]);
        let image = workshop.build(&program, &format!("{name}.oci"), &["--base", "none"]);
        assert_eq!(
            image.paths().into_iter().collect::<Vec<_>>(),
            ["app", &format!("app/{name}")]
        );
        assert_eq!(
            Bundle::of(&image, &workshop).with(&["you"]).run().output(),
            format!("/app/{name} says hello to you\n")
        );
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_go_style_program_runs_from_a_read_only_root() {
    let workshop = Workshop::new();
    let program = go_program(&workshop);
    let image = workshop.build(&program, "go.oci", &[]);
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, "static, user 65532, zone CET\n");
}

/// A static program that reads the time zones and the user's id: by Go when it is there, which
/// brings no C library, otherwise the same in C.
fn go_program(workshop: &Workshop) -> PathBuf {
    let go = ["/usr/local/go/bin/go", "/usr/bin/go"]
        .map(Path::new)
        .into_iter()
        .find(|go| go.exists());
    let Some(go) = go else {
        return workshop.compile(
            "gcc",
            r#"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int main(void) {
    time_t winter = 1704067200;
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    printf("static, user %d, zone %s\n", getuid(), localtime(&winter)->tm_zone);
    return 0;
}
"#,
            "tree/go-style",
            &["-static"],
        );
    };
    let source = workshop.write(
        "go/main.go",
        r#"package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	zone, _ := time.Unix(1704067200, 0).In(berlin).Zone()
	fmt.Printf("static, user %d, zone %s\n", os.Getuid(), zone)
}
"#,
    );
    let program = workshop.path("tree/go-style");
    run(std::process::Command::new(go)
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", workshop.path("go-cache"))
        .env("GO111MODULE", "off")
        .args(["build", "-o"])
        .arg(&program)
        .arg(source))
    .output();
    program
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn musl_programs_run_dynamic_and_static() {
    let workshop = Workshop::new();
    let dynamic = workshop.compile("musl-gcc", HELLO, "tree/musl", &[]);
    let image = workshop.build(&dynamic, "musl.oci", &[]);
    assert_eq!(
        Bundle::of(&image, &workshop).with(&["musl"]).run().output(),
        "/app/musl says hello to musl\n"
    );
    let libraries: Vec<_> = image
        .paths()
        .into_iter()
        .filter(|path| path.contains("x86_64-linux-gnu/"))
        .collect();
    assert!(libraries.is_empty(), "glibc beside musl: {libraries:?}");

    let alone = workshop.compile("musl-gcc", HELLO, "tree/musl-static", &["-static"]);
    let image = workshop.build(&alone, "musl-static.oci", &[]);
    assert_eq!(
        Bundle::of(&image, &workshop).run().output(),
        "/app/musl-static says hello to nobody\n"
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_musl_program_finds_a_library_of_its_own() {
    let workshop = Workshop::new();
    workshop.compile(
        "musl-gcc",
        "int answer(void) { return 42; }\n",
        "tree/lib/libanswer.so",
        &["-shared", "-fPIC", "-Wl,-soname,libanswer.so"],
    );
    let program = workshop.compile("musl-gcc", ASKS, "tree/bin/asks", &RELOCATABLE);
    let image = workshop.build(&program, "asks.oci", &[]);
    assert_eq!(Bundle::of(&image, &workshop).run().output(), "42\n");
}

/// Prints what its library says.
const ASKS: &str = r#"
#include <stdio.h>
int answer(void);
int main(void) { printf("%d\n", answer()); return 0; }
"#;

/// Link flags of a program in `tree/bin` with `libanswer` in `tree/lib`.
const RELOCATABLE: [&str; 4] = [
    "-Ltree/lib",
    "-lanswer",
    "-Wl,-rpath,$ORIGIN/../lib",
    "-Wl,--enable-new-dtags",
];

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_build_tree_moves_to_app_with_its_own_libraries() {
    let workshop = Workshop::new();
    workshop.compile(
        "gcc",
        "int answer(void) { return 42; }\n",
        "tree/lib/libanswer.so.1.0",
        &["-shared", "-fPIC", "-Wl,-soname,libanswer.so.1"],
    );
    for (link, target) in [
        ("libanswer.so.1", "libanswer.so.1.0"),
        ("libanswer.so", "libanswer.so.1"),
    ] {
        std::os::unix::fs::symlink(target, workshop.path("tree/lib").join(link)).unwrap();
    }
    let program = workshop.compile("gcc", ASKS, "tree/bin/asks", &RELOCATABLE);
    let image = workshop.build(&program, "asks.oci", &[]);
    let paths = image.paths();
    for path in [
        "app/bin/asks",
        "app/lib/libanswer.so.1",
        "app/lib/libanswer.so.1.0",
    ] {
        assert!(paths.contains(path), "{path} is not in {paths:#?}");
    }
    assert!(
        !paths.contains("app/lib/libanswer.so"),
        "the link for the linker is not needed"
    );
    let tree = workshop.path("tree");
    let leaked = tree.to_str().unwrap().trim_start_matches('/');
    assert!(
        !paths.iter().any(|path| path.starts_with(leaked)),
        "the build directory is in {paths:#?}"
    );
    assert_eq!(Bundle::of(&image, &workshop).run().output(), "42\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_library_outside_the_loaders_directories_is_found_through_our_cache() {
    let workshop = Workshop::new();
    workshop.compile(
        "gcc",
        "int answer(void) { return 42; }\n",
        "private/lib/libanswer.so.1",
        &["-shared", "-fPIC", "-Wl,-soname,libanswer.so.1"],
    );
    let private = workshop.path("private/lib");
    let program = workshop.compile(
        "gcc",
        ASKS,
        "tree/asks",
        &["-Lprivate/lib", "-l:libanswer.so.1"],
    );
    // Without the option it is missing, and the message says so.
    let stderr = workshop
        .try_build(&program, "missing.oci", &[])
        .exited_with(1);
    assert!(stderr.contains("libanswer.so.1"), "{stderr}");
    assert!(!workshop.path("missing.oci").exists());

    let image = workshop.build(
        &program,
        "asks.oci",
        &["--library-path", private.to_str().unwrap()],
    );
    let bundle = Bundle::of(&image, &workshop);
    let environment = image.config()["config"]["Env"].to_string();
    assert!(!environment.contains("LD_LIBRARY_PATH"), "{environment}");
    assert!(bundle.rootfs().join("etc/ld.so.cache").exists());
    assert_eq!(bundle.run().output(), "42\n");
    // The tool that usually writes that file reads ours.
    let listing = run(tool("ldconfig")
        .args(["-p", "-C"])
        .arg(bundle.rootfs().join("etc/ld.so.cache")))
    .output();
    assert!(
        listing.contains("libanswer.so.1 (libc6,x86-64) =>"),
        "{listing}"
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn busybox_does_its_many_jobs() {
    let workshop = Workshop::new();
    let image = workshop.build(installed("busybox"), "busybox.oci", &["--", "true"]);
    let output = Bundle::of(&image, &workshop)
        .instead(&["/usr/bin/busybox", "sh", "-c", "busybox id -u; busybox pwd"])
        .env("PATH=/usr/bin:/bin")
        .run()
        .output();
    assert_eq!(output, "65532\n/\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_script_runs_with_its_interpreter_alone() {
    let workshop = Workshop::new();
    let script = workshop.write_script(
        "tree/greet",
        "#!/usr/bin/env -S jq -nrf\n\"the script says \\($ENV.WORD)\"\n",
    );
    let image = workshop.build(&script, "greet.oci", &["--env", "WORD=good morning"]);
    assert_eq!(
        Bundle::of(&image, &workshop).run().output(),
        "the script says good morning\n"
    );
    assert_eq!(shells_and_package_managers(&image), Vec::<String>::new());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_plugin_that_is_opened_by_name_is_packed_by_flag() {
    let workshop = Workshop::new();
    let program = workshop.compile(
        "gcc",
        r#"
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv) {
    if (argc < 3) return 2;
    void *handle = dlopen(argv[1], RTLD_NOW);
    if (!handle) { fprintf(stderr, "%s\n", dlerror()); return 1; }
    printf("%s\n", ((const char *(*)(void))dlsym(handle, argv[2]))());
    return 0;
}
"#,
        "tree/opens",
        &["-ldl"],
    );
    let image = workshop.build(
        &program,
        "opens.oci",
        &["--dlopen", "libz.so.1", "--", "libz.so.1", "zlibVersion"],
    );
    let version = Bundle::of(&image, &workshop).run().output();
    assert!(version.starts_with("1."), "{version}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_included_plugin_brings_its_own_libraries() {
    let workshop = Workshop::new();
    workshop.compile(
        "gcc",
        r#"
#include <zlib.h>
const char *version(void) { return zlibVersion(); }
"#,
        "plugins/version.so",
        &["-shared", "-fPIC", "-lz"],
    );
    let program = workshop.compile(
        "gcc",
        r#"
#include <dlfcn.h>
#include <stdio.h>
int main(void) {
    void *handle = dlopen("/plugins/version.so", RTLD_NOW);
    if (!handle) { fprintf(stderr, "%s\n", dlerror()); return 1; }
    puts(((const char *(*)(void))dlsym(handle, "version"))());
    return 0;
}
"#,
        "tree/opens",
        &["-ldl"],
    );
    let include = format!("{}:/plugins", workshop.path("plugins").display());
    let image = workshop.build(&program, "opens.oci", &["--include", &include]);
    let version = Bundle::of(&image, &workshop).run().output();
    assert!(version.starts_with("1."), "{version}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn curl_finds_certificates_it_can_read() {
    let workshop = Workshop::new();
    let image = workshop.build(installed("curl"), "curl.oci", &["--", "--version"]);
    let bundle = Bundle::of(&image, &workshop);
    let version = bundle.run().output();
    assert!(version.starts_with("curl "), "{version}");
    let variable = image.config()["config"]["Env"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|variable| {
            variable
                .as_str()
                .unwrap()
                .strip_prefix("SSL_CERT_FILE=")
                .map(str::to_owned)
        })
        .expect("SSL_CERT_FILE is set");
    // As the container's user: a file: URL goes through the same reading as any other.
    let bundle = bundle.instead(&["/usr/bin/curl", "-sS", &format!("file://{variable}")]);
    let certificates = bundle.run().output();
    let roots = certificates.matches("BEGIN CERTIFICATE").count();
    assert!(roots > 80, "{roots} certificates");
    // Its TLS library takes the bundle: it then fails at the connection, not at the file.
    let stderr = bundle
        .instead(&[
            "/usr/bin/curl",
            "-sS",
            "--cacert",
            &variable,
            "https://127.0.0.1:1/",
        ])
        .run()
        .exited_with(7);
    assert!(!stderr.contains("certificate"), "{stderr}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn git_works_on_a_bound_directory() {
    let workshop = Workshop::new();
    let repository = workshop.directory("repository");
    crate::container::open_to_all(&repository);
    let image = workshop.build(installed("git"), "git.oci", &[]);
    let output = Bundle::of(&image, &workshop)
        .with(&["init", "-q", "--template=", "/repository/new"])
        .bind(&repository, "/repository")
        .run();
    output.output();
    assert_eq!(
        fs::read_to_string(repository.join("new/.git/HEAD"))
            .unwrap()
            .split('/')
            .next(),
        Some("ref: refs")
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn no_shell_and_no_package_manager_comes_along() {
    let workshop = Workshop::new();
    for program in ["jq", "sqlite3", "curl"] {
        let image = workshop.build(installed(program), &format!("{program}.oci"), &[]);
        assert_eq!(shells_and_package_managers(&image), Vec::<String>::new());
    }
}

/// Files by which an image would have a shell or a package manager.
fn shells_and_package_managers(image: &crate::image::Image) -> Vec<String> {
    const NAMES: &[&str] = &[
        "apk", "apt", "apt-get", "ash", "bash", "busybox", "dash", "dnf", "dpkg", "ksh",
        "microdnf", "rpm", "sh", "yum", "zsh", "zypper",
    ];
    image
        .paths()
        .into_iter()
        .filter(|path| {
            path.split('/').any(|part| part == "bin" || part == "sbin")
                && NAMES.contains(&path.rsplit('/').next().unwrap_or_default())
        })
        .collect()
}

/// Options that include the scripts which Debian's node keeps outside of the program and reads
/// as it starts; none for a node that has them built in.
fn node_parts() -> Vec<String> {
    [
        "acorn/dist/acorn.js",
        "acorn-walk/dist/walk.js",
        "cjs-module-lexer/lexer.js",
        "cjs-module-lexer/dist/lexer.js",
        "undici/undici-fetch.js",
    ]
    .map(|part| format!("/usr/share/nodejs/{part}"))
    .into_iter()
    .filter(|part| Path::new(part).exists())
    .flat_map(|part| ["--include".to_owned(), part])
    .collect()
}

fn as_options(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

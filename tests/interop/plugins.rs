//! What no ELF header names and a program cannot do without: modules, data and configuration come
//! along by rule, or by a trace.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::container::{Bundle, USER};
use crate::image::Image;
use crate::tools::{Outcome, run};
use crate::workshop::{Workshop, assert_tells, installed};

/// A program of PostgreSQL, which Debian keeps in a directory of its version.
fn postgres(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    versions
        .map(|version| version.unwrap().path().join("bin").join(program))
        .filter(|path| path.is_file())
        .max()
        .unwrap_or_else(|| {
            panic!("{program} is not installed; get it with: apt-get install postgresql")
        })
}

/// Builds an installed program and runs it with a read-only root.
#[track_caller]
fn run_in_image(workshop: &Workshop, program: &str, options: &[&str]) -> Outcome {
    let image = workshop.build(installed(program), &format!("{program}.oci"), options);
    Bundle::of(&image, workshop).read_only().run()
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn nginx_serves_a_page_by_its_packaged_types() {
    let workshop = Workshop::new();
    let page = workshop.write("web/page.html", "<p>served from a container</p>\n");
    let configuration = workshop.write(
        "nginx.conf",
        "\
pid /tmp/nginx.pid;
events {}
http {
    include mime.types;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    access_log off;
    server {
        listen 8080;
        root /srv/web;
    }
}
",
    );
    let image = workshop.build(
        installed("nginx"),
        "nginx.oci",
        &[
            "--include",
            &format!("{}:/etc/nginx/nginx.conf", configuration.display()),
            "--include",
            &format!("{}:/srv/web/page.html", page.display()),
            "--smoke",
            "--smoke-port",
            "8080",
            "--smoke-writable",
            "/tmp",
            "--",
            "-e",
            "stderr",
            "-g",
            "daemon off;",
        ],
    );
    let mut server = Bundle::of(&image, &workshop)
        .scratch("/tmp")
        .read_only()
        .start();
    let response = server.response(8080, "/page.html");
    assert_tells(
        &response,
        &[
            "200 OK",
            "Content-Type: text/html",
            "<p>served from a container</p>",
        ],
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn postgres_tells_its_version() {
    let workshop = Workshop::new();
    let image = workshop.build(
        postgres("postgres"),
        "postgres.oci",
        &["--smoke", "--", "--version"],
    );
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert!(output.starts_with("postgres (PostgreSQL) "), "{output}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn initdb_makes_a_cluster_that_postgres_serves() {
    let workshop = Workshop::new();
    let data = workshop.directory("data");
    std::os::unix::fs::chown(&data, Some(USER), Some(USER)).unwrap();
    // initdb starts postgres by popen(3), so this image, and only this one, has a shell.
    let initdb = workshop.build(
        postgres("initdb"),
        "initdb.oci",
        &[
            "--include",
            "/bin/sh",
            "--include",
            postgres("postgres").to_str().unwrap(),
            "--",
            "--pgdata=/data/cluster",
            "--auth=trust",
            "--username=owner",
            "--locale=C",
            "--encoding=UTF8",
            "--no-sync",
        ],
    );
    Bundle::of(&initdb, &workshop)
        .bind(&data, "/data")
        .scratch("/tmp")
        .read_only()
        .run()
        .output();

    let image = workshop.build(
        postgres("postgres"),
        "postgres.oci",
        &["--", "-D", "/data/cluster", "-k", "/data", "-h", "", "-F"],
    );
    assert!(!image.paths().contains("usr/bin/sh"));
    let server = Bundle::of(&image, &workshop)
        .bind(&data, "/data")
        .read_only()
        .start();
    let deadline = Instant::now() + Duration::from_secs(60);
    // A function of PL/pgSQL is in a library that the server opens by name.
    let query = "do $$ begin perform 1; end $$; select 6 * 7";
    let answer = loop {
        let outcome = run(std::process::Command::new(postgres("psql"))
            .arg("--host")
            .arg(&data)
            .args([
                "--username=owner",
                "--dbname=postgres",
                "--no-psqlrc",
                "-qtA",
            ])
            .args(["-c", query]));
        if outcome.status.success() {
            break outcome.stdout;
        }
        assert!(Instant::now() < deadline, "{outcome}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(answer.trim(), "42", "{}", server.log());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn redis_answers_ping() {
    let workshop = Workshop::new();
    let options = ["--save", "", "--port", "6379"];
    let image = workshop.build(
        installed("redis-server"),
        "redis.oci",
        &[&["--smoke", "--smoke-port", "6379", "--"], &options[..]].concat(),
    );
    let mut server = Bundle::of(&image, &workshop).read_only().start();
    let mut connection = server.connect(6379);
    connection.write_all(b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n", "{}", server.log());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn perl_with_modules_runs_as_it_was_traced() {
    let workshop = Workshop::new();
    // JSON::XS and POSIX have objects of their own, which perl opens by name.
    let script = workshop.write_script(
        "tree/sum.pl",
        "#!/usr/bin/perl
use strict;
use warnings;
use JSON::XS;
use List::Util qw(sum);
use POSIX qw(floor);
print encode_json([sum(@ARGV), floor(2.5)]), \"\\n\";
",
    );
    let image = workshop.build(
        &script,
        "sum.oci",
        &["--trace", "--smoke", "--", "20", "22"],
    );
    assert_eq!(
        Bundle::of(&image, &workshop).read_only().run().output(),
        "[42,2]\n"
    );
    assert!(
        !image
            .paths()
            .iter()
            .any(|path| path.ends_with("/CGI.pm") || path.ends_with("/CPAN.pm")),
        "only what was used comes along"
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn perl_alone_runs_a_script_without_modules() {
    let workshop = Workshop::new();
    let script = workshop.write_script("tree/hello", "#!/usr/bin/perl\nprint 6 * 7, \"\\n\";\n");
    let image = workshop.build(&script, "hello.oci", &[]);
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, "42\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn lua_runs_a_script() {
    let workshop = Workshop::new();
    let script = workshop.write_script(
        "tree/hello.lua",
        "#!/usr/bin/env lua5.4\nprint(string.format('%s and %d', _VERSION, #arg))\n",
    );
    let image = workshop.build(&script, "hello.oci", &["--", "one"]);
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, "Lua 5.4 and 1\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn gdb_has_its_python() {
    let workshop = Workshop::new();
    let script = "python import json, gdb; print(json.dumps([6 * 7, gdb.VERSION[:1].isdigit()]))";
    let outcome = run_in_image(
        &workshop,
        "gdb",
        &["--smoke", "--", "-nx", "-batch", "-ex", script],
    );
    assert!(outcome.status.success(), "{outcome}");
    assert!(outcome.stdout.contains("[42, true]"), "{outcome}");
    assert!(!outcome.stderr.contains("Python"), "{outcome}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn tmux_tells_its_version() {
    let workshop = Workshop::new();
    let output = run_in_image(&workshop, "tmux", &["--smoke", "--", "-V"]).output();
    assert!(output.starts_with("tmux "), "{output}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn terminals_are_known() {
    let workshop = Workshop::new();
    let options = ["--", "-T", "xterm-256color", "colors"];
    assert_eq!(run_in_image(&workshop, "tput", &options).output(), "256\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn openssl_loads_a_provider() {
    let workshop = Workshop::new();
    let abc = workshop.write("abc", "abc");
    let include = format!("{}:/abc", abc.display());
    let options = [
        "--include",
        &include,
        "--",
        "dgst",
        "-md4",
        "-provider",
        "legacy",
        "-provider",
        "default",
        "/abc",
    ];
    let output = run_in_image(&workshop, "openssl", &options).output();
    assert!(
        output.contains("a448017aaf21d8525fc10ae87aa6729d"),
        "{output}"
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn iconv_knows_character_sets() {
    let workshop = Workshop::new();
    let text = workshop.path("text");
    fs::write(&text, [0xc8, 0x85, 0x93, 0x93, 0x96]).unwrap();
    let include = format!("{}:/text", text.display());
    let options = [
        "--include",
        &include,
        "--with",
        "gconv-all",
        "--",
        "-f",
        "IBM037",
        "-t",
        "UTF-8",
        "/text",
    ];
    assert_eq!(run_in_image(&workshop, "iconv", &options).output(), "Hello");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_user_is_found_by_its_number() {
    let workshop = Workshop::new();
    let image = workshop.build(installed("getent"), "getent.oci", &[]);
    let bundle = Bundle::of(&image, &workshop).read_only();
    let bundle = bundle.with(&["passwd", "65532"]);
    let output = bundle.run().output();
    assert!(output.contains(":65532:"), "{output}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn deps_tells_what_comes_along_and_why() {
    let workshop = Workshop::new();
    for (program, texts) in [
        (
            "openssl",
            &[
                "legacy.so",
                "OpenSSL reads its configuration",
                "--without openssl",
            ][..],
        ),
        ("tput", &["terminal", "--without terminfo"]),
    ] {
        let output = run(workshop.distrobuild().arg("deps").arg(installed(program))).output();
        assert_tells(&output, texts);
        assert!(
            rules(&workshop, program)
                .iter()
                .any(|rule| output.contains(rule))
        );
    }
}

/// The names of the rules that `deps` tells for a program.
fn rules(workshop: &Workshop, program: &str) -> Vec<String> {
    let json = run(workshop
        .distrobuild()
        .args(["deps", "--json"])
        .arg(installed(program)))
    .output();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let companions = value["companions"]
        .as_array()
        .unwrap_or_else(|| panic!("{json}"));
    let rules = companions
        .iter()
        .filter_map(|companion| companion["rule"].as_str());
    rules.map(str::to_owned).collect()
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_rule_that_is_not_wanted_stays_out() {
    let workshop = Workshop::new();
    let has_terminals = |image: &Image| image.paths().iter().any(|path| path.contains("terminfo/"));
    let tput = installed("tput");
    assert!(has_terminals(&workshop.build(&tput, "with.oci", &[])));
    let rules = rules(&workshop, "tput");
    let rule = rules.iter().find(|rule| rule.contains("terminfo")).unwrap();
    let without = workshop.build(&tput, "without.oci", &["--without", rule]);
    assert!(!has_terminals(&without));
    let outcome = workshop.try_build(&tput, "unknown.oci", &["--without", "no-such-rule"]);
    assert_eq!(outcome.status.code(), Some(2), "{outcome}");
    assert_tells(&outcome.stderr, &["no-such-rule", rule]);
}

/// A shell's script that can do without another program.
const SHELL_SCRIPT: &str = "#!/bin/sh\nset -eu\nfor word in \"$@\"; do echo \"<$word>\"; done\n";

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_shell_script_is_refused_unless_a_shell_is_allowed() {
    let workshop = Workshop::new();
    let script = workshop.write_script("tree/words", SHELL_SCRIPT);
    let message = workshop.refusal(&script, &[]);
    assert_tells(&message, &["words", "/bin/sh", "shell", "--allow-shell"]);
    let image = workshop.build(
        &script,
        "words.oci",
        &["--allow-shell", "--", "one", "two words"],
    );
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, "<one>\n<two words>\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_script_that_env_gives_to_a_shell_is_refused_as_well() {
    let workshop = Workshop::new();
    for line in ["#!/usr/bin/env bash", "#!/usr/bin/env -S sh -e"] {
        let script = workshop.write_script("tree/words", &SHELL_SCRIPT.replace("#!/bin/sh", line));
        assert_tells(&workshop.refusal(&script, &[]), &["words", "--allow-shell"]);
    }
}

//! The command as a user meets it: what goes to stdout, what to stderr, and the exit code.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A program that is there wherever the suite runs.
const APP: &str = env!("CARGO_BIN_EXE_distrobuild");

/// A small one, for images whose content does not matter.
const SMALL: &str = "/bin/sh";

fn distrobuild(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(APP);
    command
        .args(arguments)
        .current_dir(directory)
        .env("XDG_CACHE_HOME", directory.join("cache"))
        .env_remove("SOURCE_DATE_EPOCH")
        .stdin(Stdio::null());
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    distrobuild(directory, arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let scratch = tempfile::tempdir().unwrap();
    for arguments in [["--completions", "bash"], ["deps", APP]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = distrobuild(scratch.path(), &arguments)
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = stderr(&output);
        assert!(said.contains("cannot be written to stdout"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_script_for_each_shell_comes_out_whole() {
    let scratch = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(scratch.path(), &["--completions", shell]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).contains("max-size"), "{shell}");
    }
}

#[test]
fn an_empty_line_stands_before_each_comparison_of_images() {
    let scratch = tempfile::tempdir().unwrap();
    let output = run(scratch.path(), &["-q", SMALL, "-o", "a.oci"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for (form, heading) in [
        ("table", "a.oci → a.oci"),
        ("markdown", "### a.oci → a.oci"),
    ] {
        let arguments = ["report", "a.oci", "--against", "a.oci", "--report", form];
        let output = distrobuild(scratch.path(), &arguments)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let text = stdout(&output);
        assert!(text.contains(&format!("\n\n{heading}\n")), "{text}");
    }
}

#[test]
fn verbose_names_each_library_and_the_time_of_each_phase() {
    let scratch = tempfile::tempdir().unwrap();
    let output = run(
        scratch.path(),
        &["-v", SMALL, "-o", "a.oci", "--report", "none"],
    );
    let said = stderr(&output);
    assert!(
        said.contains("libc.so.6") && said.contains("ms  plan"),
        "{said}"
    );
    assert_eq!(stdout(&output), "");
}

#[test]
fn an_argument_that_is_wrong_by_itself_is_wrong_usage() {
    let scratch = tempfile::tempdir().unwrap();
    for wrong in [
        ["--tag", "a b"],
        ["--entrypoint", "[\"/app"],
        ["--entrypoint", " "],
        ["--base", "nope"],
        ["--against", "nope:1"],
        ["--max-size", "20XB"],
        ["--threads", "0"],
        ["--output", "a.tar.gz"],
    ] {
        let output = run(scratch.path(), &[&[APP], &wrong[..]].concat());
        assert_eq!(
            output.status.code(),
            Some(2),
            "{wrong:?}: {}",
            stderr(&output)
        );
        assert!(stderr(&output).contains("error: "), "{wrong:?}");
        assert_eq!(stdout(&output), "");
        assert_eq!(scratch.path().read_dir().unwrap().count(), 0, "{wrong:?}");
    }
}

#[test]
fn an_image_over_its_budget_has_an_exit_code_of_its_own_and_is_not_written() {
    let scratch = tempfile::tempdir().unwrap();
    let output = run(scratch.path(), &[APP, "-o", "a.oci", "--max-size", "10kB"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("distrobuild"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("nothing was written"));
    assert!(stdout(&output).contains("largest files"));
    assert!(!scratch.path().join("a.oci").exists());
}

#[test]
fn quiet_prints_the_report_that_was_asked_for() {
    let scratch = tempfile::tempdir().unwrap();
    let output = run(
        scratch.path(),
        &["-q", SMALL, "-o", "a.oci", "--report", "json"],
    );
    assert_eq!(stderr(&output), "");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report.get("reference").unwrap(), "a.oci:latest");
}

#[test]
fn quiet_prints_a_name_that_report_takes() {
    let scratch = tempfile::tempdir().unwrap();
    for arguments in [
        &["-o", "a.oci"][..],
        &["-o", "a.tar", "--tag", "1.0"],
        &["-o", "b.tar", "--format", "docker-archive"],
        &[
            "-o",
            "b.tar",
            "--format",
            "docker-archive",
            "--tag",
            "team/app:2",
        ],
    ] {
        let output = run(scratch.path(), &[&["-q", SMALL], arguments].concat());
        assert_eq!(stderr(&output), "");
        let name = stdout(&output);
        assert_eq!(name.lines().count(), 1, "{name}");
        let report = run(scratch.path(), &["report", name.trim_end()]);
        assert!(report.status.success(), "{}", stderr(&report));
        assert!(stdout(&report).starts_with(&name), "{}", stdout(&report));
    }
}

#[test]
fn a_command_or_an_account_that_the_image_lacks_is_warned_of() {
    let scratch = tempfile::tempdir().unwrap();
    let warnings = |arguments: &[&str]| {
        let output = run(scratch.path(), &[&[APP, "--dry-run"], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let said = stderr(&output);
        said.lines()
            .filter(|line| line.starts_with("warning: "))
            .count()
    };
    for (right, wrong) in [
        (
            ["--entrypoint", "/app/distrobuild -q"],
            ["--entrypoint", "/bin/sh -c x"],
        ),
        (["--user", "nonroot:nobody"], ["--user", "nonroot:wheel"]),
        (["--user", "7:8"], ["--user", "somebody"]),
        (["--workdir", "/new"], ["--entrypoint", "distrobuild"]),
    ] {
        assert_eq!(warnings(&right), 0, "{right:?}");
        assert_eq!(warnings(&wrong), 1, "{wrong:?}");
    }
    let found = ["--entrypoint", "distrobuild", "--env", "PATH=/bin:/app"];
    assert_eq!(warnings(&found), 0);
}

#[test]
fn an_image_to_compare_with_that_is_not_there_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    for missing in ["./old", "old.oci", "old.tar:1.0", "oci:old", "/old:1"] {
        let output = run(scratch.path(), &[APP, "--against", missing]);
        let said = stderr(&output);
        assert!(
            said.contains("old") && said.contains("does not exist"),
            "{said}"
        );
        assert!(!said.contains("recorded"), "{said}");
    }
}

#[test]
fn a_name_of_a_file_does_not_steer_the_terminal() {
    let scratch = tempfile::tempdir().unwrap();
    let name = "x\u{1b}[31mred\u{7}";
    for arguments in [&[name][..], &["report", name]] {
        let said = stderr(&run(scratch.path(), arguments));
        assert!(
            said.contains("red") && !said.contains(['\u{1b}', '\u{7}']),
            "{said:?}"
        );
    }
    std::fs::copy(APP, scratch.path().join(name)).unwrap();
    let output = run(scratch.path(), &[name, "--dry-run"]);
    let written = [stderr(&output), stdout(&output)].concat();
    assert!(written.contains("red") && !written.contains(['\u{1b}', '\u{7}']));
}

#[test]
fn an_include_does_not_take_the_place_of_the_app() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::copy(APP, scratch.path().join("app")).unwrap();
    std::fs::write(scratch.path().join("other"), "text").unwrap();
    let include = |source: &str| {
        let include = format!("{source}:{}/app", scratch.path().display());
        run(
            scratch.path(),
            &["./app", "--dry-run", "--include", &include],
        )
    };
    let output = include("other");
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("other") && said.contains("the app is there"),
        "{said}"
    );
    let same = include(APP);
    assert!(same.status.success(), "{}", stderr(&same));
}

#[test]
fn completions_are_no_part_of_the_smoke_test() {
    let scratch = tempfile::tempdir().unwrap();
    let help = stdout(&run(scratch.path(), &["--help"]));
    let (before, _) = help.split_once("--completions").unwrap();
    let headings = before.lines().rev().filter(|line| {
        let is_indented = line.starts_with(' ');
        !is_indented && line.ends_with(':')
    });
    assert_eq!(headings.take(1).collect::<Vec<_>>(), ["Options:"]);
}

#[cfg(feature = "debian")]
#[test]
fn a_mirror_of_a_suite_that_no_base_has_is_an_error() {
    let scratch = tempfile::tempdir().unwrap();
    let mirror = "--mirror=bookwurm-security=http://mirror.invalid/debian-security";
    let arguments = ["bases", "show", "debian:bookworm/cc", "--offline", mirror];
    let output = run(scratch.path(), &arguments);
    assert!(!output.status.success());
    let message = stderr(&output);
    assert!(
        message.contains("bookwurm-security") && message.contains("bookworm-security"),
        "{message}"
    );
    assert!(!message.contains("InRelease"), "{message}");
}

#[cfg(feature = "debian")]
#[test]
fn what_the_cache_lacks_offline_is_told_with_one_way_out() {
    let scratch = tempfile::tempdir().unwrap();
    let arguments = ["bases", "show", "debian:bookworm/cc", "--offline"];
    let output = run(scratch.path(), &arguments);
    assert!(!output.status.success());
    let message = stderr(&output);
    assert_eq!(message.matches("without --offline").count(), 1, "{message}");
}

#[test]
fn a_password_in_a_name_is_not_repeated() {
    let scratch = tempfile::tempdir().unwrap();
    let name = "me:hunter2@ghcr.example/app";
    let url = "https://me:hunter2@ghcr.example/app";
    let at = "docker.io=https://me:hunter2@mirror.example";
    for wrong in [
        &["push", "app.oci", name][..],
        &["push", "app.oci", url],
        &["pull", name],
        &["login", "me:hunter2@ghcr.example"],
        &["logout", url],
        &["inspect", url],
        &["rebase", "app.oci", name],
        &["tags", "app.oci", "--insecure", url],
        &["tags", "app.oci", "--registry-mirror", at],
        &[APP, "--push", name],
        &[APP, "--base", name],
        &[APP, "--against", url],
        &[
            APP,
            "--base",
            "debian:bookworm/cc",
            "--mirror",
            "ftp://me:hunter2@m.example",
        ],
    ] {
        let output = run(scratch.path(), wrong);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {said}");
        assert!(!said.contains("hunter2"), "{wrong:?}: {said}");
    }
}

#[test]
fn a_base_that_is_not_there_is_told_with_how_images_are_named() {
    let scratch = tempfile::tempdir().unwrap();
    for (base, told) in [
        ("alpine", "docker://alpine"),
        ("old.tar", "old.tar does not exist"),
        ("old.oci", "old.oci does not exist"),
        (".", "no OCI layout"),
    ] {
        let output = run(scratch.path(), &[APP, "--base", base]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(told), "{said}");
    }
}

#[test]
fn a_tag_of_a_registry_is_none_that_rm_removes() {
    let scratch = tempfile::tempdir().unwrap();
    let output = run(scratch.path(), &["rm", "localhost:1/me/app:v1"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("a registry's tags"), "{said}");
}

//! The same input gives the same bytes, and images share what they have in common.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::container::open_to_all;
use crate::image::contents;
use crate::tools::{run, tool};
use crate::workshop::{Workshop, installed, program_under_test};

const PROGRAM: &str = r#"
#include <iostream>
#ifndef WORD
#define WORD "first"
#endif
int main() { std::cout << WORD << std::endl; }
"#;

/// Every file of the layout with its digest.
type Bytes = BTreeMap<PathBuf, String>;

#[track_caller]
fn bytes(workshop: &Workshop, app: &Path, output: &str, options: &[&str]) -> Bytes {
    contents(&workshop.build(app, output, options).layout)
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_second_build_gives_the_same_bytes_with_any_threads_and_cache() {
    let workshop = Workshop::new();
    for app in [installed("jq"), installed("node")] {
        let first = bytes(&workshop, &app, "first.oci", &[]);
        for (number, options) in [
            &[][..],
            &["-j1"],
            &["-j7"],
            &["--no-cache"],
            &["--no-cache", "-j1"],
        ]
        .into_iter()
        .enumerate()
        {
            let again = bytes(&workshop, &app, &format!("again-{number}.oci"), options);
            assert_eq!(first, again, "{} {options:?}", app.display());
        }
        // Into the layout that is there already.
        assert_eq!(first, bytes(&workshop, &app, "first.oci", &[]));
        for entry in fs::read_dir(workshop.path(".")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "oci") {
                fs::remove_dir_all(path).unwrap();
            }
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_program_of_two_hundred_libraries_gives_the_same_bytes() {
    let workshop = Workshop::new();
    let app = installed("ffmpeg");
    let fresh = bytes(&workshop, &app, "fresh.oci", &["--no-cache", "-j1"]);
    let filling = bytes(&workshop, &app, "filling.oci", &[]);
    let cached = bytes(&workshop, &app, "cached.oci", &[]);
    assert_eq!(fresh, filling);
    assert_eq!(fresh, cached);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_directory_umask_zone_and_language_change_nothing() {
    let workshop = Workshop::new();
    let program = workshop.compile("g++", PROGRAM, "one/app", &[]);
    let first = bytes(&workshop, &program, "first.oci", &[]);

    let elsewhere = workshop.path("a/quite/different place/app");
    fs::copy(&program, &elsewhere).unwrap();
    assert_eq!(first, bytes(&workshop, &elsewhere, "elsewhere.oci", &[]));

    let command = workshop.build_command("app", "shell.oci", &[]);
    let mut shell = tool("sh");
    shell
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(workshop.path("one"))
        .env("XDG_CACHE_HOME", workshop.path("another-cache"))
        .env("HOME", "/nonexistent")
        .env("TZ", "Asia/Tokyo")
        .env("LC_ALL", "de_DE.UTF-8")
        .env("TMPDIR", workshop.directory("another-tmp"));
    run(&mut shell).output();
    assert_eq!(first, contents(&workshop.path("shell.oci")));
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_user_who_builds_changes_nothing() {
    let workshop = Workshop::new();
    let first = bytes(&workshop, &installed("jq"), "first.oci", &["--no-cache"]);
    let copy = workshop.path("distrobuild");
    fs::copy(program_under_test(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    open_to_all(&workshop.directory("open"));
    let mut command = workshop.distrobuild_at(&copy);
    command
        .args(["--report", "none", "-o"])
        .arg(workshop.path("open/user.oci"))
        .arg(installed("jq"))
        .env("XDG_CACHE_HOME", workshop.path("open/cache"))
        .env("HOME", "/nonexistent")
        .gid(65534)
        .uid(65534);
    run(&mut command).output();
    assert_eq!(first, contents(&workshop.path("open/user.oci")));
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn source_date_epoch_sets_every_time() {
    let workshop = Workshop::new();
    let mut command = workshop.build_command(installed("jq"), "dated.oci", &[]);
    run(command.env("SOURCE_DATE_EPOCH", "1700000000")).output();
    let image = crate::image::Image::new(workshop.path("dated.oci"), "latest");
    assert_eq!(image.config()["created"], "2023-11-14T22:13:20Z");
    for line in image.listings().iter().flat_map(|listing| listing.lines()) {
        assert!(line.contains(" 2023-11-14 22:13:20 "), "{line}");
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn images_of_different_apps_share_their_base() {
    let workshop = Workshop::new();
    let jq = workshop.build(installed("jq"), "jq.oci", &[]).layers();
    let sqlite = workshop
        .build(installed("sqlite3"), "sqlite.oci", &[])
        .layers();
    assert_eq!(jq[0], sqlite[0]);
    assert_ne!(jq[1..], sqlite[1..]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_changed_app_changes_its_own_layer_alone() {
    let workshop = Workshop::new();
    let program = workshop.compile("g++", PROGRAM, "tree/app", &[]);
    let first = workshop.build(&program, "first.oci", &[]).layers();
    let program = workshop.compile("g++", PROGRAM, "tree/app", &["-DWORD=\"second\""]);
    let image = workshop.build(&program, "second.oci", &[]);
    let second = image.layers();
    assert_eq!(first.len(), 3);
    assert_eq!(first[..2], second[..2]);
    assert_ne!(first[2], second[2]);
    assert_eq!(
        crate::container::Bundle::of(&image, &workshop)
            .run()
            .output(),
        "second\n"
    );
}

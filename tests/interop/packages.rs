//! The records of packages, held against dpkg's own word.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::container::Bundle;
use crate::image::Image;
use crate::tools::{run, tool};
use crate::workshop::{Workshop, installed};

const STATUS: &str = "var/lib/dpkg/status.d";
const FORMAT: &str =
    "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version} ${Maintainer}\n";

/// The unpacked image of a program of Debian's.
fn image_of(workshop: &Workshop, program: &str, options: &[&str]) -> PathBuf {
    let image = workshop.build(installed(program), &format!("{program}.oci"), options);
    Bundle::of(&image, workshop).rootfs()
}

/// The names of the packages that are recorded.
fn recorded(rootfs: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(rootfs.join(STATUS)).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".md5sums"))
        .collect()
}

/// What dpkg reads from the records, as from a database of its own.
fn told_by_records(workshop: &Workshop, rootfs: &Path) -> BTreeSet<String> {
    let database = workshop.directory("admindir");
    let mut status = String::new();
    for name in recorded(rootfs) {
        status.push_str("Status: install ok installed\n");
        status.push_str(&std::fs::read_to_string(rootfs.join(STATUS).join(name)).unwrap());
        status.push('\n');
    }
    std::fs::write(database.join("status"), status).unwrap();
    let output = run(tool("dpkg-query")
        .arg(format!("--admindir={}", database.display()))
        .args(["-W", "-f", FORMAT]));
    output.output().lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn records_say_what_dpkg_says_of_the_packages_whose_files_are_there() {
    let workshop = Workshop::new();
    let rootfs = image_of(&workshop, "ffmpeg", &[]);
    let names = recorded(&rootfs);
    assert!(
        names.contains("ffmpeg") && names.contains("libc6"),
        "{names:?}"
    );
    let native = run(tool("dpkg").arg("--print-architecture")).output();
    let installed = run(tool("dpkg-query").args(["-W", "-f", FORMAT])).output();
    let expected: BTreeSet<String> = installed
        .lines()
        .filter(|line| {
            let mut words = line.split(' ');
            let is_named = words.next().is_some_and(|name| names.contains(name));
            let architecture = words.nth(1);
            is_named && (architecture == Some(native.trim()) || architecture == Some("all"))
        })
        .map(str::to_owned)
        .collect();
    assert_eq!(told_by_records(&workshop, &rootfs), expected);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn md5sum_finds_every_recorded_file_whole() {
    let workshop = Workshop::new();
    for (program, options) in [
        ("jq", &[][..]),
        ("ffmpeg", &["--strip"]),
        ("python3", &["--strip"]),
        ("nginx", &[]),
        ("perl", &["--base", "none"]),
    ] {
        let rootfs = image_of(&workshop, program, options);
        let mut lists = 0;
        for name in recorded(&rootfs) {
            let sums = format!("{STATUS}/{name}.md5sums");
            if rootfs.join(&sums).exists() {
                lists += 1;
                run(tool("md5sum")
                    .current_dir(&rootfs)
                    .args(["--check", "--strict", "--quiet", &sums]))
                .output();
            }
        }
        assert!(lists > 0, "{program}");
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn each_file_of_a_package_is_one_that_dpkg_finds_the_owner_of() {
    let workshop = Workshop::new();
    let rootfs = image_of(&workshop, "jq", &[]);
    let names = recorded(&rootfs);
    for library in std::fs::read_dir(rootfs.join("usr/lib/x86_64-linux-gnu"))
        .into_iter()
        .flatten()
    {
        let library = library.unwrap();
        if !library.file_type().unwrap().is_file() {
            continue;
        }
        let name = library.file_name().into_string().unwrap();
        let owners = run(tool("dpkg-query").args(["-S", &format!("*/{name}")])).output();
        let is_recorded = |owner: &str| {
            let package = owner.split(':').next().unwrap_or_default();
            names.contains(package)
        };
        assert!(owners.lines().any(is_recorded), "{name}: {owners}");
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn what_was_made_from_files_of_packages_counts_for_those_packages() {
    let workshop = Workshop::new();
    workshop.write(
        "Main.java",
        "public class Main { public static void main(String[] arguments) {} }\n",
    );
    let here = workshop.path("");
    run(tool("javac").current_dir(&here).arg("Main.java")).output();
    run(tool("jar")
        .current_dir(&here)
        .args(["cfe", "app.jar", "Main", "Main.class"]))
    .output();
    workshop.write("app.py", "import json\n");
    // The runtime of Java is linked anew, and compiled modules stand for their sources.
    for (app, package) in [("app.jar", "openjdk-"), ("app.py", "libpython3")] {
        let output = format!("{app}.oci");
        let mut build = workshop.build_command(workshop.path(app), &output, &[]);
        run(build.env("PATH", "/usr/bin:/bin").env_remove("JAVA_HOME")).output();
        let image = Image::new(workshop.path(&output), "latest");
        let names = recorded(&Bundle::of(&image, &workshop).rootfs());
        let is_there = names.iter().any(|name| name.starts_with(package));
        assert!(is_there, "{app}: {names:?}");
    }
}

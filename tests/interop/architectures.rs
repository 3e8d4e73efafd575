//! A program of another machine, resolved in a sysroot, starts under an emulator.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::container::Bundle;
use crate::tools::{run, tool};
use crate::workshop::Workshop;

/// Where Debian's cross packages put the libraries of 64-bit ARM.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu/lib";

/// A small root file system of a 64-bit ARM Debian, usr-merged.
fn sysroot(workshop: &Workshop) -> PathBuf {
    let sysroot = workshop.directory("sysroot");
    let libraries = workshop.directory("sysroot/usr/lib/aarch64-linux-gnu");
    symlink("usr/lib", sysroot.join("lib")).unwrap();
    for name in ["libc.so.6", "libm.so.6"] {
        fs::copy(Path::new(LIBRARIES).join(name), libraries.join(name)).unwrap();
    }
    let loader = "ld-linux-aarch64.so.1";
    fs::copy(Path::new(LIBRARIES).join(loader), libraries.join(loader)).unwrap();
    symlink(
        format!("aarch64-linux-gnu/{loader}"),
        sysroot.join("usr/lib").join(loader),
    )
    .unwrap();
    workshop.write(
        "sysroot/etc/ld.so.conf",
        "/lib/aarch64-linux-gnu\n/usr/lib/aarch64-linux-gnu\n",
    );
    sysroot
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_foreign_program_is_resolved_in_its_sysroot_and_starts() {
    let workshop = Workshop::new();
    let sysroot = sysroot(&workshop);
    workshop.compile(
        "aarch64-linux-gnu-gcc",
        r#"
#include <math.h>
#include <stdio.h>
#include <sys/utsname.h>
int main(int argc, char **argv) {
    struct utsname names;
    uname(&names);
    printf("%s %.0f\n", names.machine, sqrt(1763 + argc));
    return 0;
}
"#,
        "sysroot/usr/bin/machine",
        &["-fno-builtin", "-lm"],
    );
    let image = workshop.build(
        "/usr/bin/machine",
        "machine.oci",
        &["--sysroot", sysroot.to_str().unwrap()],
    );
    assert_eq!(image.config()["architecture"], "arm64");
    assert_eq!(image.config()["os"], "linux");
    let index = crate::image::json(&image.layout.join("index.json"));
    assert_eq!(
        index["manifests"][0]["platform"],
        serde_json::json!({"architecture": "arm64", "os": "linux"})
    );

    let rootfs = Bundle::of(&image, &workshop).rootfs();
    let output = run(tool("qemu-aarch64-static")
        .arg("-L")
        .arg(&rootfs)
        .arg(rootfs.join("usr/bin/machine")))
    .output();
    assert_eq!(output, "aarch64 42\n");
    let ours: Vec<_> = image
        .paths()
        .into_iter()
        .filter(|path| path.contains("x86_64"))
        .collect();
    assert!(ours.is_empty(), "this machine's files: {ours:?}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_platform_that_the_program_is_not_for_is_refused() {
    let workshop = Workshop::new();
    let program = workshop.compile(
        "aarch64-linux-gnu-gcc",
        "int main(void) { return 0; }\n",
        "tree/quiet",
        &["-static"],
    );
    let stderr = workshop
        .try_build(&program, "quiet.oci", &["--platform", "linux/amd64"])
        .exited_with(1);
    assert!(stderr.contains("arm64"), "{stderr}");
    assert!(!workshop.path("quiet.oci").exists());

    let image = workshop.build(&program, "quiet.oci", &["--platform", "linux/arm64"]);
    let rootfs = Bundle::of(&image, &workshop).rootfs();
    run(tool("qemu-aarch64-static").arg(rootfs.join("app/quiet"))).output();
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn two_platforms_share_a_layout_and_a_tag() {
    let workshop = Workshop::new();
    let source = "int main(void) { return 0; }\n";
    let native = workshop.compile("gcc", source, "native/quiet", &["-static"]);
    let foreign = workshop.compile(
        "aarch64-linux-gnu-gcc",
        source,
        "foreign/quiet",
        &["-static"],
    );
    for program in [native, foreign] {
        workshop.try_build(&program, "both.oci", &[]).output();
    }
    let index = crate::image::json(&workshop.path("both.oci").join("index.json"));
    // One descriptor for the tag: an index of both, so that every tool finds its platform.
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    let digest = entries[0]["digest"].as_str().unwrap();
    let blob = digest.replace(':', "/");
    let index = crate::image::json(&workshop.path("both.oci").join("blobs").join(blob));
    let mut platforms: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    platforms.sort_unstable();
    assert_eq!(platforms, ["amd64", "arm64"]);
}

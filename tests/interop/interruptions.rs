//! Whatever ends a build, what was there before stays whole, and nothing else is left.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::image::{Image, contents, sha256};
use crate::tools::{run, tool};
use crate::workshop::{Workshop, installed};

/// Checks that `layout` holds nothing but an OCI layout, in which every blob is what its name
/// says. A build that is killed between its blobs and its index may leave whole blobs that no
/// index names; it may not leave parts of one.
#[track_caller]
fn assert_clean(layout: &Path) {
    for (path, digest) in contents(layout) {
        let name = path.to_str().unwrap();
        match name.strip_prefix("blobs/sha256/") {
            Some(hex) => assert_eq!(digest, format!("sha256:{hex}")),
            None => assert!(
                matches!(name, "oci-layout" | "index.json"),
                "litter: {name} in {}",
                layout.display()
            ),
        }
    }
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into())
        .collect();
    names.sort();
    names
}

/// A fixed sequence of numbers that look random (xorshift), so that a failure can be repeated.
struct Moments(u64);

impl Moments {
    /// The next one, below `limit`.
    fn next(&mut self, limit: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let part = u32::try_from(self.0 >> 40).unwrap();
        limit * part / (1 << 24)
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn builds_killed_at_any_moment_leave_the_layout_as_it_was() {
    let workshop = Workshop::new();
    let before = workshop.build(installed("jq"), "out/image.oci", &["--tag", "before"]);
    let digest = before.digest();
    let out = workshop.path("out");

    // Two versions of one tag in turn, so that every build has something to write and to remove.
    let apps = ["node", "sqlite3"].map(installed);
    let options = ["--tag", "moving", "--no-cache"];
    let mut moments = Moments(0x9e37_79b9_7f4a_7c15);
    let mut killed = 0;
    for app in &apps {
        let start = Instant::now();
        workshop.build(app, "out/image.oci", &options);
        let whole = start.elapsed();
        for _ in 0..10 {
            let mut child = workshop
                .build_command(app, "out/image.oci", &options)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(moments.next(whole));
            child.kill().unwrap();
            if !child.wait().unwrap().success() {
                killed += 1;
            }
            assert_eq!(names(&out), [PathBuf::from("image.oci")]);
            assert_clean(&before.layout);
            assert_eq!(before.digest(), digest);
            before.assert_whole();
            Image::new(&before.layout, "moving").assert_whole();
        }
    }
    assert!(
        killed >= 5,
        "only {killed} of 20 builds were killed in time"
    );
    for tag in ["before", "moving"] {
        run(tool("skopeo").args(["inspect", &Image::new(&before.layout, tag).transport()]))
            .output();
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_first_build_that_is_killed_leaves_no_layout_or_a_whole_one() {
    let workshop = Workshop::new();
    let start = Instant::now();
    workshop.build(installed("node"), "probe.oci", &["--no-cache"]);
    let whole = start.elapsed();
    let mut moments = Moments(0x2545_f491_4f6c_dd1d);
    for round in 0..10 {
        let out = workshop.directory(&format!("out-{round}"));
        let output = format!("out-{round}/image.oci");
        let mut child = workshop
            .build_command(installed("node"), &output, &["--no-cache"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(moments.next(whole));
        child.kill().unwrap();
        child.wait().unwrap();
        if !names(&out).is_empty() {
            let image = Image::new(workshop.path(&output), "latest");
            assert_eq!(names(&out), [PathBuf::from("image.oci")]);
            assert_clean(&image.layout);
            image.assert_whole();
        }
        fs::remove_dir_all(out).unwrap();
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn ctrl_c_and_termination_end_a_build_at_once_without_litter() {
    let workshop = Workshop::new();
    let before = workshop.build(installed("jq"), "out/image.oci", &["--tag", "before"]);
    let kept = contents(&before.layout);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        for output in ["out/image.oci", "out/image.tar"] {
            let build = workshop.build_command(installed("ffmpeg"), output, &["--no-cache"]);
            // Whoever runs this suite in the background has SIGINT ignored, and so would the build.
            let mut child = tool("env")
                .arg("--default-signal=INT,TERM,HUP")
                .arg(format!("XDG_CACHE_HOME={}", workshop.cache().display()))
                .arg(build.get_program())
                .args(build.get_args())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // Far enough to have installed its handlers, far from its end.
            std::thread::sleep(Duration::from_millis(150));
            kill_process(Pid::from_child(&child), signal).unwrap();
            let status = child.wait().unwrap();
            assert!(
                status.code() == Some(128 + signal.as_raw())
                    || status.signal() == Some(signal.as_raw()),
                "{signal:?}: {status}"
            );
            assert_eq!(names(&workshop.path("out")), [PathBuf::from("image.oci")]);
            assert_eq!(contents(&before.layout), kept, "{signal:?}");
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_cache_of_killed_builds_gives_the_same_bytes() {
    let workshop = Workshop::new();
    let start = Instant::now();
    let fresh = workshop.build(installed("node"), "fresh.oci", &["--no-cache"]);
    let whole = start.elapsed();
    let mut moments = Moments(0xd1b5_4a32_d192_ed03);
    for round in 0..6 {
        let mut child = workshop
            .build_command(installed("node"), &format!("killed-{round}.oci"), &[])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(moments.next(whole));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let cached = workshop.build(installed("node"), "cached.oci", &[]);
    assert_eq!(contents(&fresh.layout), contents(&cached.layout));
}

/// A small file system in memory that is unmounted in the end.
struct SmallDisk {
    directory: PathBuf,
}

impl SmallDisk {
    fn mount(directory: PathBuf, size: &str) -> Self {
        run(tool("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size},mode=0755"),
                "tmpfs",
            ])
            .arg(&directory))
        .output();
        Self { directory }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = tool("umount").arg("--lazy").arg(&self.directory).status();
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_full_disk_leaves_nothing() {
    let workshop = Workshop::new();
    let disk = SmallDisk::mount(workshop.directory("disk"), "8m");
    for (output, options) in [
        ("disk/node.oci", &[][..]),
        ("disk/node.tar", &[]),
        ("disk/docker.tar", &["--format", "docker-archive"]),
    ] {
        let stderr = workshop
            .try_build(installed("node"), output, options)
            .exited_with(1);
        assert!(
            stderr.contains("disk") || stderr.contains("space"),
            "{stderr}"
        );
        assert_eq!(names(&disk.directory), Vec::<PathBuf>::new(), "{output}");
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_disk_that_fills_up_leaves_the_layout_as_it_was() {
    let workshop = Workshop::new();
    let disk = SmallDisk::mount(workshop.directory("disk"), "8m");
    let image = workshop.build(installed("jq"), "disk/image.oci", &[]);
    let before = contents(&disk.directory);
    for tag in ["latest", "another"] {
        workshop
            .try_build(installed("node"), "disk/image.oci", &["--tag", tag])
            .exited_with(1);
        assert_eq!(contents(&disk.directory), before, "tag {tag}");
    }
    image.assert_whole();
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_full_cache_disk_does_not_stop_a_build() {
    let workshop = Workshop::new();
    let fresh = workshop.build(installed("node"), "fresh.oci", &["--no-cache"]);
    let _disk = SmallDisk::mount(workshop.directory("cache"), "1m");
    let image = workshop.build(installed("node"), "image.oci", &[]);
    assert_eq!(contents(&fresh.layout), contents(&image.layout));
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn builds_into_one_layout_at_once_all_end_up_in_it() {
    let workshop = Workshop::new();
    let programs = ["jq", "sqlite3", "curl", "git", "nginx", "busybox"];
    let children: Vec<_> = programs
        .iter()
        .map(|&program| {
            workshop
                .build_command(installed(program), "all.oci", &["--tag", program])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for (child, program) in children.into_iter().zip(programs) {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let layout = workshop.path("all.oci");
    assert_clean(&layout);
    for program in programs {
        let image = Image::new(&layout, program);
        image.assert_whole();
        let found = run(tool("skopeo").args(["inspect", &image.transport()])).output();
        assert!(found.contains(&image.digest()), "{found}");
    }
    let version = crate::container::Bundle::of(&Image::new(&layout, "jq"), &workshop)
        .with(&["--version"])
        .run()
        .output();
    assert!(version.starts_with("jq-"), "{version}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_output_that_is_something_else_is_left_alone() {
    let workshop = Workshop::new();
    let file = workshop.write("file.oci", "mine\n");
    workshop
        .try_build(installed("jq"), "file.oci", &[])
        .exited_with(1);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine\n");

    let directory = workshop.directory("directory.oci");
    let note = workshop.write("directory.oci/note", "mine too\n");
    let digest = sha256(&note);
    workshop
        .try_build(installed("jq"), "directory.oci", &[])
        .exited_with(1);
    assert_eq!(names(&directory), [PathBuf::from("note")]);
    assert_eq!(sha256(&note), digest);
}

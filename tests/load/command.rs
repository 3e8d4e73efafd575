//! `distrobuild load`, as a user meets it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use distrobuild::store::{DockerArchive, tags};

use crate::daemon::{Answer, Daemon};
use crate::engines::Place;

/// A small program that is there wherever the suite runs.
const APP: &str = "/bin/sh";

fn distrobuild(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distrobuild"));
    let home = place.path("home");
    fs::create_dir_all(place.path("tmp")).unwrap();
    command
        .args(arguments)
        .current_dir(place.path(""))
        .env_clear()
        .env("HOME", &home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("TMPDIR", place.path("tmp"))
        // The scripts that stand in for engines want cp(1) after them.
        .env("PATH", format!("{}:/bin", place.path("bin").display()))
        .env(
            "DOCKER_HOST",
            format!("unix://{}", place.socket().display()),
        )
        .stdin(Stdio::null());
    command
}

fn run(place: &Place, arguments: &[&str]) -> Output {
    distrobuild(place, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A place with the layout `demo.oci`.
fn place_with_image() -> Place {
    let place = Place::new();
    let output = run(&place, &["-q", APP, "-o", "demo.oci", "--tag", "1.0"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    place
}

fn is_empty(directory: &Path) -> bool {
    directory.read_dir().unwrap().next().is_none()
}

/// The names in a docker archive.
fn names(place: &Place, archive: &[u8]) -> Vec<String> {
    let path = place.path("received.tar");
    fs::write(&path, archive).unwrap();
    tags(&DockerArchive::open(&path).unwrap()).unwrap()
}

#[test]
fn docker_gets_the_image_under_the_name_of_its_file_and_its_tag() {
    let place = place_with_image();
    let answer = Answer::Messages("{\"stream\":\"Loaded image: demo:1.0\\n\"}\n");
    let daemon = Daemon::start(&place.socket(), answer);
    for (arguments, name) in [
        (&["load", "demo.oci"][..], "demo:1.0"),
        (&["load", "demo.oci:1.0", "--into", "docker"], "demo:1.0"),
        (
            &["load", "demo.oci", "--name", "team/app"],
            "team/app:latest",
        ),
        (&["load", "demo.oci", "--name", "app"], "app:latest"),
        (&["load", "demo.oci", "--name", "app:2"], "app:2"),
    ] {
        let output = run(&place, arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        // What the daemon told, whatever it was asked for.
        assert_eq!(text(&output.stdout), "demo:1.0\n");
        let seen = daemon.seen();
        let names = names(&place, &seen.last().unwrap().body);
        assert_eq!(names, [name], "{arguments:?}");
        assert!(is_empty(&place.path("tmp")), "{arguments:?}");
    }
}

#[test]
fn a_program_gets_an_archive_that_is_gone_afterwards() {
    let place = place_with_image();
    place.program("podman", "echo 'Loaded image: localhost/demo:1.0'");
    let output = run(&place, &["load", "demo.oci"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "localhost/demo:1.0\n");
    assert!(text(&output.stderr).contains("podman"));
    let archive = fs::read(place.path("podman.archive")).unwrap();
    assert_eq!(names(&place, &archive), ["demo:1.0"]);
    let path = place.arguments("podman");
    let path = path.strip_prefix("load -i ").unwrap();
    assert!(Path::new(path).starts_with(place.path("tmp")), "{path}");
    assert!(is_empty(&place.path("tmp")));
}

#[test]
fn nothing_is_left_of_a_load_that_fails() {
    let place = place_with_image();
    place.program("podman", "echo 'no space left on device' >&2; exit 125");
    let output = run(&place, &["load", "demo.oci", "--into", "podman"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert!(
        said.contains("no space left on device") && said.contains("exit code 125"),
        "{said}"
    );
    assert!(is_empty(&place.path("tmp")));
}

#[test]
fn nothing_is_left_of_a_load_that_is_interrupted() {
    let place = place_with_image();
    let waiting = format!(
        "touch {}; while [ -e \"$last\" ]; do sleep 0.1; done",
        place.path("waiting").display()
    );
    place.program("podman", &waiting);
    let mut child = distrobuild(&place, &["load", "demo.oci", "--into", "podman"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !place.path("waiting").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(!is_empty(&place.path("tmp")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    assert!(is_empty(&place.path("tmp")));
}

#[test]
fn an_engine_is_looked_for_before_the_image_is_read() {
    let place = Place::new();
    let output = distrobuild(&place, &["load", "missing.oci"])
        .env("PATH", place.path("bin"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    for words in [
        place.socket().to_str().unwrap(),
        "podman",
        "nerdctl",
        "ctr",
        "docker-archive",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_docker_host_of_another_kind_is_refused_with_the_alternative() {
    let place = Place::new();
    let output = distrobuild(&place, &["load", "a.oci", "--into", "docker"])
        .env("DOCKER_HOST", "tcp://me:secret@127.0.0.1:2376")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("tcp://") && said.contains("docker load -i"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn a_name_that_docker_would_not_take_is_wrong_usage() {
    let place = Place::new();
    for name in ["App:1", "a b", "app:", ":1", ""] {
        let output = run(&place, &["load", "a.oci", "--name", name]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name:?}: {said}");
    }
}

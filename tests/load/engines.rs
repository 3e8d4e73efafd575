//! What each engine is sent, and what is made of its answers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use distrobuild::load::{Choice, Engine, Environment, LoadError};
use tempfile::TempDir;

use crate::daemon::{Answer, Daemon};

const LOADED: &str = "{\"stream\":\"Loaded image: app:1\\n\"}\r\n";

/// A directory with a socket that may be, programs, and an archive.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("bin")).unwrap();
        fs::write(place.archive(), vec![7; 300_000]).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.path("archive.tar")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("docker.sock")
    }

    /// Puts a program there that keeps its arguments and a copy of its last one, and then does
    /// what `script` says.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let kept = self.path(name);
        let text = format!(
            "#!/bin/sh\nprintf '%s' \"$*\" >{0}.arguments\nfor last; do :; done\ncp \"$last\" {0}.archive\n{script}\n",
            kept.display()
        );
        let draft = self.path("draft");
        fs::write(&draft, text).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        // A file that this process has written may still be open for writing in a child of another
        // test, and cannot be run then (ETXTBSY).
        let copied = Command::new("/bin/cp")
            .arg(&draft)
            .arg(self.path("bin").join(name))
            .status()
            .unwrap();
        assert!(copied.success());
    }

    pub(crate) fn arguments(&self, name: &str) -> String {
        let kept = self.path(&format!("{name}.arguments"));
        fs::read_to_string(kept).unwrap()
    }

    fn environment(&self) -> Environment {
        Environment {
            docker_host: None,
            docker_socket: self.socket(),
            runtime_directory: None,
            path: Some(self.path("bin").into()),
            containerd_namespace: None,
        }
    }

    fn find(&self, choice: Choice) -> Result<Engine, LoadError> {
        Engine::find(choice, &self.environment())
    }

    fn load(&self, choice: Choice) -> Result<String, LoadError> {
        self.find(choice)?.load(&self.archive(), "app:1")
    }
}

fn docker(answer: Answer) -> (Result<String, LoadError>, Place) {
    let place = Place::new();
    let _daemon = Daemon::start(&place.socket(), answer);
    (place.load(Choice::Docker), place)
}

#[test]
fn docker_is_sent_the_archive_byte_for_byte() {
    let place = Place::new();
    let daemon = Daemon::start(&place.socket(), Answer::Messages(LOADED));
    let engine = place.find(Choice::Docker).unwrap();
    assert_eq!(engine.load(&place.archive(), "app:1").unwrap(), "app:1");
    let seen = daemon.seen();
    let [load] = seen.as_slice() else {
        panic!("{} requests", seen.len());
    };
    // Without a version: each daemon takes the one that it likes best.
    assert_eq!(load.line, "POST /images/load?quiet=1 HTTP/1.1");
    let has = |header: &str| load.headers.iter().any(|found| found == header);
    assert!(has("content-type: application/x-tar"), "{:?}", load.headers);
    assert!(has("content-length: 300000"), "{:?}", load.headers);
    assert_eq!(load.body, fs::read(place.archive()).unwrap());
}

#[test]
fn the_name_is_the_one_that_the_daemon_tells() {
    let podmans =
        "{\"status\":\"Loading layer\"}\n{\"stream\":\"Loaded image: localhost/app:1\"}\n";
    assert_eq!(
        docker(Answer::Messages(podmans)).0.unwrap(),
        "localhost/app:1"
    );
}

#[test]
fn an_error_after_a_good_status_is_an_error() {
    let messages = "{\"stream\":\"Loading\"}{\"errorDetail\":{\"message\":\"no space\"},\"error\":\"no space\\u001b[2J left on device\"}";
    let said = docker(Answer::Messages(messages))
        .0
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("no space") && said.contains("left on device"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "{said}");
}

#[test]
fn a_refusal_is_told_in_the_words_of_the_daemon() {
    let answer = Answer::Status("500 No", "{\"message\":\"the disk is on fire\"}");
    let (result, place) = docker(answer);
    let said = result.unwrap_err().to_string();
    assert!(said.contains("the disk is on fire"), "{said}");
    assert!(said.contains(place.socket().to_str().unwrap()), "{said}");
    let said = docker(Answer::Status("403 Forbidden", "<html>"))
        .0
        .unwrap_err()
        .to_string();
    assert!(said.contains("403"), "{said}");
}

#[test]
fn a_daemon_that_hangs_up_is_told_as_such() {
    for answer in [Answer::HangUp(100_000), Answer::BreakOff] {
        let error = docker(answer.clone()).0.unwrap_err();
        assert!(
            matches!(error, LoadError::Interrupted { .. }),
            "{answer:?}: {error}"
        );
    }
}

#[test]
fn a_daemon_that_says_nothing_is_asked_whether_the_image_is_there() {
    assert_eq!(docker(Answer::Nothing).0.unwrap(), "app:1");
    let error = docker(Answer::Lost).0.unwrap_err();
    assert!(matches!(error, LoadError::NotThere { .. }), "{error}");
}

#[test]
fn an_answer_that_is_none_of_docker_is_refused() {
    for messages in ["<html>", "[1]", "{\"stream\":7}", "\u{0}"] {
        let error = docker(Answer::Messages(messages)).0.unwrap_err();
        assert!(
            matches!(error, LoadError::BadAnswer { .. }),
            "{messages}: {error}"
        );
    }
}

#[test]
fn a_name_that_could_steer_a_terminal_is_not_taken() {
    let messages = "{\"stream\":\"Loaded image: a\\u001b[2J\"}";
    let error = docker(Answer::Messages(messages)).0.unwrap_err();
    assert!(matches!(error, LoadError::NotThere { .. }), "{error}");
}

#[test]
fn a_socket_without_a_daemon_is_told_apart_from_none() {
    let place = Place::new();
    let said = place.find(Choice::Docker).unwrap_err().to_string();
    assert!(said.contains("does not exist"), "{said}");
    drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
    let said = place.find(Choice::Docker).unwrap_err().to_string();
    assert!(said.contains("no daemon listens"), "{said}");
    assert!(said.contains("systemctl start docker"), "{said}");
}

#[test]
fn the_socket_of_rootless_docker_comes_after_the_usual_one() {
    let place = Place::new();
    let run = place.path("run");
    fs::create_dir(&run).unwrap();
    let environment = Environment {
        runtime_directory: Some(run.clone().into()),
        ..place.environment()
    };
    let rootless = Daemon::start(&run.join("docker.sock"), Answer::Messages(LOADED));
    let load = || {
        let engine = Engine::find(Choice::Auto, &environment).unwrap();
        engine.load(&place.archive(), "app:1").unwrap();
    };
    load();
    assert_eq!(rootless.seen().len(), 1);
    let usual = Daemon::start(&place.socket(), Answer::Messages(LOADED));
    load();
    assert_eq!((rootless.seen().len(), usual.seen().len()), (1, 1));
}

#[test]
fn the_first_engine_that_is_here_gets_the_image() {
    let place = Place::new();
    let chosen = || place.find(Choice::Auto).unwrap().to_string();
    place.program("ctr", "");
    assert_eq!(chosen(), "containerd, by ctr");
    place.program("nerdctl", "");
    assert_eq!(chosen(), "containerd, by nerdctl");
    place.program("podman", "");
    assert_eq!(chosen(), "podman");
    let _daemon = Daemon::start(&place.socket(), Answer::Nothing);
    assert!(chosen().starts_with("Docker at "), "{}", chosen());
}

#[test]
fn podman_and_containerd_get_the_archive_by_its_path() {
    for (choice, name, says, arguments, loaded) in [
        (
            Choice::Podman,
            "podman",
            "echo 'Getting image' >&2; echo 'Loaded image: localhost/app:1'",
            "load -i",
            "localhost/app:1",
        ),
        (
            Choice::Podman,
            "podman",
            "echo 'Loaded image(s): localhost/app:1'",
            "load -i",
            "localhost/app:1",
        ),
        (Choice::Podman, "podman", "true", "load -i", "app:1"),
        (
            Choice::Containerd,
            "nerdctl",
            "echo 'Loaded image: docker.io/library/app:1'",
            "load -i",
            "docker.io/library/app:1",
        ),
        (
            Choice::Containerd,
            "ctr",
            "echo 'unpacking docker.io/library/app:1 (sha256:00)...done'",
            "-n default images import",
            "docker.io/library/app:1",
        ),
    ] {
        let place = Place::new();
        place.program(name, says);
        assert_eq!(place.load(choice).unwrap(), loaded);
        let archive = place.archive();
        assert_eq!(
            place.arguments(name),
            format!("{arguments} {}", archive.display())
        );
        let copy = fs::read(place.path(&format!("{name}.archive"))).unwrap();
        assert_eq!(copy, fs::read(&archive).unwrap());
    }
}

#[test]
fn ctr_loads_into_the_namespace_of_the_environment() {
    let place = Place::new();
    place.program("ctr", "");
    let environment = Environment {
        containerd_namespace: Some("k8s.io".into()),
        ..place.environment()
    };
    let engine = Engine::find(Choice::Containerd, &environment).unwrap();
    engine.load(&place.archive(), "app:1").unwrap();
    assert!(
        place
            .arguments("ctr")
            .starts_with("-n k8s.io images import ")
    );
}

#[test]
fn a_program_that_fails_is_told_with_its_last_words() {
    let place = Place::new();
    let script = "i=0; while [ $i -lt 50 ]; do echo layer $i; i=$((i+1)); done\n\
                  echo 'connect: permission denied' >&2; exit 7";
    place.program("podman", script);
    let said = place.load(Choice::Podman).unwrap_err().to_string();
    for words in [
        "`podman load`",
        "exit code 7",
        "permission denied",
        "layer 49",
        "sudo",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("layer 10\n"), "{said}");
    place.program("podman", "kill -9 $$");
    let said = place.load(Choice::Podman).unwrap_err().to_string();
    assert!(said.contains("signal 9"), "{said}");
}

#[test]
fn a_file_that_cannot_be_run_is_no_engine() {
    let place = Place::new();
    fs::write(place.path("bin").join("podman"), "").unwrap();
    fs::create_dir(place.path("bin").join("ctr")).unwrap();
    let error = place.find(Choice::Auto).unwrap_err();
    assert!(matches!(error, LoadError::NoEngine { .. }), "{error}");
}

#[test]
fn an_archive_that_is_gone_is_told() {
    let place = Place::new();
    let _daemon = Daemon::start(&place.socket(), Answer::Nothing);
    let engine = place.find(Choice::Docker).unwrap();
    let error = engine
        .load(Path::new("/nowhere/a.tar"), "app:1")
        .unwrap_err();
    assert!(matches!(error, LoadError::Archive(_)), "{error}");
}

#![allow(clippy::unwrap_used)]

use std::io;

use super::*;

fn environment(docker_host: Option<&str>) -> Environment {
    Environment {
        docker_host: docker_host.map(Into::into),
        docker_socket: "/nowhere/docker.sock".into(),
        runtime_directory: Some("/nowhere/run".into()),
        path: Some("/nowhere/bin".into()),
        containerd_namespace: None,
    }
}

#[test]
fn every_place_that_was_looked_at_is_told_with_what_to_do() {
    let error = Engine::find(Choice::Auto, &environment(None)).unwrap_err();
    let said = error.to_string();
    for place in [
        "/nowhere/docker.sock",
        "/nowhere/run/docker.sock",
        "podman",
        "nerdctl",
        "ctr",
        "--format docker-archive",
    ] {
        assert!(said.contains(place), "{place}: {said}");
    }
}

#[test]
fn a_docker_host_that_is_no_unix_socket_is_refused_without_its_password() {
    for (host, scheme) in [
        ("tcp://me:secret@example:2376", "tcp://"),
        ("ssh://me:secret@example", "ssh://"),
        ("me:secret@example", "different kind of"),
        ("unix://", "unix://"),
        ("\u{1b}[2Jsecret://x", "different kind of"),
    ] {
        for choice in [Choice::Docker, Choice::Auto] {
            let said = Engine::find(choice, &environment(Some(host)))
                .unwrap_err()
                .to_string();
            assert!(said.contains(&format!("a {scheme} address")), "{said}");
            assert!(said.contains("docker load -i"), "{said}");
            assert!(
                !said.contains("secret") && !said.contains('\u{1b}'),
                "{said}"
            );
        }
    }
}

#[test]
fn a_docker_host_does_not_matter_to_other_engines() {
    let host = environment(Some("tcp://example:2376"));
    let said = Engine::find(Choice::Podman, &host).unwrap_err().to_string();
    assert!(said.contains("podman is not in PATH"), "{said}");
}

#[test]
fn a_program_of_the_directory_where_one_stands_is_not_run() {
    let relative = Environment {
        // Where cargo starts tests there is such a file.
        path: Some("src/..:.::".into()),
        ..environment(None)
    };
    assert_eq!(relative.program("Cargo.toml"), None);
}

#[test]
fn a_temporary_directory_without_room_is_told_with_the_variable_that_names_another() {
    let scratch = Scratch::new("distrobuild-load-").unwrap();
    let inside = StoreError::Io {
        path: scratch.path().to_path_buf(),
        action: "write in",
        source: io::Error::other("full"),
    };
    let said = not_written(scratch.path(), inside.into()).to_string();
    assert!(said.contains("TMPDIR") && said.contains("full"), "{said}");
    let elsewhere = StoreError::NotFound("/nowhere".into());
    let said = not_written(scratch.path(), elsewhere.into()).to_string();
    assert!(!said.contains("TMPDIR"), "{said}");
}

//! `push`, `pull`, `copy` and `tags`, as a user meets them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::fixture::{Layout, blobs, layer, roots};
use crate::server::tls::CERTIFICATE;
use crate::server::{Act, Fault, Server, Settings, TokenService, digest};

/// A home of the test's own.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_distrobuild"));
        command
            .args(words)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("DOCKER_CONFIG", self.path().join("docker"))
            .env("PATH", self.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    pub(crate) fn succeeds(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Keeps a login where docker keeps it.
    fn login(&self, server: &Server, login: &str) {
        let directory = self.path().join("docker");
        fs::create_dir_all(&directory).unwrap();
        let config = serde_json::json!({
            "auths": { server.host(): { "auth": STANDARD.encode(login) } },
        });
        fs::write(directory.join("config.json"), config.to_string()).unwrap();
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_image_is_pushed_and_pulled() {
    let (home, server) = (Home::new(), Server::start());
    let layout = Layout::with_index();
    let name = format!("{}/team/app:v1", server.host());
    home.succeeds(&["push", text(&layout.path()), &name]);
    let tags = server.content().repository("team/app").tags;
    assert_eq!(tags["v1"], layout.root());
    home.succeeds(&["pull", &name, "-o", "back.oci"]);
    let back = home.path().join("back.oci");
    assert!(blobs(&back) == layout.blobs());
    assert_eq!(roots(&back), [(layout.root(), "v1".to_owned())]);
}

#[test]
fn one_platform_is_pulled_alone() {
    let (home, server) = (Home::new(), Server::start());
    let layout = Layout::with_index();
    let name = format!("{}/app:v1", server.host());
    home.succeeds(&["push", text(&layout.path()), &name]);
    let platform = ["--platform", "linux/arm64", "-o", "back.oci"];
    home.succeeds(&[&["pull", &name], &platform[..]].concat());
    let back = blobs(&home.path().join("back.oci"));
    // A manifest, a config, two layers.
    assert_eq!(back.len(), 4);
    assert!(back.contains_key(&digest(&layer(3, 4000))));
    let output = home.run(&["pull", &name, "--platform", "linux/s390x", "-o", "no.oci"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("linux/amd64"),
        "{}",
        stderr(&output)
    );
    assert!(!home.path().join("no.oci").exists());
}

#[test]
fn an_image_is_copied_from_registry_to_registry() {
    let (home, from, to) = (Home::new(), Server::start(), Server::start());
    let layout = Layout::with_index();
    let source = format!("{}/app:v1", from.host());
    home.succeeds(&["push", text(&layout.path()), &source]);
    home.succeeds(&["copy", &source, &format!("{}/other:v2", to.host())]);
    assert_eq!(to.content().repository("other").tags["v2"], layout.root());
    // Within one registry nothing is sent but the manifests.
    from.forget();
    home.succeeds(&["copy", &source, &format!("{}/other:v2", from.host())]);
    let uploads = from.seen_of("PUT", "/blobs/uploads/");
    assert!(uploads.is_empty(), "{} blobs were sent", uploads.len());
}

#[test]
fn tags_are_listed_one_a_line() {
    let (home, server) = (Home::new(), Server::start());
    for tag in ["v2", "latest", "v1"] {
        server
            .content()
            .put_manifest("app", Some(tag), "x/y", b"{}");
    }
    let listed = home.succeeds(&["tags", &format!("{}/app", server.host())]);
    assert_eq!(listed, "latest\nv1\nv2\n");
}

#[test]
fn a_login_is_found_where_docker_keeps_it() {
    let service = Arc::new(TokenService::of("me", "pass:word"));
    let home = Home::new();
    let layout = Layout::small();
    for server in [
        Server::with_basic("me", "pass:word"),
        Server::with_tokens(&service),
    ] {
        home.login(&server, "me:pass:word");
        let name = format!("{}/app:v1", server.host());
        home.succeeds(&["push", text(&layout.path()), &name]);
    }
}

#[test]
fn a_password_comes_from_stdin() {
    let (home, server) = (Home::new(), Server::with_basic("me", "on stdin"));
    let name = format!("{}/app:v1", server.host());
    let layout = Layout::small();
    let path = layout.path();
    let mut child = home
        .command(&[
            "push",
            text(&path),
            &name,
            "--username",
            "me",
            "--password-stdin",
        ])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"on stdin\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_wrong_password_is_not_shown() {
    let (home, server) = (Home::new(), Server::with_basic("me", "right"));
    home.login(&server, "me:wr0ng-w0rd");
    let layout = Layout::small();
    let name = format!("{}/app:v1", server.host());
    let output = home.run(&["push", "-v", text(&layout.path()), &name]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains(&server.host()), "{said}");
    assert!(said.contains("config.json"), "{said}");
    assert!(!said.contains("wr0ng-w0rd"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_certificate_of_ca_file_is_believed() {
    let home = Home::new();
    let server = Server::with(Settings {
        tls: true,
        ..Settings::default()
    });
    fs::write(home.path().join("ca.pem"), CERTIFICATE).unwrap();
    let layout = Layout::small();
    let path = layout.path();
    let name = format!("{}/app:v1", server.host());
    let output = home.run(&["push", text(&path), &name]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--ca-file"), "{}", stderr(&output));
    home.succeeds(&["push", text(&path), &name, "--ca-file", "ca.pem"]);
}

#[test]
fn a_push_that_was_killed_ends_right_when_it_is_run_again() {
    let (home, server) = (Home::new(), Server::start());
    let layout = Layout::of(&[layer(1, 1000), layer(2, 500_000), layer(3, 2000)]);
    let path = layout.path();
    let name = format!("{}/app:v1", server.host());
    // While it waits for an answer to each of these in turn.
    for (method, part) in [
        ("POST", "/blobs/uploads/"),
        ("PUT", "/blobs/uploads/"),
        ("PUT", "/manifests/"),
    ] {
        server.arm(Fault::on(method, part, Act::Silence).always());
        let mut child = home
            .command(&["push", text(&path), &name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while server.seen_of(method, part).is_empty() {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(server.content().repository("app").tags.is_empty());
        server.disarm();
        server.forget();
    }
    home.succeeds(&["push", text(&path), &name]);
    let there = server.content().repository("app");
    assert_eq!(there.tags["v1"], layout.root());
    assert_eq!(
        there.blobs.len() + there.manifests.len(),
        layout.blobs().len()
    );
}

#[test]
fn a_pull_that_fails_leaves_nothing() {
    let (home, server) = (Home::new(), Server::start());
    let layout = Layout::small();
    let name = format!("{}/app:v1", server.host());
    home.succeeds(&["push", text(&layout.path()), &name]);
    server.arm(Fault::on("GET", "/blobs/", Act::Corrupt).always());
    for output in ["back.oci", "back.tar"] {
        let failed = home.run(&["pull", &name, "-o", output]);
        assert_eq!(failed.status.code(), Some(1));
        assert!(stderr(&failed).contains("sha256:"), "{}", stderr(&failed));
        assert!(!home.path().join(output).join("index.json").exists());
    }
    assert!(!home.path().join("back.tar").exists());
}

#[test]
fn rm_says_that_it_is_not_for_registries() {
    let home = Home::new();
    for name in ["127.0.0.1:5000/me/app:v1", "docker://app:v1"] {
        let refused = home.run(&["rm", name]);
        assert_eq!(refused.status.code(), Some(2), "{name}");
        let said = stderr(&refused);
        assert!(said.contains("layouts and archives on disk"), "{said}");
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn an_image_that_is_not_there_is_no_matter_for_another_tool() {
    let failed = Home::new().run(&["push", "gone.oci", "127.0.0.1:5000/app:v1"]);
    let said = stderr(&failed);
    assert!(said.contains("gone.oci does not exist"), "{said}");
    assert!(said.contains("docker://"), "{said}");
    assert!(!said.contains("skopeo"), "{said}");
}

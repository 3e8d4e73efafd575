//! `diff` and `inspect`, from the outside.

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A small program that is there wherever the suite runs.
const APP: &str = "/bin/sh";

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_distrobuild"))
        .current_dir(directory)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("XDG_CACHE_HOME", directory.join("cache"))
        .env_remove("SOURCE_DATE_EPOCH")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn done(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = run(directory, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    output.stdout
}

fn built(name: &str, directory: &Path, more: &[&str]) {
    let arguments = ["-q", APP, "-o", name];
    done(directory, &[&arguments[..], more].concat());
}

#[test]
fn two_images_are_compared_by_their_contents() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    std::fs::write(directory.join("one"), "one\n").unwrap();
    std::fs::write(directory.join("two"), "two\n").unwrap();
    built("a.oci", directory, &["--include", "one:/etc/word"]);
    built(
        "b.tar",
        directory,
        &["--include", "two:/etc/word", "--env", "COLOUR=blue"],
    );
    let text = String::from_utf8(done(directory, &["diff", "a.oci", "b.tar"])).unwrap();
    assert!(text.starts_with("a.oci → b.tar\n"), "{text}");
    assert!(text.contains("env COLOUR  + blue"), "{text}");
    assert!(text.contains("/etc/word"), "{text}");
    let json = done(directory, &["diff", "a.oci", "b.tar", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let paths = json["details"]["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 1, "{paths:?}");
    assert_eq!(paths[0]["changed"], serde_json::json!(["content"]));

    let code = |arguments: &[&str]| run(directory, arguments).status.code();
    assert_eq!(code(&["diff", "a.oci", "b.tar"]), Some(0));
    assert_eq!(code(&["diff", "a.oci", "b.tar", "--exit-code"]), Some(1));
    assert_eq!(code(&["diff", "a.oci", "a.oci", "--exit-code"]), Some(0));
    // The archive has the very bytes of the layout.
    built("a.tar", directory, &["--include", "one:/etc/word"]);
    assert_eq!(code(&["diff", "a.oci", "a.tar", "--exit-code"]), Some(0));
}

#[test]
fn the_documents_of_an_image_come_out_byte_for_byte() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    built("a.oci", directory, &[]);
    let read = |path: &str| std::fs::read(directory.join("a.oci").join(path)).unwrap();
    let blob = |digest: &serde_json::Value| {
        let digest = digest.as_str().unwrap().replace(':', "/");
        read(&format!("blobs/{digest}"))
    };
    let index: serde_json::Value = serde_json::from_slice(&read("index.json")).unwrap();
    let raw = done(directory, &["inspect", "--raw", "a.oci"]);
    assert_eq!(raw, blob(&index["manifests"][0]["digest"]));
    let manifest: serde_json::Value = serde_json::from_slice(&raw).unwrap();
    let config = done(directory, &["inspect", "--config", "a.oci"]);
    assert_eq!(config, blob(&manifest["config"]["digest"]));

    // Without its layers it is described as well.
    for layer in manifest["layers"].as_array().unwrap() {
        let digest = layer["digest"].as_str().unwrap().replace(':', "/");
        std::fs::remove_file(directory.join("a.oci/blobs").join(digest)).unwrap();
    }
    let text = String::from_utf8(done(directory, &["inspect", "a.oci"])).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    assert!(text.contains(digest), "{text}");
    let json = done(directory, &["inspect", "--json", "a.oci"]);
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["schema"], "distrobuild.inspect/1");
    assert_eq!(json["image"]["digest"], digest);
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    for arguments in [
        &["inspect", "./absent.oci"][..],
        &["diff", "./absent.oci", "./absent.oci"],
    ] {
        let output = run(scratch.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("absent.oci"), "{said}");
    }
}

#[test]
fn a_size_that_is_not_recorded_may_be_asked_for() {
    let scratch = tempfile::tempdir().unwrap();
    built("a.oci", scratch.path(), &[]);
    let output = run(
        scratch.path(),
        &["report", "a.oci", "--against", "no/such:image"],
    );
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("no/such:image") && said.contains("--live"),
        "{said}"
    );
}

//! Keys, signatures and attestations as a user meets them, in a layout. What the real cosign makes
//! of them is in `interop/cosign.rs`.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use distrobuild::layer::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const PASSWORD: &str = "correct horse";

/// A directory with a key pair, and layouts.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        room.done(&["keygen"]);
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_distrobuild"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env("COSIGN_PASSWORD", PASSWORD)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The stdout of a command that succeeds.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command says that fails with 1.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "nothing of it is a result");
        said
    }

    /// An image whose one layer has `content`, under `tag`.
    fn image(&self, layout: &str, tag: &str, content: &str) -> String {
        let entry = self.manifest(layout, "amd64", content);
        self.tag(layout, tag, entry)
    }

    /// An index of two such images.
    fn index(&self, layout: &str, tag: &str) -> String {
        let entries: Vec<Value> = ["amd64", "arm64"]
            .map(|architecture| {
                let mut entry = self.manifest(layout, architecture, architecture);
                entry["platform"] = json!({ "os": "linux", "architecture": architecture });
                entry
            })
            .to_vec();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
        let entry = self.blob(layout, INDEX, index.to_string().as_bytes());
        self.tag(layout, tag, entry)
    }

    fn manifest(&self, layout: &str, architecture: &str, content: &str) -> Value {
        let layer = self.blob(
            layout,
            "application/vnd.oci.image.layer.v1.tar",
            content.as_bytes(),
        );
        let config = json!({
            "os": "linux", "architecture": architecture, "config": {},
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
        });
        let config = self.blob(
            layout,
            "application/vnd.oci.image.config.v1+json",
            config.to_string().as_bytes(),
        );
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
        });
        self.blob(layout, MANIFEST, manifest.to_string().as_bytes())
    }

    fn blob(&self, layout: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes).to_string();
        let directory = self.path(layout).join("blobs/sha256");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(&digest["sha256:".len()..]), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    fn tag(&self, layout: &str, tag: &str, mut entry: Value) -> String {
        let root = self.path(layout);
        fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let digest = entry["digest"].as_str().unwrap().to_owned();
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        let mut index = match fs::read(root.join("index.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
            Err(_) => json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }),
        };
        index["manifests"].as_array_mut().unwrap().push(entry);
        fs::write(root.join("index.json"), index.to_string()).unwrap();
        digest
    }

    fn entries(&self, layout: &str) -> Vec<Value> {
        let index = fs::read(self.path(layout).join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        index["manifests"].as_array().unwrap().clone()
    }

    fn blobs(&self, layout: &str) -> Vec<PathBuf> {
        let directory = fs::read_dir(self.path(layout).join("blobs/sha256")).unwrap();
        let mut blobs: Vec<PathBuf> = directory.map(|entry| entry.unwrap().path()).collect();
        blobs.sort();
        blobs
    }

    fn read(&self, layout: &str, digest: &str) -> Value {
        let name = digest.trim_start_matches("sha256:");
        let bytes = fs::read(self.path(layout).join("blobs/sha256").join(name)).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Changes the manifest under cosign's tag of `of`, as one would who may write there.
    fn forge(&self, layout: &str, of: &str, change: impl FnOnce(&Self, &mut Value)) {
        let tag = format!("{}.sig", of.replace(':', "-"));
        let root = self.path(layout);
        let mut index: Value =
            serde_json::from_slice(&fs::read(root.join("index.json")).unwrap()).unwrap();
        let entries = index["manifests"].as_array_mut().unwrap();
        let entry = entries
            .iter_mut()
            .find(|it| it["annotations"]["org.opencontainers.image.ref.name"] == tag)
            .unwrap();
        let mut manifest = self.read(layout, entry["digest"].as_str().unwrap());
        change(self, &mut manifest);
        let new = self.blob(layout, MANIFEST, manifest.to_string().as_bytes());
        entry["digest"] = new["digest"].clone();
        entry["size"] = new["size"].clone();
        fs::write(root.join("index.json"), index.to_string()).unwrap();
    }
}

fn copy_of(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_of(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

const CLASSIC: [&str; 2] = ["--signature-form", "classic"];

#[test]
fn a_key_pair_signs_and_its_public_half_verifies() {
    let room = Room::new();
    let digest = room.image("app.oci", "latest", "an app");
    let key = fs::metadata(room.path("cosign.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    room.refused(&["verify", "--key", "cosign.pub", "app.oci"]);
    room.done(&["sign", "--key", "cosign.key", "-a", "env=prod", "app.oci"]);
    let claims = room.done(&["verify", "--key", "cosign.pub", "-a", "env=prod", "app.oci"]);
    let claims: Value = serde_json::from_str(&claims).unwrap();
    let types: Vec<&Value> = claims
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| {
            assert_eq!(claim["critical"]["image"]["docker-manifest-digest"], digest);
            assert_eq!(claim["optional"]["env"], "prod");
            &claim["critical"]["type"]
        })
        .collect();
    let expected = [
        "cosign container image signature",
        "https://sigstore.dev/cosign/sign/v1",
    ];
    assert_eq!(types, expected, "both forms are there");
    let said = room.refused(&["verify", "--key", "cosign.pub", "-a", "env=test", "app.oci"]);
    assert!(said.contains("env"), "{said}");
}

#[test]
fn an_annotation_with_two_values_is_wrong_usage() {
    let room = Room::new();
    room.image("app.oci", "latest", "an app");
    room.done(&["sign", "--key", "cosign.key", "-a", "env=prod", "app.oci"]);
    let twice = ["-a", "env=test", "-a", "env=prod", "app.oci"];
    for command in [
        ["sign", "--key", "cosign.key"],
        ["verify", "--key", "cosign.pub"],
    ] {
        let output = room.run(&[&command[..], &twice[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
        assert!(
            said.contains("\"env\"") && output.stdout.is_empty(),
            "{said}"
        );
    }
    let same = ["-a", "env=prod", "-a", "env=prod", "app.oci"];
    room.done(&[&["verify", "--key", "cosign.pub"], &same[..]].concat());
}

#[test]
fn what_sign_prints_names_the_image_on_disk_too() {
    let room = Room::new();
    let first = room.image("app.oci", "v1", "an app");
    let second = room.image("app.oci", "v2", "another app");
    let key = ["sign", "--key", "cosign.key"];
    let name = room.done(&[&key[..], &["app.oci:v1"]].concat());
    assert_eq!(name, format!("app.oci:v1@{first}\n"));
    let verify = |name: &str| ["verify", "--key", "cosign.pub", name].map(str::to_owned);
    let done = |name: &str| {
        let arguments = verify(name);
        room.done(&arguments.each_ref().map(String::as_str));
    };
    let refused = |name: &str| {
        let arguments = verify(name);
        room.refused(&arguments.each_ref().map(String::as_str))
    };
    done(name.trim_end());
    room.done(&["inspect", &format!("app.oci@{first}")]);
    room.done(&["copy", &format!("app.oci@{first}"), "copied.oci:one"]);
    room.done(&["verify", "--key", "cosign.pub", "copied.oci"]);
    done(&format!("./app.oci@{first}"));
    assert!(refused(&format!("app.oci@{second}")).contains("not signed"));
    let said = refused(&format!("app.oci:v2@{first}"));
    assert!(
        said.contains("has no image"),
        "the tag leads to another: {said}"
    );

    let index = room.index("both.oci", "latest");
    room.done(&[&key[..], &["--recursive", "both.oci"]].concat());
    done(&format!("both.oci@{index}"));
    let listed = room.read("both.oci", &index);
    for manifest in listed["manifests"].as_array().unwrap() {
        done(&format!(
            "both.oci@{}",
            manifest["digest"].as_str().unwrap()
        ));
    }
}

#[test]
fn a_signed_layout_still_has_one_image() {
    let room = Room::new();
    room.image("app.oci", "latest", "an app");
    room.done(&["sign", "--key", "cosign.key", "app.oci"]);
    assert_eq!(room.done(&["tags", "app.oci"]), "latest\n");
    let said = room.done(&["inspect", "app.oci"]);
    for what in ["signatures", "signature, as a bundle"] {
        assert!(said.contains(what), "{said}");
    }
    let json = room.done(&["inspect", "--json", "app.oci"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["attached"].as_array().unwrap().len(), 2);
}

#[test]
fn signing_again_changes_nothing() {
    let room = Room::new();
    room.image("app.oci", "latest", "an app");
    room.done(&["sign", "--key", "cosign.key", "app.oci"]);
    let before = fs::read(room.path("app.oci/index.json")).unwrap();
    let blobs = room.blobs("app.oci");
    room.done(&["sign", "--key", "cosign.key", "app.oci"]);
    assert_eq!(fs::read(room.path("app.oci/index.json")).unwrap(), before);
    assert_eq!(room.blobs("app.oci"), blobs);
}

#[test]
fn signers_at_the_same_moment_lose_nothing_of_each_other() {
    let room = Room::new();
    let keys = ["a", "b", "c", "d"];
    for key in keys {
        room.done(&["keygen", "--output-key-prefix", key]);
    }
    room.image("app.oci", "v1", "app");
    room.done(&["copy", "app.oci", "app.tar"]);
    for image in ["app.oci", "app.tar"] {
        let signers = keys.map(|key| {
            let key = format!("{key}.key");
            let form = "--signature-form=classic";
            let mut command = room.command(&["sign", form, "--key", &key, image]);
            let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
            command.spawn().unwrap()
        });
        for signer in signers {
            let output = signer.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}");
        }
        for key in keys {
            room.done(&["verify", "--key", &format!("{key}.pub"), image]);
        }
    }
}

#[test]
fn a_key_of_each_kind_signs() {
    let room = Room::new();
    for algorithm in ["ecdsa-p384", "ed25519"] {
        let layout = format!("{algorithm}.oci");
        room.image(&layout, "latest", "an app");
        let prefix = ["--output-key-prefix", algorithm];
        room.done(&["keygen", "--algorithm", algorithm, prefix[0], prefix[1]]);
        let (key, public) = (format!("{algorithm}.key"), format!("{algorithm}.pub"));
        room.done(&["sign", "--key", &key, &layout]);
        room.done(&["verify", "--key", &public, &layout]);
        let said = room.refused(&["verify", "--key", "cosign.pub", &layout]);
        assert!(said.contains("not by this key"), "{said}");
    }
}

#[test]
fn a_bit_that_flips_anywhere_is_found() {
    let room = Room::new();
    room.image("app.oci", "latest", "an app");
    room.done(&["sign", "--key", "cosign.key", "app.oci"]);
    room.done(&["verify", "--key", "cosign.pub", "app.oci"]);
    let blobs = room.blobs("app.oci");
    assert!(blobs.len() >= 7, "an image, and signatures in two forms");
    for blob in blobs {
        let bytes = fs::read(&blob).unwrap();
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        fs::write(&blob, &flipped).unwrap();
        let said = room.refused(&["verify", "--key", "cosign.pub", "app.oci"]);
        assert!(said.starts_with("error: "), "{said}");
        assert!(said.matches("is damaged").count() < 2, "{said}");
        fs::write(&blob, bytes).unwrap();
    }
    room.done(&["verify", "--key", "cosign.pub", "app.oci"]);
}

#[test]
fn every_forgery_is_told_by_its_own_name() {
    type Forge = fn(&Room, &mut Value);
    let room = Room::new();
    let digest = room.image("app.oci", "latest", "an app");
    let other = room.image("other.oci", "latest", "another app");
    for layout in ["app.oci", "other.oci"] {
        room.done(&[
            "sign",
            "--key",
            "cosign.key",
            CLASSIC[0],
            CLASSIC[1],
            layout,
        ]);
    }
    let tag = format!("{}.sig", other.replace(':', "-"));
    let moved = room.entries("other.oci");
    let moved = moved
        .iter()
        .find(|it| it["annotations"]["org.opencontainers.image.ref.name"] == tag)
        .unwrap();
    let moved = room.read("other.oci", moved["digest"].as_str().unwrap());
    let layer = moved["layers"][0].clone();
    let payload = room.read("other.oci", layer["digest"].as_str().unwrap());
    let said_of = |name: &str, forge: &dyn Fn(&Room, &mut Value)| {
        copy_of(&room.path("app.oci"), &room.path(name));
        room.forge(name, &digest, forge);
        room.refused(&["verify", "--key", "cosign.pub", name])
    };
    let said = said_of("moved.oci", &|room, manifest| {
        let bytes = serde_json::to_vec(&payload).unwrap();
        let new = room.blob("moved.oci", layer["mediaType"].as_str().unwrap(), &bytes);
        assert_eq!(new["digest"], layer["digest"], "the payload as it was");
        manifest["layers"] = json!([layer]);
    });
    assert!(said.contains(&other), "it says whose it is: {said}");
    let cases: [(&str, Forge, &str); 4] = [
        (
            "twice.oci",
            |_, manifest| {
                let layer = manifest["layers"][0].clone();
                manifest["layers"].as_array_mut().unwrap().push(layer);
            },
            "twice",
        ),
        (
            "many.oci",
            |_, manifest| {
                let layer = &manifest["layers"][0];
                let layers = (0..1000).map(|place| {
                    let mut layer = layer.clone();
                    layer["annotations"]["place"] = json!(place.to_string());
                    layer
                });
                manifest["layers"] = layers.collect();
            },
            "more than 100",
        ),
        (
            "tampered.oci",
            |_, manifest| {
                let key = "dev.cosignproject.cosign/signature";
                let signature = manifest["layers"][0]["annotations"][key].as_str().unwrap();
                let last = if signature.contains("Q") {
                    ("Q", "R")
                } else {
                    ("a", "b")
                };
                let signature = signature.replacen(last.0, last.1, 1);
                manifest["layers"][0]["annotations"][key] = json!(signature);
            },
            "not by this key",
        ),
        (
            "empty.oci",
            |_, manifest| manifest["layers"] = json!([]),
            "has no layers",
        ),
    ];
    for (name, forge, expected) in cases {
        let said = said_of(name, &forge);
        assert!(said.contains(expected), "{name}: {said}");
    }
}

#[test]
fn a_wrong_password_is_said_so_and_never_repeated() {
    let room = Room::new();
    room.image("app.oci", "latest", "an app");
    let output = room
        .command(&["sign", "--key", "cosign.key", "app.oci"])
        .env("COSIGN_PASSWORD", "battery staple")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("password"), "{said}");
    assert!(!said.contains("battery"), "{said}");
}

#[test]
fn a_key_in_place_of_its_files_name_is_not_repeated() {
    let room = Room::new();
    room.image("app.oci", "v1", "app");
    let file = fs::read_to_string(room.path("cosign.key")).unwrap();
    let after_equals = format!("--key={file}");
    for (wrong, code) in [
        (&["sign", "--key", &file, "app.oci"][..], 2),
        (&["sign", &after_equals, "app.oci"], 1),
        (&["attest", "app.oci", "--key", &file], 2),
        (&["public-key", "--key", &file], 2),
        (&["app", "--sign", &file], 2),
    ] {
        let output = room.run(wrong);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("env://"), "{said}");
        for line in file.lines().skip(1) {
            assert!(!said.contains(line), "{said}");
        }
    }
}

#[test]
fn signatures_travel_unless_they_are_left() {
    let room = Room::new();
    room.image("app.oci", "latest", "an app");
    room.done(&["sign", "--key", "cosign.key", "app.oci"]);
    room.done(&["copy", "app.oci", "there.oci"]);
    room.done(&["verify", "--key", "cosign.pub", "there.oci"]);
    room.done(&["copy", "app.oci", "there.tar"]);
    room.done(&["verify", "--key", "cosign.pub", "there.tar"]);
    room.done(&["copy", "there.tar", "back.oci"]);
    room.done(&["verify", "--key", "cosign.pub", "back.oci"]);
    room.done(&["copy", "--no-signatures", "app.oci", "bare.oci"]);
    let said = room.refused(&["verify", "--key", "cosign.pub", "bare.oci"]);
    assert!(said.contains("not signed"), "{said}");
}

#[test]
fn an_index_is_signed_as_one_and_its_images_when_asked() {
    let room = Room::new();
    room.index("app.oci", "latest");
    let arm64 = ["--platform", "linux/arm64"];
    room.done(&["sign", "--key", "cosign.key", "app.oci"]);
    room.done(&["verify", "--key", "cosign.pub", "app.oci"]);
    room.refused(&[
        "verify",
        "--key",
        "cosign.pub",
        arm64[0],
        arm64[1],
        "app.oci",
    ]);
    room.done(&["sign", "--recursive", "--key", "cosign.key", "app.oci"]);
    room.done(&[
        "verify",
        "--key",
        "cosign.pub",
        arm64[0],
        arm64[1],
        "app.oci",
    ]);
    room.done(&["copy", "app.oci", "there.oci"]);
    room.done(&[
        "verify",
        "--key",
        "cosign.pub",
        arm64[0],
        arm64[1],
        "there.oci",
    ]);
}

#[test]
fn removing_an_image_removes_its_signatures_alone() {
    let room = Room::new();
    room.image("app.oci", "one", "an app");
    room.image("app.oci", "two", "another");
    for image in ["app.oci:one", "app.oci:two"] {
        room.done(&["sign", "--key", "cosign.key", image]);
    }
    room.done(&["rm", "app.oci:one"]);
    room.done(&["verify", "--key", "cosign.pub", "app.oci"]);
    assert_eq!(room.entries("app.oci").len(), 3, "an image, and two forms");
    room.done(&["rm", "app.oci:two"]);
    assert_eq!(room.blobs("app.oci"), Vec::<PathBuf>::new());
}

#[test]
fn what_is_attested_comes_back_and_is_no_signature() {
    let room = Room::new();
    let digest = room.image("app.oci", "latest", "an app");
    fs::write(room.path("sbom.json"), r#"{"spdxVersion":"SPDX-2.3"}"#).unwrap();
    let sbom = ["--type", "spdxjson", "--predicate", "sbom.json"];
    room.done(&[
        "attest",
        "--key",
        "cosign.key",
        sbom[0],
        sbom[1],
        sbom[2],
        sbom[3],
        "app.oci",
    ]);
    let verify = ["verify-attestation", "--key", "cosign.pub"];
    let lines = room.done(&[
        verify[0], verify[1], verify[2], "--type", "spdxjson", "app.oci",
    ]);
    assert_eq!(lines.lines().count(), 1, "one, in both forms: {lines}");
    for line in lines.lines() {
        let envelope: Value = serde_json::from_str(line).unwrap();
        let payload = envelope["payload"].as_str().unwrap();
        let decoded = Command::new("base64")
            .arg("-d")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                std::io::Write::write_all(child.stdin.as_mut().unwrap(), payload.as_bytes())?;
                child.wait_with_output()
            })
            .unwrap();
        let statement: Value = serde_json::from_slice(&decoded.stdout).unwrap();
        assert_eq!(statement["predicate"]["spdxVersion"], "SPDX-2.3");
        assert_eq!(
            statement["subject"][0]["digest"]["sha256"],
            digest["sha256:".len()..]
        );
    }
    let said = room.refused(&[
        verify[0],
        verify[1],
        verify[2],
        "--type",
        "cyclonedx",
        "app.oci",
    ]);
    assert!(said.contains("spdx"), "it says what there is: {said}");
    let said = room.refused(&["verify", "--key", "cosign.pub", "app.oci"]);
    assert!(said.contains("not signed"), "{said}");
}

#[test]
fn a_docker_archive_has_no_room_and_is_told_so() {
    let room = Room::new();
    room.done(&[
        "/bin/true",
        "--no-cache",
        "--format",
        "docker-archive",
        "-o",
        "app.tar",
    ]);
    for arguments in [
        ["sign", "--key", "cosign.key", "app.tar"],
        ["verify", "--key", "cosign.pub", "app.tar"],
        ["verify-attestation", "--key", "cosign.pub", "app.tar"],
    ] {
        let said = room.refused(&arguments);
        assert!(said.contains("a docker archive has no room"), "{said}");
    }
}

#[test]
fn a_build_signs_what_it_writes() {
    let room = Room::new();
    fs::write(room.path("app.c"), "int main(void) { return 0; }").unwrap();
    let cc = Command::new("cc")
        .args(["app.c", "-o", "app"])
        .current_dir(room.0.path())
        .status()
        .unwrap();
    assert!(cc.success());
    room.done(&["./app", "--no-cache", "--sign", "cosign.key"]);
    room.done(&["verify", "--key", "cosign.pub", "app.oci"]);
    let index = fs::read(room.path("app.oci/index.json")).unwrap();
    room.done(&["./app", "--no-cache"]);
    assert_eq!(
        fs::read(room.path("app.oci/index.json")).unwrap(),
        index,
        "the same image is still signed"
    );
    let said = room.run(&[
        "./app",
        "--sign",
        "cosign.key",
        "--format",
        "docker-archive",
    ]);
    assert_eq!(said.status.code(), Some(2));
    fs::write(room.path("app.c"), "int main(void) { return 1; }").unwrap();
    let cc = Command::new("cc")
        .args(["app.c", "-o", "app"])
        .current_dir(room.0.path())
        .status()
        .unwrap();
    assert!(cc.success());
    room.done(&["./app", "--no-cache"]);
    assert_eq!(
        room.entries("app.oci").len(),
        1,
        "signatures of what is gone are gone"
    );
}

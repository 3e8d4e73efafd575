#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use super::*;
use crate::report::fixture::{Memory, file, layer, on, plain};
use crate::report::{Charset, Json, Terminal};

fn config() -> Value {
    json!({
        "User": "65532:65532", "Entrypoint": ["/usr/bin/app", "two words"], "Cmd": ["-h"],
        "Env": ["PATH=/usr/bin", "LANG=C.UTF-8"], "WorkingDir": "/srv",
        "ExposedPorts": { "8080/tcp": {}, "443/tcp": {} }, "Volumes": { "/data": {} },
        "StopSignal": "SIGINT",
        "Labels": {
            "org.opencontainers.image.base.name": "debian:bookworm-slim",
            "org.opencontainers.image.base.digest": format!("sha256:{}", "cd".repeat(32)),
        },
    })
}

/// An architecture that is not this machine's.
fn foreign() -> &'static str {
    match Platform::host().architecture.as_str() {
        "s390x" => "riscv64",
        _ => "s390x",
    }
}

fn one() -> Memory {
    let mut memory = Memory::default();
    let layers = [layer(&[file("a", b"1")]), layer(&[file("b", b"2")])];
    let manifest = memory.image("amd64", config(), &layers);
    memory.entries = vec![manifest];
    memory.without_layers()
}

fn several(architectures: &[&str]) -> Memory {
    let mut memory = Memory::default();
    let mut manifests: Vec<Value> = architectures
        .iter()
        .map(|architecture| {
            let manifest = memory.image(architecture, config(), &[layer(&[file("a", b"1")])]);
            on(architecture, manifest)
        })
        .collect();
    manifests.push(json!({
        "mediaType": MediaType::ImageManifest, "size": 7,
        "digest": format!("sha256:{}", "ab".repeat(32)),
        "platform": { "os": "unknown", "architecture": "unknown" },
        "annotations": { KIND: ATTESTATION, ATTESTATION_OF: manifests[0]["digest"] },
    }));
    let mut index = memory.index_of(&manifests);
    index["annotations"] = json!({ "org.opencontainers.image.ref.name": "1.0" });
    memory.entries = vec![index];
    memory.without_layers()
}

fn inspected(memory: &Memory) -> Inspection {
    Inspection::of(memory, "app.oci", None, None).unwrap()
}

#[test]
fn an_image_is_described_without_reading_a_layer() {
    let inspection = inspected(&one());
    assert_eq!(inspection.manifests, None);
    let image = inspection.image.as_ref().unwrap();
    assert_eq!(
        image.compressed,
        image.layers.iter().map(|l| l.size).sum::<u64>()
    );
    assert_data_eq!(
        plain(&Terminal::new(80, Charset::Unicode).inspection(&inspection)),
        str![[r#"
app.oci
digest  sha256:f559f11d528db6efc8d38bd6afddc660e4ab4c81e10046304f880000c8ad0c5d
config  sha256:e5f5d45bd54b8c7d275eaafec8760e5017892fa18022adb66f3801030b280f05
base    debian:bookworm-slim
        sha256:cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
4.1 kB compressed · 2 layers · application/vnd.oci.image.manifest.v1+json

platform    linux/amd64
created     2026-01-02T03:04:05Z
user        65532:65532
entrypoint  /usr/bin/app "two words"
cmd         -h
workdir     /srv
env         PATH=/usr/bin
            LANG=C.UTF-8
port        443/tcp
            8080/tcp
volume      /data
signal      SIGINT

layer       compressed  digest
RUN step 1      2.0 kB  sha256:666c8690ac3e
RUN step 2      2.0 kB  sha256:067611ddb561

"#]]
    );
}

#[test]
fn an_index_is_listed_with_its_attestations_and_the_image_of_this_machine() {
    let host = Platform::host().architecture;
    let memory = several(&[foreign(), &host]);
    let inspection = inspected(&memory);
    let listed = inspection.manifests.as_ref().unwrap();
    let marks: Vec<(Option<&str>, bool)> = listed
        .iter()
        .map(|entry| (entry.platform.as_deref(), entry.is_attestation))
        .collect();
    let (first, second) = (format!("linux/{}", foreign()), format!("linux/{host}"));
    assert_eq!(
        marks,
        [
            (Some(first.as_str()), false),
            (Some(second.as_str()), false),
            (Some("unknown/unknown"), true)
        ]
    );
    assert_eq!(listed[2].attests.as_ref(), Some(&listed[0].digest));
    let image = inspection.image.as_ref().unwrap();
    assert_eq!(image.digest, listed[1].digest);
    let text = plain(&Terminal::new(80, Charset::Unicode).inspection(&inspection));
    let attestation = format!("attestation of {}", &listed[0].digest[..19]);
    assert!(text.contains(&attestation), "{text}");
    let json: Value = serde_json::from_str(&Json.inspection(&inspection)).unwrap();
    assert_eq!(json["schema"], "distrobuild.inspect/1");
    assert_eq!(json["manifests"][2]["is_attestation"], true);
    assert_eq!(json["image"]["platform"], second);
}

#[test]
fn an_index_without_an_image_for_this_machine_is_still_listed() {
    let mut memory = several(&[foreign(), "mips64le"]);
    let inspection = inspected(&memory);
    assert_eq!(inspection.image, None);
    let why = inspection.without_image.as_ref().unwrap();
    assert!(why.contains(foreign()) && why.contains("mips64le"), "{why}");
    let text = plain(&Terminal::new(80, Charset::Unicode).inspection(&inspection));
    assert!(text.contains("linux/mips64le"), "{text}");
    // Asked for by name, it is an error.
    let wanted = "linux/riscv32".parse().unwrap();
    Inspection::of(&memory, "app.oci", None, Some(&wanted)).unwrap_err();
    // What is damaged is no reason to be silent.
    memory
        .blobs
        .retain(|_, bytes| bytes.windows(9).any(|w| w == b"manifests"));
    let wanted = Platform::linux(foreign(), None);
    Inspection::of(&memory, "app.oci", None, Some(&wanted)).unwrap_err();
}

#[test]
fn a_platform_that_is_asked_for_is_described_alone() {
    let memory = several(&[foreign(), &Platform::host().architecture]);
    let wanted = Platform::linux(foreign(), None);
    let inspection = Inspection::of(&memory, "app.oci", Some("1.0"), Some(&wanted)).unwrap();
    assert_eq!(inspection.manifests, None);
    let platform = inspection.image.unwrap().platform.unwrap();
    assert_eq!(platform, format!("linux/{}", foreign()));
}

#[test]
fn the_root_is_what_the_tag_leads_to() {
    let memory = several(&["amd64"]);
    let entry = memory.entries[0]["digest"].as_str().unwrap().to_owned();
    for tag in [None, Some("1.0")] {
        let root = root(&memory, tag).unwrap().unwrap();
        assert_eq!(root.digest().to_string(), entry);
    }
    let error = root(&memory, Some("2.0")).unwrap_err().to_string();
    assert!(error.contains("2.0") && error.contains("1.0"), "{error}");
    let error = root(&Memory::default(), None).unwrap_err().to_string();
    assert!(error.contains("memory"), "{error}");
}

#[test]
fn two_tags_need_a_choice_and_platforms_beside_each_other_do_not() {
    let mut memory = Memory::default();
    let manifests: Vec<Value> = [foreign(), &Platform::host().architecture]
        .iter()
        .map(|architecture| on(architecture, memory.image(architecture, config(), &[])))
        .collect();
    memory.entries = manifests;
    let inspection = inspected(&memory);
    assert_eq!(inspection.digest, None);
    assert_eq!(inspection.manifests.unwrap().len(), 2);
    assert!(inspection.image.is_some());
    for (entry, tag) in memory.entries.iter_mut().zip(["a", "b"]) {
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    }
    let error = Inspection::of(&memory, "x", None, None).unwrap_err();
    assert!(matches!(error, StoreError::TagNeeded { .. }), "{error}");
}

#[test]
fn an_artifact_is_described_as_what_it_is() {
    let mut memory = Memory::default();
    let config = memory.add(
        MediaType::from("application/vnd.oci.empty.v1+json"),
        b"{}".to_vec(),
    );
    let manifest = json!({
        "schemaVersion": 2, "config": config, "layers": [],
        "artifactType": "application/vnd.example.sbom",
    });
    let manifest = memory.add(MediaType::ImageManifest, manifest.to_string().into_bytes());
    memory.entries = vec![manifest];
    let image = inspected(&memory).image.unwrap();
    assert_eq!(
        (image.artifact_type.as_deref(), image.platform),
        (Some("application/vnd.example.sbom"), None)
    );
}

#[test]
fn an_entry_that_is_neither_manifest_nor_index_is_an_error() {
    let mut memory = Memory::default();
    memory.entries = vec![memory.add(MediaType::from("text/plain"), b"{}".to_vec())];
    let error = Inspection::of(&memory, "x", None, None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("text/plain"), "{error}");
}

#[test]
fn what_an_image_says_steers_no_terminal_and_widens_no_line() {
    let evil = "x\u{1b}[2J\u{202e}".repeat(30);
    let mut memory = Memory::default();
    let variables: Vec<String> = (0..100).map(|n| format!("{evil}{n}={evil}")).collect();
    let config = json!({
        "User": evil, "Env": variables, "Entrypoint": [evil], "Labels": { &evil: evil },
        "StopSignal": evil, "ExposedPorts": { &evil: {} }, "WorkingDir": evil,
    });
    let manifest = memory.image("amd64", config, &[layer(&[file("a", b"1")])]);
    memory.entries = vec![manifest];
    let inspection = inspected(&memory);
    for width in 40..100 {
        let ascii = Terminal::new(width, Charset::Ascii).inspection(&inspection);
        assert!(ascii.is_ascii());
        let unicode = Terminal::new(width, Charset::Unicode).inspection(&inspection);
        for text in [plain(&ascii), plain(&unicode)] {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
            assert!(text.contains("and 68 more"), "{text}");
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
                assert_eq!(line.trim_end(), line);
            }
        }
    }
    assert!(!Json.inspection(&inspection).contains("\\u001b"));
}

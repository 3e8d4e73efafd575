//! `distrobuild rebase` of images for several platforms, in a layout.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use distrobuild::layer::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A layout that holds an app on `old`, with an attestation, and `old` and `new`; each for two
/// platforms.
struct Layout(TempDir);

impl Layout {
    fn new() -> Self {
        let layout = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir_all(layout.path("blobs/sha256")).unwrap();
        std::fs::write(
            layout.path("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .unwrap();
        let (old, new) = (layout.base("old"), layout.base("new"));
        let on = |base: &Value, layer: &str, architecture: &str| {
            let mut app = layout.image(
                architecture,
                &["old", layer],
                json!({
                    "dev.distrobuild.base.layers": "1",
                    "org.opencontainers.image.base.digest": base["digest"],
                }),
            );
            app["platform"] = json!({ "os": "linux", "architecture": architecture });
            app
        };
        let (amd64, arm64) = (on(&old[0], "app", "amd64"), on(&old[1], "app", "arm64"));
        let mut attestation = layout.image("unknown", &["statement"], json!({}));
        attestation["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
        attestation["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": amd64["digest"],
        });
        let entries = [
            layout.index("old", &old),
            layout.index("new", &new),
            layout.index("app", &[amd64, arm64, attestation]),
        ];
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
        std::fs::write(layout.path("index.json"), index.to_string()).unwrap();
        layout
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes).to_string();
        let name = digest.trim_start_matches("sha256:");
        std::fs::write(self.path("blobs/sha256").join(name), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    fn image(&self, architecture: &str, layers: &[&str], annotations: Value) -> Value {
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| {
                let content = format!("{layer} for {architecture}");
                self.blob("application/vnd.oci.image.layer.v1.tar", content.as_bytes())
            })
            .collect();
        let ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        let config = json!({
            "os": "linux", "architecture": architecture, "config": {},
            "rootfs": { "type": "layers", "diff_ids": ids },
        });
        let config = self.blob(
            "application/vnd.oci.image.config.v1+json",
            config.to_string().as_bytes(),
        );
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
            "annotations": annotations,
        });
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    fn base(&self, layer: &str) -> [Value; 2] {
        ["amd64", "arm64"].map(|architecture| {
            let mut image = self.image(architecture, &[layer], json!({}));
            image["platform"] = json!({ "os": "linux", "architecture": architecture });
            image
        })
    }

    fn index(&self, tag: &str, manifests: &[Value]) -> Value {
        let index = json!({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests,
            "annotations": { "org.example.kept": "yes" },
        });
        let mut entry = self.blob(INDEX, index.to_string().as_bytes());
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        entry
    }

    fn rebase(&self, onto: &str, more: &[&str]) -> Output {
        let of = |tag: &str| format!("{}:{tag}", self.0.path().display());
        Command::new(env!("CARGO_BIN_EXE_distrobuild"))
            .args(["rebase", &of("app"), "--old-base", &of("old")])
            .args(["--onto", &of(onto)])
            .args(more)
            .env("XDG_CACHE_HOME", self.path("cache"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The descriptor and the content of the index that is tagged `app`.
    fn app(&self) -> (Value, Value) {
        let index = read(&self.path("index.json"));
        let entries = index["manifests"].as_array().unwrap().iter();
        let tag = "org.opencontainers.image.ref.name";
        let mut tagged = entries.filter(|entry| entry["annotations"][tag] == "app");
        let entry = tagged.next().unwrap().clone();
        let name = entry["digest"].as_str().unwrap().replace(':', "/");
        let content = read(&self.path("blobs").join(name));
        (entry, content)
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_index_on_the_newest_base_stays_as_it_is_with_its_attestation() {
    let layout = Layout::new();
    let before = layout.app();
    let output = layout.rebase("old", &[]);
    assert!(output.status.success(), "{}", said(&output));
    let after = layout.app();
    assert_eq!(before.0["digest"], after.0["digest"], "{}", said(&output));
    assert!(!said(&output).contains("attestation"), "{}", said(&output));
}

#[test]
fn an_index_that_moves_keeps_its_annotations_and_tells_of_attestations() {
    let layout = Layout::new();
    let output = layout.rebase("new", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("the attestation is"),
        "{}",
        said(&output)
    );
    let (_, index) = layout.app();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2, "{index}");
    assert_eq!(index["annotations"]["org.example.kept"], "yes", "{index}");
}

#[test]
fn one_platform_does_not_take_the_name_of_all() {
    let layout = Layout::new();
    let before = layout.app();
    let output = layout.rebase("new", &["--platform", "linux/arm64"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--to"), "{}", said(&output));
    assert_eq!(layout.app(), before);
}

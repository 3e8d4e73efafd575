//! Other tools read every form that we write, and take it from one form to another.

use std::path::Path;

use serde_json::{Value, json};

use crate::container::Bundle;
use crate::image::{Image, sha256};
use crate::tools::{run, tool};
use crate::workshop::{Workshop, installed};

/// What `skopeo inspect` says of a reference.
#[track_caller]
fn inspect(reference: &str) -> Value {
    serde_json::from_str(&run(tool("skopeo").args(["inspect", reference])).output()).unwrap()
}

#[track_caller]
fn copy(from: &str, to: &str) {
    run(tool("skopeo").args(["copy", "--quiet", "--insecure-policy", from, to])).output();
}

/// What jq prints when the image is run.
#[track_caller]
fn answer(image: &Image, workshop: &Workshop) -> String {
    Bundle::of(image, workshop)
        .with(&["-n", "6 * 7"])
        .run()
        .output()
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn skopeo_inspects_a_layout() {
    let workshop = Workshop::new();
    let image = workshop.build(
        installed("jq"),
        "jq.oci",
        &[
            "--tag",
            "v1",
            "--label",
            "org.example.team=tools",
            "--annotation",
            "org.example.ticket=17",
            "--port",
            "8080",
        ],
    );
    let found = inspect(&image.transport());
    assert_eq!(found["Digest"], image.digest().as_str());
    assert_eq!(found["Architecture"], architecture());
    assert_eq!(found["Os"], "linux");
    assert_eq!(found["Labels"]["org.example.team"], "tools");
    assert_eq!(found["Layers"], json!(image.layers()));
    let config: Value = serde_json::from_str(
        &run(tool("skopeo").args(["inspect", "--config", &image.transport()])).output(),
    )
    .unwrap();
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["ExposedPorts"], json!({"8080/tcp": {}}));
    assert_eq!(image.manifest()["annotations"]["org.example.ticket"], "17");
    image.assert_whole();
}

/// GOARCH of this machine.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_oci_archive_holds_the_same_image_as_a_layout() {
    let workshop = Workshop::new();
    let image = workshop.build(installed("jq"), "jq.oci", &[]);
    workshop.try_build(installed("jq"), "jq.tar", &[]).output();
    let archive = format!("oci-archive:{}", workshop.path("jq.tar").display());
    let found = inspect(&format!("{archive}:latest"));
    assert_eq!(found["Digest"], image.digest().as_str());
    let unpacked = Image::new(workshop.path("copied.oci"), "latest");
    copy(&format!("{archive}:latest"), &unpacked.transport());
    assert_eq!(unpacked.digest(), image.digest());
    assert_eq!(answer(&unpacked, &workshop), "42\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_docker_archive_is_read_and_runs() {
    let workshop = Workshop::new();
    let image = workshop.build(installed("jq"), "jq.oci", &[]);
    workshop
        .try_build(
            installed("jq"),
            "jq.docker.tar",
            &["--format", "docker-archive", "--tag", "v2"],
        )
        .output();
    let archive = format!(
        "docker-archive:{}",
        workshop.path("jq.docker.tar").display()
    );
    let found = inspect(&archive);
    assert_eq!(found["Architecture"], architecture());
    assert_eq!(
        found["Layers"].as_array().unwrap().len(),
        image.layers().len()
    );
    let tags = run(tool("skopeo").args(["list-tags", &archive])).output();
    assert!(tags.contains(":v2\""), "{tags}");
    let copied = Image::new(workshop.path("copied.oci"), "latest");
    copy(&archive, &copied.transport());
    // The layers' content is the same: the config names it by digest.
    assert_eq!(
        copied.config()["rootfs"]["diff_ids"],
        image.config()["rootfs"]["diff_ids"]
    );
    assert_eq!(answer(&copied, &workshop), "42\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn images_travel_through_other_forms_and_back() {
    let workshop = Workshop::new();
    let image = workshop.build(installed("jq"), "jq.oci", &[]);

    let directory = format!("dir:{}", workshop.path("directory").display());
    copy(&image.transport(), &directory);
    let back = Image::new(workshop.path("back.oci"), "latest");
    copy(&directory, &back.transport());
    assert_eq!(back.digest(), image.digest());
    assert_eq!(answer(&back, &workshop), "42\n");

    let docker = format!(
        "docker-archive:{}:example/jq:v1",
        workshop.path("docker.tar").display()
    );
    copy(&image.transport(), &docker);
    let back = Image::new(workshop.path("docker.oci"), "latest");
    copy(&docker, &back.transport());
    assert_eq!(answer(&back, &workshop), "42\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn buildah_builds_upon_an_image() {
    let workshop = Workshop::new();
    let image = workshop.build(installed("jq"), "jq.oci", &[]);
    let extra = workshop.write("data.json", "{\"answer\": 42}\n");
    let buildah = Buildah::new(&workshop);
    let container = &buildah.from(&image, "localhost/jq:v1");
    buildah.run(&["copy", container, extra.to_str().unwrap(), "/data.json"]);
    let widened = Image::new(workshop.path("wide.oci"), "latest");
    buildah.run(&["commit", "--quiet", container, &widened.transport()]);
    let output = Bundle::of(&widened, &workshop)
        .with(&[".answer", "/data.json"])
        .run()
        .output();
    assert_eq!(output, "42\n");
}

/// buildah with storage of its own in the workshop.
pub(crate) struct Buildah {
    storage: std::path::PathBuf,
}

impl Buildah {
    pub(crate) fn new(workshop: &Workshop) -> Self {
        Self {
            storage: workshop.directory("buildah"),
        }
    }

    /// A container of `image`, which is stored as `name`: by `skopeo`, since buildah makes a name
    /// of the path of a layout and refuses capitals in it.
    #[track_caller]
    pub(crate) fn from(&self, image: &Image, name: &str) -> String {
        let stored = format!(
            "containers-storage:[vfs@{}+{}]{name}",
            self.storage.join("root").display(),
            self.storage.join("run").display()
        );
        copy(&image.transport(), &stored);
        let container = self.run(&["from", "--pull-never", name]);
        container.trim().to_owned()
    }

    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        run(tool("buildah")
            .args(["--storage-driver", "vfs", "--root"])
            .arg(self.storage.join("root"))
            .arg("--runroot")
            .arg(self.storage.join("run"))
            .args(arguments))
        .output()
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn two_tags_live_in_one_layout() {
    let workshop = Workshop::new();
    let first = workshop.build(installed("jq"), "both.oci", &["--tag", "jq"]);
    let digest = first.digest();
    let second = workshop.build(installed("sqlite3"), "both.oci", &["--tag", "sqlite3"]);
    assert_eq!(first.digest(), digest);
    assert_ne!(second.digest(), digest);
    assert_eq!(inspect(&first.transport())["Digest"], digest.as_str());
    assert_eq!(
        inspect(&second.transport())["Digest"],
        second.digest().as_str()
    );
    assert_eq!(answer(&first, &workshop), "42\n");
    assert_only_used_blobs(&first.layout, &[&first, &second]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_tag_that_is_built_again_leaves_no_old_blobs() {
    let workshop = Workshop::new();
    let kept = workshop.build(installed("jq"), "both.oci", &["--tag", "kept"]);
    workshop.build(installed("sqlite3"), "both.oci", &["--tag", "moving"]);
    let moved = workshop.build(installed("curl"), "both.oci", &["--tag", "moving"]);
    kept.assert_whole();
    moved.assert_whole();
    assert_only_used_blobs(&kept.layout, &[&kept, &moved]);
}

/// Checks that the blobs in `layout` are those of `images`.
#[track_caller]
fn assert_only_used_blobs(layout: &Path, images: &[&Image]) {
    let mut used: Vec<String> = images
        .iter()
        .flat_map(|image| {
            let config = image.manifest()["config"]["digest"]
                .as_str()
                .unwrap()
                .to_owned();
            [image.layers(), vec![image.digest(), config]].concat()
        })
        .collect();
    used.sort();
    used.dedup();
    let mut stored: Vec<String> = std::fs::read_dir(layout.join("blobs/sha256"))
        .unwrap()
        .map(|blob| sha256(&blob.unwrap().path()))
        .collect();
    stored.sort();
    assert_eq!(stored, used);
}

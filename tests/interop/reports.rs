//! Reports of images that other tools have made.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;

use crate::exchange::Buildah;
use crate::image::Image;
use crate::tools::{run, tool};
use crate::workshop::{Workshop, installed};

/// The JSON report of an image, as text and parsed.
#[track_caller]
fn report(workshop: &Workshop, image: &str) -> (String, Value) {
    let text = run(workshop
        .distrobuild()
        .args(["report", "--report", "json", image]))
    .output();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["schema"], "distrobuild.report/1", "{text}");
    (text, value)
}

/// A directory tree with one program.
fn tree(workshop: &Workshop) -> std::path::PathBuf {
    let tree = workshop.directory("tree");
    std::fs::copy(installed("busybox"), workshop.path("tree/usr/bin/busybox")).unwrap();
    tree
}

/// An image of `tree` made by umoci.
#[track_caller]
fn umoci_image(workshop: &Workshop, tree: &Path) -> Image {
    let image = Image::new(workshop.path("umoci.oci"), "latest");
    run(tool("umoci").args(["init", "--layout"]).arg(&image.layout)).output();
    run(tool("umoci").args(["new", "--image", &image.reference()])).output();
    run(tool("umoci")
        .args(["insert", "--image", &image.reference()])
        .arg(tree)
        .arg("/"))
    .output();
    image
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_image_of_umoci_is_reported() {
    let workshop = Workshop::new();
    let image = umoci_image(&workshop, &tree(&workshop));
    let (text, value) = report(&workshop, &image.reference());
    assert!(text.contains("usr/bin/busybox"), "{text}");
    assert_eq!(value["digest"], image.digest().as_str());
    let size = std::fs::metadata(installed("busybox")).unwrap().len();
    assert_eq!(value["unpacked"], size, "{text}");
    assert_eq!(value["file_count"], 1, "{text}");
    let manifest = image.manifest();
    let layers = manifest["layers"].as_array().unwrap();
    let compressed: u64 = layers.iter().map(|l| l["size"].as_u64().unwrap()).sum();
    assert_eq!(value["compressed"], compressed, "{text}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_image_of_buildah_is_reported() {
    let workshop = Workshop::new();
    let tree = tree(&workshop);
    let buildah = Buildah::new(&workshop);
    let container = buildah.run(&["from", "scratch"]);
    let container = container.trim();
    buildah.run(&["copy", container, tree.to_str().unwrap(), "/"]);
    let image = Image::new(workshop.path("buildah.oci"), "latest");
    buildah.run(&["commit", "--quiet", container, &image.transport()]);
    let (text, value) = report(&workshop, &image.reference());
    assert!(text.contains("usr/bin/busybox"), "{text}");
    assert_eq!(value["digest"], image.digest().as_str());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn archives_made_by_skopeo_are_reported() {
    let workshop = Workshop::new();
    let image = umoci_image(&workshop, &tree(&workshop));
    for (transport, name) in [("oci-archive", "oci.tar"), ("docker-archive", "docker.tar")] {
        let path = workshop.path(name);
        run(tool("skopeo").args([
            "copy",
            "--quiet",
            "--insecure-policy",
            &image.transport(),
            &format!("{transport}:{}:example/busybox:latest", path.display()),
        ]))
        .output();
        let (text, _) = report(&workshop, path.to_str().unwrap());
        assert!(text.contains("usr/bin/busybox"), "{transport}: {text}");
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_zstd_image_that_skopeo_made_is_reported() {
    let workshop = Workshop::new();
    let image = umoci_image(&workshop, &tree(&workshop));
    let zstd = Image::new(workshop.path("zstd.oci"), "latest");
    run(tool("skopeo").args([
        "copy",
        "--quiet",
        "--insecure-policy",
        "--dest-compress-format",
        "zstd",
        &image.transport(),
        &zstd.transport(),
    ]))
    .output();
    assert!(zstd.media_types()[0].ends_with("+zstd"));
    let (text, _) = report(&workshop, &zstd.reference());
    assert!(text.contains("usr/bin/busybox"), "{text}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_build_reports_what_report_says_afterwards() {
    let workshop = Workshop::new();
    let mut build = workshop.distrobuild();
    build
        .args(["--report", "json", "-o"])
        .arg(workshop.path("jq.oci"))
        .arg(installed("jq"));
    let built: Value = serde_json::from_str(&run(&mut build).output()).unwrap();
    let image = Image::new(workshop.path("jq.oci"), "latest");
    let (_, later) = report(&workshop, &image.reference());
    assert_eq!(built["digest"], image.digest().as_str());
    for field in [
        "schema",
        "platform",
        "digest",
        "compressed",
        "unpacked",
        "file_count",
        "layers",
    ] {
        assert_eq!(built[field], later[field], "{field}");
    }
    // The figures are those of the files that another tool unpacks.
    let rootfs = crate::container::Bundle::of(&image, &workshop).rootfs();
    let sizes = sizes(&rootfs);
    assert_eq!(built["file_count"], sizes.len());
    assert_eq!(built["unpacked"], sizes.values().sum::<u64>());
}

/// The sizes of the regular files below `directory` by inode: a file with several names once.
fn sizes(directory: &Path) -> BTreeMap<u64, u64> {
    crate::image::contents(directory)
        .into_keys()
        .map(|path| directory.join(path).symlink_metadata().unwrap())
        .filter(std::fs::Metadata::is_file)
        .map(|file| (file.ino(), file.len()))
        .collect()
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_quiet_line_names_the_image_for_a_script() {
    let workshop = Workshop::new();
    let mut build = workshop.distrobuild();
    build
        .args(["-q", "--tag", "v3", "-o", "jq.oci"])
        .arg(installed("jq"));
    let line = run(&mut build).output();
    assert_eq!(line, "jq.oci:v3\n");
    let transport = format!("oci:{}/{}", workshop.path("").display(), line.trim_end());
    run(tool("skopeo").args(["inspect", &transport])).output();
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_image_over_its_budget_fails_and_names_what_is_big() {
    let workshop = Workshop::new();
    let stderr = workshop
        .try_build(installed("jq"), "jq.oci", &["--max-size", "10kB"])
        .exited_with(3);
    assert!(stderr.contains("libc"), "{stderr}");
    workshop
        .try_build(installed("jq"), "jq.oci", &["--max-size", "1GB"])
        .output();
}

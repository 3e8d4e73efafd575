//! Every compression and both ways of splitting give images that run and hold the same.

use crate::container::Bundle;
use crate::image::Image;
use crate::tools::{run, tool};
use crate::workshop::{Workshop, installed};

/// A layer's media type without the suffix of its compression.
const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// The same image with gzip layers, made by `skopeo`: umoci knows no zstd before 0.5.
#[track_caller]
fn recompressed(image: &Image, workshop: &Workshop) -> Image {
    let gzip = Image::new(workshop.path("recompressed.oci"), &image.tag);
    run(tool("skopeo").args([
        "copy",
        "--quiet",
        "--insecure-policy",
        "--dest-compress-format",
        "gzip",
        &image.transport(),
        &gzip.transport(),
    ]))
    .output();
    gzip
}

#[track_caller]
fn assert_runs(image: &Image, workshop: &Workshop) {
    let output = Bundle::of(image, workshop)
        .with(&["-n", "6 * 7"])
        .run()
        .output();
    assert_eq!(output, "42\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn gzip_zstd_and_plain_layers_hold_the_same_and_run() {
    let workshop = Workshop::new();
    let jq = installed("jq");
    let gzip = workshop.build(&jq, "gzip.oci", &["--compression", "gzip:9"]);
    let zstd = workshop.build(&jq, "zstd.oci", &["--compression", "zstd:9"]);
    let none = workshop.build(&jq, "none.oci", &["--compression", "none"]);
    for (image, suffix) in [(&gzip, "+gzip"), (&zstd, "+zstd"), (&none, "")] {
        image.assert_whole();
        for media_type in image.media_types() {
            assert_eq!(media_type, format!("{TAR}{suffix}"));
        }
        assert_eq!(
            image.config()["rootfs"]["diff_ids"],
            gzip.config()["rootfs"]["diff_ids"],
            "one content in every compression"
        );
    }
    assert_runs(&gzip, &workshop);
    assert_runs(&none, &workshop);
    // Plain tar: what the config says of the content is the digest of the blob itself.
    assert_eq!(
        serde_json::json!(none.layers()),
        none.config()["rootfs"]["diff_ids"]
    );

    // skopeo checks the diff_ids as it recompresses.
    assert_runs(&recompressed(&zstd, &workshop), &workshop);
    for layer in zstd.layers() {
        run(tool("zstd").arg("-tq").arg(zstd.blob(&layer))).output();
    }
    for layer in gzip.layers() {
        run(tool("sh")
            .args(["-c", "gzip -t < \"$0\""])
            .arg(gzip.blob(&layer)))
        .output();
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn gunzip_makes_the_tar_whose_digest_the_config_names() {
    let workshop = Workshop::new();
    let image = workshop.build(installed("jq"), "jq.oci", &[]);
    let diff_ids = image.config()["rootfs"]["diff_ids"].clone();
    for (number, layer) in image.layers().iter().enumerate() {
        let listing = run(tool("sh")
            .args(["-c", "gzip -dc < \"$0\" | sha256sum"])
            .arg(image.blob(layer)))
        .output();
        let digest = listing.split_whitespace().next().unwrap();
        assert_eq!(diff_ids[number], format!("sha256:{digest}").as_str());
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_estargz_image_runs_and_carries_its_table_of_contents() {
    let workshop = Workshop::new();
    let image = workshop.build(installed("jq"), "jq.oci", &["--compression", "estargz"]);
    image.assert_whole();
    for layer in image.manifest()["layers"].as_array().unwrap() {
        let digest = layer["annotations"]["containerd.io/snapshot/stargz/toc.digest"]
            .as_str()
            .unwrap_or_else(|| panic!("no digest of the table of contents in {layer}"));
        // The table is the last entry of the tar; its digest is that of its text.
        let blob = image.blob(layer["digest"].as_str().unwrap());
        let text = run(tool("sh")
            .args(["-c", "tar -xOzf \"$0\" stargz.index.json | sha256sum"])
            .arg(&blob))
        .output();
        assert_eq!(
            format!("sha256:{}", text.split_whitespace().next().unwrap()),
            digest
        );
        let bytes = std::fs::read(&blob).unwrap();
        let footer = &bytes[bytes.len() - 51..];
        assert!(
            footer.windows(6).any(|window| window == b"STARGZ"),
            "{footer:?}"
        );
    }
    assert_runs(&image, &workshop);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_single_layer_holds_what_the_split_ones_hold() {
    let workshop = Workshop::new();
    let split = workshop.build(installed("jq"), "split.oci", &["--layers", "split"]);
    let single = workshop.build(installed("jq"), "single.oci", &["--layers", "single"]);
    assert_eq!(split.layers().len(), 3);
    assert_eq!(single.layers().len(), 1);
    assert_eq!(split.paths(), single.paths());
    assert_runs(&single, &workshop);
}

//! An index, and the images in it.

use crate::image::json;
use crate::tools::{run, tool};
use crate::workshop::assert_tells;

use super::bench::{Bench, Form, Line, claims};

/// An index for two platforms in `repository`: its digest, then those of its images.
#[track_caller]
fn push(bench: &Bench, repository: &str) -> [String; 3] {
    let workshop = &bench.workshop;
    let layout = workshop.path("both.oci");
    if !layout.exists() {
        let app = workshop.path("arm64/app");
        run(tool("aarch64-linux-gnu-gcc")
            .args(["-static", "-o"])
            .arg(&app)
            .arg(workshop.path("source/app.c")))
        .output();
        workshop.build(app, "arm64.oci", &[]);
        let parts = ["--add", "app.oci", "--add", "arm64.oci"];
        bench
            .ours(&[&["index", "both.oci:1"], &parts[..]].concat())
            .output();
    }
    let name = bench.registry.name(repository);
    bench
        .ours(&["push", "both.oci:1", &format!("{name}:1")])
        .output();
    let root = json(&layout.join("index.json"))["manifests"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let index = json(&layout.join("blobs").join(root.replace(':', "/")));
    let part = |at: usize| {
        let digest = index["manifests"][at]["digest"].as_str().unwrap();
        format!("{name}@{digest}")
    };
    [format!("{name}@{root}"), part(0), part(1)]
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_index_is_signed_by_itself() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    for form in Form::ALL {
        let [index, first, second] = push(&bench, &format!("index-{}", form.name()));
        bench.sign(&key, form, &index, &[]);
        let ours = claims(&bench.verify(&key, &index, &[]).output());
        for line in Line::ALL {
            let theirs = bench.cosign_verify(line, &key, form, &index, &[]);
            assert_eq!(claims(&theirs.output()), ours, "{line:?} {form:?}");
            for image in [&first, &second] {
                let unsigned = bench.cosign_verify(line, &key, form, image, &[]);
                assert!(!unsigned.status.success(), "{unsigned}");
            }
        }
        for image in [&first, &second] {
            bench.verify(&key, image, &[]).exited_with(1);
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn recursively_every_image_of_an_index_is_signed_by_either() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    for form in Form::ALL {
        let images = push(&bench, &format!("ours-{}", form.name()));
        bench.sign(&key, form, &images[0], &["--recursive"]);
        for image in &images {
            for line in Line::ALL {
                let theirs = bench.cosign_verify(line, &key, form, image, &[]);
                assert_eq!(claims(&theirs.output()).len(), 1, "{line:?} {image}");
            }
            bench.verify(&key, image, &[]).output();
        }
        for line in Line::ALL {
            let images = push(&bench, &format!("{}-{}", line.name(), form.name()));
            bench.cosign_sign(line, &key, form, &images[0], &["--recursive"]);
            for image in &images {
                let ours = claims(&bench.verify(&key, image, &[]).output());
                assert_eq!(ours.len(), 1, "{line:?} {image}");
            }
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_image_for_one_platform_is_signed_alone() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let [index, ..] = push(&bench, "alone");
    let platform = ["--platform", "linux/arm64"];
    bench.sign(&key, Form::Classic, &index, &platform);
    bench.verify(&key, &index, &platform).output();
    let message = bench.verify(&key, &index, &[]).exited_with(1);
    assert_tells(&message, &["sign"]);
    let other = ["--platform", "linux/amd64"];
    bench.verify(&key, &index, &other).exited_with(1);
}

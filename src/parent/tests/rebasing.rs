//! The same app on another base.

use super::*;
use crate::image::{Image, parse};

fn layers(names: &[&str]) -> Vec<Vec<u8>> {
    let tars = names
        .iter()
        .map(|name| Tar::new().file(name, *name).bytes());
    tars.collect()
}

/// An image of layers with these names; `history` tells of each.
fn put(
    images: &Images,
    names: &[&str],
    architecture: &str,
    process: Value,
    form: Form,
) -> Descriptor {
    let mut config = config(architecture, process);
    config["history"] = names
        .iter()
        .map(|name| json!({"created_by": name}))
        .collect();
    config["created"] = json!(format!("2020-01-0{}T00:00:00Z", names.len()));
    config["author"] = json!(names[0]);
    images.image(&layers(names), config, form)
}

fn annotated(images: &Images, image: &Descriptor, annotations: Value) -> Descriptor {
    let mut manifest = images.document(image.digest().as_ref());
    manifest["annotations"] = annotations;
    images.manifest(&manifest)
}

fn rebased(
    images: &Images,
    app: &Descriptor,
    old: &Descriptor,
    new: &Descriptor,
) -> Result<Image, ParentError> {
    let source = Layout::open(images.path()).unwrap();
    rebase(
        (&source, app),
        (&source, old),
        (&source, new, Some("new:1".into())),
    )
}

fn process(image: &Image) -> Value {
    let config: Value = parse(&image.config).unwrap();
    config["config"].clone()
}

#[test]
fn the_layers_of_the_base_are_replaced_and_all_else_of_the_app_stays() {
    let images = Images::new();
    let old = put(&images, &["o1", "o2"], "amd64", json!({}), Form::Docker);
    let new = put(&images, &["n1", "n2", "n3"], "amd64", json!({}), Form::Gzip);
    let app = put(
        &images,
        &["o1", "o2", "libs", "app"],
        "amd64",
        json!({}),
        Form::Zstd,
    );
    let app = annotated(
        &images,
        &app,
        json!({"mine": "x", ANNOTATION_BASE_NAME: "old:1", ANNOTATION_BASE_LAYERS: "2"}),
    );
    let image = rebased(&images, &app, &old, &new).unwrap();
    let config: Value = parse(&image.config).unwrap();
    let names = ["n1", "n2", "n3", "libs", "app"];
    let diff_ids: Vec<String> = layers(&names)
        .iter()
        .map(|tar| fixture::digest(tar))
        .collect();
    assert_eq!(config["rootfs"]["diff_ids"], json!(diff_ids));
    let steps: Vec<&str> = config["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["created_by"].as_str().unwrap())
        .collect();
    assert_eq!(steps, names);
    assert_eq!(config["created"], "2020-01-04T00:00:00Z");
    assert_eq!(config["author"], "n1");
    let manifest: Value = parse(&image.manifest).unwrap();
    assert_eq!(
        manifest["annotations"],
        json!({
            "mine": "x",
            ANNOTATION_BASE_NAME: "new:1",
            ANNOTATION_BASE_DIGEST: new.digest().to_string(),
            ANNOTATION_BASE_LAYERS: "3",
        })
    );
    let types: Vec<&str> = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["mediaType"].as_str().unwrap())
        .collect();
    assert!(
        types[..3].iter().all(|it| it.ends_with("tar+gzip")),
        "{types:?}"
    );
    assert!(
        types[3..].iter().all(|it| it.ends_with("tar+zstd")),
        "{types:?}"
    );
    assert_eq!(image.layers.len(), 5);
    assert_eq!(
        image.descriptor.digest().to_string(),
        fixture::digest(&image.manifest)
    );
    assert_eq!(rebased(&images, &app, &old, &new).unwrap(), image);
}

#[test]
fn what_of_the_config_came_from_the_old_base_comes_from_the_new_one() {
    let images = Images::new();
    let old = put(
        &images,
        &["o"],
        "amd64",
        json!({
            "User": "1", "WorkingDir": "/w", "StopSignal": "SIGINT", "Env": ["PATH=/old", "OLD=1", "BOTH=old"],
            "Labels": {"version": "1", "gone": "1", "own": "1"}, "Cmd": ["sh"], "OnBuild": ["RUN x"],
            "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}},
        }),
        Form::Gzip,
    );
    let new = put(
        &images,
        &["n"],
        "amd64",
        json!({
            "User": "2", "WorkingDir": "/x", "Env": ["NEW=1", "PATH=/new", "BOTH=new"], "Healthcheck": {"Test": ["NONE"]},
            "Labels": {"version": "2", "own": "2"}, "Entrypoint": ["/init"], "Cmd": ["bash"], "OnBuild": ["RUN y"],
            "ExposedPorts": {"81/tcp": {}},
        }),
        Form::Gzip,
    );
    let app = put(
        &images,
        &["o", "a"],
        "amd64",
        json!({
            "User": "1", "WorkingDir": "/app", "StopSignal": "SIGINT", "Env": ["PATH=/old", "OLD=1", "BOTH=app", "APP=1"],
            "Labels": {"version": "1", "gone": "1", "own": "app", "app": "x"}, "Entrypoint": ["/app/app"],
            "ExposedPorts": {"80/tcp": {}, "9000/tcp": {}}, "Volumes": {"/v": {}},
        }),
        Form::Gzip,
    );
    assert_eq!(
        process(&rebased(&images, &app, &old, &new).unwrap()),
        json!({
            "User": "2", "WorkingDir": "/app", "Env": ["NEW=1", "PATH=/new", "BOTH=app", "APP=1"], "Healthcheck": {"Test": ["NONE"]},
            "Labels": {"version": "2", "own": "app", "app": "x"}, "Entrypoint": ["/app/app"],
            "ExposedPorts": {"81/tcp": {}, "9000/tcp": {}},
        })
    );
}

#[test]
fn an_image_that_is_not_built_on_the_base_is_told_how_far_they_agree() {
    let images = Images::new();
    let old = put(&images, &["o1", "o2", "o3"], "amd64", json!({}), Form::Gzip);
    let new = put(&images, &["n"], "amd64", json!({}), Form::Gzip);
    let message = |app: &Descriptor| rebased(&images, app, &old, &new).unwrap_err().to_string();
    let none = put(&images, &["x", "o2", "o3"], "amd64", json!({}), Form::Gzip);
    assert!(
        message(&none).contains("none of the base's 3 layers"),
        "{}",
        message(&none)
    );
    let some = put(&images, &["o1", "o2", "x"], "amd64", json!({}), Form::Gzip);
    assert!(
        message(&some).contains("only the lowest 2 of the base's 3 layers"),
        "{}",
        message(&some)
    );
    let short = put(&images, &["o1"], "amd64", json!({}), Form::Gzip);
    assert!(
        message(&short).contains("only the lowest 1 of"),
        "{}",
        message(&short)
    );
    let all = put(
        &images,
        &["o1", "o2", "o3", "x", "y"],
        "amd64",
        json!({}),
        Form::Gzip,
    );
    let other = annotated(&images, &all, json!({ANNOTATION_BASE_LAYERS: "4"}));
    assert!(
        message(&other).contains("says that 4 of its layers"),
        "{}",
        message(&other)
    );
    assert!(rebased(&images, &all, &old, &new).is_ok());
}

#[test]
fn bases_for_another_platform_are_refused() {
    let images = Images::new();
    let old = put(&images, &["o"], "amd64", json!({}), Form::Gzip);
    let new = put(&images, &["n"], "arm64", json!({}), Form::Gzip);
    let app = put(&images, &["o", "a"], "amd64", json!({}), Form::Gzip);
    let text = rebased(&images, &app, &old, &new).unwrap_err().to_string();
    assert!(
        text.contains("is for linux/amd64, and ") && text.contains("is for linux/arm64"),
        "{text}"
    );
}

#[test]
fn an_image_says_what_it_was_built_on_or_is_told_not_to() {
    let images = Images::new();
    let source = Layout::open(images.path()).unwrap();
    let app = put(&images, &["o", "a"], "amd64", json!({}), Form::Gzip);
    let text = based_on(&source, &app).unwrap_err().to_string();
    assert!(text.contains("does not say what it was built on"), "{text}");
    let app = annotated(
        &images,
        &app,
        json!({ANNOTATION_BASE_LAYERS: "1", ANNOTATION_BASE_DIGEST: "sha256:x"}),
    );
    assert_eq!(
        based_on(&source, &app).unwrap(),
        BasedOn {
            name: None,
            digest: Some("sha256:x".into()),
            layers: Some(1)
        }
    );
    // Other tools name the base alone.
    let app = annotated(&images, &app, json!({ANNOTATION_BASE_DIGEST: "sha256:y"}));
    assert_eq!(based_on(&source, &app).unwrap().digest.unwrap(), "sha256:y");
}

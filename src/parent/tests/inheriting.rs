//! Documents that are read, and a config that is inherited.

use std::collections::BTreeMap;

use super::*;
use crate::image::{Settings, describe_on};
use crate::layer::{Digest, Layer};

fn layer(name: &str) -> Layer {
    Layer {
        media_type: oci_spec::image::MediaType::ImageLayerGzip,
        digest: Digest::of(name.as_bytes()),
        size: 10,
        diff_id: Digest::of(format!("{name} tar").as_bytes()),
        tar_size: 1024,
        annotations: BTreeMap::new(),
    }
}

fn parent_of(config: Value, form: Form) -> (Images, Base) {
    let images = Images::new();
    let layers = [
        Tar::new().file("a", "1").bytes(),
        Tar::new().file("b", "2").bytes(),
    ];
    let manifest = images.image(&layers, config, form);
    let base = open(&images, &manifest).unwrap();
    (images, base)
}

fn whole() -> Value {
    json!({
        "os": "linux", "architecture": "arm64", "variant": "v8", "os.features": ["x"],
        "author": "them", "created": "2020-01-01T00:00:00Z", "unknown": {"z": 1, "a": [1.5]},
        "config": {
            "User": "1000:1000", "Env": ["PATH=/old", "A=1", "B", "A=2"], "Entrypoint": ["/old"], "Cmd": ["-x"],
            "WorkingDir": "/old", "ExposedPorts": {"80/tcp": {}}, "Labels": {"l": "old", "m": "kept"},
            "Volumes": {"/data": {}}, "StopSignal": "SIGQUIT", "Shell": ["/bin/bash", "-c"],
            "Healthcheck": {"Test": ["CMD", "/check"], "Interval": 30000000000u64},
            "OnBuild": ["RUN evil"], "Unknown": true,
        },
        "history": [{"created_by": "one"}, {"created_by": "ENV A=1", "empty_layer": true}, {"created_by": "two", "comment": "c"}],
    })
}

fn settings() -> Settings {
    Settings {
        user: "65532:65532".into(),
        entrypoint: vec!["/app/app".into()],
        env: vec![("PATH".into(), "/new".into()), ("C".into(), "3".into())],
        labels: BTreeMap::from([("l".into(), "new".into()), ("m".into(), "kept".into())]),
        ports: vec!["80/tcp".into(), "90/udp".into()],
        created: 86400,
        ..Settings::default()
    }
}

#[test]
fn what_settings_do_not_speak_of_is_the_parents_whatever_it_is() {
    let (_images, base) = parent_of(whole(), Form::Gzip);
    let parent = base.parent().unwrap();
    let layers = vec![(layer("app"), "distrobuild app".to_owned())];
    let image = describe_on(
        parent,
        layers.clone(),
        &"linux/arm64".parse().unwrap(),
        &settings(),
    );
    let config: Value = serde_json::from_slice(&image.config).unwrap();
    let diff_ids = parent.layers.iter().map(|layer| layer.diff_id.to_string());
    let diff_ids: Vec<String> = diff_ids.chain([layer("app").diff_id.to_string()]).collect();
    let expected = json!({
        "os": "linux", "architecture": "arm64", "variant": "v8", "os.features": ["x"],
        "author": "them", "created": "1970-01-02T00:00:00Z", "unknown": {"z": 1, "a": [1.5]},
        "config": {
            "User": "65532:65532", "Env": ["PATH=/new", "C=3"], "Entrypoint": ["/app/app"],
            "ExposedPorts": {"80/tcp": {}, "90/udp": {}}, "Labels": {"l": "new", "m": "kept"},
            "Volumes": {"/data": {}}, "StopSignal": "SIGQUIT", "Shell": ["/bin/bash", "-c"],
            "Healthcheck": {"Test": ["CMD", "/check"], "Interval": 30000000000u64},
            "Unknown": true,
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [
            {"created_by": "one"}, {"created_by": "ENV A=1", "empty_layer": true}, {"created_by": "two", "comment": "c"},
            {"created": "1970-01-02T00:00:00Z", "created_by": "distrobuild app"},
        ],
    });
    assert_eq!(config, expected);
    assert_eq!(image.config, crate::image::canonical(&expected));
    assert_eq!(image.layers.len(), 3);
    let again = describe_on(parent, layers, &"linux/arm64".parse().unwrap(), &settings());
    assert_eq!(again, image);
}

#[test]
fn a_base_has_the_user_and_the_environment_of_the_image_each_name_once() {
    let (_images, base) = parent_of(whole(), Form::Gzip);
    assert!(base.is_system());
    assert_eq!(base.name, "the-base");
    assert_eq!(base.config.user, "1000:1000");
    let env: Vec<String> = (base.config.env.iter())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(env, ["PATH=/old", "A=2", "B="]);
    let notices = &base.parent().unwrap().notices;
    assert_eq!(notices.len(), 1);
    assert!(notices[0].contains("ONBUILD"), "{notices:?}");
}

#[test]
fn layers_of_docker_keep_their_digests_and_get_their_oci_names() {
    let (images, base) = parent_of(config("amd64", json!({})), Form::Docker);
    let parent = base.parent().unwrap();
    let image = describe_on(
        parent,
        Vec::new(),
        &"linux/amd64".parse().unwrap(),
        &Settings::default(),
    );
    let manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
    let old = images.document(&parent.digest.to_string());
    for (new, old) in manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .zip(old["layers"].as_array().unwrap())
    {
        assert_eq!(
            (&new["digest"], &new["size"]),
            (&old["digest"], &old["size"])
        );
        assert_eq!(
            new["mediaType"],
            "application/vnd.oci.image.layer.v1.tar+gzip"
        );
    }
}

#[test]
fn a_history_that_does_not_tell_of_all_layers_is_replaced() {
    for history in [json!([]), json!([{"created_by": "only one"}]), json!(null)] {
        let mut config = config("amd64", json!({}));
        config["history"] = history;
        let (_images, base) = parent_of(config, Form::Plain);
        assert_eq!(base.parent().unwrap().history().len(), 2);
    }
}

#[test]
fn root_is_told_by_its_name_its_number_or_its_absence() {
    for (user, root) in [
        ("", true),
        ("root", true),
        ("0", true),
        ("0:5", true),
        ("00", true),
        ("root:x", true),
        ("65532", false),
        ("nobody", false),
        ("10:0", false),
    ] {
        let (_images, base) = parent_of(config("amd64", json!({"User": user})), Form::Plain);
        assert_eq!(base.parent().unwrap().runs_as_root(), root, "{user:?}");
    }
}

#[test]
fn what_is_no_image_or_none_for_linux_is_told() {
    let images = Images::new();
    let good = image(&images, vec![Tar::new().file("a", "1")], Form::Plain);
    let manifest = images.document(good.digest().as_ref());
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        let descriptor = images.manifest(&manifest);
        open(&images, &descriptor).unwrap_err().to_string()
    };
    let index = changed(&|it| it["mediaType"] = json!("application/vnd.oci.image.index.v1+json"));
    assert!(index.contains("it is an index of images"), "{index}");
    let artifact = changed(&|it| {
        it["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json")
    });
    assert!(artifact.contains("an artifact"), "{artifact}");
    let version = changed(&|it| it["schemaVersion"] = json!(1));
    assert!(version.contains("schemaVersion is 1"), "{version}");
    let fewer = changed(&|it| it["layers"] = json!([]));
    assert!(
        fewer.contains("it has 0 layers, and its config has 1 diff_ids"),
        "{fewer}"
    );
    let form = changed(&|it| {
        it["layers"][0]["mediaType"] =
            json!("application/vnd.oci.image.layer.v1.tar+gzip+encrypted")
    });
    assert!(form.contains("encrypted"), "{form}");
    let sha512 =
        changed(&|it| it["layers"][0]["digest"] = json!(format!("sha512:{}", "0".repeat(128))));
    assert!(sha512.contains("only sha256 can be kept"), "{sha512}");

    let mut windows = config("amd64", json!({}));
    windows["os"] = json!("windows");
    let windows = images.image(&[], windows, Form::Plain);
    let text = open(&images, &windows).unwrap_err().to_string();
    assert!(text.contains("an image for windows/amd64"), "{text}");
}

#[test]
fn a_layer_that_is_not_what_the_config_says_is_damaged() {
    let images = Images::new();
    let good = image(&images, vec![Tar::new().file("a", "1")], Form::Gzip);
    let mut manifest = images.document(good.digest().as_ref());
    let mut config = images.document(manifest["config"]["digest"].as_str().unwrap());
    config["rootfs"]["diff_ids"] = json!([fixture::digest(b"another")]);
    manifest["config"] = images.put(
        "application/vnd.oci.image.config.v1+json",
        config.to_string().as_bytes(),
    );
    let text = open(&images, &images.manifest(&manifest))
        .unwrap_err()
        .to_string();
    assert!(text.contains("the config's diff_id is"), "{text}");
}

#[test]
fn an_image_without_layers_can_be_built_on() {
    let images = Images::new();
    let manifest = images.image(&[], config("amd64", json!({})), Form::Plain);
    let base = open(&images, &manifest).unwrap();
    assert!(base.rootfs().is_empty());
}

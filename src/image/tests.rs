#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;

fn layer(content: &str) -> Layer {
    Layer {
        media_type: MediaType::ImageLayerGzip,
        digest: Digest::of(content.as_bytes()),
        size: content.len() as u64,
        diff_id: Digest::of(format!("tar of {content}").as_bytes()),
        tar_size: 1024,
        annotations: BTreeMap::new(),
    }
}

fn settings() -> Settings {
    Settings {
        user: "65532:65532".into(),
        entrypoint: vec!["/app/hello".into(), "-v".into()],
        cmd: vec!["world".into()],
        env: vec![
            ("PATH".into(), "/usr/bin".into()),
            ("A".into(), "b=c".into()),
        ],
        workdir: "/app".into(),
        ports: vec!["9090/udp".into(), "8080/tcp".into(), "8080/tcp".into()],
        labels: (0..40)
            .map(|n| (format!("label{n:02}"), n.to_string()))
            .collect(),
        annotations: (0..40)
            .map(|n| (format!("annotation{n:02}"), n.to_string()))
            .collect(),
        created: 1_700_000_000,
    }
}

fn image() -> Image {
    let mut estargz = layer("b");
    estargz.annotations.insert("toc".into(), "sha256:x".into());
    let layers = vec![
        (layer("a"), "distrobuild base".into()),
        (estargz, "distrobuild app".into()),
    ];
    describe(layers, &"linux/arm/v7".parse().unwrap(), &settings())
}

#[test]
fn the_config_and_the_manifest_are_these_bytes() {
    let settings = Settings {
        labels: BTreeMap::from([("z".into(), "1".into()), ("a".into(), "2".into())]),
        annotations: BTreeMap::from([("z".into(), "1".into()), ("a".into(), "2".into())]),
        ..settings()
    };
    let mut estargz = layer("a");
    estargz.annotations.insert("toc".into(), "x".into());
    let (digest, diff_id) = (estargz.digest, estargz.diff_id);
    let image = describe(
        vec![(estargz, "distrobuild libraries".into())],
        &"linux/arm/v7".parse().unwrap(),
        &settings,
    );
    assert_eq!(
        String::from_utf8(image.config.clone()).unwrap(),
        format!(
            concat!(
                r#"{{"architecture":"arm","config":{{"Cmd":["world"],"Entrypoint":["/app/hello","-v"],"#,
                r#""Env":["PATH=/usr/bin","A=b=c"],"ExposedPorts":{{"8080/tcp":{{}},"9090/udp":{{}}}},"#,
                r#""Labels":{{"a":"2","z":"1"}},"User":"65532:65532","WorkingDir":"/app"}},"#,
                r#""created":"2023-11-14T22:13:20Z","history":[{{"created":"2023-11-14T22:13:20Z","#,
                r#""created_by":"distrobuild libraries"}}],"os":"linux","#,
                r#""rootfs":{{"diff_ids":["{}"],"type":"layers"}},"variant":"v7"}}"#
            ),
            diff_id
        )
    );
    assert_eq!(
        String::from_utf8(image.manifest.clone()).unwrap(),
        format!(
            concat!(
                r#"{{"annotations":{{"a":"2","z":"1"}},"config":{{"digest":"{}","#,
                r#""mediaType":"application/vnd.oci.image.config.v1+json","size":{}}},"#,
                r#""layers":[{{"annotations":{{"toc":"x"}},"digest":"{}","#,
                r#""mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":1}}],"#,
                r#""mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}}"#
            ),
            Digest::of(&image.config),
            image.config.len(),
            digest
        )
    );
}

#[test]
fn the_descriptor_is_that_of_the_manifest() {
    let image = image();
    assert_eq!(
        image.descriptor.digest().to_string(),
        Digest::of(&image.manifest).to_string()
    );
    assert_eq!(image.descriptor.size(), image.manifest.len() as u64);
    let platform = image.descriptor.platform().as_ref().map(Platform::from);
    assert_eq!(platform, image.platform);
}

#[test]
fn the_same_settings_give_the_same_bytes_whatever_the_order_of_hash_maps() {
    let first = image();
    for _ in 0..20 {
        assert_eq!(image(), first);
    }
}

#[test]
fn what_is_empty_is_left_out() {
    let image = describe(
        Vec::new(),
        &Platform::linux("amd64", None),
        &Settings::default(),
    );
    let config = String::from_utf8(image.config).unwrap();
    assert_eq!(
        config,
        concat!(
            r#"{"architecture":"amd64","config":{},"created":"1970-01-01T00:00:00Z","history":[],"#,
            r#""os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
        )
    );
    assert!(
        !String::from_utf8(image.manifest)
            .unwrap()
            .contains("annotations")
    );
}

#[test]
fn oci_spec_reads_back_what_was_described() {
    let image = image();
    let config: ImageConfiguration = parse(&image.config).unwrap();
    let mut ports = config
        .config()
        .as_ref()
        .unwrap()
        .exposed_ports()
        .clone()
        .unwrap();
    ports.sort();
    assert_eq!(ports, ["8080/tcp", "9090/udp"]);
    assert_eq!(config.labels_of_config().unwrap().len(), 40);
    assert_eq!(config.variant().as_deref(), Some("v7"));
    let manifest: oci_spec::image::ImageManifest = parse(&image.manifest).unwrap();
    assert_eq!(manifest.annotations().as_ref().unwrap().len(), 40);
    assert_eq!(manifest.layers()[1], layer_descriptor(&image.layers[1]));
}

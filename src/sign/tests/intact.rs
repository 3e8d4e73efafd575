//! Whether all of an image is there.

use oci_spec::image::MediaType;

use super::shelf::{bytes, layer};
use super::*;
use crate::store::StoreError;
use crate::transfer::Quiet;

#[test]
fn layers_are_read_only_when_asked_for() {
    let mut shelf = Shelf::new();
    let image: Value = serde_json::from_slice(&shelf.blobs[shelf.image.digest().as_ref()]).unwrap();
    let layer = image["layers"][0]["digest"].as_str().unwrap();
    intact(&shelf, &shelf.image, Reach::Layers, &Quiet).unwrap();
    shelf.blobs.get_mut(layer).unwrap()[0] ^= 1;
    intact(&shelf, &shelf.image, Reach::Documents, &Quiet).unwrap();
    let error = intact(&shelf, &shelf.image, Reach::Layers, &Quiet).unwrap_err();
    assert!(error.to_string().contains(layer), "{error}");
    shelf.blobs.remove(layer);
    let error = intact(&shelf, &shelf.image, Reach::Layers, &Quiet).unwrap_err();
    assert!(
        matches!(error, SignError::Store(StoreError::MissingBlob { .. })),
        "{error}"
    );
}

#[test]
fn the_images_of_an_index_are_read_too() {
    let mut shelf = Shelf::new();
    let image = shelf.image.clone();
    let index = json!({"schemaVersion": 2, "manifests": [image]});
    shelf.image = shelf.put(MediaType::ImageIndex, &bytes(&index));
    intact(&shelf, &shelf.image, Reach::Layers, &Quiet).unwrap();
    shelf.blobs.get_mut(image.digest().as_ref()).unwrap()[5] ^= 1;
    intact(&shelf, &shelf.image, Reach::Documents, &Quiet).unwrap_err();
}

#[test]
fn a_layer_that_may_not_be_given_away_may_be_elsewhere() {
    let mut shelf = Shelf::new();
    let kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let mut foreign = layer(kind, b"not here");
    let config = shelf.put(MediaType::ImageConfig, b"{}");
    for (urls, is_good) in [
        (json!(["https://example.com/layer"]), true),
        (json!([]), false),
    ] {
        foreign["urls"] = urls;
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [foreign]});
        shelf.image = shelf.put(MediaType::ImageManifest, &bytes(&manifest));
        assert_eq!(
            intact(&shelf, &shelf.image, Reach::Layers, &Quiet).is_ok(),
            is_good
        );
    }
}

#[test]
fn what_is_no_image_is_refused() {
    let mut shelf = Shelf::new();
    let config = shelf.put(MediaType::ImageConfig, b"{}");
    for (media_type, document) in [
        (MediaType::ImageManifest, json!({"layers": []})),
        (
            MediaType::ImageManifest,
            json!({"config": config, "layers": [], "manifests": []}),
        ),
        (
            MediaType::ImageIndex,
            json!({"manifests": [], "config": config}),
        ),
        // Other programs go by what it calls itself.
        (
            MediaType::ImageManifest,
            json!({"mediaType": MediaType::ImageIndex, "config": config, "layers": []}),
        ),
        (MediaType::ImageConfig, json!({})),
        (MediaType::ImageManifest, json!([])),
    ] {
        shelf.image = shelf.put(media_type, &bytes(&document));
        let error = intact(&shelf, &shelf.image, Reach::Layers, &Quiet).unwrap_err();
        assert!(
            matches!(error, SignError::Store(StoreError::Damaged { .. })),
            "{error}"
        );
    }
}

#[test]
fn indexes_within_indexes_end_somewhere() {
    let mut shelf = Shelf::new();
    for _ in 0..10 {
        let index = json!({"schemaVersion": 2, "manifests": [shelf.image]});
        shelf.image = shelf.put(MediaType::ImageIndex, &bytes(&index));
    }
    let error = intact(&shelf, &shelf.image, Reach::Layers, &Quiet).unwrap_err();
    assert!(
        error.to_string().contains("indexes within indexes"),
        "{error}"
    );
}

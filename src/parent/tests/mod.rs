#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(unreachable_pub)]

pub(crate) mod fixture;
mod inheriting;
mod keeping;
mod overlay;
mod rebasing;

use std::sync::Arc;

use oci_spec::image::Descriptor;
use serde_json::{Value, json};

use super::*;
use crate::store::Layout;
use fixture::{Form, Images, Tar, config};

fn source(images: &Images) -> Arc<dyn Source> {
    Arc::new(Layout::open(images.path()).unwrap())
}

fn open(images: &Images, manifest: &Descriptor) -> Result<Base, ParentError> {
    let unpacking = Unpacking::default();
    Parent::open(source(images), manifest, None, "the-base", &unpacking)
}

fn image(images: &Images, layers: Vec<Tar>, form: Form) -> Descriptor {
    let layers: Vec<Vec<u8>> = layers.into_iter().map(Tar::bytes).collect();
    images.image(&layers, config("amd64", json!({})), form)
}

fn base(layers: Vec<Tar>) -> Result<Base, ParentError> {
    let images = Images::new();
    let manifest = image(&images, layers, Form::Plain);
    // What is read is unpacked by now.
    open(&images, &manifest)
}

fn refused(layers: Vec<Tar>) -> String {
    base(layers).unwrap_err().to_string()
}

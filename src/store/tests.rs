#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod atomicity;
mod attached;
pub(crate) mod entries;
mod forms;
mod hostile;
mod removal;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use oci_spec::image::MediaType;

use super::*;
use crate::image::{Image, Platform, Settings, describe, validate};
use crate::layer::{Digest, Layer};

/// How the layers of a test image are compressed.
#[derive(Clone, Copy)]
pub(crate) enum Codec {
    None,
    Gzip,
    Zstd,
}

/// An image with its blobs, for any destination.
pub(crate) struct Made {
    pub(crate) image: Image,
    pub(crate) blobs: Vec<(Digest, Vec<u8>)>,
}

pub(crate) fn layer(content: &str, codec: Codec) -> (Layer, Vec<u8>) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "content", content.as_bytes())
        .unwrap();
    let tar = tar.into_inner().unwrap();
    let (media_type, blob) = match codec {
        Codec::None => (MediaType::ImageLayer, tar.clone()),
        Codec::Zstd => (
            MediaType::ImageLayerZstd,
            zstd::encode_all(tar.as_slice(), 3).unwrap(),
        ),
        Codec::Gzip => {
            // Two members, as our own layers have.
            let (first, second) = tar.split_at(700);
            let mut blob = Vec::new();
            for part in [first, second] {
                let mut gzip =
                    flate2::write::GzEncoder::new(&mut blob, flate2::Compression::new(6));
                gzip.write_all(part).unwrap();
                gzip.finish().unwrap();
            }
            (MediaType::ImageLayerGzip, blob)
        }
    };
    let layer = Layer {
        media_type,
        digest: Digest::of(&blob),
        size: blob.len() as u64,
        diff_id: Digest::of(&tar),
        tar_size: tar.len() as u64,
        annotations: BTreeMap::new(),
    };
    (layer, blob)
}

pub(crate) fn made(contents: &[&str], platform: &str, codec: Codec) -> Made {
    let layers: Vec<(Layer, Vec<u8>)> = contents.iter().map(|c| layer(c, codec)).collect();
    let described = layers.iter().map(|(l, _)| (l.clone(), "a test".to_owned()));
    let settings = Settings {
        entrypoint: vec!["/content".into()],
        ..Settings::default()
    };
    Made {
        image: describe(described.collect(), &platform.parse().unwrap(), &settings),
        blobs: layers
            .into_iter()
            .map(|(l, blob)| (l.digest, blob))
            .collect(),
    }
}

pub(crate) fn amd64(contents: &[&str]) -> Made {
    made(contents, "linux/amd64", Codec::Gzip)
}

/// What a build does with a writer.
pub(crate) fn write_with(
    writer: &Writer,
    made: &Made,
    tag: Option<&str>,
) -> Result<Committed, StoreError> {
    let mut staged = Vec::new();
    for (digest, bytes) in &made.blobs {
        if !writer.contains(digest, bytes.len() as u64) {
            let mut blob = writer.stage()?;
            blob.write_all(bytes).unwrap();
            staged.push((*digest, blob));
        }
    }
    writer.commit(&made.image, staged, tag)
}

pub(crate) fn write(to: &Destination, made: &Made, tag: &str) -> Result<Committed, StoreError> {
    write_with(&Writer::open(to)?, made, Some(tag))
}

pub(crate) fn source(path: &Path) -> Box<dyn Source> {
    let reference = Reference {
        form: None,
        path: path.to_path_buf(),
        tag: None,
    };
    open(&reference).unwrap()
}

pub(crate) fn message<T>(result: Result<T, StoreError>) -> String {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
pub(crate) fn assert_valid(path: &Path) {
    let problems = validate(source(path).as_ref());
    assert!(problems.is_empty(), "{problems:#?}");
}

/// The digest that a tag and platform lead to.
pub(crate) fn found(path: &Path, tag: &str, platform: &str) -> Result<String, StoreError> {
    let platform: Platform = platform.parse().unwrap();
    let descriptor = select(source(path).as_ref(), Some(tag), Some(&platform))?;
    Ok(descriptor.digest().to_string())
}

pub(crate) fn digest(made: &Made) -> String {
    made.image.descriptor.digest().to_string()
}

/// All files below `path`, by their path in it.
pub(crate) fn files(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![path.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in directory.read_dir().unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() && !entry.is_symlink() {
                open.push(entry);
            } else {
                found.insert(entry.strip_prefix(path).unwrap().to_path_buf());
            }
        }
    }
    found
}

/// No temporary file is left beside or in an output.
#[track_caller]
pub(crate) fn assert_no_litter(directory: &Path) {
    let litter: Vec<_> = files(directory)
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(".distrobuild-"))
        .collect();
    assert!(litter.is_empty(), "{litter:?}");
}

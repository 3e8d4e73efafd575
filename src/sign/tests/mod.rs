#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod attesting;
mod certificates;
mod flips;
mod intact;
mod known;
mod refusals;
mod shelf;
mod signing;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::key::{Algorithm, PrivateKey, PublicKey};
use super::*;
use crate::store::attached_tag;
use shelf::Shelf;

const NAME: &str = "registry.example/demo";
/// 2026-01-15, in seconds since 1970.
const NOW: i64 = 1_768_435_200;

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::EcdsaP256).unwrap()
}

fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Signs the image of a shelf, and puts the signature there.
fn sign(shelf: &mut Shelf, key: &PrivateKey, says: &[(&str, &str)], forms: Forms) -> Made {
    let annotations = annotations(says);
    let statements = Sign {
        identity: NAME,
        annotations: &annotations,
    };
    let image = shelf.image.clone();
    let made = signature(shelf, &image, key, &statements, forms).unwrap();
    shelf.attach(&made);
    made
}

/// Verifies the signatures of the image of a shelf, with these annotations.
fn verified(shelf: &Shelf, key: &PublicKey, says: &[(&str, &str)]) -> Result<Checked, SignError> {
    let annotations = annotations(says);
    let check = Check {
        key,
        annotations: &annotations,
        predicate_type: None,
        now: NOW,
    };
    signatures(shelf, &shelf.image, "demo@sha256:…", &check)
}

fn verify(shelf: &Shelf, key: &PrivateKey) -> Result<Checked, SignError> {
    verified(shelf, &key.public(), &[])
}

/// Why the one signature that is there does not hold.
fn refused(checked: Result<Checked, SignError>) -> SignError {
    match checked.unwrap_err() {
        SignError::NoneHolds { mut refused, .. } => {
            assert_eq!(refused.len(), 1, "{refused:?}");
            refused.remove(0).why
        }
        other => other,
    }
}

const CLASSIC: Forms = Forms::One(Form::Classic);
const BUNDLE: Forms = Forms::One(Form::Bundle);

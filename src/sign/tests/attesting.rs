//! Attestations.

use std::slice;

use super::shelf::bytes;
use super::*;

const KIND: &str = "https://example.com/tested/v1";

fn attest(
    shelf: &mut Shelf,
    key: &PrivateKey,
    kind: &str,
    says: &Value,
    replace: bool,
    forms: Forms,
) -> Made {
    let says = Attest {
        identity: NAME,
        predicate_type: kind,
        predicate: says,
        replace,
    };
    let image = shelf.image.clone();
    let made = attestation(shelf, &image, key, &says, forms).unwrap();
    shelf.attach(&made);
    made
}

fn check(shelf: &Shelf, key: &PrivateKey, kind: Option<&str>) -> Result<Checked, SignError> {
    let (key, none) = (key.public(), annotations(&[]));
    let check = Check {
        key: &key,
        annotations: &none,
        predicate_type: kind,
        now: NOW,
    };
    attestations(shelf, &shelf.image, &check)
}

/// What the attestations that hold say, by their form.
fn said(checked: &Checked, form: Form) -> Vec<Value> {
    let of_form = checked.verified.iter().filter(|one| one.found.form == form);
    of_form
        .map(|one| {
            let envelope = one.envelope.as_ref().unwrap();
            Statement::read(&envelope.payload).unwrap().predicate
        })
        .collect()
}

#[test]
fn an_attestation_is_made_in_both_forms_and_holds() {
    let key = key();
    let mut shelf = Shelf::new();
    let says = json!({"result": "passed"});
    attest(&mut shelf, &key, KIND, &says, false, Forms::Both);
    for kind in [Some(KIND), None] {
        let checked = check(&shelf, &key, kind).unwrap();
        assert_eq!(said(&checked, Form::Classic), slice::from_ref(&says));
        assert_eq!(said(&checked, Form::Bundle), slice::from_ref(&says));
        let envelope = checked.verified[0].envelope.as_ref().unwrap();
        let statement: Value = serde_json::from_slice(&envelope.payload).unwrap();
        let digest = shelf.image.digest().digest();
        assert_eq!(
            statement,
            json!({
                "_type": "https://in-toto.io/Statement/v0.1",
                "predicateType": KIND,
                "subject": [{"name": NAME, "digest": {"sha256": digest}}],
                "predicate": says,
            })
        );
    }
    let annotation = &shelf.manifest(0)["layers"][0]["annotations"]["predicateType"];
    assert_eq!(*annotation, json!(KIND));
}

#[test]
fn an_attestation_of_another_type_is_not_the_one_asked_for() {
    let key = key();
    let mut shelf = Shelf::new();
    attest(&mut shelf, &key, KIND, &json!({}), false, Forms::Both);
    match check(&shelf, &key, Some("https://spdx.dev/Document")).unwrap_err() {
        SignError::Unattested { others, .. } => assert_eq!(others, [KIND]),
        unexpected => panic!("{unexpected}"),
    }
}

#[test]
fn what_the_annotations_say_of_the_type_does_not_count() {
    let key = key();
    let asked = "https://spdx.dev/Document";
    for forms in [CLASSIC, BUNDLE] {
        let mut shelf = Shelf::new();
        attest(&mut shelf, &key, KIND, &json!({}), false, forms);
        let manifest = shelf.manifest(0).to_string().replace(KIND, asked);
        shelf.forge_manifest(0, manifest.as_bytes());
        match refused(check(&shelf, &key, Some(asked))) {
            SignError::Predicate { found, wanted } => {
                assert_eq!((found.as_str(), wanted.as_deref()), (KIND, Some(asked)));
            }
            unexpected => panic!("{unexpected}"),
        }
    }
}

#[test]
fn a_signature_is_no_attestation() {
    let key = key();
    let mut shelf = Shelf::new();
    sign(&mut shelf, &key, &[], Forms::Both);
    assert!(matches!(
        check(&shelf, &key, None),
        Err(SignError::Unattested { .. })
    ));
    // And an attestation is no signature.
    let mut shelf = Shelf::new();
    attest(&mut shelf, &key, KIND, &json!({}), false, Forms::Both);
    assert!(matches!(
        verify(&shelf, &key),
        Err(SignError::Unsigned { .. })
    ));
}

#[test]
fn an_attestation_of_another_key_is_refused() {
    for forms in [CLASSIC, BUNDLE] {
        let mut shelf = Shelf::new();
        attest(&mut shelf, &key(), KIND, &json!({}), false, forms);
        let error = refused(check(&shelf, &key(), Some(KIND)));
        assert!(matches!(error, SignError::OtherKey { .. }), "{error}");
    }
}

#[test]
fn the_same_is_not_attested_twice() {
    let key = key();
    let mut shelf = Shelf::new();
    attest(&mut shelf, &key, KIND, &json!({"a": 1}), false, Forms::Both);
    let made = attest(&mut shelf, &key, KIND, &json!({"a": 1}), true, Forms::Both);
    assert!(made.attachments.is_empty() && made.replaced.is_empty());
    assert_eq!(made.present, [Form::Classic, Form::Bundle]);
}

#[test]
fn an_attestation_is_added_unless_it_replaces() {
    let (key, other) = (key(), key());
    let mut shelf = Shelf::new();
    let (one, two, three) = (json!({"n": 1}), json!({"n": 2}), json!({"n": 3}));
    attest(&mut shelf, &key, KIND, &one, false, Forms::Both);
    attest(&mut shelf, &other, KIND, &one, false, Forms::Both);
    attest(
        &mut shelf,
        &key,
        "https://example.com/other/v1",
        &one,
        false,
        Forms::Both,
    );
    attest(&mut shelf, &key, KIND, &two, false, Forms::Both);
    let checked = check(&shelf, &key, Some(KIND)).unwrap();
    for form in [Form::Classic, Form::Bundle] {
        assert_eq!(said(&checked, form), [one.clone(), two.clone()]);
    }
    let made = attest(&mut shelf, &key, KIND, &three, true, Forms::Both);
    assert_eq!(made.replaced.len(), 2);
    let checked = check(&shelf, &key, Some(KIND)).unwrap();
    for form in [Form::Classic, Form::Bundle] {
        assert_eq!(said(&checked, form), slice::from_ref(&three));
    }
    // Those of another key or type stay.
    let checked = check(&shelf, &other, Some(KIND)).unwrap();
    assert_eq!(said(&checked, Form::Classic), slice::from_ref(&one));
    let checked = check(&shelf, &key, Some("https://example.com/other/v1")).unwrap();
    assert_eq!(said(&checked, Form::Bundle), [one]);
}

#[test]
fn replacing_by_what_is_there_lets_the_others_go() {
    let key = key();
    let mut shelf = Shelf::new();
    let (one, two) = (json!({"n": 1}), json!({"n": 2}));
    attest(&mut shelf, &key, KIND, &one, false, Forms::Both);
    attest(&mut shelf, &key, KIND, &two, false, Forms::Both);
    let made = attest(&mut shelf, &key, KIND, &one, true, Forms::Both);
    assert_eq!(made.present, [Form::Classic, Form::Bundle]);
    assert_eq!((made.attachments.len(), made.replaced.len()), (1, 1));
    let checked = check(&shelf, &key, Some(KIND)).unwrap();
    assert_eq!(said(&checked, Form::Classic), slice::from_ref(&one));
    assert_eq!(said(&checked, Form::Bundle), [one]);
}

#[test]
fn an_envelope_that_is_there_many_times_is_read_once() {
    let (key, other) = (key(), key());
    let mut shelf = Shelf::new();
    attest(&mut shelf, &key, KIND, &json!({}), false, CLASSIC);
    let mut manifest = shelf.manifest(0);
    let layer = manifest["layers"][0].clone();
    for n in 0..50 {
        let mut again = layer.clone();
        // It has no meaning here, as the signatures are within.
        again["annotations"]["dev.cosignproject.cosign/signature"] = json!(n.to_string());
        manifest["layers"].as_array_mut().unwrap().push(again);
    }
    shelf.forge_manifest(0, &bytes(&manifest));
    for (by, holds) in [(&key, true), (&other, false)] {
        shelf.asked = 0.into();
        assert_eq!(check(&shelf, by, None).is_ok(), holds);
        // The image, the manifest of attestations, and the envelope.
        assert_eq!(shelf.asked.load(std::sync::atomic::Ordering::Relaxed), 3);
    }
}

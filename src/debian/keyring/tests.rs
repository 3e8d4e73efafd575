#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::slice::from_ref;

use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{SignatureType, SubpacketData};
use pgp::types::{KeyDetails, KeyVersion, RevocationKey, RevocationKeyClass};
use proptest::prelude::*;

use super::authority::{BORN, DAY, NOW, Owner, Says, Subkey, says};
use super::*;

const TEXT: &str = "Origin: Test";

fn keyring(bytes: &[u8]) -> Keyring {
    Keyring::parse(bytes, Path::new("test.gpg")).unwrap()
}

/// What a signature of yesterday is worth by a keyring.
fn check(owner: &Owner, bytes: &[u8]) -> Result<String, SignatureFault> {
    let signature = owner.sign(TEXT, says(NOW - DAY));
    keyring(bytes).check(&signature, TEXT, NOW)
}

/// A signature by a subkey that the owner bound with `binding`, and with consent.
fn check_subkey(binding: Says, more: &[Signature]) -> Result<String, SignatureFault> {
    let (owner, subkey) = (Owner::new(1), Subkey::new(2, BORN));
    let binding = binding.with(subkey.consents(&owner, says(BORN)));
    let mut signatures = vec![owner.binds(SignatureType::SubkeyBinding, &subkey, binding)];
    signatures.extend_from_slice(more);
    let own = owner.certifies(says(BORN).for_signing(false));
    let bytes = owner.packets(&[], &[own], &[(&subkey, &signatures)]);
    keyring(&bytes).check(&subkey.sign(TEXT, says(NOW - DAY)), TEXT, NOW)
}

#[test]
fn the_built_in_keyrings_have_the_keys_that_their_readme_names() {
    let readme = include_str!("../../../bases/keyrings/README.md");
    for (name, _) in EMBEDDED {
        let keyring = Keyring::built_in(name).unwrap();
        assert!(!keyring.fingerprints().is_empty());
        for fingerprint in keyring.fingerprints() {
            assert!(readme.contains(&fingerprint), "{name}: {fingerprint}");
        }
    }
    let named = readme
        .split_ascii_whitespace()
        .filter(|word| word.trim_matches('`').len() == 40);
    let all: usize = EMBEDDED
        .iter()
        .map(|(name, _)| Keyring::built_in(name).unwrap().fingerprints().len())
        .sum();
    assert_eq!(named.count(), all);
}

#[test]
fn every_built_in_key_is_valid_with_its_subkeys_in_the_year_after_its_making() {
    for (name, _) in EMBEDDED {
        for certificate in Keyring::built_in(name).unwrap().certificates {
            assert_eq!(certificate.standing(365 * DAY), Ok(()), "{name}");
        }
    }
}

#[test]
fn an_unknown_name_of_a_keyring_is_told_with_those_that_there_are() {
    let error = Keyring::built_in("devuan").unwrap_err().to_string();
    assert!(
        error.contains("debian") && error.contains("ubuntu"),
        "{error}"
    );
}

#[test]
fn a_good_signature_gives_the_key_of_its_maker() {
    let owner = Owner::new(1);
    assert_eq!(check(&owner, &owner.plain()), Ok(owner.fingerprint()));
    // Among others, whatever their order.
    let both = [Owner::new(2).plain(), owner.plain(), Owner::new(3).plain()].concat();
    assert_eq!(check(&owner, &both), Ok(owner.fingerprint()));
    assert_eq!(keyring(&both).fingerprints().len(), 3);
}

#[test]
fn keys_of_version_6_work_too() {
    let owner = Owner::born(1, BORN, KeyVersion::V6);
    assert_eq!(check(&owner, &owner.plain()), Ok(owner.fingerprint()));
}

#[test]
fn a_key_that_the_keyring_lacks_is_unknown() {
    let fault = check(&Owner::new(1), &Owner::new(2).plain());
    assert_eq!(fault, Err(SignatureFault::UnknownKey));
}

#[test]
fn a_signature_over_another_text_does_not_fit() {
    let owner = Owner::new(1);
    let signature = owner.sign("Origin: Other", says(NOW - DAY));
    let fault = keyring(&owner.plain()).check(&signature, TEXT, NOW);
    assert_eq!(fault, Err(SignatureFault::Mismatch));
}

#[test]
fn a_key_of_the_same_name_but_other_material_does_not_make_a_signature_good() {
    // The signature claims to be by the key of the keyring, but another made it.
    let (owner, other) = (Owner::new(1), Owner::new(2));
    let mut signature = other.sign(TEXT, says(NOW - DAY));
    let claim = SubpacketData::IssuerFingerprint(owner.key.fingerprint());
    let claim = pgp::packet::Subpacket::regular(claim).unwrap();
    signature.unhashed_subpacket_push(claim).unwrap();
    let fault = keyring(&owner.plain()).check(&signature, TEXT, NOW);
    assert_ne!(fault, Ok(owner.fingerprint()));
}

#[test]
fn an_expired_key_does_not_count_even_for_what_it_signed_before() {
    let owner = Owner::new(1);
    let ring = |days| {
        let own = owner.certifies(says(BORN).for_signing(true).for_days(days));
        owner.packets(&[], &[own], &[])
    };
    assert!(check(&owner, &ring(101)).is_ok());
    // It ended now, after the signature, and before the signature.
    for days in [100, 99, 50] {
        let at = BORN + days * DAY;
        assert_eq!(
            check(&owner, &ring(days)),
            Err(SignatureFault::Expired { at })
        );
    }
}

#[test]
fn the_newest_statement_about_a_key_decides() {
    let owner = Owner::new(1);
    let (old, new) = (
        owner.certifies(says(BORN).for_signing(true).for_days(10)),
        owner.certifies(says(BORN + DAY).for_signing(true).for_days(200)),
    );
    for order in [[old.clone(), new.clone()], [new, old]] {
        assert!(check(&owner, &owner.packets(&[], &order, &[])).is_ok());
    }
    // A statement about the key itself is as good as one about its name.
    let own = owner.certifies(says(BORN).for_signing(true));
    let direct = owner.states(SignatureType::Key, &owner, says(BORN + DAY).for_days(10));
    let fault = check(&owner, &owner.packets(&[direct], &[own], &[]));
    assert!(
        matches!(fault, Err(SignatureFault::Expired { .. })),
        "{fault:?}"
    );
}

#[test]
fn a_signature_of_tomorrow_counts_and_a_later_one_does_not() {
    let owner = Owner::new(1);
    let keyring = keyring(&owner.plain());
    let check = |made| keyring.check(&owner.sign(TEXT, says(made)), TEXT, NOW);
    assert!(check(NOW + DAY).is_ok());
    let at = NOW + DAY + 1;
    assert_eq!(check(at), Err(SignatureFault::Future { at }));
}

#[test]
fn a_signature_is_not_older_than_its_key() {
    let owner = Owner::new(1);
    let signature = owner.sign(TEXT, says(BORN - 1));
    let fault = keyring(&owner.plain()).check(&signature, TEXT, NOW);
    assert_eq!(fault, Err(SignatureFault::OlderThanKey { key: BORN }));
}

#[test]
fn a_signature_that_expired_does_not_count() {
    let owner = Owner::new(1);
    let lifetime = pgp::types::Duration::from_secs(60);
    let lifetime = SubpacketData::SignatureExpirationTime(lifetime);
    let signature = owner.sign(TEXT, says(NOW - DAY).with(lifetime));
    let fault = keyring(&owner.plain()).check(&signature, TEXT, NOW);
    let at = NOW - DAY + 60;
    assert_eq!(fault, Err(SignatureFault::SignatureExpired { at }));
}

#[test]
fn a_revoked_key_does_not_count() {
    let owner = Owner::new(1);
    let own = || [owner.certifies(says(BORN).for_signing(true))];
    let revocation = owner.states(SignatureType::KeyRevocation, &owner, says(NOW));
    let fault = check(&owner, &owner.packets(&[revocation], &own(), &[]));
    assert_eq!(fault, Err(SignatureFault::Revoked));
    // Nobody else can revoke it.
    let other = Owner::new(2).states(SignatureType::KeyRevocation, &owner, says(NOW));
    assert!(check(&owner, &owner.packets(&[other], &own(), &[])).is_ok());
}

#[test]
fn a_key_that_its_revoker_revoked_does_not_count() {
    let (owner, revoker) = (Owner::new(1), Owner::new(2));
    let named = SubpacketData::RevocationKey(RevocationKey::new(
        RevocationKeyClass::Default,
        PublicKeyAlgorithm::Ed25519,
        revoker.key.fingerprint().as_bytes(),
    ));
    let named = owner.states(SignatureType::Key, &owner, says(BORN + 1).with(named));
    let own = || [owner.certifies(says(BORN).for_signing(true))];
    assert!(check(&owner, &owner.packets(from_ref(&named), &own(), &[])).is_ok());
    let revocation = revoker.states(SignatureType::KeyRevocation, &owner, says(NOW));
    let fault = check(&owner, &owner.packets(&[revocation, named], &own(), &[]));
    assert_eq!(fault, Err(SignatureFault::Revoked));
}

#[test]
fn a_key_without_a_statement_of_its_owner_does_not_count() {
    let (owner, other) = (Owner::new(1), Owner::new(2));
    let strangers = other.certifies(says(BORN).for_signing(true));
    for user in [vec![], vec![strangers]] {
        let fault = check(&owner, &owner.packets(&[], &user, &[]));
        assert_eq!(fault, Err(SignatureFault::Unbound));
    }
    let own = owner.certifies(says(BORN).for_signing(true));
    let gone = owner.revokes_name(says(BORN + DAY));
    let fault = check(&owner, &owner.packets(&[], &[own, gone], &[]));
    assert_eq!(fault, Err(SignatureFault::Unbound));
}

#[test]
fn a_key_that_is_not_for_signing_does_not_count() {
    let owner = Owner::new(1);
    let own = owner.certifies(says(BORN).for_signing(false));
    let fault = check(&owner, &owner.packets(&[], &[own], &[]));
    assert_eq!(fault, Err(SignatureFault::NotForSigning));
}

#[test]
fn a_subkey_for_signing_signs_for_its_key() {
    let bound = check_subkey(says(BORN).for_signing(true), &[]);
    assert_eq!(bound, Ok(Owner::new(1).fingerprint()));
    let other = check_subkey(says(BORN).for_signing(false), &[]);
    assert_eq!(other, Err(SignatureFault::NotForSigning));
    let silent = check_subkey(says(BORN), &[]);
    assert_eq!(silent, Err(SignatureFault::NotForSigning));
    let expired = check_subkey(says(BORN).for_signing(true).for_days(99), &[]);
    assert_eq!(
        expired,
        Err(SignatureFault::Expired {
            at: BORN + 99 * DAY
        })
    );
}

#[test]
fn a_subkey_that_was_revoked_does_not_count() {
    let (owner, subkey) = (Owner::new(1), Subkey::new(2, BORN));
    let revoked = owner.binds(SignatureType::SubkeyRevocation, &subkey, says(BORN + DAY));
    let fault = check_subkey(says(NOW - DAY).for_signing(true), &[revoked]);
    assert_eq!(fault, Err(SignatureFault::Revoked));
}

#[test]
fn a_subkey_needs_its_keys_binding_and_its_own_consent() {
    let (owner, other, subkey) = (Owner::new(1), Owner::new(3), Subkey::new(2, BORN));
    let own = owner.certifies(says(BORN).for_signing(true));
    let bind = |by: &Owner, says: Says| by.binds(SignatureType::SubkeyBinding, &subkey, says);
    let signing = || says(BORN).for_signing(true);
    let consent = |to: &Owner| subkey.consents(to, says(BORN));
    for (binding, why) in [
        (bind(&owner, signing()), "no consent"),
        (
            bind(&owner, signing().with(consent(&other))),
            "consent to somebody else",
        ),
        (
            bind(&other, signing().with(consent(&owner))),
            "bound by somebody else",
        ),
    ] {
        let bytes = owner.packets(&[], from_ref(&own), &[(&subkey, &[binding])]);
        let signature = subkey.sign(TEXT, says(NOW - DAY));
        let fault = keyring(&bytes).check(&signature, TEXT, NOW);
        assert_eq!(fault, Err(SignatureFault::Unbound), "{why}");
    }
}

#[test]
fn a_subkey_falls_with_its_key() {
    let (owner, subkey) = (Owner::new(1), Subkey::new(2, BORN));
    let own = owner.certifies(says(BORN).for_signing(true).for_days(99));
    let binding = says(BORN)
        .for_signing(true)
        .with(subkey.consents(&owner, says(BORN)));
    let binding = owner.binds(SignatureType::SubkeyBinding, &subkey, binding);
    let bytes = owner.packets(&[], &[own], &[(&subkey, &[binding])]);
    let fault = keyring(&bytes).check(&subkey.sign(TEXT, says(NOW - DAY)), TEXT, NOW);
    assert_eq!(
        fault,
        Err(SignatureFault::Expired {
            at: BORN + 99 * DAY
        })
    );
}

#[test]
fn a_critical_condition_that_is_unknown_makes_a_signature_void() {
    let owner = Owner::new(1);
    let keyring = keyring(&owner.plain());
    let condition = || SubpacketData::Experimental(101, b"if it rains".to_vec().into());
    let harmless = owner.sign(TEXT, says(NOW).with(condition()));
    assert!(keyring.check(&harmless, TEXT, NOW).is_ok());
    let critical = owner.sign(TEXT, says(NOW).critical(condition()));
    let fault = keyring.check(&critical, TEXT, NOW);
    assert!(
        matches!(fault, Err(SignatureFault::Unsupported(_))),
        "{fault:?}"
    );
}

#[test]
fn a_keyring_may_be_armored_in_several_blocks_with_words_between() {
    let (one, two) = (Owner::new(1), Owner::new(2));
    let armored: String = [&one, &two]
        .map(|it| armored(&it.plain(), "PUBLIC KEY"))
        .concat();
    let both = keyring(format!("The keys:\n\n{armored}\nThat is all.\n").as_bytes());
    assert_eq!(both.fingerprints(), [one.fingerprint(), two.fingerprint()]);
}

/// Armor without a checksum, as RFC 9580 has it.
fn armored(bytes: &[u8], kind: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN PGP {kind} BLOCK-----\n\n");
    for line in bytes.chunks(48) {
        for group in line.chunks(3) {
            let bits = group
                .iter()
                .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
            let bits = bits << (8 * (3 - group.len()));
            for place in 0..4 {
                let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
                text.push(if place > group.len() {
                    '='
                } else {
                    digit.into()
                });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END PGP {kind} BLOCK-----\n")
}

#[test]
fn what_is_no_keyring_is_refused_with_the_reason() {
    let parse = |bytes: &[u8]| Keyring::parse(bytes, Path::new("x.gpg")).unwrap_err();
    assert!(matches!(parse(b""), KeyringError::NoKey { .. }));
    assert!(matches!(parse(b"hello"), KeyringError::NoKey { .. }));
    assert!(matches!(
        parse(b"\0\0\0\x20\x01\x01\0\x02KBXf\0"),
        KeyringError::Keybox { .. }
    ));
    let mut secret = Vec::new();
    pgp::packet::PacketTrait::to_writer_with_header(&Owner::new(1).key, &mut secret).unwrap();
    assert!(matches!(parse(&secret), KeyringError::Private { .. }));
    let secret = armored(&secret, "PRIVATE KEY");
    assert!(matches!(
        parse(secret.as_bytes()),
        KeyringError::Private { .. }
    ));
    let whole = Owner::new(1).plain();
    for length in 1..whole.len() - 1 {
        let Ok(keyring) = Keyring::parse(&whole[..length], Path::new("x.gpg")) else {
            continue;
        };
        // Cut between packets: a key without its owner's word.
        let signature = Owner::new(1).sign(TEXT, says(NOW));
        let fault = keyring.check(&signature, TEXT, NOW);
        assert_eq!(fault, Err(SignatureFault::Unbound), "{length}");
    }
    let text = armored(&whole, "PUBLIC KEY");
    assert!(matches!(
        parse(&text.as_bytes()[..text.len() - 40]),
        KeyringError::Damaged { .. }
    ));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Keyring::read(Path::new("/absent/x.gpg")).unwrap_err();
    assert!(error.to_string().contains("/absent/x.gpg"));
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic(at in 0_usize..200, bits in 1_u8..) {
        let mut bytes = Owner::new(1).plain();
        let at = at % bytes.len();
        bytes[at] ^= bits;
        let _ = Keyring::parse(&bytes, Path::new("x.gpg"))
            .map(|it| it.check(&Owner::new(1).sign(TEXT, says(NOW)), TEXT, NOW));
    }
}

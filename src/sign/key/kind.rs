//! What a key is for, by the identifiers in it (RFC 5480, RFC 8410).

use pkcs8::der::asn1::{AnyRef, ObjectIdentifier};
use pkcs8::der::{Tag, Tagged};
use pkcs8::spki::AlgorithmIdentifierRef;

use super::{Algorithm, KeyError};

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// RSA by any name: plain, OAEP, PSS (RFC 4055).
const RSA: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.7"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10"),
];

/// Other curves that are met.
const CURVES: [(&str, &str); 8] = [
    ("1.2.840.10045.3.1.1", "P-192"),
    ("1.3.132.0.33", "P-224"),
    ("1.3.132.0.35", "P-521"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
    ("1.2.156.10197.1.301", "SM2"),
];

/// Other keys that are met.
const KINDS: [(&str, &str); 8] = [
    ("1.3.101.110", "X25519"),
    ("1.3.101.111", "X448"),
    ("1.3.101.113", "Ed448"),
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.113549.1.3.1", "Diffie-Hellman"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
];

/// What a key with this identifier is for.
pub(super) fn of(
    identifier: &AlgorithmIdentifierRef<'_>,
    name: &str,
) -> Result<Algorithm, KeyError> {
    let name_owned = || name.to_owned();
    match identifier.oid {
        EC => on_curve(identifier.parameters, name),
        ED25519 if identifier.parameters.is_none() => Ok(Algorithm::Ed25519),
        ED25519 => Err(KeyError::Damaged {
            name: name_owned(),
            what: "an Ed25519 key has no parameters (RFC 8410 3), and this one does".to_owned(),
        }),
        rsa if RSA.contains(&rsa) => Err(KeyError::Rsa { name: name_owned() }),
        other => Err(KeyError::Kind {
            name: name_owned(),
            kind: known(&KINDS, other),
        }),
    }
}

/// What a key on the curve in these parameters is for (RFC 5480 2.1.1).
pub(super) fn on_curve(parameters: Option<AnyRef<'_>>, name: &str) -> Result<Algorithm, KeyError> {
    let damaged = |what: &str| KeyError::Damaged {
        name: name.to_owned(),
        what: what.to_owned(),
    };
    let Some(parameters) = parameters else {
        return Err(damaged("it does not say on which curve it is"));
    };
    if parameters.tag() == Tag::Sequence {
        return Err(KeyError::ExplicitCurve {
            name: name.to_owned(),
        });
    }
    match parameters.decode_as::<ObjectIdentifier>() {
        Ok(P256) => Ok(Algorithm::EcdsaP256),
        Ok(P384) => Ok(Algorithm::EcdsaP384),
        Ok(other) => Err(KeyError::Curve {
            name: name.to_owned(),
            curve: known(&CURVES, other),
        }),
        Err(_) => Err(damaged("it does not say on which curve it is")),
    }
}

/// The name of an identifier, or its numbers.
fn known(names: &[(&str, &str)], oid: ObjectIdentifier) -> String {
    let oid = oid.to_string();
    let known = names.iter().find(|(known, _)| *known == oid);
    known.map_or(oid.clone(), |(_, name)| (*name).to_owned())
}

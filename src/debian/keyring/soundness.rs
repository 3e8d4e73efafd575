//! What must hold of any signature, over a text or over a key, before it is worth a calculation.

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureVersion, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{EcdsaPublicParams, EddsaLegacyPublicParams, PublicParams, RsaPublicParams};

use super::SignatureFault;

/// How far a clock may be wrong, in seconds.
pub(in crate::debian) const CLOCK_SKEW: u64 = 86_400;

/// The fewest bits of an RSA key, as apt has it.
const RSA_BITS: usize = 2048;

/// When `signature` was made, if nothing is wrong with its form, digest and times.
pub(super) fn sound(signature: &Signature, now: u64) -> Result<u64, SignatureFault> {
    let unsupported = |what: String| Err(SignatureFault::Unsupported(what));
    let config = match (signature.config(), signature.version()) {
        (Some(config), SignatureVersion::V4 | SignatureVersion::V6) => config,
        (_, version) => {
            return unsupported(format!(
                "it is a signature of version {}; 4 or 6 is expected",
                u8::from(version)
            ));
        }
    };
    match config.hash_alg {
        HashAlgorithm::Sha256
        | HashAlgorithm::Sha384
        | HashAlgorithm::Sha512
        | HashAlgorithm::Sha3_256
        | HashAlgorithm::Sha3_512 => {}
        HashAlgorithm::Other(number) => {
            return unsupported(format!("its digest algorithm, number {number}, is unknown"));
        }
        weak => return Err(SignatureFault::WeakDigest(weak.to_string())),
    }
    // RFC 9580 section 5.2.3.7: what is critical and not understood makes it invalid. Notations
    // are for applications, and none is for this one.
    let strange = config.hashed_subpackets().find(|subpacket| {
        subpacket.is_critical
            && matches!(
                subpacket.data,
                SubpacketData::Other(..)
                    | SubpacketData::Experimental(..)
                    | SubpacketData::Notation(_)
            )
    });
    if strange.is_some() {
        return unsupported("it is subject to a critical condition that is unknown here".into());
    }
    let Some(made) = config.created() else {
        return unsupported("it does not say when it was made".into());
    };
    let made = u64::from(made.as_secs());
    if made > now.saturating_add(CLOCK_SKEW) {
        return Err(SignatureFault::Future { at: made });
    }
    match signature
        .signature_expiration_time()
        .map(|it| u64::from(it.as_secs()))
    {
        Some(lifetime) if lifetime > 0 && made + lifetime <= now => {
            Err(SignatureFault::SignatureExpired {
                at: made + lifetime,
            })
        }
        _ => Ok(made),
    }
}

/// Whether keys like this can be relied upon.
pub(super) fn strong(key: &PublicParams) -> Result<(), SignatureFault> {
    let weak = |what: String| Err(SignatureFault::WeakKey(what));
    match key {
        PublicParams::RSA(rsa) => match bits(rsa) {
            bits if bits < RSA_BITS => weak(format!("RSA of {bits} bits")),
            _ => Ok(()),
        },
        PublicParams::Ed25519(_)
        | PublicParams::Ed448(_)
        | PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { .. })
        | PublicParams::ECDSA(
            EcdsaPublicParams::P256 { .. }
            | EcdsaPublicParams::P384 { .. }
            | EcdsaPublicParams::P521 { .. },
        ) => Ok(()),
        PublicParams::DSA(_) => weak("DSA".into()),
        PublicParams::ECDSA(_) => weak("ECDSA over an unusual curve".into()),
        _ => weak("of another kind".into()),
    }
}

/// The length of the modulus, which a key packet begins with (RFC 9580 sections 3.2 and 5.5.5.1).
fn bits(key: &RsaPublicParams) -> usize {
    let packet = key.to_bytes().unwrap_or_default();
    packet
        .first_chunk()
        .map_or(0, |length| u16::from_be_bytes(*length).into())
}

//! The certificate that a classic signature may have beside it.
//!
//! It is a statement of the signer, which the signature does not cover: the key that was asked for
//! is what counts. But one that does not fit is a reason to refuse: it has run out, or is that of
//! another key.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::der::{DecodePem, Encode};

use super::SignError;
use super::key::PublicKey;
use crate::image::rfc3339;

/// The most bytes of PEM that are read.
const LIMIT: usize = 64 << 10;

/// Checks that the certificate in `pem` is one of `key` and holds `now`, in seconds since 1970
/// (RFC 5280, section 4.1.2.5).
pub(super) fn check(pem: &str, key: &PublicKey, now: i64) -> Result<(), SignError> {
    let unreadable = |problem: String| SignError::Certificate { problem };
    if pem.len() > LIMIT {
        let problem = format!("it has {} bytes, more than {LIMIT}", pem.len());
        return Err(unreadable(problem));
    }
    let certificate =
        Certificate::from_pem(pem.trim()).map_err(|error| unreadable(error.to_string()))?;
    let of_key = certificate
        .tbs_certificate
        .subject_public_key_info
        .to_der()
        .map_err(|error| unreadable(error.to_string()))?;
    if STANDARD.encode(Sha256::digest(&of_key)) != key.hint() {
        return Err(SignError::CertificateOfOtherKey);
    }
    let validity = certificate.tbs_certificate.validity;
    let (from, until) = (
        validity.not_before.to_unix_duration(),
        validity.not_after.to_unix_duration(),
    );
    let now = Duration::from_secs(u64::try_from(now).unwrap_or(0));
    if now < from {
        return Err(SignError::NotYetValid(rfc3339(from.as_secs())));
    }
    if now > until {
        return Err(SignError::Expired(rfc3339(until.as_secs())));
    }
    Ok(())
}

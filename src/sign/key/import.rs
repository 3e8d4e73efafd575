//! Keys of other tools.

use p256::elliptic_curve::sec1::{FromEncodedPoint, ModulusSize, ToEncodedPoint};
use p256::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytesSize, PublicKey, SecretKey};
use pkcs8::der::asn1::{AnyRef, BitStringRef, ContextSpecific, OctetStringRef};
use pkcs8::der::{Decode, Reader, SliceReader, TagNumber};
use pkcs8::pkcs5::pbes2::Kdf;
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};
use zeroize::Zeroizing;

use super::pem::Block;
use super::private::{PrivateKey, Secret, wrong_label};
use super::{Algorithm, KeyError, Password, public, sealed};

/// PKCS#8, plain and encrypted, and SEC1.
pub(super) const LABELS: [&str; 3] = [PLAIN, ENCRYPTED, SEC1];

const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";

/// The most iterations of PBKDF2 that are tried: some seconds. openssl writes 2048, careful people
/// some hundred thousand.
const MOST_ITERATIONS: u32 = 10_000_000;

/// The most of scrypt that is tried, as N times r times p: 1 GiB of memory at most.
const MOST_SCRYPT: u64 = 1 << 23;

/// The key in a block of PEM.
pub(super) fn of_block(
    block: &Block<'_>,
    name: &str,
    password: &mut dyn FnMut() -> Result<Password, KeyError>,
) -> Result<PrivateKey, KeyError> {
    let owned = || name.to_owned();
    match block.label {
        SEC1 if block.is_encrypted() => Err(KeyError::LegacyEncryption { name: owned() }),
        PLAIN => pkcs8(&block.decode(name)?, name),
        SEC1 => sec1(&block.decode(name)?, None, name),
        ENCRYPTED => encrypted(&block.decode(name)?, name, password),
        public::LABEL => Err(KeyError::Public { name: owned() }),
        label if sealed::LABELS.contains(&label) => Err(KeyError::Sealed { name: owned() }),
        label => Err(wrong_label(label, name)),
    }
}

/// The key in PKCS#8 (RFC 5958).
pub(super) fn pkcs8(der: &[u8], name: &str) -> Result<PrivateKey, KeyError> {
    let damaged = |what: &str| KeyError::Damaged {
        name: name.to_owned(),
        what: what.to_owned(),
    };
    let info = PrivateKeyInfo::try_from(der)
        .map_err(|_| damaged("what is in it is no PKCS#8 (RFC 5958)"))?;
    let algorithm = super::kind::of(&info.algorithm, name)?;
    if algorithm != Algorithm::Ed25519 {
        return sec1(info.private_key, Some(algorithm), name);
    }
    // An octet string in an octet string (RFC 8410 7).
    let key = OctetStringRef::from_der(info.private_key).ok();
    let key = key.and_then(|key| ed25519_dalek::SigningKey::try_from(key.as_bytes()).ok());
    let key = key.ok_or_else(|| damaged("an Ed25519 key has 32 bytes, and this one does not"))?;
    let public = key.verifying_key();
    if info.public_key.is_some_and(|it| it != public.as_bytes()) {
        return Err(damaged("its public half is not that of its private half"));
    }
    Ok(PrivateKey(Secret::Ed25519(Box::new(key))))
}

/// The key in SEC1 (RFC 5915); what is around it may have said for which algorithm it is.
fn sec1(der: &[u8], said: Option<Algorithm>, name: &str) -> Result<PrivateKey, KeyError> {
    let damaged = |what: &str| KeyError::Damaged {
        name: name.to_owned(),
        what: what.to_owned(),
    };
    let parts = parts(der).map_err(|_| damaged("what is in it is no ECPrivateKey (RFC 5915)"))?;
    let algorithm = match (said, parts.curve) {
        (Some(said), None) => said,
        (said, curve) => {
            let algorithm = super::kind::on_curve(curve, name)?;
            if said.is_some_and(|said| said != algorithm) {
                return Err(damaged("it names two curves"));
            }
            algorithm
        }
    };
    let secret = match algorithm {
        Algorithm::EcdsaP256 => scalar(&parts).map(Secret::P256),
        Algorithm::EcdsaP384 => scalar(&parts).map(Secret::P384),
        Algorithm::Ed25519 => None,
    };
    let unlike = "its number is none of its curve, or its public half not that of its private half";
    secret.map(PrivateKey).ok_or_else(|| damaged(unlike))
}

/// The parts of an `ECPrivateKey`.
struct Parts<'a> {
    private: &'a [u8],
    curve: Option<AnyRef<'a>>,
    public: Option<&'a [u8]>,
}

fn parts(der: &[u8]) -> pkcs8::der::Result<Parts<'_>> {
    let mut reader = SliceReader::new(der)?;
    let parts = reader.sequence(|reader| {
        if u8::decode(reader)? != 1 {
            return Err(pkcs8::der::Tag::Integer.value_error());
        }
        let private = OctetStringRef::decode(reader)?.as_bytes();
        let curve = ContextSpecific::<AnyRef<'_>>::decode_explicit(reader, TagNumber::N0)?;
        let public = ContextSpecific::<BitStringRef<'_>>::decode_explicit(reader, TagNumber::N1)?;
        Ok(Parts {
            private,
            curve: curve.map(|it| it.value),
            public: public.map(|it| it.value.as_bytes().unwrap_or_default()),
        })
    })?;
    reader.finish(parts)
}

/// The scalar, when its curve has it and the public half is its.
fn scalar<C>(parts: &Parts<'_>) -> Option<SecretKey<C>>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromEncodedPoint<C> + ToEncodedPoint<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let key = SecretKey::<C>::from_slice(parts.private).ok()?;
    let is_its = parts.public.is_none_or(|public| {
        PublicKey::<C>::from_sec1_bytes(public).is_ok_and(|public| public == key.public_key())
    });
    is_its.then_some(key)
}

/// The key in encrypted PKCS#8 (RFC 5958 3, RFC 8018 6.2).
fn encrypted(
    der: &[u8],
    name: &str,
    password: &mut dyn FnMut() -> Result<Password, KeyError>,
) -> Result<PrivateKey, KeyError> {
    let unknown = || KeyError::Encryption {
        name: name.to_owned(),
    };
    let info = EncryptedPrivateKeyInfo::try_from(der).map_err(|_| unknown())?;
    let scheme = info.encryption_algorithm;
    affordable(&scheme.pbes2().ok_or_else(unknown)?.kdf, name)?;
    let password = password()?;
    let mut bytes = Zeroizing::new(info.encrypted_data.to_vec());
    let wrong = || KeyError::Password {
        name: name.to_owned(),
    };
    let opened = match scheme.decrypt_in_place(password.bytes(), &mut bytes) {
        Ok(opened) => opened,
        // Bad padding is reported as either.
        Err(pkcs8::pkcs5::Error::DecryptFailed | pkcs8::pkcs5::Error::EncryptFailed) => {
            return Err(wrong());
        }
        Err(_) => return Err(unknown()),
    };
    // One wrong password in 256 is told only by what comes out.
    match PrivateKeyInfo::from_der(opened) {
        Ok(_) => pkcs8(opened, name),
        Err(_) => Err(wrong()),
    }
}

/// That trying a password does not take for ever.
fn affordable(kdf: &Kdf<'_>, name: &str) -> Result<(), KeyError> {
    let too_much = |what, limit| KeyError::ImportCost {
        name: name.to_owned(),
        what,
        limit,
    };
    match kdf {
        Kdf::Pbkdf2(it) if it.iteration_count > MOST_ITERATIONS => {
            let what = format!("{} iterations of PBKDF2", it.iteration_count);
            Err(too_much(what, "10 million"))
        }
        Kdf::Scrypt(it) => {
            let (n, r, p) = (it.cost_parameter, it.block_size, it.parallelization);
            let cost = n
                .checked_mul(r.into())
                .and_then(|it| it.checked_mul(p.into()));
            if cost.is_none_or(|cost| cost > MOST_SCRYPT) {
                let what = format!("scrypt with N {n}, r {r}, p {p}");
                return Err(too_much(what, "N times r times p of 8388608"));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

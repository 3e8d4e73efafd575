//! One key with its subkeys and what its owner states about them: whether a signature by it
//! counts. The rules are those of gpgv(1), or stricter.

use pgp::composed::{SignedPublicKey, SignedPublicKeyParser, SignedPublicSubKey};
use pgp::packet::{Packet, Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, KeyVersion, SignedUser, Tag, VerifyingKey};

use super::SignatureFault;
use super::soundness::{sound, strong};

/// A key, its user names and its subkeys.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    key: SignedPublicKey,
}

impl Certificate {
    /// The certificate that `packets` make, the first of which is a key.
    pub(super) fn new(packets: Vec<Packet>) -> Result<Self, String> {
        let mut packets = packets.into_iter().map(Ok).peekable();
        let mut parser = SignedPublicKeyParser::from_packets(packets.by_ref().peekable());
        let key = match parser.next() {
            Some(Ok(key)) => key,
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("there is no key in it".into()),
        };
        // A revocation in the wrong place must not be passed over.
        if parser.into_inner().next().is_some() {
            return Err("its packets are not in the order that they must have".into());
        }
        match key.primary_key.version() {
            KeyVersion::V4 | KeyVersion::V6 => Ok(Self { key }),
            version => Err(format!(
                "keys of version {} are obsolete",
                u8::from(version)
            )),
        }
    }

    /// In hexadecimal digits.
    pub(super) fn fingerprint(&self) -> String {
        format!("{:X}", self.key.primary_key.fingerprint())
    }

    /// What `signature` is worth if its issuer is a key of this certificate.
    pub(super) fn check(
        &self,
        signature: &Signature,
        text: &str,
        now: u64,
    ) -> Option<Result<(), SignatureFault>> {
        let primary = &self.key.primary_key;
        if is_issuer(primary, signature) {
            return Some(fits(primary, signature, text, now).and_then(|made| {
                let may_sign = self.primary_at(made, now)?;
                may_sign.then_some(()).ok_or(SignatureFault::NotForSigning)
            }));
        }
        let mut subkeys = self.key.public_subkeys.iter();
        let subkey = subkeys.find(|it| is_issuer(&it.key, signature))?;
        Some(fits(&subkey.key, signature, text, now).and_then(|made| {
            self.primary_at(made, now)?;
            self.subkey_at(subkey, made, now)
        }))
    }

    /// Whether the key and its subkeys are valid at an `age` in seconds, and there is one of them
    /// that may sign.
    #[cfg(test)]
    pub(super) fn standing(&self, age: u64) -> Result<(), SignatureFault> {
        let now = u64::from(self.key.primary_key.created_at().as_secs()) + age;
        let mut may_sign = self.primary_at(now, now)?;
        for subkey in &self.key.public_subkeys {
            self.subkey_at(subkey, now, now)?;
            may_sign = true;
        }
        may_sign.then_some(()).ok_or(SignatureFault::NotForSigning)
    }

    /// Whether the key is valid at both times, and whether it is one for signing.
    fn primary_at(&self, made: u64, now: u64) -> Result<bool, SignatureFault> {
        let key = &self.key.primary_key;
        strong(key.public_params())?;
        let revocations = &self.key.details.revocation_signatures;
        if revocations
            .iter()
            .any(|it| it.verify_key(key).is_ok() || self.is_by_a_revoker(it))
        {
            return Err(SignatureFault::Revoked);
        }
        let statement = self.statement(now).ok_or(SignatureFault::Unbound)?;
        is_within(key, statement, made, now)?;
        Ok(flags(statement).is_none_or(|flags| flags.sign()))
    }

    /// The owner's newest statement about the key's use: a signature over the key, or over one
    /// of its user names.
    fn statement(&self, now: u64) -> Option<&Signature> {
        let key = &self.key.primary_key;
        let details = &self.key.details;
        // Debian's keys have signatures that do nothing but name revokers.
        let direct = details.direct_signatures.iter().filter(|it| {
            it.typ() == Some(SignatureType::Key)
                && (flags(it).is_some() || it.key_expiration_time().is_some())
        });
        let users = details.users.iter().flat_map(|user| {
            let certifications = user.signatures.iter();
            certifications
                .filter(|it| it.typ() != Some(SignatureType::CertRevocation))
                .map(move |it| (it, Some(user)))
        });
        let mut statements: Vec<_> = direct
            .map(|it| (it, None))
            .chain(users)
            .filter_map(|(it, user)| Some((sound(it, now).ok()?, it, user)))
            .collect();
        statements.sort_by_key(|(made, ..)| std::cmp::Reverse(*made));
        let is_own = |it: &Signature, user: Option<&SignedUser>| match user {
            None => it.verify_key(key).is_ok(),
            Some(user) => {
                it.verify_certification(key, Tag::UserId, &user.id).is_ok()
                    && !user.signatures.iter().any(|it| {
                        it.typ() == Some(SignatureType::CertRevocation)
                            && it.verify_certification(key, Tag::UserId, &user.id).is_ok()
                    })
            }
        };
        statements
            .into_iter()
            .find_map(|(_, it, user)| is_own(it, user).then_some(it))
    }

    /// Whether `subkey` is bound to the key, for signing, and valid at both times.
    fn subkey_at(
        &self,
        subkey: &SignedPublicSubKey,
        made: u64,
        now: u64,
    ) -> Result<(), SignatureFault> {
        let primary = &self.key.primary_key;
        let is_bound = |it: &Signature| it.verify_subkey_binding(primary, &subkey.key).is_ok();
        if subkey.signatures.iter().any(|it| {
            it.typ() == Some(SignatureType::SubkeyRevocation)
                && (is_bound(it) || self.is_by_a_revoker(it))
        }) {
            return Err(SignatureFault::Revoked);
        }
        let binding = subkey
            .signatures
            .iter()
            .filter(|it| it.typ() == Some(SignatureType::SubkeyBinding))
            .filter_map(|it| Some((sound(it, now).ok()?, it)));
        let mut bindings: Vec<_> = binding.collect();
        bindings.sort_by_key(|(made, _)| std::cmp::Reverse(*made));
        let (_, binding) = bindings
            .into_iter()
            .find(|(_, it)| is_bound(it))
            .ok_or(SignatureFault::Unbound)?;
        if !flags(binding).is_some_and(|flags| flags.sign()) {
            return Err(SignatureFault::NotForSigning);
        }
        // Without its own consent, somebody else's subkey could be claimed.
        let consent = binding
            .embedded_signature()
            .ok_or(SignatureFault::Unbound)?;
        sound(consent, now)?;
        consent
            .verify_primary_key_binding(&subkey.key, primary)
            .map_err(|_| SignatureFault::Unbound)?;
        is_within(&subkey.key, binding, made, now)
    }

    /// Whether `revocation` names as its issuer a key that may revoke this one. Such a key is
    /// rarely at hand, so the revocation counts without a check: a false one does no more harm
    /// than the lack of the key.
    fn is_by_a_revoker(&self, revocation: &Signature) -> bool {
        let revokers = self
            .key
            .details
            .direct_signatures
            .iter()
            .filter_map(Signature::config)
            .flat_map(|config| config.hashed_subpackets())
            .filter_map(|subpacket| match &subpacket.data {
                SubpacketData::RevocationKey(revoker) => Some(&revoker.fingerprint),
                _ => None,
            });
        let fingerprints = revocation.issuer_fingerprint();
        let numbers = revocation.issuer_key_id();
        revokers.map(|it| &it[..]).any(|revoker| {
            fingerprints.iter().any(|it| it.as_bytes() == revoker)
                || numbers.iter().any(|it| revoker.ends_with(it.as_ref()))
        })
    }
}

/// Whether `signature` says that it is by `key`.
fn is_issuer(key: &impl KeyDetails, signature: &Signature) -> bool {
    match &signature.issuer_fingerprint()[..] {
        [] => signature.issuer_key_id().contains(&&key.legacy_key_id()),
        fingerprints => fingerprints.contains(&&key.fingerprint()),
    }
}

/// When `signature` was made, if it is one by `key` over `text`, whose lines end in line feeds.
fn fits(
    key: &impl VerifyingKey,
    signature: &Signature,
    text: &str,
    now: u64,
) -> Result<u64, SignatureFault> {
    let made = sound(signature, now)?;
    if signature.typ() != Some(SignatureType::Text) {
        let what = "it is not a signature over a text".to_owned();
        return Err(SignatureFault::Unsupported(what));
    }
    strong(key.public_params())?;
    if signature.config().map(|config| config.pub_alg) != Some(key.algorithm()) {
        return Err(SignatureFault::Mismatch);
    }
    let verified = signature.verify(key, text.as_bytes());
    verified.map_err(|_| SignatureFault::Mismatch)?;
    Ok(made)
}

/// Whether `key` is valid at both times, by what `statement` says of its end.
fn is_within(
    key: &impl KeyDetails,
    statement: &Signature,
    made: u64,
    now: u64,
) -> Result<(), SignatureFault> {
    let born = u64::from(key.created_at().as_secs());
    if made < born {
        return Err(SignatureFault::OlderThanKey { key: born });
    }
    let lifetime = statement.key_expiration_time();
    match lifetime.map(|it| u64::from(it.as_secs())) {
        Some(lifetime) if lifetime > 0 && born + lifetime <= made.max(now) => {
            Err(SignatureFault::Expired {
                at: born + lifetime,
            })
        }
        _ => Ok(()),
    }
}

/// What the key is for, if that is said.
fn flags(signature: &Signature) -> Option<&pgp::packet::KeyFlags> {
    signature
        .config()?
        .hashed_subpackets()
        .find_map(|it| match &it.data {
            SubpacketData::KeyFlags(flags) => Some(flags),
            _ => None,
        })
}

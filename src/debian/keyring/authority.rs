//! Keys and signatures for tests, made in the test and the same each time.
#![allow(clippy::unwrap_used)]

use pgp::composed::CleartextSignedMessage;
use pgp::crypto::ed25519::{self, Mode};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait, PubKeyInner, PublicKey, PublicSubkey, SecretKey, SecretSubkey,
    Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::types::{
    Duration, KeyDetails, KeyVersion, PacketHeaderVersion, Password, PlainSecretParams,
    PublicParams, SecretParams, SignatureBytes, SigningKey, Tag, Timestamp,
};

/// When keys are made, unless a test says otherwise: 2024-01-01.
pub(in crate::debian) const BORN: u64 = 1_704_067_200;
pub(in crate::debian) const DAY: u64 = 86_400;
/// The time that it is: 100 days later.
pub(in crate::debian) const NOW: u64 = BORN + 100 * DAY;

/// What a signature says of itself.
#[derive(Clone)]
pub(in crate::debian) struct Says {
    pub(in crate::debian) made: u64,
    pub(in crate::debian) subpackets: Vec<Subpacket>,
}

pub(in crate::debian) fn says(made: u64) -> Says {
    Says {
        made,
        subpackets: Vec::new(),
    }
}

impl Says {
    pub(in crate::debian) fn with(mut self, data: SubpacketData) -> Self {
        self.subpackets.push(Subpacket::regular(data).unwrap());
        self
    }

    pub(in crate::debian) fn critical(mut self, data: SubpacketData) -> Self {
        self.subpackets.push(Subpacket::critical(data).unwrap());
        self
    }

    /// That the key is for signing, or that it is for something else.
    pub(in crate::debian) fn for_signing(self, it_is: bool) -> Self {
        let mut flags = KeyFlags::default();
        flags.set_sign(it_is);
        flags.set_certify(!it_is);
        self.with(SubpacketData::KeyFlags(flags))
    }

    /// That the key ends so many days after it was made.
    pub(in crate::debian) fn for_days(self, days: u64) -> Self {
        let lifetime = Duration::from_secs((days * DAY).try_into().unwrap());
        self.with(SubpacketData::KeyExpirationTime(lifetime))
    }

    fn config(self, key: &impl SigningKey, typ: SignatureType) -> SignatureConfig {
        let (hash, algorithm) = (HashAlgorithm::Sha256, key.algorithm());
        let mut config = match key.version() {
            KeyVersion::V6 => SignatureConfig::v6_with_salt(typ, algorithm, hash, vec![7; 16]),
            _ => SignatureConfig::v4(typ, algorithm, hash),
        };
        config.hashed_subpackets = self.subpackets;
        for data in [
            SubpacketData::SignatureCreationTime(time(self.made)),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
        ] {
            config
                .hashed_subpackets
                .push(Subpacket::regular(data).unwrap());
        }
        config
    }
}

fn time(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds.try_into().unwrap())
}

fn material(seed: u8, born: u64, version: KeyVersion) -> (PubKeyInner, SecretParams) {
    let secret = ed25519::SecretKey::try_from_bytes([seed; 32], Mode::Ed25519).unwrap();
    let public = PublicParams::Ed25519((&secret).into());
    let algorithm = PublicKeyAlgorithm::Ed25519;
    let inner = PubKeyInner::new(version, algorithm, time(born), None, public).unwrap();
    (
        inner,
        SecretParams::Plain(PlainSecretParams::Ed25519(secret)),
    )
}

/// Somebody with a key.
pub(in crate::debian) struct Owner {
    pub(in crate::debian) key: SecretKey,
    user: UserId,
}

/// A subkey of somebody.
pub(in crate::debian) struct Subkey(SecretSubkey);

impl Subkey {
    pub(in crate::debian) fn new(seed: u8, born: u64) -> Self {
        let (inner, secret) = material(seed, born, KeyVersion::V4);
        Self(SecretSubkey::new(PublicSubkey::from_inner(inner).unwrap(), secret).unwrap())
    }

    pub(in crate::debian) fn sign(&self, text: &str, says: Says) -> Signature {
        signed(&self.0, text, says)
    }

    /// That it belongs to `owner`.
    pub(in crate::debian) fn consents(&self, owner: &Owner, says: Says) -> SubpacketData {
        let config = says.config(&self.0, SignatureType::KeyBinding);
        let signature = config.sign_primary_key_binding(
            &self.0,
            self.0.public_key(),
            &Password::empty(),
            owner.key.public_key(),
        );
        SubpacketData::EmbeddedSignature(Box::new(signature.unwrap()))
    }
}

impl Owner {
    pub(in crate::debian) fn new(seed: u8) -> Self {
        Self::born(seed, BORN, KeyVersion::V4)
    }

    pub(in crate::debian) fn born(seed: u8, born: u64, version: KeyVersion) -> Self {
        let (inner, secret) = material(seed, born, version);
        Self {
            key: SecretKey::new(PublicKey::from_inner(inner).unwrap(), secret).unwrap(),
            user: UserId::from_str(PacketHeaderVersion::New, "Archive").unwrap(),
        }
    }

    pub(in crate::debian) fn fingerprint(&self) -> String {
        format!("{:X}", self.key.fingerprint())
    }

    pub(in crate::debian) fn sign(&self, text: &str, says: Says) -> Signature {
        signed(&self.key, text, says)
    }

    /// What says that it is a signature by way of `hash`, for digests that the `pgp` crate does
    /// not sign with.
    pub(in crate::debian) fn claims(&self, hash: HashAlgorithm, says: Says) -> Signature {
        let mut config = says.config(&self.key, SignatureType::Text);
        config.hash_alg = hash;
        let bytes = SignatureBytes::Native(vec![1; 64].into());
        Signature::from_config(config, [0, 0], bytes).unwrap()
    }

    /// A signature over `text` as bytes, not as lines.
    pub(in crate::debian) fn sign_bytes(&self, text: &str, says: Says) -> Signature {
        let config = says.config(&self.key, SignatureType::Binary);
        config
            .sign(&self.key, &Password::empty(), text.as_bytes())
            .unwrap()
    }

    /// That the key is its owner's.
    pub(in crate::debian) fn certifies(&self, says: Says) -> Signature {
        self.certification(SignatureType::CertPositive, says)
    }

    /// That the name is the owner's no longer.
    pub(in crate::debian) fn revokes_name(&self, says: Says) -> Signature {
        self.certification(SignatureType::CertRevocation, says)
    }

    fn certification(&self, typ: SignatureType, says: Says) -> Signature {
        let config = says.config(&self.key, typ);
        let (key, password) = (self.key.public_key(), Password::empty());
        let signature =
            config.sign_certification(&self.key, key, &password, Tag::UserId, &self.user);
        signature.unwrap()
    }

    /// Something about the key of `of` itself.
    pub(in crate::debian) fn states(&self, typ: SignatureType, of: &Self, says: Says) -> Signature {
        let config = says.config(&self.key, typ);
        let signature = config.sign_key(&self.key, &Password::empty(), of.key.public_key());
        signature.unwrap()
    }

    /// That `subkey` is the owner's, or no longer.
    pub(in crate::debian) fn binds(
        &self,
        typ: SignatureType,
        subkey: &Subkey,
        says: Says,
    ) -> Signature {
        let config = says.config(&self.key, typ);
        let signature = config.sign_subkey_binding(
            &self.key,
            self.key.public_key(),
            &Password::empty(),
            subkey.0.public_key(),
        );
        signature.unwrap()
    }

    /// A keyring of the key, statements about it, its name with statements about that, and
    /// subkeys with statements about them.
    pub(in crate::debian) fn packets(
        &self,
        key: &[Signature],
        user: &[Signature],
        subkeys: &[(&Subkey, &[Signature])],
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.key
            .public_key()
            .to_writer_with_header(&mut bytes)
            .unwrap();
        let add = |bytes: &mut Vec<u8>, signatures: &[Signature]| {
            for signature in signatures {
                signature.to_writer_with_header(&mut *bytes).unwrap();
            }
        };
        add(&mut bytes, key);
        self.user.to_writer_with_header(&mut bytes).unwrap();
        add(&mut bytes, user);
        for (subkey, signatures) in subkeys {
            subkey
                .0
                .public_key()
                .to_writer_with_header(&mut bytes)
                .unwrap();
            add(&mut bytes, signatures);
        }
        bytes
    }

    /// A keyring of the key and its name, as GnuPG makes them.
    pub(in crate::debian) fn plain(&self) -> Vec<u8> {
        self.packets(&[], &[self.certifies(says(BORN).for_signing(true))], &[])
    }
}

fn signed(key: &impl SigningKey, text: &str, says: Says) -> Signature {
    let config = says.config(key, SignatureType::Text);
    config
        .sign(key, &Password::empty(), text.as_bytes())
        .unwrap()
}

/// The signed text, by the encoder of the `pgp` crate.
pub(in crate::debian) fn clear_signed(text: &str, signatures: Vec<Signature>) -> String {
    let message = CleartextSignedMessage::new_many(text, |_| Ok(signatures)).unwrap();
    message.to_armored_string(None.into()).unwrap()
}

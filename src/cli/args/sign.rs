//! The arguments of the commands for keys, signatures and attestations.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::{RegistryArguments, key_value};
use crate::image::Platform;
use crate::sign::PredicateType;
use crate::sign::key::Algorithm;

#[derive(Debug, Args)]
pub(in crate::cli) struct KeygenArguments {
    /// Write PREFIX.key and PREFIX.pub
    #[arg(long, value_name = "PREFIX", default_value = "cosign", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) output_key_prefix: PathBuf,
    /// What to make: ecdsa-p256, ecdsa-p384 or ed25519
    #[arg(long, value_name = "NAME", default_value = "ecdsa-p256")]
    pub(in crate::cli) algorithm: Algorithm,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportKeyPairArguments {
    /// The private key in PEM, as openssl writes it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) key: PathBuf,
    /// Write PREFIX.key and PREFIX.pub
    #[arg(long, value_name = "PREFIX", default_value = "import-cosign", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) output_key_prefix: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PublicKeyArguments {
    /// The private key
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) key: String,
}

/// The form of what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum SignatureForm {
    /// Both forms, so that every verifier finds one
    Both,
    /// A tag beside the image: cosign 2 and most admission controllers
    Classic,
    /// A sigstore bundle that refers to the image: cosign 3
    Bundle,
}

/// An image, and who signs something of it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Signing {
    /// The image: a layout, an OCI archive or a name in a registry; with @sha256:… the one with
    /// that digest
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// The private key: a file, or env://VARIABLE; its password comes from COSIGN_PASSWORD or the
    /// terminal
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) key: String,
    /// Form of what is made
    #[arg(long = "signature-form", value_name = "FORM", default_value = "both")]
    pub(in crate::cli) form: SignatureForm,
    /// What the image is called in it [default: its repository, or the layout's name]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) identity: Option<String>,
    /// The image for this platform alone [default: the whole index]
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

/// An image, and who is to have signed something of it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Verifying {
    /// The image: a layout, an OCI archive or a name in a registry; with @sha256:… the one with
    /// that digest
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// The public key: a file, or env://VARIABLE
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) key: String,
    /// The image for this platform alone [default: the whole index]
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    /// Do not fetch the layers of an image in a registry: who pulls them checks them, too
    #[arg(long)]
    pub(in crate::cli) no_layers: bool,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

// Flattened last: the headings of what is in it would go on over what follows.
#[derive(Debug, Args)]
pub(in crate::cli) struct SignArguments {
    /// Add this to what is signed (repeatable)
    #[arg(short, long = "annotation", alias = "annotations", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(in crate::cli) annotations: Vec<(String, String)>,
    /// Sign the images of an index, too
    #[arg(short, long, conflicts_with = "platform")]
    pub(in crate::cli) recursive: bool,
    #[command(flatten)]
    pub(in crate::cli) signing: Signing,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArguments {
    /// What the signature must say, too (repeatable)
    #[arg(short, long = "annotation", alias = "annotations", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(in crate::cli) annotations: Vec<(String, String)>,
    #[command(flatten)]
    pub(in crate::cli) verifying: Verifying,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AttestArguments {
    /// What is attested, a file; - for stdin
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) predicate: PathBuf,
    /// Its type: custom, cyclonedx, link, openvex, slsaprovenance, slsaprovenance02,
    /// slsaprovenance1, spdx, spdxjson, vuln or a URI
    #[arg(long = "type", value_name = "TYPE", default_value = "custom")]
    pub(in crate::cli) kind: PredicateType,
    /// Replace attestations of this type by this key
    #[arg(long)]
    pub(in crate::cli) replace: bool,
    #[command(flatten)]
    pub(in crate::cli) signing: Signing,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyAttestationArguments {
    /// The type that is asked for: see attest
    #[arg(long = "type", value_name = "TYPE", default_value = "custom")]
    pub(in crate::cli) kind: PredicateType,
    #[command(flatten)]
    pub(in crate::cli) verifying: Verifying,
}

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

#[derive(Debug, Args)]
pub(in crate::cli) struct SignArguments {
    /// The image: a layout, an OCI archive or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// The private key: a file, or env://VARIABLE; its password comes from COSIGN_PASSWORD or the terminal
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) key: String,
    /// Add this to what is signed; several times for several
    #[arg(short, long = "annotation", alias = "annotations", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(in crate::cli) annotations: Vec<(String, String)>,
    /// Sign the images of an index, too
    #[arg(short, long)]
    pub(in crate::cli) recursive: bool,
    /// Form of the signature
    #[arg(long = "signature-form", value_name = "FORM", default_value = "both")]
    pub(in crate::cli) form: SignatureForm,
    /// What the image is called in the signature [default: its repository, or the layout's name]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) identity: Option<String>,
    /// Sign the image for this platform alone [default: the whole index]
    #[arg(long, value_name = "OS/ARCH", conflicts_with = "recursive")]
    pub(in crate::cli) platform: Option<Platform>,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArguments {
    /// The image: a layout, an OCI archive or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// The public key: a file, or env://VARIABLE
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) key: String,
    /// What the signature must say, too; several times for several
    #[arg(short, long = "annotation", alias = "annotations", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(in crate::cli) annotations: Vec<(String, String)>,
    /// Verify the image for this platform alone [default: the whole index]
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    /// Fetch every layer from the registry and check it, too; on disk they always are
    #[arg(long)]
    pub(in crate::cli) layers: bool,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AttestArguments {
    /// The image: a layout, an OCI archive or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// The private key: a file, or env://VARIABLE; its password comes from COSIGN_PASSWORD or the terminal
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) key: String,
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
    /// Form of the attestation
    #[arg(long = "signature-form", value_name = "FORM", default_value = "both")]
    pub(in crate::cli) form: SignatureForm,
    /// Attest of the image for this platform alone [default: the whole index]
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyAttestationArguments {
    /// The image: a layout, an OCI archive or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// The public key: a file, or env://VARIABLE
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) key: String,
    /// The type that is asked for: see attest
    #[arg(long = "type", value_name = "TYPE", default_value = "custom")]
    pub(in crate::cli) kind: PredicateType,
    /// Verify that of the image for this platform alone [default: the whole index]
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    /// Fetch every layer from the registry and check it, too; on disk they always are
    #[arg(long)]
    pub(in crate::cli) layers: bool,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

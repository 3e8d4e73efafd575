//! The arguments of the commands for images, wherever they are.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::{Format, ReportForm, key_value};
use crate::image::Platform;
use crate::registry::{Host, Mirror, Reference};
use crate::report::Budget;

#[derive(Debug, Args)]
pub(in crate::cli) struct ReportArguments {
    /// The image: an OCI layout, an OCI archive or a docker archive, with :TAG where it holds
    /// several, or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// Image to compare with: a known slim base such as python:3.9-slim, or an image on disk (repeatable)
    #[arg(long, value_name = "REF")]
    pub(in crate::cli) against: Vec<String>,
    /// Ask the registries what the images of --against weigh today, or those that an image is
    /// compared with anyway
    #[arg(long)]
    pub(in crate::cli) live: bool,
    /// Which platform of an image with several
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    /// Form of the report
    #[arg(long, value_name = "FORM", default_value = "table")]
    pub(in crate::cli) report: ReportForm,
    /// Fail with exit code 3 when the image is larger, compressed
    #[arg(long, value_name = "SIZE")]
    pub(in crate::cli) max_size: Option<Budget>,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

/// How registries are spoken with.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registries")]
pub(in crate::cli) struct RegistryArguments {
    /// User name for the registry that is written to, or else read from; the password comes from
    /// stdin, with --password-stdin
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    pub(in crate::cli) username: Option<String>,
    /// Read the password from stdin
    #[arg(long, requires = "username")]
    pub(in crate::cli) password_stdin: bool,
    /// Registry that may be spoken with over plain HTTP; localhost always may (repeatable)
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(in crate::cli) insecure: Vec<Host>,
    /// File with certificates (PEM) to believe beside the system's (repeatable)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) ca_file: Vec<PathBuf>,
    /// Registry that holds copies of another's images and is asked first, as
    /// docker.io=mirror.example (repeatable)
    #[arg(long, value_name = "HOST=MIRROR[/PREFIX]")]
    pub(in crate::cli) registry_mirror: Vec<Mirror>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArguments {
    /// The earlier image: a layout, an archive, or a name in a registry
    #[arg(value_name = "BEFORE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) before: String,
    /// The later image
    #[arg(value_name = "AFTER", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) after: String,
    /// Which platform of images with several
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    /// Form of the comparison
    #[arg(long, value_name = "FORM", default_value = "table")]
    pub(in crate::cli) format: DiffForm,
    /// Exit with 1 when anything differs
    #[arg(long)]
    pub(in crate::cli) exit_code: bool,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum DiffForm {
    /// For the terminal
    Table,
    /// For programs
    Json,
    /// For a pull request
    Markdown,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct InspectArguments {
    /// The image: a layout, an archive, or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// Which platform of an image with several
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    /// Print the manifest or index, byte for byte
    #[arg(long, conflicts_with_all = ["config", "json"])]
    pub(in crate::cli) raw: bool,
    /// Print the config, byte for byte
    #[arg(long, conflicts_with = "json")]
    pub(in crate::cli) config: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PushArguments {
    /// The image: a layout or an archive, with :TAG where it holds several
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// The name it gets, as ghcr.io/me/app:v1
    #[arg(value_name = "REF")]
    pub(in crate::cli) reference: Reference,
    /// Send the image for this platform alone [default: the whole index]
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    /// Leave behind what is attached to the image: signatures, attestations
    #[arg(long)]
    pub(in crate::cli) no_signatures: bool,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PullArguments {
    /// The image, as ghcr.io/me/app:v1 or ghcr.io/me/app@sha256:…
    #[arg(value_name = "REF")]
    pub(in crate::cli) reference: Reference,
    /// Where to write: a layout directory, or an OCI archive when it ends in .tar [default: NAME.oci]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) output: Option<PathBuf>,
    /// Form of the output
    #[arg(long, value_name = "FORMAT", default_value = "oci")]
    pub(in crate::cli) format: Format,
    /// Tag of the image in the output [default: the one in the registry]
    #[arg(short, long, value_name = "TAG")]
    pub(in crate::cli) tag: Option<String>,
    /// Fetch the image for this platform alone [default: the whole index; for a docker archive
    /// this machine's platform]
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    /// Leave behind what is attached to the image: signatures, attestations
    #[arg(long)]
    pub(in crate::cli) no_signatures: bool,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CopyArguments {
    /// The image: a layout, an archive, or a name in a registry
    #[arg(value_name = "FROM", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) from: String,
    /// Where it goes: a layout, an archive (oci-archive:, docker-archive:) or a name in a registry
    #[arg(value_name = "TO", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) to: String,
    /// Copy the image for this platform alone [default: the whole index]
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    /// Leave behind what is attached to the image: signatures, attestations
    #[arg(long)]
    pub(in crate::cli) no_signatures: bool,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TagsArguments {
    /// A repository, as ghcr.io/me/app, or a layout or archive
    #[arg(value_name = "REPOSITORY", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) repository: String,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RmArguments {
    /// Layout with the tag to remove, as app.oci:v1 (repeatable)
    #[arg(value_name = "LAYOUT:TAG", required = true, value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) images: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct IndexArguments {
    /// Where the index goes: a layout or archive with a tag, as app.oci:v1, or a name in a registry;
    /// what it has already of other platforms stays
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// Image to put into it, with all its platforms: a layout, an archive, or a name in a registry
    /// (repeatable)
    #[arg(long, value_name = "IMAGE", required = true, value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) add: Vec<String>,
    /// Annotation of the index (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    pub(in crate::cli) annotation: Vec<(String, String)>,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RebaseArguments {
    /// The image: a layout, an archive, or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// The newer base [default: what the image's base is called, as it is today]
    #[arg(long, value_name = "BASE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) onto: Option<String>,
    /// The base that it stands on [default: what its annotations say]
    #[arg(long, value_name = "BASE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) old_base: Option<String>,
    /// Where the image goes: a layout, an archive, or a name in a registry [default: IMAGE itself]
    #[arg(long, value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) to: Option<String>,
    /// Which platform of an image with several [default: all]
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LoadArguments {
    /// The image: a layout, an archive, or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(in crate::cli) image: String,
    /// Where it goes
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    pub(in crate::cli) into: Engine,
    /// The name it gets there [default: that of the file or repository, and its tag]
    #[arg(long, value_name = "NAME:TAG")]
    pub(in crate::cli) name: Option<String>,
    /// Which platform of an image with several [default: this machine's]
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<Platform>,
    #[command(flatten)]
    pub(in crate::cli) registry: RegistryArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Engine {
    /// The first of these that is there
    Auto,
    /// Docker, by its socket (DOCKER_HOST, or the usual place)
    Docker,
    /// podman, by `podman load`
    Podman,
    /// containerd, by `nerdctl load`, or `ctr images import`
    Containerd,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LoginArguments {
    /// The registry, as ghcr.io
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub(in crate::cli) host: Host,
    /// User name [default: asked for]
    #[arg(short, long, value_name = "NAME")]
    pub(in crate::cli) username: Option<String>,
    /// Read the password from stdin [default: asked for, on a terminal]
    #[arg(long)]
    pub(in crate::cli) password_stdin: bool,
    /// Registry that may be spoken with over plain HTTP; localhost always may (repeatable)
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(in crate::cli) insecure: Vec<Host>,
    /// File with certificates (PEM) to believe beside the system's (repeatable)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) ca_file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LogoutArguments {
    /// The registry, as ghcr.io
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub(in crate::cli) host: Host,
}

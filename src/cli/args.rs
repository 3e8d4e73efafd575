//! The arguments of every command.

mod sign;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::ImagePath;
use crate::image::Platform;
use crate::layer::Compression;
use crate::registry::{Host, Mirror as RegistryMirror, Reference as RegistryReference};
use crate::report::Budget;
use crate::rootfs::Include;

pub(super) use sign::{
    AttestArguments, ImportKeyPairArguments, KeygenArguments, PublicKeyArguments, SignArguments,
    SignatureForm, Signing, VerifyArguments, VerifyAttestationArguments,
};

use super::terminal::Level;
#[cfg(feature = "debian")]
use crate::debian::{Architecture, LOCK_FILE, Mirror, Reference};

const AFTER_HELP: &str = "\
Examples:
  distrobuild ./app                          writes app.oci and shows its size
  distrobuild /usr/bin/jq -o jq.tar          an OCI archive
  distrobuild ./server --port 8080 -- --listen 0.0.0.0:8080
  distrobuild ./app --report markdown --max-size 20MB
  distrobuild ./venv/bin/myapp --smoke=--version
  distrobuild ./server.js --port 8080 --smoke-port 8080
  distrobuild ./app --base debian:bookworm/cc   on signed Debian packages, not this system's files
  distrobuild deps ./app                     which libraries it needs, and why

Exit codes: 0 done, 1 error, 2 wrong usage, 3 over the size budget.";

/// Turns a built program into the smallest OCI image that is proven to run.
#[derive(Debug, Parser)]
#[command(
    name = "distrobuild",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = AFTER_HELP,
    max_term_width = 100
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) build: Build,
    #[command(flatten)]
    pub(super) verbosity: Verbosity,
    #[command(flatten)]
    pub(super) color: Color,
    /// Print a completion script for this shell
    #[arg(long, value_name = "SHELL", exclusive = true, help_heading = None::<&str>)]
    pub(super) completions: Option<clap_complete::Shell>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Build an image of a program (the default command)
    Build(Box<Build>),
    /// Show the shared libraries that a program loads: where each is found, and by which rule
    Deps(Deps),
    /// Show what takes the room in an image
    Report(ReportArguments),
    /// Show what differs between two images: files, packages, config
    Diff(DiffArguments),
    /// Show what an image is: its platforms, config, layers and annotations
    Inspect(InspectArguments),
    /// Send an image to a registry
    Push(PushArguments),
    /// Fetch an image from a registry into a layout or an archive
    Pull(PullArguments),
    /// Copy an image between registries, layouts and archives
    Copy(CopyArguments),
    /// List the tags of a repository, a layout or an archive
    Tags(TagsArguments),
    /// Remove tags from a layout, and what only they used
    Rm(RmArguments),
    /// Put images for several platforms under one name
    Index(IndexArguments),
    /// Move an image onto a newer base, without its app's files
    Rebase(RebaseArguments),
    /// Load an image into Docker, podman or containerd
    Load(LoadArguments),
    /// Log in to a registry
    Login(LoginArguments),
    /// Forget the login of a registry
    Logout(LogoutArguments),
    /// Make a key pair to sign with, as cosign's generate-key-pair
    #[command(visible_alias = "generate-key-pair")]
    Keygen(KeygenArguments),
    /// Encrypt a key of openssl's for signing
    ImportKeyPair(ImportKeyPairArguments),
    /// Print the public half of a key
    PublicKey(PublicKeyArguments),
    /// Sign an image
    Sign(SignArguments),
    /// Verify that an image is signed, and print what was signed
    Verify(VerifyArguments),
    /// Attest something of an image: an SBOM, a scan, how it was made
    Attest(AttestArguments),
    /// Verify what is attested of an image, and print it
    VerifyAttestation(VerifyAttestationArguments),
    /// List bases, show what is in one, and lock its packages
    Bases(BasesArguments),
    /// Show or prune the cache: compressed layers, packages, and what builds made on the way
    Cache(CacheArguments),
}

#[derive(Debug, Args)]
pub(super) struct Verbosity {
    /// Say nothing but the result: of a build the image's name, or the report asked for
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Messages"
    )]
    pub(super) quiet: bool,
    /// Say more: every library, and how long each phase took
    #[arg(short, long, global = true, help_heading = "Messages")]
    pub(super) verbose: bool,
}

impl Verbosity {
    pub(super) fn level(&self) -> Level {
        match (self.quiet, self.verbose) {
            (true, _) => Level::Quiet,
            (_, true) => Level::Verbose,
            _ => Level::Normal,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Color {
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        value_parser = color_choice(),
        help_heading = "Messages"
    )]
    pub(super) color: anstream::ColorChoice,
}

fn color_choice() -> impl clap::builder::TypedValueParser<Value = anstream::ColorChoice> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(["auto", "always", "never"]).map(|word| match word.as_str() {
        "always" => anstream::ColorChoice::Always,
        "never" => anstream::ColorChoice::Never,
        _ => anstream::ColorChoice::Auto,
    })
}

/// Where programs and libraries are looked for.
#[derive(Debug, Clone, Args)]
pub(super) struct Search {
    /// Directory that stands for / in every look-up: the root of another system
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) sysroot: Option<PathBuf>,
    /// Directory to search before the loader's own, as in LD_LIBRARY_PATH (repeatable)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) library_path: Vec<PathBuf>,
    /// Library that the program opens by dlopen (repeatable)
    #[arg(long, value_name = "SONAME")]
    pub(super) dlopen: Vec<OsString>,
    /// Files to add: a file, directory or glob of this machine, and where it goes in the image (repeatable)
    #[arg(long, value_name = "SRC[:DST]", value_parser = Include::parse)]
    pub(super) include: Vec<Include>,
    /// What runs the app
    #[arg(long, value_name = "RUNTIME", default_value = "auto")]
    pub(super) runtime: RuntimeName,
    /// Let a shell into the image, for a shell script
    #[arg(long)]
    pub(super) allow_shell: bool,
    /// Apply a rule that does not apply by itself, such as fonts; `deps --rules` lists them (repeatable)
    #[arg(long, value_name = "RULE")]
    pub(super) with: Vec<String>,
    /// Do not apply a rule (repeatable)
    #[arg(long, value_name = "RULE")]
    pub(super) without: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RuntimeName {
    /// What the app looks like
    Auto,
    /// The kernel alone: an ELF program, or a #! script with its interpreter
    None,
    /// CPython
    Python,
    /// Node.js
    Node,
    /// A Java virtual machine
    Java,
}

/// Running the app on this machine before the build.
#[derive(Debug, Clone, Args)]
pub(super) struct Trace {
    /// Run the app, with the arguments after --, and include every file that it opens
    #[arg(long)]
    pub(super) trace: bool,
    /// End the traced app by SIGTERM after this time, as 10s: for servers (implies --trace)
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) trace_for: Option<Duration>,
    /// Write what the traced app opened to FILE, for --profile (implies --trace)
    #[arg(long, value_name = "FILE", conflicts_with = "profile", value_hint = ValueHint::FilePath)]
    pub(super) trace_out: Option<PathBuf>,
}

impl Trace {
    pub(super) fn is_wanted(&self) -> bool {
        self.trace || self.trace_for.is_some() || self.trace_out.is_some()
    }
}

/// Running the image in a sandbox before it is written.
#[derive(Debug, Clone, Args)]
pub(super) struct Smoke {
    /// Start the image in a sandbox, with ARGS in the place of its default arguments, and fail
    /// the build when it does not exit with 0, or, with --port, does not answer there
    #[arg(long, value_name = "ARGS", num_args = 0..=1, require_equals = true)]
    pub(super) smoke: Option<Option<String>>,
    /// Text that it must print (implies --smoke; repeatable)
    #[arg(long, value_name = "TEXT")]
    pub(super) smoke_expect: Vec<String>,
    /// TCP port on which it must answer (implies --smoke; repeatable)
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) smoke_port: Vec<u16>,
    /// Time that it must stay up, as 5s (implies --smoke)
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) smoke_for: Option<Duration>,
    /// Time limit of the whole run
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub(super) smoke_timeout: Duration,
    /// Directory that it may write to, empty and in memory; the rest of the image is read-only
    /// (implies --smoke; repeatable)
    #[arg(long, value_name = "DIR")]
    pub(super) smoke_writable: Vec<ImagePath>,
}

impl Smoke {
    pub(super) fn is_wanted(&self) -> bool {
        self.smoke.is_some()
            || !self.smoke_expect.is_empty()
            || !self.smoke_port.is_empty()
            || self.smoke_for.is_some()
            || !self.smoke_writable.is_empty()
    }
}

/// What the image starts from.
#[derive(Debug, Clone, Args)]
pub(super) struct BaseArguments {
    /// What the image starts from: static, none, a file such as ./mine.toml, Debian packages, as
    /// debian:bookworm/cc (`distrobuild bases list` shows all), or an image: gcr.io/distroless/cc,
    /// docker://debian:bookworm-slim, a layout or an archive
    #[arg(long, value_name = "BASE", default_value = "static")]
    pub(super) base: String,
    #[cfg(feature = "debian")]
    #[command(flatten)]
    pub(super) wanted: Wanted,
    #[cfg(feature = "debian")]
    #[command(flatten)]
    pub(super) archives: Archives,
}

/// What a base from packages holds.
#[cfg(feature = "debian")]
#[derive(Debug, Clone, Args)]
pub(super) struct Wanted {
    /// Package to add to the base, as libjq1 or libjq1=1.6-2.1 (repeatable)
    #[arg(long, value_name = "NAME[=VERSION]")]
    pub(super) package: Vec<String>,
    /// Architecture of the packages, as arm64 [default: that of the app]
    #[arg(long, value_name = "ARCH")]
    pub(super) arch: Option<Architecture>,
    /// Lock file that names the packages [default: distrobuild.lock, where it is there]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) lock: Option<PathBuf>,
}

/// Where packages come from, and what is trusted.
#[cfg(feature = "debian")]
#[derive(Debug, Clone, Args)]
pub(super) struct Archives {
    /// Mirror of the archive, or of one suite, as bookworm-security=URL
    /// [default: the system's own apt sources, then deb.debian.org] (repeatable)
    #[arg(long, value_name = "[SUITE=]URL")]
    pub(super) mirror: Vec<Mirror>,
    /// OpenPGP keys that sign the archive [default: Debian's and Ubuntu's, built in]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) keyring: Option<PathBuf>,
    /// Take packages from the cache alone
    #[arg(long)]
    pub(super) offline: bool,
    /// Take an archive's state also after the time until which it is valid
    #[arg(long)]
    pub(super) allow_expired: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct Build {
    /// The app: an ELF program, a script, a virtual environment's command, a directory with
    /// __main__.py or package.json, a .js or .jar file
    #[arg(value_name = "APP", required = true, value_hint = ValueHint::FilePath)]
    pub(super) app: Option<PathBuf>,
    /// Default arguments of the app (CMD); --trace runs it with them
    #[arg(last = true, value_name = "CMD")]
    pub(super) cmd: Vec<String>,

    /// Where to write: a layout directory, or an OCI archive when it ends in .tar [default: APP.oci]
    #[arg(short, long, value_name = "PATH", help_heading = "Output", value_hint = ValueHint::AnyPath)]
    pub(super) output: Option<PathBuf>,
    /// Form of the output
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "oci",
        help_heading = "Output"
    )]
    pub(super) format: Format,
    /// Tag of the image in the output
    #[arg(
        short,
        long,
        value_name = "TAG",
        default_value = "latest",
        help_heading = "Output"
    )]
    pub(super) tag: String,
    /// Push the image to a registry, as ghcr.io/me/app:v1; then nothing is written to disk unless
    /// --output says where (repeatable)
    #[arg(long, value_name = "REF", help_heading = "Output")]
    pub(super) push: Vec<RegistryReference>,
    /// Sign the image with this key: a file, or env://VARIABLE; its password comes from
    /// COSIGN_PASSWORD or the terminal
    #[arg(long, value_name = "KEY", help_heading = "Output", value_hint = ValueHint::FilePath)]
    pub(super) sign: Option<String>,
    /// Show what the image would hold, and write nothing
    #[arg(long, help_heading = "Output")]
    pub(super) dry_run: bool,

    #[command(flatten, next_help_heading = "Base")]
    pub(super) base: BaseArguments,
    /// Add the packages that hold libraries which the app needs and the base lacks
    #[cfg(feature = "debian")]
    #[arg(long, help_heading = "Base")]
    pub(super) add_missing: bool,
    #[command(flatten, next_help_heading = "Content")]
    pub(super) search: Search,
    /// Drop debug sections and symbol tables of ELF files
    #[arg(long, help_heading = "Content")]
    pub(super) strip: bool,
    /// Do not record which packages of the system the files come from; scanners then find none
    #[arg(long, help_heading = "Content")]
    pub(super) no_package_records: bool,
    /// Include the files that a run recorded by --trace-out opened
    #[arg(long, value_name = "FILE", help_heading = "Content", conflicts_with = "trace", value_hint = ValueHint::FilePath)]
    pub(super) profile: Option<PathBuf>,
    /// How the content is divided into layers
    #[arg(
        long,
        value_name = "HOW",
        default_value = "split",
        help_heading = "Content"
    )]
    pub(super) layers: Layers,
    /// Compression of layers: gzip, zstd, none or estargz, with a level as in gzip:9
    #[arg(
        long,
        value_name = "KIND[:LEVEL]",
        default_value = "gzip",
        help_heading = "Content"
    )]
    pub(super) compression: Compression,

    /// Command of the image instead of the program itself; words are split at blanks, or a JSON array
    #[arg(long, value_name = "COMMAND", help_heading = "Config")]
    pub(super) entrypoint: Option<String>,
    /// Environment variable (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = key_value, help_heading = "Config")]
    pub(super) env: Vec<(String, String)>,
    /// Working directory
    #[arg(short, long, value_name = "DIR", help_heading = "Config")]
    pub(super) workdir: Option<ImagePath>,
    /// User that the program runs as [default: 65532:65532]
    #[arg(short, long, value_name = "USER[:GROUP]", value_parser = user, help_heading = "Config")]
    pub(super) user: Option<String>,
    /// Port that the program listens on, as 8080 or 53/udp (repeatable)
    #[arg(short, long, value_name = "PORT", value_parser = port, help_heading = "Config")]
    pub(super) port: Vec<String>,
    /// Label of the config (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = key_value, help_heading = "Config")]
    pub(super) label: Vec<(String, String)>,
    /// Annotation of the manifest (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value, help_heading = "Config")]
    pub(super) annotation: Vec<(String, String)>,
    /// Platform to build for, as linux/arm64. Several, as linux/amd64,linux/arm64, make one index:
    /// {arch}, {machine}, {os} and {variant} in APP, --sysroot, --include and --library-path stand
    /// for those of each (amd64, x86_64, linux, v8)
    #[arg(
        long,
        value_name = "OS/ARCH,…",
        value_delimiter = ',',
        help_heading = "Config"
    )]
    pub(super) platform: Vec<Platform>,

    #[command(flatten, next_help_heading = "Trace")]
    pub(super) trace: Trace,
    #[command(flatten, next_help_heading = "Smoke test")]
    pub(super) smoke: Smoke,

    /// Form of the size report [default: table, with -q none]
    #[arg(long, value_name = "FORM", help_heading = "Report")]
    pub(super) report: Option<ReportForm>,
    /// Image to compare with: a known slim base such as python:3.9-slim, or an image on disk (repeatable)
    #[arg(long, value_name = "REF", help_heading = "Report")]
    pub(super) against: Vec<String>,
    /// Fail with exit code 3 when the image is larger, compressed: 20MB, 18MiB, 900kB
    #[arg(long, value_name = "SIZE", help_heading = "Report")]
    pub(super) max_size: Option<Budget>,

    /// Threads that compress; they never change a byte [default: one a core]
    #[arg(short = 'j', long, value_name = "N", value_parser = threads, help_heading = "Running")]
    pub(super) threads: Option<NonZeroUsize>,
    /// Neither read nor write the cache
    #[arg(long, help_heading = "Running")]
    pub(super) no_cache: bool,
    /// Show how long each phase took
    #[arg(long, help_heading = "Running")]
    pub(super) timings: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// An OCI image layout, or an OCI archive when the output ends in .tar
    Oci,
    /// What `docker load` takes
    DockerArchive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Layers {
    /// Base, libraries and app apart: what seldom changes is below
    Split,
    /// One layer
    Single,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportForm {
    /// For the terminal
    Table,
    /// For programs
    Json,
    /// For a pull request
    Markdown,
    /// None
    None,
}

#[derive(Debug, Args)]
pub(super) struct Deps {
    /// The app, as for build
    #[arg(value_name = "APP", required_unless_present = "rules", value_hint = ValueHint::FilePath)]
    pub(super) app: Option<PathBuf>,
    #[command(flatten)]
    pub(super) base: BaseArguments,
    #[command(flatten)]
    pub(super) search: Search,
    /// List the rules for what comes along with a library or a program
    #[arg(long, exclusive = true)]
    pub(super) rules: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// The image: an OCI layout, an OCI archive or a docker archive, with :TAG where it holds
    /// several, or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(super) image: String,
    /// Image to compare with: a known slim base such as python:3.9-slim, or an image on disk (repeatable)
    #[arg(long, value_name = "REF")]
    pub(super) against: Vec<String>,
    /// Ask the registries what the images of --against weigh today, or those that an image is
    /// compared with anyway
    #[arg(long)]
    pub(super) live: bool,
    /// Which platform of an image with several
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Option<Platform>,
    /// Form of the report
    #[arg(long, value_name = "FORM", default_value = "table")]
    pub(super) report: ReportForm,
    /// Fail with exit code 3 when the image is larger, compressed
    #[arg(long, value_name = "SIZE")]
    pub(super) max_size: Option<Budget>,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

/// How registries are spoken with.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registries")]
pub(super) struct RegistryArguments {
    /// User name for the registry that is written to, or else read from; the password comes from
    /// stdin, with --password-stdin
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    pub(super) username: Option<String>,
    /// Read the password from stdin
    #[arg(long, requires = "username")]
    pub(super) password_stdin: bool,
    /// Registry that may be spoken with over plain HTTP; localhost always may (repeatable)
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(super) insecure: Vec<Host>,
    /// File with certificates (PEM) to believe beside the system's (repeatable)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) ca_file: Vec<PathBuf>,
    /// Registry that holds copies of another's images and is asked first, as
    /// docker.io=mirror.example (repeatable)
    #[arg(long, value_name = "HOST=MIRROR[/PREFIX]")]
    pub(super) registry_mirror: Vec<RegistryMirror>,
}

#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    /// The earlier image: a layout, an archive, or a name in a registry
    #[arg(value_name = "BEFORE", value_hint = ValueHint::AnyPath)]
    pub(super) before: String,
    /// The later image
    #[arg(value_name = "AFTER", value_hint = ValueHint::AnyPath)]
    pub(super) after: String,
    /// Which platform of images with several
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Option<Platform>,
    /// Form of the comparison
    #[arg(long, value_name = "FORM", default_value = "table")]
    pub(super) format: DiffForm,
    /// Exit with 1 when anything differs
    #[arg(long)]
    pub(super) exit_code: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DiffForm {
    /// For the terminal
    Table,
    /// For programs
    Json,
    /// For a pull request
    Markdown,
}

#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// The image: a layout, an archive, or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(super) image: String,
    /// Which platform of an image with several
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Option<Platform>,
    /// Print the manifest or index, byte for byte
    #[arg(long, conflicts_with_all = ["config", "json"])]
    pub(super) raw: bool,
    /// Print the config, byte for byte
    #[arg(long, conflicts_with = "json")]
    pub(super) config: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(super) struct PushArguments {
    /// The image: a layout or an archive, with :TAG where it holds several
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(super) image: String,
    /// The name it gets, as ghcr.io/me/app:v1
    #[arg(value_name = "REF")]
    pub(super) reference: RegistryReference,
    /// Send the image for this platform alone [default: the whole index]
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Option<Platform>,
    /// Leave behind what is attached to the image: signatures, attestations
    #[arg(long)]
    pub(super) no_signatures: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(super) struct PullArguments {
    /// The image, as ghcr.io/me/app:v1 or ghcr.io/me/app@sha256:…
    #[arg(value_name = "REF")]
    pub(super) reference: RegistryReference,
    /// Where to write: a layout directory, or an OCI archive when it ends in .tar [default: NAME.oci]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(super) output: Option<PathBuf>,
    /// Form of the output
    #[arg(long, value_name = "FORMAT", default_value = "oci")]
    pub(super) format: Format,
    /// Tag of the image in the output [default: the one in the registry]
    #[arg(short, long, value_name = "TAG")]
    pub(super) tag: Option<String>,
    /// Fetch the image for this platform alone [default: the whole index; for a docker archive
    /// this machine's platform]
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Option<Platform>,
    /// Leave behind what is attached to the image: signatures, attestations
    #[arg(long)]
    pub(super) no_signatures: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(super) struct CopyArguments {
    /// The image: a layout, an archive, or a name in a registry
    #[arg(value_name = "FROM", value_hint = ValueHint::AnyPath)]
    pub(super) from: String,
    /// Where it goes: a layout, an archive (oci-archive:, docker-archive:) or a name in a registry
    #[arg(value_name = "TO", value_hint = ValueHint::AnyPath)]
    pub(super) to: String,
    /// Copy the image for this platform alone [default: the whole index]
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Option<Platform>,
    /// Leave behind what is attached to the image: signatures, attestations
    #[arg(long)]
    pub(super) no_signatures: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(super) struct TagsArguments {
    /// A repository, as ghcr.io/me/app, or a layout or archive
    #[arg(value_name = "REPOSITORY", value_hint = ValueHint::AnyPath)]
    pub(super) repository: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(super) struct RmArguments {
    /// Layout with the tag to remove, as app.oci:v1 (repeatable)
    #[arg(value_name = "LAYOUT:TAG", required = true, value_hint = ValueHint::AnyPath)]
    pub(super) images: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct IndexArguments {
    /// Where the index goes: a layout or archive with a tag, as app.oci:v1, or a name in a registry;
    /// what it has already of other platforms stays
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(super) image: String,
    /// Image to put into it, with all its platforms: a layout, an archive, or a name in a registry
    /// (repeatable)
    #[arg(long, value_name = "IMAGE", required = true, value_hint = ValueHint::AnyPath)]
    pub(super) add: Vec<String>,
    /// Annotation of the index (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    pub(super) annotation: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(super) struct RebaseArguments {
    /// The image: a layout, an archive, or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(super) image: String,
    /// The newer base [default: what the image's base is called, as it is today]
    #[arg(long, value_name = "BASE", value_hint = ValueHint::AnyPath)]
    pub(super) onto: Option<String>,
    /// The base that it stands on [default: what its annotations say]
    #[arg(long, value_name = "BASE", value_hint = ValueHint::AnyPath)]
    pub(super) old_base: Option<String>,
    /// Where the image goes: a layout, an archive, or a name in a registry [default: IMAGE itself]
    #[arg(long, value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(super) to: Option<String>,
    /// Which platform of an image with several [default: all]
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Option<Platform>,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

#[derive(Debug, Args)]
pub(super) struct LoadArguments {
    /// The image: a layout, an archive, or a name in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(super) image: String,
    /// Where it goes
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    pub(super) into: Engine,
    /// The name it gets there [default: that of the file or repository, and its tag]
    #[arg(long, value_name = "NAME:TAG")]
    pub(super) name: Option<String>,
    /// Which platform of an image with several [default: this machine's]
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Option<Platform>,
    #[command(flatten)]
    pub(super) registry: RegistryArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
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
pub(super) struct LoginArguments {
    /// The registry, as ghcr.io
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub(super) host: Host,
    /// User name [default: asked for]
    #[arg(short, long, value_name = "NAME")]
    pub(super) username: Option<String>,
    /// Read the password from stdin [default: asked for, on a terminal]
    #[arg(long)]
    pub(super) password_stdin: bool,
    /// Registry that may be spoken with over plain HTTP; localhost always may (repeatable)
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(super) insecure: Vec<Host>,
    /// File with certificates (PEM) to believe beside the system's (repeatable)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) ca_file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct LogoutArguments {
    /// The registry, as ghcr.io
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub(super) host: Host,
}

#[derive(Debug, Args)]
pub(super) struct BasesArguments {
    #[command(subcommand)]
    pub(super) action: Option<BasesAction>,
}

#[derive(Debug, Subcommand)]
pub(super) enum BasesAction {
    /// List the bases that there are (the default)
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the packages of a base, why each is there, and what is left out
    #[cfg(feature = "debian")]
    Show {
        /// The base, as debian:bookworm/cc
        #[arg(value_name = "BASE")]
        base: Reference,
        /// Package to add to it (repeatable)
        #[arg(long, value_name = "NAME[=VERSION]")]
        package: Vec<String>,
        /// Architecture of the packages [default: this machine's]
        #[arg(long, value_name = "ARCH")]
        arch: Option<Architecture>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        archives: Archives,
    },
    /// Ask the registries what the slim bases of the recorded table weigh today, and rewrite it
    RefreshSlim {
        /// The table
        #[arg(value_name = "FILE", default_value = "bases/slim.json", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Only these rows, as python:3.12-slim; one that the table lacks is added (repeatable)
        #[arg(long, value_name = "REF")]
        only: Vec<String>,
        /// Fetch the layers too, and record the unpacked sizes
        #[arg(long)]
        unpacked: bool,
        /// Show what would change, and write nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        registry: RegistryArguments,
    },
    /// Write the packages of bases, as they are today, into a lock file
    #[cfg(feature = "debian")]
    Lock {
        /// The bases, as debian:bookworm/cc
        #[arg(value_name = "BASE", required = true)]
        base: Vec<Reference>,
        /// Package to add to each (repeatable)
        #[arg(long, value_name = "NAME[=VERSION]")]
        package: Vec<String>,
        /// Architecture of the packages [default: this machine's] (repeatable)
        #[arg(long, value_name = "ARCH")]
        arch: Vec<Architecture>,
        /// The lock file; what it holds of other bases stays
        #[arg(long, value_name = "FILE", default_value = LOCK_FILE, value_hint = ValueHint::FilePath)]
        lock: PathBuf,
        #[command(flatten)]
        archives: Archives,
    },
    /// Renew a lock file with the packages of today, and show what changes
    #[cfg(feature = "debian")]
    Update {
        /// The bases to renew [default: all that the lock file has]
        #[arg(value_name = "BASE")]
        base: Vec<Reference>,
        /// The lock file
        #[arg(long, value_name = "FILE", default_value = LOCK_FILE, value_hint = ValueHint::FilePath)]
        lock: PathBuf,
        /// Show what would change, and write nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        archives: Archives,
    },
}

#[derive(Debug, Args)]
pub(super) struct CacheArguments {
    #[command(subcommand)]
    pub(super) action: Option<CacheAction>,
}

#[derive(Debug, Subcommand)]
pub(super) enum CacheAction {
    /// Show where the cache is and what it holds (the default)
    Show,
    /// Remove what was not used for longest, down to a size
    Prune {
        /// The size to keep
        #[arg(long, value_name = "SIZE", default_value = "1GB")]
        keep: Budget,
    },
    /// Remove everything
    Clear,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is expected".to_owned()),
    }
}

/// A time such as `500ms`, `10s`, `1.5s` or `2m`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "a time above zero is expected, as 500ms, 10s or 2m";
    let at = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(at.unwrap_or(text.len()));
    let scale = match unit {
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(EXPECTED.to_owned()),
    };
    let seconds = number
        .trim()
        .parse::<f64>()
        .ok()
        .map(|number| number * scale);
    match seconds {
        // Longer than a day is a mistake.
        Some(seconds) if seconds > 0.0 && seconds <= 86_400.0 => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(EXPECTED.to_owned()),
    }
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "a number from 1 on is expected".to_owned())
}

fn port(text: &str) -> Result<String, String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol, "tcp" | "udp" | "sctp") {
        return Err(format!(
            "{protocol:?} is no protocol: tcp, udp or sctp is expected after the slash"
        ));
    }
    match number.parse::<u16>() {
        Ok(number) if number > 0 => Ok(format!("{number}/{protocol}")),
        _ => Err(format!(
            "{number:?} is no port: a number from 1 to 65535 is expected"
        )),
    }
}

fn user(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let valid = |part: &&str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte))
    };
    if parts.len() <= 2 && parts.iter().all(valid) {
        Ok(text.to_owned())
    } else {
        Err("a user name or number is expected, and after a colon a group".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use clap::CommandFactory;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("distrobuild").chain(words.iter().copied()))
    }

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn build_is_the_default_command() {
        let arguments = parse(&["./app", "-q", "--", "--listen", "80"]).unwrap();
        assert!(arguments.command.is_none());
        assert_eq!(arguments.build.app, Some(PathBuf::from("./app")));
        assert_eq!(arguments.build.cmd, ["--listen", "80"]);
        let Some(Command::Build(build)) = parse(&["build", "./app", "-t", "1.0"]).unwrap().command
        else {
            unreachable!("build is a command");
        };
        assert_eq!(build.tag, "1.0");
    }

    #[test]
    fn completions_need_no_app() {
        assert!(parse(&["--completions", "bash"]).is_ok());
        assert!(parse(&[]).is_err());
        assert!(parse(&["build"]).is_err());
    }

    #[test]
    fn times_have_units() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1.5", 1500),
            ("2m", 120_000),
        ] {
            assert_eq!(duration(text).unwrap().as_millis(), milliseconds, "{text}");
        }
        for bad in ["", "0", "-1s", "5 parsecs", "s", "inf", "NaN", "1e300h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn arguments_of_the_smoke_run_follow_an_equals_sign() {
        let smoke = |words: &[&str]| parse(words).unwrap().build.smoke;
        assert!(!smoke(&["./app"]).is_wanted());
        assert_eq!(smoke(&["--smoke", "./app"]).smoke, Some(None));
        let given = smoke(&["./app", "--smoke=--version"]).smoke;
        assert_eq!(given, Some(Some("--version".to_owned())));
        assert!(smoke(&["./app", "--smoke-port", "80"]).is_wanted());
    }

    #[test]
    fn ports_users_and_pairs_are_checked() {
        assert_eq!(port("8080").unwrap(), "8080/tcp");
        assert_eq!(port("53/udp").unwrap(), "53/udp");
        for bad in ["0", "70000", "http", "80/icmp", ""] {
            assert!(port(bad).is_err(), "{bad}");
        }
        assert!(user("app:staff").is_ok() && user("0").is_ok());
        for bad in ["", ":", "a:b:c", "a b"] {
            assert!(user(bad).is_err(), "{bad}");
        }
        assert_eq!(
            key_value("A=b=c").unwrap(),
            ("A".to_owned(), "b=c".to_owned())
        );
        assert!(key_value("=b").is_err() && key_value("A").is_err());
    }
}

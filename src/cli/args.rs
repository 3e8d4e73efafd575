//! The arguments of every command.

mod bases;
mod images;
mod sign;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::ImagePath;
use crate::image::Platform;
use crate::layer::Compression;
use crate::registry::Reference as RegistryReference;
use crate::report::Budget;
use crate::rootfs::Include;

pub(super) use bases::{BasesAction, BasesArguments, CacheAction, CacheArguments};
pub(super) use images::{
    CopyArguments, DiffArguments, DiffForm, Engine, IndexArguments, InspectArguments,
    LoadArguments, LoginArguments, LogoutArguments, PullArguments, PushArguments, RebaseArguments,
    RegistryArguments, ReportArguments, RmArguments, TagsArguments,
};
pub(super) use sign::{
    AttestArguments, ImportKeyPairArguments, KeygenArguments, PublicKeyArguments, SignArguments,
    SignatureForm, Signing, VerifyArguments, VerifyAttestationArguments,
};

use super::terminal::Level;
#[cfg(feature = "debian")]
use crate::debian::{Architecture, Mirror};

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

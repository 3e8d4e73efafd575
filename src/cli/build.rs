//! `distrobuild build`, the default command.

mod several;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::args::{Build, Format, Layers, ReportForm, RuntimeName, Search};
use super::base::Ground;
use super::images::Images;
use super::sign::{Signer, of_path, of_repository, tell_log};
use super::terminal::{Terminal, harmless};
use super::{OVER_BUDGET, Usage, handle_signals, keys, report, transfers};
use crate::app::{Runtime, RuntimeChoice};
use crate::build::{Builder, LayerSplit, Output, Plan};
use crate::helper::Helper;
use crate::image::Platform;
use crate::layer::Cache;
use crate::plugins::{Choice, Rules};
use crate::rootfs::Base;
use crate::scratch::Scratch;
use crate::sign::Forms;
use crate::sign::key::PrivateKey;
use crate::smoke::Smoke;
use crate::store::{self, Destination, Location};
use crate::trace::{Profile, Traced, Tracing};
use crate::transfer::Home;

/// Builds an image and shows its report.
pub(super) fn run(mut arguments: Build, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let pushed = arguments.push.iter().map(|name| format!("docker://{name}"));
    let names: Vec<String> = pushed.chain([arguments.base.base.clone()]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let images = Images::new(&arguments.registry, &names)?;
    if arguments.platform.len() > 1 {
        return several::run(arguments, &images, terminal);
    }
    if let [platform] = arguments.platform.as_slice() {
        arguments = several::filled_in(&arguments, &platform.clone());
    }
    let key = key(&arguments, terminal)?;
    let prepared = Prepared::new(&arguments, None, &images, terminal)?;
    if arguments.dry_run {
        terminal.result(&tree(&prepared.plan))?;
        return Ok(ExitCode::SUCCESS);
    }
    prepared.prove(&arguments, terminal)?;
    handle_signals(terminal);
    let cache = open_cache(&arguments, terminal);
    let staging = Staging::of(&arguments)?;
    let mut output = prepared.output(&arguments, cache.as_ref(), terminal);
    if let Some(staging) = &staging {
        output.destination = staging.destination();
    }
    let form = arguments.report.unwrap_or(ReportForm::Table);
    let built = match prepared.plan.write(&output) {
        Err(crate::Error::OverBudget { excess, report }) => {
            // Whoever is told that it is too large wants to see why.
            if !terminal.is_quiet() || arguments.report.is_some() {
                report::show(*report, &prepared.against, form, terminal)?;
            }
            terminal.error(&anyhow::anyhow!("{excess}; nothing was written"));
            return Ok(ExitCode::from(OVER_BUDGET));
        }
        result => result?,
    };
    if let Some(reason) = cache.as_ref().and_then(Cache::degraded) {
        terminal.warn(&reason);
    }
    terminal.built(&built, &output);
    if let Some(key) = &key {
        sign(&arguments, key, &output.destination, &images, terminal)?;
    }
    let pushed = push(&arguments, &output.destination, &images, terminal)?;
    terminal.apart();
    if arguments.timings || terminal.is_verbose() {
        terminal.timings();
    }
    match arguments.report {
        // A form that was asked for is the result.
        None if terminal.is_quiet() => {
            terminal.result(&named(&output.reference(), staging.is_none(), &pushed))?;
        }
        _ => report::show(built.report, &prepared.against, form, terminal)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The names under which the image is to be had, one a line: on disk, and in registries.
fn named(output: &str, is_on_disk: bool, pushed: &[String]) -> String {
    let on_disk = is_on_disk.then_some(output);
    let names = on_disk.into_iter().chain(pushed.iter().map(String::as_str));
    names.map(|name| format!("{name}\n")).collect()
}

/// An image that is decided.
struct Prepared {
    plan: Plan,
    /// Where it is written, unless it is only pushed.
    destination: Destination,
    against: report::Against,
    /// Holds files that the plan names.
    _ground: Ground,
}

impl Prepared {
    /// Decides what lands in the image for `platform`.
    fn new(
        arguments: &Build,
        platform: Option<&Platform>,
        images: &Images,
        terminal: &Terminal,
    ) -> anyhow::Result<Self> {
        let platform = platform.or(arguments.platform.first());
        let against = report::Against::read(&arguments.against, platform)?;
        let mut builder = builder(arguments)?;
        builder.platform = platform.cloned();
        let mut ground = Ground::of(
            &arguments.base,
            &builder.app,
            platform,
            !arguments.no_cache,
            images,
            terminal,
        )?;
        ground.lay_data(&mut builder)?;
        let destination = destination(arguments, &builder)?;
        destination.name(&arguments.tag).map_err(Usage::of)?;
        refuse_a_docker_archive(arguments, &destination)?;
        let traced = trace(arguments, &mut builder, &destination, terminal)?;
        let plan = ground.plan(&mut builder, arguments, terminal)?;
        terminal.plan(&plan);
        if let Some(traced) = &traced {
            terminal.traced(traced, &plan);
        }
        Ok(Self {
            plan,
            destination,
            against,
            _ground: ground,
        })
    }

    /// Starts it, where that is asked for.
    fn prove(&self, arguments: &Build, terminal: &Terminal) -> anyhow::Result<()> {
        if let Some(smoke) = smoke(arguments).map_err(Usage::of)? {
            let started = terminal.timed("smoke", || self.plan.smoke(&smoke))?;
            terminal.started(&started);
        }
        Ok(())
    }

    /// How it is written.
    fn output<'a>(
        &self,
        arguments: &Build,
        cache: Option<&'a Cache>,
        terminal: &'a Terminal,
    ) -> Output<'a> {
        let mut output = Output::layout(PathBuf::new());
        output.destination = self.destination.clone();
        output.tag.clone_from(&arguments.tag);
        output.name = match (&arguments.output, arguments.push.first()) {
            (None, Some(reference)) => Some(transfers::named(reference)),
            _ => None,
        };
        output.compression = arguments.compression;
        output.cache = cache;
        output.budget.clone_from(&arguments.max_size);
        output.observer = terminal;
        if let Some(threads) = arguments.threads {
            output.threads = threads;
        }
        output
    }
}

/// The layers of such an archive are unpacked: nobody wants these in a registry. It has no room for
/// signatures, either.
fn refuse_a_docker_archive(arguments: &Build, destination: &Destination) -> Result<(), Usage> {
    let problem = match destination {
        Destination::DockerArchive(_) if !arguments.push.is_empty() => {
            "--push and --format docker-archive do not go together: build the archive by a run of its own"
        }
        Destination::DockerArchive(_) if arguments.sign.is_some() => {
            "--sign and --format docker-archive do not go together: a docker archive has no room for signatures"
        }
        _ => return Ok(()),
    };
    Err(Usage(problem.to_owned()))
}

/// The key to sign with, before anything is built: a wrong password should not cost a build.
fn key(arguments: &Build, terminal: &Terminal) -> anyhow::Result<Option<PrivateKey>> {
    match &arguments.sign {
        Some(given) if !arguments.dry_run => keys::private(given, terminal).map(Some),
        _ => Ok(None),
    }
}

/// Signs what was written to `destination`, for every name that it will be pushed to: a push takes
/// the signatures along, so that no registry has the image unsigned at any moment.
fn sign(
    arguments: &Build,
    key: &PrivateKey,
    destination: &Destination,
    images: &Images,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let opened = images.open_at(written(arguments, destination))?;
    let root = store::root(&*opened.source, opened.tag.as_deref())?;
    let mut identities: Vec<String> = arguments.push.iter().map(of_repository).collect();
    identities.sort_unstable();
    identities.dedup();
    if identities.is_empty() {
        identities.push(of_path(destination.path()));
    }
    let signer = Signer {
        key,
        identities,
        annotations: &Default::default(),
        forms: Forms::Both,
    };
    let home = Home::Disk(destination.path());
    let name = root.digest().to_string();
    signer.sign(&*opened.source, &root, home, &name, terminal)?;
    tell_log(terminal);
    Ok(())
}

/// The image that a build has written.
fn written(arguments: &Build, destination: &Destination) -> Location {
    Location::Disk(store::Reference {
        form: Some(destination.form()),
        path: destination.path().to_path_buf(),
        tag: Some(arguments.tag.clone()),
    })
}

/// A layout that goes away, for an image that is only pushed or that is made of several.
struct Staging(Scratch);

impl Staging {
    /// One, unless the image is written where the user wants it.
    fn of(arguments: &Build) -> anyhow::Result<Option<Self>> {
        match arguments.output.is_none() && !arguments.push.is_empty() {
            true => Self::new().map(Some),
            false => Ok(None),
        }
    }

    fn new() -> anyhow::Result<Self> {
        let made = Scratch::new("distrobuild-");
        Ok(Self(made.with_context(|| {
            format!(
                "no directory can be made in {}: set TMPDIR to one that can be written",
                std::env::temp_dir().display()
            )
        })?))
    }

    fn destination(&self) -> Destination {
        Destination::Layout(self.0.path().join("image"))
    }
}

/// Pushes what was written to `destination`; gives the names, with digests.
fn push(
    arguments: &Build,
    destination: &Destination,
    images: &Images,
    terminal: &Terminal,
) -> anyhow::Result<Vec<String>> {
    let mut pushed = Vec::new();
    for reference in &arguments.push {
        let opened = images.open_at(written(arguments, destination))?;
        let chosen = transfers::chosen_attached(&opened, None, false, terminal)?;
        let target = transfers::to_registry(images, reference, &opened, &chosen);
        let copied = transfers::copy("push", &opened, &chosen, &target, images, terminal)?;
        transfers::tell("pushed", &copied, &transfers::named(reference), terminal);
        pushed.push(transfers::pinned(reference, &copied));
    }
    Ok(pushed)
}

fn builder(arguments: &Build) -> anyhow::Result<Builder> {
    // clap requires APP unless `--completions` was given, which never comes here.
    let app = arguments.app.clone().unwrap_or_default();
    // The base follows, when it is known what else is wanted.
    let mut builder = Builder::new(app, Base::none());
    apply_search(&mut builder, &arguments.search)?;
    builder.strip = arguments.strip;
    builder.records = !arguments.no_package_records;
    builder.profile = match &arguments.profile {
        Some(file) => Some(Profile::read(file)?),
        None => None,
    };
    if !arguments.no_cache {
        builder.scratch = super::made::directory();
    }
    builder.layers = match arguments.layers {
        Layers::Split => LayerSplit::ByOrigin,
        Layers::Single => LayerSplit::Single,
    };
    builder.entrypoint = arguments
        .entrypoint
        .as_deref()
        .map(command_line)
        .transpose()
        .map_err(Usage::of)?;
    builder.cmd.clone_from(&arguments.cmd);
    builder.env.clone_from(&arguments.env);
    builder.workdir.clone_from(&arguments.workdir);
    builder.user.clone_from(&arguments.user);
    builder.ports.clone_from(&arguments.port);
    builder.labels = arguments.label.iter().cloned().collect();
    builder.annotations = arguments.annotation.iter().cloned().collect();
    builder.epoch = source_date_epoch()?;
    Ok(builder)
}

/// Sets what `build` and `deps` have in common.
pub(super) fn apply_search(builder: &mut Builder, search: &Search) -> anyhow::Result<()> {
    builder.sysroot.clone_from(&search.sysroot);
    builder.dlopen.clone_from(&search.dlopen);
    builder.includes.clone_from(&search.include);
    builder.runtime = match search.runtime {
        RuntimeName::Auto => RuntimeChoice::Auto,
        RuntimeName::None => RuntimeChoice::None,
        RuntimeName::Python => RuntimeChoice::Only(Runtime::Python),
        RuntimeName::Node => RuntimeChoice::Only(Runtime::Node),
        RuntimeName::Java => RuntimeChoice::Only(Runtime::Java),
    };
    builder.shell = search.allow_shell;
    builder.rules = Choice {
        with: search.with.iter().cloned().collect(),
        without: search.without.iter().cloned().collect(),
    };
    if builder.rules != Choice::default() {
        Rules::built_in()?
            .check(&builder.rules)
            .map_err(Usage::of)?;
    }
    builder.library_path = search
        .library_path
        .iter()
        .map(|directory| {
            let directory = std::path::absolute(directory).with_context(|| {
                format!("cannot tell which directory {} is", directory.display())
            })?;
            Ok(inside(search.sysroot.as_deref(), &directory).unwrap_or(directory))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(())
}

/// The path in the sysroot of a directory that was given as it stands on this machine.
fn inside(sysroot: Option<&Path>, directory: &Path) -> Option<PathBuf> {
    let sysroot = sysroot?.canonicalize().ok()?;
    let directory = directory.canonicalize().ok()?;
    let inside = directory.strip_prefix(sysroot).ok()?;
    Some(Path::new("/").join(inside))
}

/// `--entrypoint`: a JSON array of words, or words split at blanks.
fn command_line(text: &str) -> anyhow::Result<Vec<String>> {
    let words = words("--entrypoint", text)?;
    if words.is_empty() {
        anyhow::bail!(
            "--entrypoint is empty: give the command to run, or leave it out to run the program itself"
        );
    }
    Ok(words)
}

/// A JSON array of words, or words split at blanks.
fn words(option: &str, text: &str) -> anyhow::Result<Vec<String>> {
    if !text.trim_start().starts_with('[') {
        return Ok(text.split_whitespace().map(str::to_owned).collect());
    }
    serde_json::from_str(text).with_context(|| {
        format!("{option} {text}: a JSON array of strings is expected, as [\"/app/server\", \"--verbose\"]")
    })
}

/// Runs the app under trace, if that is wanted, and gives the builder its profile.
fn trace(
    arguments: &Build,
    builder: &mut Builder,
    destination: &Destination,
    terminal: &Terminal,
) -> anyhow::Result<Option<Traced>> {
    if !arguments.trace.is_wanted() {
        return Ok(None);
    }
    let tracing = Tracing {
        command: Vec::new(),
        time: arguments.trace.trace_for,
        ignore: vec![destination.path().to_path_buf()],
        helper: Helper::default(),
    };
    let traced = terminal.timed("trace", || builder.trace(&tracing))?;
    if let Some(file) = &arguments.trace.trace_out {
        traced.profile.write(file)?;
    }
    builder.profile = Some(traced.profile.clone());
    Ok(Some(traced))
}

/// What `--smoke` and its companions ask for. An image that says on which ports it listens has
/// to answer there, unless something else is asked of it.
fn smoke(arguments: &Build) -> anyhow::Result<Option<Smoke>> {
    let exposed = &arguments.port;
    let arguments = &arguments.smoke;
    if !arguments.is_wanted() {
        return Ok(None);
    }
    let words = match &arguments.smoke {
        Some(Some(text)) => Some(words("--smoke", text)?),
        _ => None,
    };
    let mut ports = arguments.smoke_port.clone();
    if words.is_none()
        && ports.is_empty()
        && arguments.smoke_expect.is_empty()
        && arguments.smoke_for.is_none()
    {
        let tcp = exposed.iter().filter_map(|port| port.strip_suffix("/tcp"));
        ports.extend(tcp.filter_map(|port| port.parse::<u16>().ok()));
    }
    Ok(Some(Smoke {
        arguments: words,
        expect: arguments.smoke_expect.clone(),
        ports,
        stay: arguments.smoke_for,
        limit: arguments.smoke_timeout,
        writable: arguments.smoke_writable.clone(),
        ..Smoke::default()
    }))
}

/// The end of the year 9999: RFC 3339 has four digits for a year.
const LAST_SECOND: u64 = 253_402_300_799;

fn source_date_epoch() -> anyhow::Result<u64> {
    match std::env::var_os("SOURCE_DATE_EPOCH") {
        None => Ok(0),
        Some(value) => value
            .to_str()
            .and_then(|text| text.trim().parse().ok())
            .filter(|seconds| *seconds <= LAST_SECOND)
            .with_context(|| {
                format!(
                    "SOURCE_DATE_EPOCH is {value:?}: a number of seconds since 1970 is expected, \
                     in a year of four digits; unset it for 1970-01-01"
                )
            }),
    }
}

fn destination(arguments: &Build, builder: &Builder) -> Result<Destination, Usage> {
    const COMPRESSED: [&str; 4] = [".tar.gz", ".tgz", ".tar.zst", ".tar.xz"];
    if let Some(path) = &arguments.output
        && let name = path.to_string_lossy().to_ascii_lowercase()
        && COMPRESSED.iter().any(|end| name.ends_with(end))
    {
        return Err(Usage(format!(
            "cannot write {}: an archive is not compressed as a whole, its layers are; give a name in .tar",
            path.display()
        )));
    }
    let default = |extension: &str| PathBuf::from(format!("{}.{extension}", builder.title()));
    Ok(match (arguments.format, &arguments.output) {
        (Format::DockerArchive, Some(path)) => Destination::DockerArchive(path.clone()),
        (Format::DockerArchive, None) => Destination::DockerArchive(default("tar")),
        (Format::Oci, Some(path))
            if path
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("tar")) =>
        {
            Destination::OciArchive(path.clone())
        }
        (Format::Oci, Some(path)) => Destination::Layout(path.clone()),
        (Format::Oci, None) => Destination::Layout(default("oci")),
    })
}

/// The cache, unless it is switched off or cannot be used; a build goes on without it.
fn open_cache(arguments: &Build, terminal: &Terminal) -> Option<Cache> {
    if arguments.no_cache {
        return None;
    }
    match super::cache::open() {
        Ok(cache) => Some(cache),
        Err(error) => {
            terminal.detail(&error.to_string());
            None
        }
    }
}

/// The tree as `--dry-run` lists it: mode, owner, size, origin, path.
fn tree(plan: &Plan) -> String {
    use crate::rootfs::EntryKind;
    use std::fmt::Write;
    let mut out = String::new();
    for (path, entry) in plan.rootfs.iter() {
        let (kind, target) = match &entry.kind {
            EntryKind::Directory => ('d', String::new()),
            EntryKind::File(_) => ('-', String::new()),
            EntryKind::Symlink(target) => ('l', format!(" -> {}", target.display())),
            EntryKind::HardLink(target) => ('h', format!(" link to {target}")),
        };
        // A name may hold anything but a slash: each entry keeps its line.
        let path = harmless(&format!("{path}{target}")).replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{kind}{:04o} {:>5}:{:<5} {:>11} {:<9} {path}",
            entry.mode,
            entry.uid,
            entry.gid,
            entry.size(),
            entry.origin.name(),
        );
    }
    out
}

//! `node` itself: where it is, which version it is, what it needs beside its libraries.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::NodeError;
use super::disk::Disk;
use super::strings::{DEBIAN, Facts};
use super::tree::Platform;
use super::version::Version;
use crate::ImagePath;
use crate::app::hosted::{Host, Scene};
use crate::elf::{Object, ObjectKind};
use crate::rootfs::is_system;
use crate::sysroot::Node;

/// Where a node that was in no directory of the system's lands.
const PLACE: &str = "/usr/local/bin/node";
/// How long a version manager may take to say where its node is.
const PATIENCE: Duration = Duration::from_secs(20);
/// `node_version.h`, in bytes.
const MAX_HEADER: u64 = 1 << 20;

/// The interpreter of an app.
#[derive(Debug, Clone)]
pub(super) struct Interpreter {
    /// Where it lands in the image.
    pub(super) path: PathBuf,
    /// The real file.
    pub(super) file: ImagePath,
    pub(super) version: Version,
    pub(super) platform: Platform,
    /// Directories in which it looks for its libraries, when it moves away from them.
    pub(super) library_path: Vec<PathBuf>,
    /// Files that its binary names, as Debian's does.
    pub(super) beside: BTreeSet<PathBuf>,
    /// How it was found, for people.
    pub(super) how: String,
    /// How another one is taken instead, for people.
    pub(super) otherwise: &'static str,
}

impl Interpreter {
    /// Whether it lands elsewhere than it is.
    pub(super) fn moves(&self) -> bool {
        self.path == Path::new(PLACE) && self.file.as_path() != self.path
    }
}

/// Finds the interpreter of the app at `app`. `named` is the absolute path that a `#!` line gives.
/// Version managers are asked in `directory`.
pub(super) fn find(
    scene: &Scene<'_>,
    disk: &mut Disk<'_>,
    app: &ImagePath,
    directory: &ImagePath,
    named: Option<&Path>,
) -> Result<Interpreter, NodeError> {
    let mut searched: Vec<PathBuf> = Vec::new();
    let on_path = scene
        .host
        .and_then(|host| host.variables.get(OsStr::new("PATH")));
    searched.extend(on_path.into_iter().flat_map(std::env::split_paths));
    searched.extend(scene.search.iter().cloned());
    searched.retain(|directory| directory.is_absolute());
    let mut seen = BTreeSet::new();
    searched.retain(|directory| seen.insert(directory.clone()));
    let candidates = named.map(Path::to_path_buf).into_iter().chain(
        ["node", "nodejs"]
            .into_iter()
            .flat_map(|name| searched.iter().map(move |directory| directory.join(name))),
    );
    let mut failure = None;
    for candidate in candidates {
        if !is_program(disk, &candidate) || !scene.may_run(&candidate) {
            continue;
        }
        match examine(scene, disk, &candidate, directory) {
            Ok(mut found) => {
                if named == Some(candidate.as_path()) {
                    found.how = "which the `#!` line names".to_owned();
                }
                return Ok(found);
            }
            // A shim that knows no version is passed over, as long as there is another node.
            Err(error @ (NodeError::Shim { .. } | NodeError::NoVersion { .. })) => {
                failure.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| {
        let app = disk.shown(app.as_path());
        match scene.ground {
            // The message names the ground already, so that its paths need no more.
            Some(ground) => NodeError::NotOnGround {
                app,
                ground: ground.name.to_owned(),
                searched: searched.clone(),
            },
            None => NodeError::NoInterpreter {
                app,
                searched: searched.iter().map(|path| disk.shown(path)).collect(),
            },
        }
    }))
}

fn is_program(disk: &mut Disk<'_>, path: &Path) -> bool {
    disk.find(path)
        .is_some_and(|trace| matches!(trace.node, Node::File(facts) if facts.mode & 0o111 != 0))
}

/// Looks at one candidate; a shim leads to the one that it starts.
fn examine(
    scene: &Scene<'_>,
    disk: &mut Disk<'_>,
    candidate: &Path,
    directory: &ImagePath,
) -> Result<Interpreter, NodeError> {
    if let Some(found) = real(scene, disk, candidate, None)? {
        return Ok(found);
    }
    let shown = disk.shown(candidate);
    let shim = |why: String| NodeError::Shim {
        path: shown.clone(),
        why,
    };
    let Some(host) = scene.host else {
        return Err(shim("programs of another system are not run".to_owned()));
    };
    let arguments = ["-p", "process.execPath"];
    let answer = ask(host, disk, candidate, &arguments, directory).map_err(shim)?;
    let path = PathBuf::from(OsString::from_vec(answer));
    if !path.is_absolute() || !is_program(disk, &path) {
        return Err(shim(format!("it answers {}", path.display())));
    }
    match real(scene, disk, &path, Some(candidate))? {
        Some(found) => Ok(found),
        None => by_running(host, disk, &path, directory),
    }
}

/// The interpreter at `path`, if a real one with a version stands there.
fn real(
    scene: &Scene<'_>,
    disk: &mut Disk<'_>,
    path: &Path,
    shim: Option<&Path>,
) -> Result<Option<Interpreter>, NodeError> {
    let Some(file) = disk.file(path) else {
        return Ok(None);
    };
    let open = disk.open(file.as_path())?;
    let Ok(object) = Object::read(&open) else {
        return Ok(None);
    };
    if !matches!(object.kind, ObjectKind::Dynamic | ObjectKind::Static) {
        return Ok(None);
    }
    let debian = disk.directory(Path::new(DEBIAN)).is_some();
    let mut facts = Facts {
        version: by_header(disk, &file),
        ..Facts::default()
    };
    if debian || facts.version.is_none() {
        facts
            .scan(&open)
            .map_err(|source| disk.failed(file.as_path(), source))?;
        for library in shared_node(disk, &file, &object) {
            let open = disk.open(library.as_path())?;
            facts
                .scan(&open)
                .map_err(|source| disk.failed(library.as_path(), source))?;
        }
    }
    let Some(version) = facts.version else {
        return Ok(None);
    };
    let beside = facts
        .named
        .into_iter()
        .filter(|path| disk.file(path).is_some());
    let beside = beside.collect();
    let mut found = placed(path, &file, &object, version);
    found.beside = beside;
    found.how = match (shim, scene.host, scene.ground) {
        (Some(shim), ..) => format!("which {} starts", disk.shown(shim).display()),
        (None, Some(_), _) => "the first on PATH".to_owned(),
        (None, None, Some(ground)) => format!("of {}", ground.name),
        (None, None, None) => "of the sysroot".to_owned(),
    };
    if scene.ground.is_some() {
        found.otherwise = "another base has another one";
    }
    Ok(Some(found))
}

/// Decides where the interpreter lands.
fn placed(path: &Path, file: &ImagePath, object: &Object, version: Version) -> Interpreter {
    let stays = is_system(path) && is_system(file.as_path());
    let place = match (stays, is_system(file.as_path())) {
        (true, _) => path.to_path_buf(),
        (false, true) => file.as_path().to_path_buf(),
        (false, false) => PathBuf::from(PLACE),
    };
    let library_path = match is_system(file.as_path()) {
        true => Vec::new(),
        false => beside_origin(file, object),
    };
    Interpreter {
        path: place,
        file: file.clone(),
        version,
        platform: Platform::new(object.machine, object.interpreter.as_deref()),
        library_path,
        beside: BTreeSet::new(),
        how: String::new(),
        otherwise: "another one first in PATH is taken instead",
    }
}

/// The directories that the binary names relative to itself (`$ORIGIN`, ld.so(8)).
fn beside_origin(file: &ImagePath, object: &Object) -> Vec<PathBuf> {
    let Some(origin) = file.parent() else {
        return Vec::new();
    };
    let list = object.runpath.as_ref().or(object.rpath.as_ref());
    let list = list.map(|list| list.as_bytes()).unwrap_or_default();
    list.split(|byte| *byte == b':')
        .filter_map(|element| {
            let rest = element
                .strip_prefix(b"$ORIGIN")
                .or_else(|| element.strip_prefix(b"${ORIGIN}"))?;
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            let path = origin.as_path().join(OsStr::from_bytes(rest));
            Some(super::disk::normal(&path))
        })
        .collect()
}

/// The version that the headers of the same installation give.
fn by_header(disk: &mut Disk<'_>, file: &ImagePath) -> Option<Version> {
    // A launcher of another name has nothing to do with the headers beside it.
    let name = file.file_name()?.to_str()?;
    if !name.starts_with("node") {
        return None;
    }
    let prefix = file.parent()?.parent()?;
    let header = prefix.as_path().join("include/node/node_version.h");
    disk.file(&header)?;
    let bytes = disk.read(&header, MAX_HEADER).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let number = |name: &str| {
        text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("#define") && words.next() == Some(name))
                .then(|| words.next()?.parse().ok())?
        })
    };
    Some(Version::new(
        number("NODE_MAJOR_VERSION")?,
        number("NODE_MINOR_VERSION")?,
        number("NODE_PATCH_VERSION")?,
    ))
}

/// `libnode.so`, where a distribution builds node as a library.
fn shared_node(disk: &mut Disk<'_>, file: &ImagePath, object: &Object) -> Vec<ImagePath> {
    let wanted = |name: &&OsString| name.as_bytes().starts_with(b"libnode.so");
    let Some(name) = object.needed.iter().find(wanted) else {
        return Vec::new();
    };
    let mut directories = beside_origin(file, object);
    if let Some(prefix) = file.parent().and_then(|bin| bin.parent()) {
        directories.push(prefix.as_path().join("lib"));
        directories.push(prefix.as_path().join("lib64"));
    }
    let triplets = disk
        .sysroot()
        .read_dir(Path::new("/usr/lib"))
        .unwrap_or_default();
    directories.extend(
        triplets
            .iter()
            .filter(|name| name.to_string_lossy().contains("-linux-"))
            .map(|name| Path::new("/usr/lib").join(name)),
    );
    directories.push("/usr/lib64".into());
    let files: Vec<ImagePath> = directories
        .iter()
        .filter_map(|directory| disk.file(&directory.join(name)))
        .collect();
    let fits = |file: &ImagePath| {
        let open = disk.open(file.as_path()).ok()?;
        Some(Object::read(&open).ok()?.machine == object.machine)
    };
    let found = files.into_iter().find(|file| fits(file) == Some(true));
    found.into_iter().collect()
}

/// An interpreter whose binary does not tell its version.
fn by_running(
    host: &Host,
    disk: &mut Disk<'_>,
    path: &Path,
    directory: &ImagePath,
) -> Result<Interpreter, NodeError> {
    let shown = disk.shown(path);
    let no_version = |why: String| NodeError::NoVersion {
        path: shown.clone(),
        why,
    };
    let answer = ask(host, disk, path, &["--version"], directory).map_err(no_version)?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let version =
        Version::parse(&text).ok_or_else(|| no_version(format!("`--version` answers {text:?}")))?;
    let Some(file) = disk.file(path) else {
        return Err(no_version("it is gone".to_owned()));
    };
    let open = disk.open(file.as_path())?;
    let object = Object::read(&open)
        .map_err(|error| no_version(format!("it is no program of this system: {error}")))?;
    let mut found = placed(path, &file, &object, version);
    found.how = "asked for its version".to_owned();
    Ok(found)
}

/// Runs a program of this machine and gives the first line of its answer, or why there is none.
fn ask(
    host: &Host,
    disk: &Disk<'_>,
    program: &Path,
    arguments: &[&str],
    directory: &ImagePath,
) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| error.to_string();
    // A file instead of a pipe: what the program starts may keep a pipe open for ever.
    let mut output = tempfile::tempfile().map_err(told)?;
    let mut child = Command::new(disk.shown(program))
        .args(arguments)
        .current_dir(disk.shown(directory.as_path()))
        .env_clear()
        .envs(&host.variables)
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(told)?)
        .stderr(Stdio::null())
        .spawn()
        .map_err(told)?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(told)? {
            break status;
        }
        if started.elapsed() > PATIENCE {
            // It may have ended meanwhile.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("no answer in {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    if !status.success() {
        return Err(format!(
            "`{} {}` ended with {status}",
            program.display(),
            arguments.join(" ")
        ));
    }
    use std::io::{Read, Seek};
    output.rewind().map_err(told)?;
    let mut answer = Vec::new();
    output
        .take(64 << 10)
        .read_to_end(&mut answer)
        .map_err(told)?;
    let line = answer
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    Ok(line.to_vec())
}

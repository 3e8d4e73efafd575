//! Why an app of Node.js cannot be made into an image.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use crate::app::bases;
use crate::app::hosted::Runtime;

/// How many of several wrong things a message names.
const NAMED: usize = 4;

/// Why an app of Node.js cannot be made into an image. Every message names the file and says what
/// to do.
///
/// Paths are as they are shown to people: with the sysroot's own directory in front.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A file or directory cannot be read.
    #[error("{}: cannot be read: {source}; `ls -l` shows who may", .path.display())]
    Io {
        /// What cannot be read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `--runtime node` was given for something that Node.js cannot run.
    #[error(
        "{}: is {what}, which Node.js cannot run; give a .js, .mjs or .cjs file or a directory with \
         a package.json, or leave out `--runtime node`", .path.display()
    )]
    NotNode {
        /// What was asked for.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A JSON file is no good JSON.
    #[error(
        "{}:{line}:{column}: is no valid JSON: {what}; correct it there", .path.display()
    )]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser says.
        what: String,
    },
    /// A file is too large to be what its name says.
    #[error("{}: has more than {limit} bytes; is it the right file?", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// `package.json` holds a value of the wrong type.
    #[error("{}: `{field}` {what}; see package.json(5)", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What is wrong with it.
        what: String,
    },
    /// Nothing says what to run.
    #[error(
        "{}: says nowhere what to run: there is no `bin`, no `main`, no `scripts.start` and no \
         index.js; give the file itself, such as `distrobuild {}/server.js`, or name it in `main`",
        .manifest.display(), .manifest.parent().unwrap_or(.manifest).display()
    )]
    NoEntry {
        /// The `package.json`.
        manifest: PathBuf,
    },
    /// Several programs, and none has the package's name.
    #[error(
        "{}: `bin` names several programs ({}), and none has the package's own name; give the file \
         of one of them", .manifest.display(), .names.join(", ")
    )]
    ManyPrograms {
        /// The `package.json`.
        manifest: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// The entry does not exist.
    #[error(
        "{}: {field} names {entry}, which does not exist; {}",
        .manifest.display(), build_advice(.build.as_deref())
    )]
    EntryMissing {
        /// The `package.json`.
        manifest: PathBuf,
        /// The field that names it.
        field: String,
        /// What it says.
        entry: String,
        /// The script that builds it, perhaps.
        build: Option<String>,
    },
    /// The entry lies outside of the project.
    #[error(
        "{}: {field} names {entry}, which lies outside of the project; name a file in it",
        .manifest.display()
    )]
    EntryOutside {
        /// The `package.json`.
        manifest: PathBuf,
        /// The field that names it.
        field: String,
        /// What it says.
        entry: String,
    },
    /// The start script does something that an image cannot.
    #[error(
        "{}: `scripts.start` is `{script}`, {why}; name the file to run in `main`, or give it: \
         `distrobuild {}/server.js`",
        .manifest.display(), .manifest.parent().unwrap_or(.manifest).display()
    )]
    Start {
        /// The `package.json`.
        manifest: PathBuf,
        /// The script.
        script: String,
        /// Why it is of no use.
        why: String,
    },
    /// TypeScript, for a Node.js that does not run it.
    #[error(
        "{}: is TypeScript, which Node.js runs from 22.18 on, and the one at {} is {version}; \
         compile it (`npx tsc`) and give the .js file, or use a newer Node.js",
        .path.display(), .node.display()
    )]
    TypeScript {
        /// The file.
        path: PathBuf,
        /// The interpreter.
        node: PathBuf,
        /// Its version.
        version: String,
    },
    /// Dependencies exist and nothing is installed.
    #[error(
        "{}: has dependencies ({count}) and no node_modules; run `{install}` in {} first",
        .manifest.display(), .manifest.parent().unwrap_or(.manifest).display()
    )]
    NotInstalled {
        /// The `package.json`.
        manifest: PathBuf,
        /// How many dependencies it has.
        count: usize,
        /// What installs them.
        install: &'static str,
    },
    /// Some dependencies are not installed.
    #[error(
        "{}: dependencies are not installed: {}; run `{install}`", .manifest.display(), listed(.missing)
    )]
    Missing {
        /// The `package.json` of the project.
        manifest: PathBuf,
        /// Each with who needs it.
        missing: Vec<String>,
        /// What installs them.
        install: &'static str,
    },
    /// What is installed is not what the lock file says.
    #[error(
        "{}: does not match node_modules: {}; run `{install}`", .lock.display(), listed(.differences)
    )]
    Lock {
        /// The lock file.
        lock: PathBuf,
        /// What differs, a phrase each.
        differences: Vec<String>,
        /// What brings them together.
        install: &'static str,
    },
    /// Yarn's Plug'n'Play: there is no node_modules.
    #[error(
        "{}: the packages are in Yarn's archives (Plug'n'Play), which are not supported; write \
         `nodeLinker: node-modules` in .yarnrc.yml and run `yarn install`", .path.display()
    )]
    PlugAndPlay {
        /// `.pnp.cjs`.
        path: PathBuf,
    },
    /// A package has a name that leads elsewhere.
    #[error(
        "{}: the dependency {name:?} is no name of a package; correct it", .manifest.display()
    )]
    PackageName {
        /// The `package.json`.
        manifest: PathBuf,
        /// The name.
        name: String,
    },
    /// Node.js is nowhere.
    #[error(
        "{}: is an app of Node.js, and there is no `node` in {}; install it, or put its directory \
         into PATH", .app.display(), directories(.searched)
    )]
    NoInterpreter {
        /// The app.
        app: PathBuf,
        /// The directories that were searched.
        searched: Vec<PathBuf>,
    },
    /// The system that everything is taken from has no Node.js.
    #[error(
        "{}: needs Node.js, and {ground} has no `node` in {}; take a base that has one, such as \
         `--base {}`", .app.display(), directories(.searched), bases::with(Runtime::Node)
    )]
    NotOnGround {
        /// The app.
        app: PathBuf,
        /// The other system.
        ground: String,
        /// The directories that were searched.
        searched: Vec<PathBuf>,
    },
    /// What was found starts another program, and it is not known which.
    #[error(
        "{}: only starts the real Node.js (a version manager's shim?), and asking it for that \
         failed: {why}; put the directory of the real one first in PATH: `PATH=$(dirname $(node -p \
         process.execPath)):$PATH distrobuild ...`", .path.display()
    )]
    Shim {
        /// The shim.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// The version cannot be told.
    #[error(
        "{}: its version cannot be told ({why}); is it Node.js? Put the right one first in PATH",
        .path.display()
    )]
    NoVersion {
        /// The interpreter.
        path: PathBuf,
        /// What was tried.
        why: String,
    },
    /// There is more than any app has.
    #[error(
        "{}: holds more than {limit} {what}; give the directory of the app alone", .path.display()
    )]
    TooMany {
        /// Where.
        path: PathBuf,
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A path that no image can have.
    #[error("{}: cannot stand in an image: {source}; rename it", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        source: crate::ImagePathError,
    },
}

fn build_advice(build: Option<&str>) -> String {
    match build {
        Some(name) => format!("build it first: `npm run {name}`"),
        None => "correct the name, or build the file first".to_owned(),
    }
}

/// The first few of `phrases`, and how many more there are.
fn listed(phrases: &[String]) -> String {
    let mut text = phrases
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    let more = phrases.len().saturating_sub(NAMED);
    if more > 0 {
        // Writing to a string does not fail.
        let _ = write!(text, "; and {more} more");
    }
    text
}

fn directories(searched: &[PathBuf]) -> String {
    match searched {
        [] => "an empty PATH".to_owned(),
        _ => searched
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(":"),
    }
}

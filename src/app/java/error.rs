//! Why an app of Java cannot be made into an image, and what to do then.

use std::io;
use std::path::PathBuf;

use zip::result::ZipError;

use super::class;
use crate::app::bases;
use crate::app::hosted::Runtime;

/// Why an app of Java cannot be made into an image. Every message names the file and says what
/// to do.
///
/// Paths are as they are shown to people: with the sysroot's own directory in front.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JavaError {
    /// Java was asked for by name, and it is something else.
    #[error(
        "{}: is no Java app ({what}); give a .jar, a .war, a .class, the start script of an app or \
         the directory of its class path, or leave `--runtime java` out",
        .path.display()
    )]
    NotJava {
        /// What was asked for.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// An archive that cannot be read.
    #[error("{}: is a damaged archive: {source}; build or copy it again", .path.display())]
    Damaged {
        /// The archive, or its entry behind `!/`.
        path: PathBuf,
        /// What is wrong with it.
        source: ZipError,
    },
    /// A class file that cannot be read.
    #[error("{}: is a damaged class file; compile it again", .path.display())]
    DamagedClass {
        /// The class file.
        path: PathBuf,
    },
    /// More than a sound archive or directory holds.
    #[error(
        "{}: has {what}, which no sound app has; give a smaller jar or directory",
        .path.display()
    )]
    TooLarge {
        /// The archive, its entry behind `!/`, or the directory.
        path: PathBuf,
        /// What there is too much of.
        what: String,
    },
    /// Nothing says what to start.
    #[error(
        "{}: its manifest names no Main-Class, so `java -jar` cannot start it; {}",
        .path.display(), name_main_class(.path, .candidates)
    )]
    NoMainClass {
        /// The jar.
        path: PathBuf,
        /// Its classes that have a `main` method.
        candidates: Vec<String>,
    },
    /// A class that could be started has no `main`.
    #[error(
        "{}: has no `public static void main(String[])`, so `java` cannot start it; give the class \
         that has one",
        .path.display()
    )]
    NoMainMethod {
        /// The class file.
        path: PathBuf,
    },
    /// The main class is not there.
    #[error(
        "{}: its main class {class} is in none of the jars and directories of its class path; build \
         it again, or correct Main-Class and Class-Path in its manifest",
        .path.display()
    )]
    MainClassMissing {
        /// What names the class.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// Several jars could be started.
    #[error(
        "{}: has several jars with a Main-Class ({}); give the one that is to be started",
        .path.display(), .jars.join(", ")
    )]
    Ambiguous {
        /// The directory.
        path: PathBuf,
        /// The names of the jars.
        jars: Vec<String>,
    },
    /// A class file that is not where its name says.
    #[error(
        "{}: is the class {class}, which has to be at {class}.class below its class path; put it \
         there (`javac -d DIR` does)",
        .path.display()
    )]
    Misplaced {
        /// The class file.
        path: PathBuf,
        /// Its name, with slashes.
        class: String,
    },
    /// A start script from which no command can be read.
    #[error(
        "{}: is a start script, of which {what}; an image without a shell needs the command itself: \
         give the jar of the app, or the directory of its jars",
        .path.display()
    )]
    Script {
        /// The script.
        path: PathBuf,
        /// What cannot be read.
        what: String,
    },
    /// Compiled for a newer Java than the one found.
    #[error(
        "{}: needs Java {} (class file version {major}), the runtime {} is {}: set JAVA_HOME to {}",
        .path.display(), class::feature(*.major), .runtime.display(), .version,
        newer(.other, class::feature(*.major))
    )]
    TooNew {
        /// The main class.
        path: PathBuf,
        /// Its class-file version.
        major: u16,
        /// The directory of the runtime.
        runtime: PathBuf,
        /// The runtime's version.
        version: String,
        /// A runtime that is new enough.
        other: Option<PathBuf>,
    },
    /// There is no runtime.
    #[error(
        "{}: needs Java, and no runtime was found ({searched}); install one (on Debian: `apt install \
         openjdk-17-jre-headless`), or set JAVA_HOME to the directory of one",
        .path.display()
    )]
    NoRuntime {
        /// The app.
        path: PathBuf,
        /// Where it was looked for.
        searched: String,
    },
    /// Compiled for a newer Java than that of the system that everything is taken from.
    #[error(
        "{}: needs Java {} (class file version {major}), and {ground} has {version}: take another base{}",
        .path.display(), class::feature(*.major), such_as(class::feature(*.major))
    )]
    TooNewForGround {
        /// The main class.
        path: PathBuf,
        /// Its class-file version.
        major: u16,
        /// The other system.
        ground: String,
        /// The version of its runtime.
        version: String,
    },
    /// The system that everything is taken from has no runtime.
    #[error(
        "{}: needs Java, and {ground} has no runtime ({searched}); take a base that has one, such as \
         `--base {}`", .path.display(), bases::with(Runtime::Java)
    )]
    NotOnGround {
        /// The app.
        path: PathBuf,
        /// The other system.
        ground: String,
        /// Where it was looked for.
        searched: String,
    },
    /// `JAVA_HOME` leads to no runtime.
    #[error(
        "JAVA_HOME is {}, where no Java runtime is: {what}; set it to the directory that holds \
         bin/java, or unset it",
        .path.display()
    )]
    BadHome {
        /// What it is set to.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A file that cannot be read.
    #[error("{}: cannot be read: {source}; make it readable", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the work on the way that cannot be written.
    #[error("{}: cannot be written: {source}; make room, or let it be written to", .path.display())]
    Scratch {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn name_main_class(path: &std::path::Path, candidates: &[String]) -> String {
    match candidates {
        [] => "it seems to be a library: give the jar of the app".to_owned(),
        [first, rest @ ..] => format!(
            "name it with `jar --update --file {} --main-class {first}`{}",
            path.display(),
            if rest.is_empty() {
                String::new()
            } else {
                format!(" (or {})", rest.join(", "))
            }
        ),
    }
}

/// The base with the least Java that is new enough.
fn such_as(feature: u16) -> String {
    let base = (feature..=feature.saturating_add(4))
        .find_map(|feature| bases::with_version(Runtime::Java, &feature.to_string()));
    match base {
        Some(base) => format!(", such as `--base {base}`"),
        None => format!(" with Java {feature} or newer"),
    }
}

fn newer(other: &Option<PathBuf>, feature: u16) -> String {
    match other {
        Some(path) => path.display().to_string(),
        None => format!("a Java {feature} or newer, which has to be installed first"),
    }
}

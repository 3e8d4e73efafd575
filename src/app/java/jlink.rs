//! A smaller runtime: `jdeps` tells which modules an app uses, `jlink` makes a runtime of them.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zip::ZipWriter;

use super::JavaError;
use super::class;
use super::run::run;
use super::runtime::Jre;
use super::scan::{self, Collector, Findings};
use crate::app::hosted::{Host, Scene};
use crate::app::java::program::Program;
use crate::layer::{Digest, Hasher};

/// How long a tool may take. Linking all modules on a slow machine takes some tens of seconds.
const LIMIT: Duration = Duration::from_secs(300);
/// The first version whose archives of classes come out the same every time.
const STABLE_ARCHIVES: u16 = 19;
/// The class that names what strings name.
const NAMES_CLASS: &str = "NamedInStrings";

/// Names modules to add, `all` for the whole runtime.
pub(super) const MODULES_VARIABLE: &str = "DISTROBUILD_JAVA_MODULES";

/// The tools of a JDK on the machine that builds.
#[derive(Debug)]
pub(super) struct Tools<'a> {
    host: &'a Host,
    jdeps: PathBuf,
    jlink: PathBuf,
    /// The modules that there are.
    modules: BTreeSet<String>,
    /// Those that the user asks for.
    asked: BTreeSet<String>,
}

/// A runtime that was made.
#[derive(Debug)]
pub(super) struct Linked {
    /// Where it is on this machine.
    pub(super) directory: PathBuf,
    /// Its modules as they were asked for.
    pub(super) modules: BTreeSet<String>,
    /// Modules that `jdeps` does not see, and why they were added.
    pub(super) added: Vec<(String, String)>,
}

impl<'a> Tools<'a> {
    /// The tools of the JDK, if it has them, may run here, and they have something to link.
    pub(super) fn of(scene: &Scene<'a>, jre: &Jre) -> Option<Self> {
        let host = scene.host?;
        let asked = asked(host);
        if !jre.is_modular() || whole_is_asked_for(host) {
            return None;
        }
        let tool = |name: &str| {
            let path = jre.path(name);
            scene.sysroot.is_file(&path).then(|| scene.display(&path))
        };
        // From 24 on, jlink can link from the runtime itself (JEP 493).
        if jre.feature < 24 {
            tool("jmods/java.base.jmod")?;
        }
        Some(Self {
            host,
            jdeps: tool("bin/jdeps")?,
            jlink: tool("bin/jlink")?,
            modules: jre.modules(),
            asked,
        })
    }

    /// Looks at all classes and collects them in one jar, which is handed to `then`.
    pub(super) fn scan(
        &self,
        scene: &Scene<'_>,
        program: &Program,
        jre: &Jre,
        main: &str,
    ) -> Result<(Findings, Classes), JavaError> {
        let scratch = &self.host.scratch;
        let failed = |source| JavaError::Scratch {
            path: scratch.clone(),
            source,
        };
        std::fs::create_dir_all(scratch).map_err(failed)?;
        let directory = tempfile::Builder::new()
            .prefix("java-classes-")
            .tempdir_in(scratch)
            .map_err(failed)?;
        let path = directory.path().join("classes.jar");
        let file = File::create(&path).map_err(failed)?;
        let mut writer = ZipWriter::new(BufWriter::new(file));
        let collector = Collector::new(jre.feature, main, Some(&mut writer));
        let findings = collector.scan(scene, program)?;
        let names = findings.evidence.reflected();
        let class = class::naming(NAMES_CLASS, &names);
        scan::add_stored(&mut writer, &format!("{NAMES_CLASS}.class"), &class)?;
        let mut writer = writer.finish().map_err(|error| failed(error.into()))?;
        writer.flush().map_err(failed)?;
        let classes = Classes {
            path,
            _directory: directory,
        };
        Ok((findings, classes))
    }

    /// Makes the runtime, or says why it cannot be made.
    pub(super) fn link(
        &self,
        jre: &Jre,
        classes: &Classes,
        findings: &Findings,
        options: &[String],
    ) -> Result<Linked, String> {
        let mut modules = self.seen(jre, classes)?;
        let mut added = Vec::new();
        for (module, why) in findings.evidence.modules(jre.feature, options) {
            if self.modules.contains(&module) && modules.insert(module.clone()) {
                added.push((module, why));
            }
        }
        if let Some(unknown) = self
            .asked
            .iter()
            .find(|module| !self.modules.contains(*module))
        {
            return Err(format!(
                "{MODULES_VARIABLE} names {unknown}, which is no module of it"
            ));
        }
        modules.extend(self.asked.iter().cloned());
        let directory = self.runtime(jre, &modules)?;
        Ok(Linked {
            directory,
            modules,
            added,
        })
    }

    /// The modules that the classes name, as `jdeps` tells.
    fn seen(&self, jre: &Jre, classes: &Classes) -> Result<BTreeSet<String>, String> {
        let mut key = Hasher::new();
        key.update(self.identity(jre)?.as_bytes());
        let copied = File::open(&classes.path).and_then(|mut file| io::copy(&mut file, &mut key));
        copied.map_err(|error| format!("{} cannot be read: {error}", classes.path.display()))?;
        let record = self.named("java-modules", &key.finish());
        let text = match std::fs::read_to_string(&record) {
            Ok(text) => text,
            Err(_) => {
                let text = self.ask_jdeps(classes)?;
                write_aside(&record, &text)
                    .map_err(|error| format!("{} cannot be written: {error}", record.display()))?;
                text
            }
        };
        let words = text.split([',', '\n', ' ']).map(str::trim);
        let seen: BTreeSet<String> = words
            .filter(|word| self.modules.contains(*word))
            .map(str::to_owned)
            .collect();
        match seen.contains("java.base") {
            true => Ok(seen),
            false => Err(format!("{} names no module: {text}", self.jdeps.display())),
        }
    }

    fn ask_jdeps(&self, classes: &Classes) -> Result<String, String> {
        let mut arguments: Vec<OsString> = [
            "-J-XX:TieredStopAtLevel=1",
            "--ignore-missing-deps",
            "--print-module-deps",
            "-q",
        ]
        .map(OsString::from)
        .into();
        arguments.push(classes.path.clone().into());
        run(&self.jdeps, &arguments, &self.host.scratch, LIMIT)
    }

    /// The directory of the runtime with these modules: one that was made before, or a new one.
    fn runtime(&self, jre: &Jre, modules: &BTreeSet<String>) -> Result<PathBuf, String> {
        let list: Vec<&str> = modules.iter().map(String::as_str).collect();
        let options = self.options(jre, &list.join(","));
        let archive = archive_options();
        let mut key = Hasher::new();
        key.update(self.identity(jre)?.as_bytes());
        for option in options.iter().chain(&archive) {
            key.update(option.as_encoded_bytes());
            key.update(b"\0");
        }
        let made = self.named("java-runtime", &key.finish());
        if made.join("lib/modules").is_file() {
            return Ok(made);
        }
        let failed = |error: io::Error| format!("{} cannot be written: {error}", made.display());
        let aside = tempfile::Builder::new()
            .prefix("java-runtime-")
            .tempdir_in(&self.host.scratch)
            .map_err(failed)?;
        let output = aside.path().join("runtime");
        let mut arguments = options;
        arguments.push("--output".into());
        arguments.push(output.clone().into());
        run(&self.jlink, &arguments, aside.path(), LIMIT)?;
        if jre.feature >= STABLE_ARCHIVES {
            add_archive(&output, aside.path(), &archive)?;
        }
        match std::fs::rename(&output, &made) {
            // Another build was faster, and made the same.
            Err(_) if made.join("lib/modules").is_file() => Ok(made),
            Err(error) => Err(failed(error)),
            Ok(()) => Ok(made),
        }
    }

    fn options(&self, jre: &Jre, modules: &str) -> Vec<OsString> {
        // Layers are compressed as a whole, which is better than file by file, and starts faster.
        let uncompressed = if jre.feature >= 21 { "zip-0" } else { "0" };
        let strip = match jre.feature >= 13 {
            true => "--strip-java-debug-attributes",
            false => "--strip-debug",
        };
        let options = [
            "-J-XX:TieredStopAtLevel=1",
            "--add-modules",
            modules,
            strip,
            "--no-header-files",
            "--no-man-pages",
            "--compress",
            uncompressed,
        ];
        options.map(OsString::from).into()
    }

    /// What tells this JDK from others, and from itself after an update.
    fn identity(&self, jre: &Jre) -> Result<Digest, String> {
        use std::os::unix::fs::MetadataExt;
        let mut text = format!("{}\n{}\n", jre.home, jre.release);
        for file in [&self.jlink, &jre.path("lib/modules")] {
            let facts = std::fs::metadata(file)
                .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
            text.push_str(&format!(
                "{} {} {}\n",
                facts.len(),
                facts.mtime(),
                facts.mtime_nsec()
            ));
        }
        Ok(Digest::of(text.as_bytes()))
    }

    fn named(&self, what: &str, key: &Digest) -> PathBuf {
        self.host.scratch.join(format!("{what}-{}", key.hex()))
    }
}

/// All classes of an app in one jar.
#[derive(Debug)]
pub(super) struct Classes {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

/// Whether the user wants no smaller runtime.
pub(super) fn whole_is_asked_for(host: &Host) -> bool {
    asked(host).contains("all")
}

fn asked(host: &Host) -> BTreeSet<String> {
    let value = host.variables.get(OsStr::new(MODULES_VARIABLE));
    let text = value
        .map(|value| value.to_string_lossy())
        .unwrap_or_default();
    text.split([',', ' '])
        .filter(|module| !module.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Nothing of the machine decides what is in the archive: not its memory, not its processors.
fn archive_options() -> Vec<OsString> {
    ["-Xshare:dump", "-XX:+UseG1GC", "-Xms128M", "-Xmx128M"]
        .map(OsString::from)
        .into()
}

/// Adds an archive of prepared classes (CDS), with which `java` starts faster, if a second one
/// comes out the same.
fn add_archive(runtime: &Path, aside: &Path, options: &[OsString]) -> Result<(), String> {
    let java = runtime.join("bin/java");
    let dump = |name: &str| {
        let path = aside.join(name);
        let mut target = OsString::from("-XX:SharedArchiveFile=");
        target.push(&path);
        let mut arguments = options.to_vec();
        arguments.push(target);
        run(&java, &arguments, aside, LIMIT).map(|_| path)
    };
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
    };
    // A runtime without an archive is as good, only slower: failures have no weight here.
    let (Ok(first), Ok(second)) = (dump("first.jsa"), dump("second.jsa")) else {
        return Ok(());
    };
    if read(&first)? == read(&second)? {
        let place = runtime.join("lib/server/classes.jsa");
        std::fs::rename(&first, &place)
            .map_err(|error| format!("{} cannot be written: {error}", place.display()))?;
    }
    Ok(())
}

fn write_aside(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

//! One pass over all classes of the class path, those in nested jars too: what they use, and one
//! jar of all of them for `jdeps`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::JavaError;
use super::archive::{Archive, MAX_CLASS, MAX_NESTED};
use super::class::{self, Class};
use super::class_path::{Element, Part};
use super::files;
use super::modules::Evidence;
use super::natives::Natives;
use super::program::{Program, read_manifest};
use crate::app::hosted::Scene;

/// How many bytes of classes are read in all.
const MAX_CLASSES: u64 = 4 << 30;

/// What the classes tell.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The class-file version of the main class; `None` when no element holds it.
    pub(super) main_version: Option<u16>,
    /// What they use of Java.
    pub(super) evidence: Evidence,
    /// Native libraries in the jars.
    pub(super) natives: Natives,
}

/// Where classes are collected.
pub(super) struct Collector<'a, W: Write + Seek> {
    /// The Java version for which versioned classes are chosen, and above which they are left out.
    pub(super) feature: u16,
    /// Gets all classes; `None` when nobody wants them.
    pub(super) jar: Option<&'a mut ZipWriter<W>>,
    known: BTreeSet<String>,
    main: String,
    read: u64,
    findings: Findings,
}

impl<'a, W: Write + Seek> Collector<'a, W> {
    pub(super) fn new(feature: u16, main: &str, jar: Option<&'a mut ZipWriter<W>>) -> Self {
        Self {
            feature,
            jar,
            known: BTreeSet::new(),
            main: main.replace('.', "/"),
            read: 0,
            findings: Findings::default(),
        }
    }

    /// Looks at all elements of the class path.
    pub(super) fn scan(
        mut self,
        scene: &Scene<'_>,
        program: &Program,
    ) -> Result<Findings, JavaError> {
        for element in &program.elements {
            match element.is_directory {
                true => self.directory(scene, element)?,
                false => {
                    let archive = Archive::open(scene.sysroot, &element.source)?;
                    self.archive(archive, element.part)?;
                }
            }
        }
        Ok(self.findings)
    }

    fn directory(&mut self, scene: &Scene<'_>, element: &Element) -> Result<(), JavaError> {
        for relative in files::below(scene.sysroot, &element.source)? {
            if relative
                .extension()
                .is_none_or(|extension| extension != "class")
            {
                continue;
            }
            let path = element.source.join(&relative);
            let bytes = scene
                .sysroot
                .read(&path, MAX_CLASS)
                .map_err(|source| JavaError::Read {
                    path: scene.display(&path),
                    source,
                })?;
            self.class(&bytes, element.part, &scene.display(&path))?;
        }
        Ok(())
    }

    /// A jar, and the jars in it: those of Spring Boot and web archives are part of the class
    /// path, and no other loader looks into them.
    fn archive(&mut self, archive: Archive, part: Part) -> Result<(), JavaError> {
        let mut todo = vec![(archive, part)];
        let mut is_outer = true;
        while let Some((mut archive, part)) = todo.pop() {
            let manifest = read_manifest(&mut archive)?;
            let names = archive.names();
            let chosen = versioned(&names, self.feature, manifest.is_multi_release());
            let boot = is_outer && names.iter().any(|name| name.starts_with("BOOT-INF/"));
            for entry in chosen.values() {
                let Some(bytes) = archive.read(entry, MAX_CLASS)? else {
                    continue;
                };
                // Around the app's own classes, a fat jar has those of its loader.
                let loader = boot && !entry.starts_with("BOOT-INF/");
                let part = if loader { Part::Package } else { part };
                self.class(&bytes, part, &archive.shown)?;
            }
            for name in &names {
                if super::natives::is_library_name(name)
                    && let Some(bytes) = archive.read(name, MAX_NESTED)?
                {
                    self.findings.natives.add(&archive.shown, name, bytes);
                }
            }
            if is_outer {
                for name in names.iter().filter(|name| is_nested(name)).rev() {
                    if let Some(nested) = archive.nested(name)? {
                        todo.push((nested, Part::Package));
                    }
                }
            }
            is_outer = false;
        }
        Ok(())
    }

    fn class(&mut self, bytes: &[u8], part: Part, shown: &Path) -> Result<(), JavaError> {
        self.read = self.read.saturating_add(bytes.len() as u64);
        if self.read > MAX_CLASSES {
            return Err(JavaError::TooLarge {
                path: shown.to_path_buf(),
                what: format!("more than {} GiB of classes", MAX_CLASSES >> 30),
            });
        }
        // What no virtual machine could load is nobody's.
        let Some(class) = class::parse(bytes) else {
            return Ok(());
        };
        // As on a class path, the first of a name counts.
        let known = String::from_utf8_lossy(class.name).into_owned();
        if class.name == b"module-info" || !self.known.insert(known) {
            return Ok(());
        }
        if class.name == self.main.as_bytes() {
            self.findings.main_version = Some(class.major);
        }
        if class.major > class::major(self.feature) {
            return Ok(());
        }
        self.findings.evidence.look_at(&class, part);
        self.copy(&class, bytes)
    }

    fn copy(&mut self, class: &Class<'_>, bytes: &[u8]) -> Result<(), JavaError> {
        let Some(jar) = self.jar.as_deref_mut() else {
            return Ok(());
        };
        let name = format!("{}.class", String::from_utf8_lossy(class.name));
        add_stored(jar, &name, bytes)
    }
}

/// Adds an entry without compression and without a time.
pub(super) fn add_stored<W: Write + Seek>(
    jar: &mut ZipWriter<W>,
    name: &str,
    bytes: &[u8],
) -> Result<(), JavaError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default());
    let failed = |source: std::io::Error| JavaError::Scratch {
        path: name.into(),
        source,
    };
    jar.start_file(name, options)
        .map_err(|error| failed(error.into()))?;
    jar.write_all(bytes).map_err(failed)
}

/// The classes of a jar as `java` of this version sees them: by name, the entry that counts. The
/// directories that fat jars and web archives put before their classes are no part of the names.
fn versioned(names: &[String], feature: u16, multi_release: bool) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<String, (u16, &String)> = BTreeMap::new();
    for entry in names.iter().filter(|name| name.ends_with(".class")) {
        let (version, name) = match entry.strip_prefix("META-INF/versions/") {
            Some(rest) => match rest.split_once('/') {
                Some((version, name)) => (version.parse().unwrap_or(u16::MAX), name),
                None => continue,
            },
            None => (0, entry.as_str()),
        };
        if version > feature || (version > 0 && !multi_release) {
            continue;
        }
        let name = ["BOOT-INF/classes/", "WEB-INF/classes/"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name);
        let known = chosen.entry(name.to_owned()).or_insert((version, entry));
        if version > known.0 {
            *known = (version, entry);
        }
    }
    chosen
        .into_iter()
        .map(|(name, (_, entry))| (name, entry.clone()))
        .collect()
}

/// Whether an entry is a jar of the class path within a fat jar or a web archive.
fn is_nested(name: &str) -> bool {
    const PLACES: [&str; 4] = [
        "BOOT-INF/lib/",
        "BOOT-INF/lib-provided/",
        "WEB-INF/lib/",
        "WEB-INF/lib-provided/",
    ];
    name.ends_with(".jar") && PLACES.iter().any(|place| name.starts_with(place))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_newest_version_that_the_runtime_takes_counts() {
        let names = [
            "a/B.class",
            "META-INF/versions/9/a/B.class",
            "META-INF/versions/17/a/B.class",
            "META-INF/versions/21/a/B.class",
            "META-INF/versions/x/a/B.class",
            "META-INF/versions/11/a/Only.class",
            "BOOT-INF/classes/c/D.class",
        ]
        .map(str::to_owned);
        let chosen = versioned(&names, 17, true);
        assert_eq!(chosen["a/B.class"], "META-INF/versions/17/a/B.class");
        assert_eq!(chosen["a/Only.class"], "META-INF/versions/11/a/Only.class");
        assert_eq!(chosen["c/D.class"], "BOOT-INF/classes/c/D.class");
        let single = versioned(&names, 17, false);
        assert_eq!(single["a/B.class"], "a/B.class");
        assert_eq!(single.len(), 2);
    }
}

//! Systems, jars and classes made by hand.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::super::{JavaError, class as classes, recognise};
use crate::app::hosted::{Host, Hosted, RuntimeChoice, Scene};
use crate::sysroot::Directory;

/// The runtime of a system [`System::with_java`].
pub(super) const JAVA_17: &str = "/usr/lib/jvm/java-17-openjdk-amd64";

/// A class with a `main` method.
pub(super) fn class(major: u16, name: &str) -> Vec<u8> {
    classes::fixture::class(major, name, true, &[], &[])
}

/// An archive of these entries.
pub(super) fn jar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A jar whose main class is `a.Main`, of this class-file version.
pub(super) fn main_jar(major: u16) -> Vec<u8> {
    jar(&[
        (
            "META-INF/MANIFEST.MF",
            b"Manifest-Version: 1.0\nMain-Class: a.Main\n",
        ),
        ("a/Main.class", &class(major, "a/Main")),
    ])
}

/// A directory that stands for a system.
pub(super) struct System {
    root: tempfile::TempDir,
}

impl System {
    pub(super) fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }

    /// With a runtime as Debian lays it.
    pub(super) fn with_java() -> Self {
        let system = Self::new();
        system.java(JAVA_17, "17.0.15");
        system.link("/usr/bin/java", "/etc/alternatives/java");
        system.link("/etc/alternatives/java", &format!("{JAVA_17}/bin/java"));
        system.write("/etc/ssl/certs/java/cacerts", b"certs");
        system.link(
            &format!("{JAVA_17}/lib/security/cacerts"),
            "/etc/ssl/certs/java/cacerts",
        );
        system
    }

    /// A runtime, of which the files hold nothing.
    pub(super) fn java(&self, home: &str, version: &str) {
        for file in [
            "bin/java",
            "bin/javac",
            "jmods/java.base.jmod",
            "lib/jspawnhelper",
            "lib/libinstrument.so",
            "lib/libjava.so",
            "lib/libjli.so",
            "lib/libnio.so",
            "lib/modules",
            "lib/server/libjvm.so",
        ] {
            self.write(&format!("{home}/{file}"), b"x");
        }
        let release = format!(
            "IMPLEMENTOR=\"Test\"\nJAVA_VERSION=\"{version}\"\nMODULES=\"java.base java.sql jdk.zipfs\"\n"
        );
        self.write(&format!("{home}/release"), release.as_bytes());
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) {
        let at = self.at(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, bytes).unwrap();
    }

    pub(super) fn program(&self, path: &str, script: &str) {
        self.write(path, script.as_bytes());
        std::fs::set_permissions(self.at(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(super) fn link(&self, path: &str, target: &str) {
        let at = self.at(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, at).unwrap();
    }

    pub(super) fn remove(&self, path: &str) {
        std::fs::remove_file(self.at(path)).unwrap();
    }

    /// Recognises with the directory as another system, of which nothing can be run.
    pub(super) fn recognise(&self, path: &str) -> Result<Option<Hosted>, JavaError> {
        self.recognise_as(path, RuntimeChoice::Auto)
    }

    pub(super) fn recognise_as(
        &self,
        path: &str,
        runtime: RuntimeChoice,
    ) -> Result<Option<Hosted>, JavaError> {
        let sysroot = Directory::new(self.root.path()).unwrap();
        let scene = Scene {
            sysroot: &sysroot,
            search: &[PathBuf::from("/usr/local/bin"), PathBuf::from("/usr/bin")],
            runtime,
            shell: false,
            host: None,
            ground: None,
        };
        recognise(&scene, Path::new(path))
    }

    /// Recognises on this machine, with these variables as all of its environment.
    pub(super) fn recognise_here(
        &self,
        path: &str,
        variables: &[(&str, OsString)],
    ) -> Result<Option<Hosted>, JavaError> {
        let sysroot = Directory::host().unwrap();
        let variables: BTreeMap<OsString, OsString> = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), value.clone()))
            .collect();
        let host = Host {
            variables,
            scratch: self.at("/scratch"),
            threads: 1,
        };
        let scene = Scene {
            sysroot: &sysroot,
            search: &[],
            runtime: RuntimeChoice::Auto,
            shell: false,
            host: Some(&host),
            ground: None,
        };
        recognise(&scene, &self.at(path))
    }
}

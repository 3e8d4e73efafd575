//! The files of a runtime in the image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::JavaError;
use super::files;
use super::modules::Graphics;
use super::runtime::Jre;
use crate::ImagePath;
use crate::app::hosted::Scene;
use crate::app::{Companion, Companions, Provenance, Role};
use crate::rootfs::{Entry, Origin, is_system};
use crate::sysroot::{Directory, Node, Sysroot, trace};

/// The certificates that a runtime trusts.
const CACERTS: &str = "lib/security/cacerts";

/// What every app starts and the virtual machine loads, in the order in which it does: each finds
/// those before it by their names, although no search path leads there.
const LOADED: [&str; 9] = [
    "java",
    "libjli.so",
    "libjvm.so",
    "libjava.so",
    "libverify.so",
    "libjimage.so",
    "libzip.so",
    "libnet.so",
    "libnio.so",
];

/// A runtime as it lands in the image.
#[derive(Debug)]
pub(super) struct Laid {
    /// Its directory in the image.
    pub(super) home: ImagePath,
    /// Its files.
    pub(super) companions: Vec<Companions>,
    /// The directory of this machine that it was taken from.
    pub(super) from: PathBuf,
    /// What the user should know.
    pub(super) notices: Vec<String>,
}

/// The runtime as it is on this machine, without what only developers use.
pub(super) fn whole(scene: &Scene<'_>, jre: &Jre, graphics: Graphics) -> Result<Laid, JavaError> {
    let home = match is_system(jre.home.as_path()) {
        true => jre.home.clone(),
        false => place(jre)?,
    };
    let mut files = Files::default();
    for relative in files::below(scene.sysroot, jre.home.as_path())? {
        if is_wanted(&relative, graphics) {
            files.add(scene.sysroot, jre, &relative, &home)?;
        }
    }
    let mut laid = files.laid(&jre.title(), home, jre.home.as_path());
    if !scene.sysroot.is_file(&jre.path(CACERTS)) {
        laid.notices.push(format!(
            "{} has no certificates ({CACERTS}), so TLS trusts nobody; on Debian install \
             ca-certificates-java",
            scene.display(jre.home.as_path()).display()
        ));
    }
    Ok(laid)
}

/// A runtime that was linked from `jre` and is in the directory `made` of this machine.
pub(super) fn linked(
    scene: &Scene<'_>,
    jre: &Jre,
    made: &Path,
    graphics: Graphics,
) -> Result<Laid, JavaError> {
    let sysroot = Directory::new(made).map_err(|source| JavaError::Read {
        path: made.to_path_buf(),
        source,
    })?;
    let home = place(jre)?;
    let mut files = Files::default();
    for relative in files::below(&sysroot, Path::new("/"))? {
        if !is_wanted(&relative, graphics) {
            continue;
        }
        let from = Path::new("/").join(&relative);
        let at = below(&home, &relative)?;
        let own = jre.home.as_path().join(&relative);
        // The app goes on trusting whom it trusts on this machine.
        let companion = match relative == Path::new(CACERTS) && scene.sysroot.is_file(&own) {
            true => files::companion(scene.sysroot, &own, at, Origin::Runtime, Role::Data)?,
            false => files::companion(&sysroot, &from, at, Origin::Runtime, role(&relative))?,
        };
        files.push(companion);
    }
    Ok(files.laid(&format!("{}, linked for this app", jre.title()), home, made))
}

/// Where a runtime lands that is not kept where it is.
fn place(jre: &Jre) -> Result<ImagePath, JavaError> {
    let path = format!("/usr/lib/jvm/java-{}", jre.feature);
    let place = image_path(Path::new(&path))?;
    // The directory on this machine is hidden, so it has to be another.
    match place.starts_with(&jre.home) || jre.home.starts_with(&place) {
        true => image_path(Path::new(&format!("{path}-app"))),
        false => Ok(place),
    }
}

fn below(home: &ImagePath, relative: &Path) -> Result<ImagePath, JavaError> {
    image_path(&home.as_path().join(relative))
}

fn image_path(path: &Path) -> Result<ImagePath, JavaError> {
    ImagePath::new(path).map_err(|error| JavaError::Read {
        path: path.to_path_buf(),
        source: std::io::Error::other(error),
    })
}

/// Files by their places in the image.
#[derive(Debug, Default)]
struct Files {
    found: BTreeMap<ImagePath, Companion>,
}

impl Files {
    fn push(&mut self, companion: Companion) {
        self.found
            .entry(companion.path.clone())
            .or_insert(companion);
    }

    /// A file of the runtime. One that keeps its path stays a link where it is one, and what the
    /// link leads to outside of the runtime (configuration, certificates) comes along.
    fn add(
        &mut self,
        sysroot: &dyn Sysroot,
        jre: &Jre,
        relative: &Path,
        home: &ImagePath,
    ) -> Result<(), JavaError> {
        let source = jre.home.as_path().join(relative);
        let role = role(relative);
        let failed = |error| JavaError::Read {
            path: sysroot.display(&source),
            source: error,
        };
        let walk = trace(sysroot, &source).map_err(|error| failed(error.into()))?;
        if walk.links.is_empty() || home != &jre.home {
            let at = below(home, relative)?;
            let companion = files::companion(sysroot, &source, at, Origin::Runtime, role)?;
            self.push(companion);
            return Ok(());
        }
        for (link, target) in &walk.links {
            self.push(Companion {
                path: link.clone(),
                entry: Entry::symlink(target.clone(), Origin::Runtime),
                source: sysroot.display(link.as_path()),
                role: Role::Data,
            });
        }
        if matches!(walk.node, Node::File(_)) {
            let at = walk.target.clone();
            let target = walk.target.as_path();
            let companion = files::companion(sysroot, target, at, Origin::Runtime, role)?;
            self.push(companion);
        }
        Ok(())
    }

    fn laid(self, title: &str, home: ImagePath, from: &Path) -> Laid {
        let (mut machine, rest): (Vec<_>, Vec<_>) = self
            .found
            .into_values()
            .partition(|file| file.role == Role::Object);
        machine.sort_by_key(|file| loaded(file.path.as_path()));
        let group = |reason: String, files| Companions {
            by: Provenance::Runtime,
            reason,
            files,
        };
        Laid {
            home,
            from: from.to_path_buf(),
            companions: vec![
                group(format!("the virtual machine of {title}"), machine),
                group(format!("the class library of {title}"), rest),
            ],
            notices: Vec::new(),
        }
    }
}

fn name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// The number in the order of loading.
fn loaded(path: &Path) -> usize {
    let name = name(path);
    let at = LOADED.iter().position(|known| *known == name);
    at.unwrap_or(LOADED.len())
}

fn role(relative: &Path) -> Role {
    let name = name(relative);
    // `Runtime.exec` starts programs by jspawnhelper.
    if LOADED.contains(&name) || name == "jspawnhelper" {
        return Role::Object;
    }
    match name.ends_with(".so") {
        true => Role::Optional,
        false => Role::Data,
    }
}

/// Whether a file of a runtime (its path below it) is of use to an app.
fn is_wanted(relative: &Path, graphics: Graphics) -> bool {
    const DIRECTORIES: [&str; 9] = [
        "demo",
        "docs",
        "include",
        "jmods",
        "man",
        "plugin",
        "sample",
        "lib/client",
        "lib/minimal",
    ];
    const NAMES: [&str; 9] = [
        "ct.sym",
        "jar.binfmt",
        "jexec",
        "jrt-fs.jar",
        "libjsig.so",
        "libsaproc.so",
        "src.zip",
        // Lists of classes for archives that are made already.
        "classlist",
        "sa-jdi.jar",
    ];
    if DIRECTORIES
        .iter()
        .any(|directory| relative.starts_with(directory))
    {
        return false;
    }
    if relative.starts_with("bin") {
        return relative == Path::new("bin/java");
    }
    let name = name(relative);
    if NAMES.contains(&name) || name.ends_with(".debuginfo") || name.ends_with(".diz") {
        return false;
    }
    // Archives of classes for heaps above 32 GB and for options that are seldom given: `java`
    // starts without them, a little slower.
    if name.ends_with(".jsa") {
        return name == "classes.jsa";
    }
    graphics_of(name) <= graphics
}

/// What has to be used for a library to be of use.
fn graphics_of(name: &str) -> Graphics {
    match name {
        "libatk-wrapper.so" | "libawt_xawt.so" | "libjavafx_font.so" | "libjawt.so"
        | "libjsound.so" | "libjsoundalsa.so" | "libsplashscreen.so" => Graphics::Display,
        "libawt.so"
        | "libawt_headless.so"
        | "libfontmanager.so"
        | "libfreetype.so"
        | "libjavajpeg.so"
        | "libjpeg.so"
        | "liblcms.so"
        | "libmlib_image.so"
        | "fontconfig.bfc"
        | "fontconfig.properties"
        | "psfont.properties.ja"
        | "psfontj2d.properties" => Graphics::Headless,
        _ => Graphics::None,
    }
}

/// The launcher of a runtime in the image.
pub(super) fn launcher(home: &ImagePath) -> PathBuf {
    home.as_path().join("bin/java")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_developers_use_stays_out() {
        for (path, expected) in [
            ("bin/java", true),
            ("bin/javac", false),
            ("jmods/java.base.jmod", false),
            ("lib/modules", true),
            ("lib/src.zip", false),
            ("lib/server/classes.jsa", true),
            ("lib/server/classes_nocoops.jsa", false),
            ("lib/libawt_xawt.so", false),
            ("lib/tzdb.dat", true),
            ("conf/security/java.security", true),
            ("legal/java.base/LICENSE", true),
        ] {
            assert_eq!(
                is_wanted(Path::new(path), Graphics::None),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn graphics_bring_their_libraries() {
        let wanted = |name, graphics| is_wanted(&Path::new("lib").join(name), graphics);
        assert!(!wanted("libfontmanager.so", Graphics::None));
        assert!(wanted("libfontmanager.so", Graphics::Headless));
        assert!(!wanted("libawt_xawt.so", Graphics::Headless));
        assert!(wanted("libawt_xawt.so", Graphics::Display));
    }

    #[test]
    fn the_virtual_machine_is_loaded_before_what_needs_it() {
        let position = |name: &str| loaded(Path::new(name));
        assert!(position("lib/libjli.so") < position("lib/server/libjvm.so"));
        assert!(position("lib/server/libjvm.so") < position("lib/libjava.so"));
        assert!(position("lib/libjava.so") < position("lib/libnet.so"));
    }
}

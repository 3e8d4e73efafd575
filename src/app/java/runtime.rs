//! Which Java runtime runs the app, and what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::JavaError;
use super::run;
use crate::ImagePath;
use crate::app::hosted::{Host, Scene};
use crate::sysroot::{Node, OpenFile, trace};

/// Directories in which distributions, vendors and base images put runtimes.
const PLACES: [&str; 4] = ["/usr/lib/jvm", "/usr/java", "/opt/java", "/opt"];
/// The most bytes of a `release` file.
const MAX_RELEASE: u64 = 64 << 10;

/// A Java runtime: a JRE or a JDK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Jre {
    /// Its directory (`java.home`), which no link leads to. For Java 8 within a JDK: `jre`.
    pub(super) home: ImagePath,
    /// As `17.0.15`.
    pub(super) version: String,
    /// As `17`.
    pub(super) feature: u16,
    /// Who made it.
    pub(super) vendor: Option<String>,
    /// The `release` file, which tells one build from another.
    pub(super) release: String,
    /// How it was found, for people.
    pub(super) found: String,
}

/// Finds the runtime that `java` would start.
pub(super) fn find(scene: &Scene<'_>, app: &Path) -> Result<Jre, JavaError> {
    if let Some(jre) = by_java_home(scene)? {
        return Ok(jre);
    }
    if let Some(jre) = by_path(scene) {
        return Ok(jre);
    }
    installed(scene)
        .into_iter()
        .next()
        .ok_or_else(|| match scene.ground {
            Some(ground) => JavaError::NotOnGround {
                path: app.to_path_buf(),
                ground: ground.name.to_owned(),
                searched: searched(scene),
            },
            None => JavaError::NoRuntime {
                path: app.to_path_buf(),
                searched: searched(scene),
            },
        })
}

/// All runtimes in the directories where they are installed, the newest first.
pub(super) fn installed(scene: &Scene<'_>) -> Vec<Jre> {
    let mut found: BTreeMap<ImagePath, Jre> = BTreeMap::new();
    for place in PLACES {
        for name in scene.sysroot.read_dir(Path::new(place)).unwrap_or_default() {
            let home = Path::new(place).join(name);
            let how = format!("it is installed at {}", scene.display(&home).display());
            if let Some(jre) = at(scene, &home, how) {
                found.entry(jre.home.clone()).or_insert(jre);
            }
        }
    }
    let mut all: Vec<Jre> = found.into_values().collect();
    all.sort_by_key(|jre| std::cmp::Reverse(jre.feature));
    all
}

fn searched(scene: &Scene<'_>) -> String {
    // A message names another system than this machine once and for all.
    let installed = PLACES.map(|place| match scene.ground {
        Some(_) => place.to_owned(),
        None => scene.display(Path::new(place)).display().to_string(),
    });
    let installed = installed.join(", ");
    match scene.host {
        Some(_) => format!("JAVA_HOME is not set, no `java` is on PATH, nothing is in {installed}"),
        None => format!("no `java` is on the image's PATH, nothing is in {installed}"),
    }
}

fn by_java_home(scene: &Scene<'_>) -> Result<Option<Jre>, JavaError> {
    let Some(value) = scene
        .host
        .and_then(|host| host.variables.get(OsStr::new("JAVA_HOME")))
    else {
        return Ok(None);
    };
    if value.is_empty() {
        return Ok(None);
    }
    let home = PathBuf::from(value);
    let bad = |what: &str| JavaError::BadHome {
        path: home.clone(),
        what: what.to_owned(),
    };
    if !home.is_absolute() {
        return Err(bad("it is no absolute path"));
    }
    match at(scene, &home, "JAVA_HOME names it".to_owned()) {
        Some(jre) => Ok(Some(jre)),
        None if scene.sysroot.is_directory(&home) => {
            Err(bad("it has no bin/java with a libjvm.so"))
        }
        None => Err(bad("there is no such directory")),
    }
}

fn by_path(scene: &Scene<'_>) -> Option<Jre> {
    let java = match scene.host {
        Some(host) => host.program("java"),
        None => None,
    };
    let in_image = || {
        let mut candidates = scene.search.iter().map(|directory| directory.join("java"));
        candidates.find(|java| scene.sysroot.is_file(java) && scene.may_run(java))
    };
    let java = java.or_else(in_image)?;
    let how = format!("`java` on PATH is {}", scene.display(&java).display());
    let target = trace(scene.sysroot, &java).ok()?.target;
    if let Some(home) = target.parent().and_then(|bin| bin.parent())
        && let Some(jre) = at(scene, home.as_path(), how.clone())
    {
        return Some(jre);
    }
    // jenv, asdf and mise put a script on PATH that works out which `java` is meant.
    let home = asked(scene, scene.host?, &java)?;
    at(scene, &home, how)
}

/// What the program that is started as `java` says of its home.
fn asked(scene: &Scene<'_>, host: &Host, java: &Path) -> Option<PathBuf> {
    let file = scene.sysroot.open(java).ok()?;
    let mut head = [0; 2];
    file.read_exact_at(&mut head, 0).ok()?;
    if &head != b"#!" {
        return None;
    }
    std::fs::create_dir_all(&host.scratch).ok()?;
    let path = host.variables.get(OsStr::new("PATH"))?;
    let home = host.variables.get(OsStr::new("HOME"));
    // Such a script needs the tools that it calls and the user's settings, which `env` hands on.
    let mut arguments = vec![assignment("PATH", path)];
    arguments.extend(home.map(|home| assignment("HOME", home)));
    arguments.push(java.into());
    arguments.push("-XshowSettings:properties".into());
    arguments.push("-version".into());
    let env = host.program("env")?;
    let printed = run::run(&env, &arguments, &host.scratch, Duration::from_secs(20)).ok()?;
    let home = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("java.home = "))?;
    Some(PathBuf::from(home.trim()))
}

fn assignment(name: &str, value: &OsStr) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(name);
    text.push("=");
    text.push(value);
    text
}

/// The runtime in the directory `home`, if one is there.
fn at(scene: &Scene<'_>, home: &Path, found: String) -> Option<Jre> {
    let home = trace(scene.sysroot, home).ok()?;
    if !matches!(home.node, Node::Directory { .. }) || !scene.may_run(home.target.as_path()) {
        return None;
    }
    let home = home.target;
    // A JDK of Java 8 holds its runtime in a directory of its own, and so does what is found by
    // the links of /etc/alternatives, which lead to jre/bin/java.
    let runtime = home
        .join("jre")
        .ok()
        .filter(|jre| has_jvm(scene, jre.as_path()));
    let runtime = runtime.unwrap_or_else(|| home.clone());
    if !has_jvm(scene, runtime.as_path()) {
        return None;
    }
    let read = |at: &ImagePath| {
        let bytes = scene
            .sysroot
            .read(&at.as_path().join("release"), MAX_RELEASE);
        bytes
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let release = read(&runtime)
        .or_else(|| read(&home))
        .or_else(|| home.parent().as_ref().and_then(read))
        .unwrap_or_default();
    let version = property(&release, "JAVA_VERSION")
        .map(str::to_owned)
        .or_else(|| version_in_name(&home))?;
    Some(Jre {
        feature: feature(&version)?,
        vendor: property(&release, "IMPLEMENTOR").map(str::to_owned),
        home: runtime,
        version,
        release,
        found,
    })
}

/// Whether a launcher and a virtual machine are there.
fn has_jvm(scene: &Scene<'_>, home: &Path) -> bool {
    scene.sysroot.is_file(&home.join("bin/java")) && jvm(scene, home).is_some()
}

/// The virtual machine of a runtime: Java 8 has a directory for the architecture.
fn jvm(scene: &Scene<'_>, home: &Path) -> Option<OpenFile> {
    let lib = home.join("lib");
    let here = std::iter::once(lib.clone());
    let names = scene.sysroot.read_dir(&lib).unwrap_or_default();
    let below = names.iter().map(|name| lib.join(name));
    here.chain(below)
        .find_map(|lib| scene.sysroot.open(&lib.join("server/libjvm.so")).ok())
}

/// The value of a line `NAME="value"`.
fn property<'a>(release: &'a str, name: &str) -> Option<&'a str> {
    release.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix('=')?.trim();
        Some(value.trim_matches('"'))
    })
}

/// Debian's Java 8 has no `release` file: `java-8-openjdk-amd64`, `java-1.8.0-openjdk`.
fn version_in_name(home: &ImagePath) -> Option<String> {
    let name = home.file_name()?.to_str()?;
    let digits = |char: char| char.is_ascii_digit() || char == '.';
    name.split(|char| !digits(char))
        .find(|part| part.starts_with(|char: char| char.is_ascii_digit()))
        .map(str::to_owned)
}

/// `17.0.15` is 17, `1.8.0_412` is 8.
fn feature(version: &str) -> Option<u16> {
    let mut numbers = version
        .split(|char: char| !char.is_ascii_digit())
        .filter_map(|number| number.parse().ok());
    match numbers.next()? {
        1 => numbers.next(),
        first => Some(first),
    }
}

impl Jre {
    /// How to name it to a person.
    pub(super) fn title(&self) -> String {
        match &self.vendor {
            Some(vendor) => format!("Java {} of {vendor}", self.version),
            None => format!("Java {}", self.version),
        }
    }

    /// Whether its class library is made of modules (Java 9 and later).
    pub(super) fn is_modular(&self) -> bool {
        self.feature >= 9
    }

    /// The names of its modules.
    pub(super) fn modules(&self) -> BTreeSet<String> {
        let list = property(&self.release, "MODULES").unwrap_or_default();
        list.split_ascii_whitespace().map(str::to_owned).collect()
    }

    /// The path of something in it.
    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.home.as_path().join(relative)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn versions_before_nine_start_with_one() {
        for (version, expected) in [
            ("17.0.15", 17),
            ("1.8.0_412", 8),
            ("25", 25),
            ("21-ea", 21),
            ("9.0.4", 9),
        ] {
            assert_eq!(feature(version), Some(expected), "{version}");
        }
        assert_eq!(feature("none"), None);
    }

    #[test]
    fn a_release_file_is_made_of_quoted_lines() {
        let release = "IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"17.0.15\"\nJAVA_VERSION_DATE=\"x\"\n";
        assert_eq!(property(release, "JAVA_VERSION"), Some("17.0.15"));
        assert_eq!(property(release, "MODULES"), None);
    }

    #[test]
    fn a_directory_without_a_release_file_has_its_version_in_its_name() {
        for (path, expected) in [
            ("/usr/lib/jvm/java-8-openjdk-amd64", "8"),
            ("/usr/lib/jvm/java-1.8.0-openjdk", "1.8.0"),
        ] {
            let path = ImagePath::new(path).unwrap();
            assert_eq!(version_in_name(&path).as_deref(), Some(expected));
        }
    }
}

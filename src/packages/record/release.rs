//! Which distribution the packages are of: os-release(5), and what scanners read instead.
//!
//! Syft and Clair go by `/etc/os-release`. Trivy does so for Alpine; Debian it knows by
//! `/etc/debian_version`, Ubuntu by `/etc/lsb-release`.

use super::Record;
use crate::ImagePath;
use crate::rootfs::Origin;
use crate::sysroot::Sysroot;

/// Where a system's name is: os-release(5).
const PLACES: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];
const DEBIAN_VERSION: &str = "/etc/debian_version";
const LSB_RELEASE: &str = "/etc/lsb-release";
/// A system's file has some 300 bytes.
const LIMIT: u64 = 64 << 10;
/// The `ID` of bases that are no distribution of packages.
const PLACEHOLDER: &str = "distrobuild";

/// What tells of the system that the packages come from, as far as the image does not.
pub(super) fn records(sysroot: &dyn Sysroot, image: &dyn Sysroot, origin: Origin) -> Vec<Record> {
    let Some(release) = Release::read(sysroot) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    match Release::read(image) {
        // The user says what this image is, with a base or an include.
        Some(named) if named.id != PLACEHOLDER && named.id != release.id => return Vec::new(),
        Some(named) if named.id == release.id => {}
        Some(_) | None => files.push((PLACES[0], release.os_release())),
    }
    if let Some((path, text)) = release.sign(sysroot)
        && !image.is_file(path.as_ref())
    {
        files.push((path, text));
    }
    files
        .into_iter()
        .filter_map(|(path, text)| {
            let mut record = Record::text(ImagePath::new(path).ok()?, text.into_bytes(), origin);
            record.replaces = path == PLACES[0];
            Some(record)
        })
        .collect()
}

/// The part of os-release(5) that tells a distribution's releases apart. What changes with an
/// update of the system that brings no other package into the image is left out, as the
/// third number of Ubuntu's `VERSION`.
#[derive(Debug, Default)]
struct Release {
    name: String,
    id: String,
    like: String,
    version: String,
    codename: String,
}

impl Release {
    /// `None` where there is no such file, or it names no distribution.
    fn read(system: &dyn Sysroot) -> Option<Self> {
        let mut texts = PLACES
            .iter()
            .filter_map(|place| system.read(place.as_ref(), LIMIT).ok());
        let text = texts.next()?;
        let mut release = Self::default();
        for line in String::from_utf8_lossy(&text).lines() {
            let Some((key, value)) = line.trim().split_once('=') else {
                continue;
            };
            let field = match key {
                "NAME" => &mut release.name,
                "ID" => &mut release.id,
                "ID_LIKE" => &mut release.like,
                "VERSION_ID" => &mut release.version,
                "VERSION_CODENAME" => &mut release.codename,
                _ => continue,
            };
            let value = value.trim_matches(['"', '\'']);
            if is_plain(value) {
                value.clone_into(field);
            }
        }
        (!release.id.is_empty()).then_some(release)
    }

    /// The file `/etc/os-release`.
    fn os_release(&self) -> String {
        let mut pretty = match self.name.is_empty() {
            true => self.id.clone(),
            false => self.name.clone(),
        };
        if !self.version.is_empty() {
            pretty.push_str(&format!(" {}", self.version));
        }
        if !self.codename.is_empty() {
            pretty.push_str(&format!(" ({})", self.codename));
        }
        let mut text = String::new();
        for (key, value) in [
            ("PRETTY_NAME", &pretty),
            ("NAME", &self.name),
            ("ID", &self.id),
            ("ID_LIKE", &self.like),
            ("VERSION_ID", &self.version),
            ("VERSION_CODENAME", &self.codename),
        ] {
            if value.contains(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)) {
                text.push_str(&format!("{key}=\"{value}\"\n"));
            } else if !value.is_empty() {
                text.push_str(&format!("{key}={value}\n"));
            }
        }
        text
    }

    /// The file by which Trivy knows the distribution, where it does not go by os-release.
    fn sign(&self, system: &dyn Sysroot) -> Option<(&'static str, String)> {
        match self.id.as_str() {
            // Its own file has the point release, which is no matter of the packages here.
            "debian" if !self.version.is_empty() => {
                Some((DEBIAN_VERSION, format!("{}\n", self.version)))
            }
            // Testing and unstable have no number.
            "debian" => {
                let text = system.read(DEBIAN_VERSION.as_ref(), LIMIT).ok()?;
                let text = String::from_utf8_lossy(&text);
                let line = text.lines().next().filter(|line| is_plain(line))?;
                Some((DEBIAN_VERSION, format!("{line}\n")))
            }
            "ubuntu" => {
                let mut text = format!("DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE={}\n", self.version);
                if !self.codename.is_empty() {
                    text.push_str(&format!("DISTRIB_CODENAME={}\n", self.codename));
                }
                Some((LSB_RELEASE, text))
            }
            _ => None,
        }
    }
}

/// Whether a value needs no escapes, of a shell that reads the file or of a person's terminal.
fn is_plain(value: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " ._-/+~:()".contains(c);
    (1..=128).contains(&value.len()) && value.chars().all(is_plain)
}

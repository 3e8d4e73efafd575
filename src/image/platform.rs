//! Platforms, as OCI and Go name them.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{Arch, Os};

/// The platform of an image, in OCI's words.
///
/// ```
/// use distrobuild::image::Platform;
///
/// let platform: Platform = "linux/arm64/v8".parse().unwrap();
/// assert!(platform.matches(&"linux/arm64".parse().unwrap()));
/// assert_eq!("x86_64".parse::<Platform>().unwrap().to_string(), "linux/amd64");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// GOARCH: `amd64`, `arm64`, `arm`...
    pub architecture: String,
    /// `v7` for 32-bit ARM, `v8` is left out for arm64.
    pub variant: Option<String>,
}

/// A string that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no platform: OS/ARCH or OS/ARCH/VARIANT is expected, as in linux/amd64 or linux/arm/v7"
)]
pub struct PlatformError(String);

impl Platform {
    /// The platform of Linux on `architecture`.
    #[must_use]
    pub fn linux(architecture: &str, variant: Option<&str>) -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
        .normalized()
    }

    /// The platform that this program was built for; it can run it.
    #[must_use]
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            "mips64" if cfg!(target_endian = "little") => "mips64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Self::linux(architecture, None)
    }

    /// The one spelling of this platform: names of other worlds as Go has them
    /// (`x86_64` is `amd64`), and the variant that an architecture has anyway left
    /// out (`v8` of arm64, `v1` of amd64) or, for 32-bit ARM, put in (`v7`). These are
    /// the rules of containerd's `platforms` package.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let variant = self.variant.as_deref().filter(|v| !v.is_empty());
        let (architecture, variant) = match (self.architecture.as_str(), variant) {
            ("amd64" | "x86_64" | "x86-64", None | Some("v1")) => ("amd64", None),
            ("amd64" | "x86_64" | "x86-64", variant) => ("amd64", variant),
            ("386" | "i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", None),
            ("arm64" | "aarch64", None | Some("v8" | "8" | "v8.0")) => ("arm64", None),
            ("arm64" | "aarch64", variant) => ("arm64", variant),
            ("arm" | "armhf", None | Some("7")) => ("arm", Some("v7")),
            ("armel", None) | ("arm", Some("6")) => ("arm", Some("v6")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("arm", Some("8")) => ("arm", Some("v8")),
            other => other,
        };
        Self {
            os: self.os.clone(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Whether an image for `other` is one for this platform: both are the same once
    /// [normalized](Self::normalized). A higher variant does not stand for a lower one.
    #[must_use]
    pub fn matches(&self, other: &Platform) -> bool {
        self.normalized() == other.normalized()
    }

    /// As oci-spec holds it.
    #[must_use]
    pub fn to_oci(&self) -> oci_spec::image::Platform {
        let mut platform = oci_spec::image::Platform::default();
        platform.set_os(Os::from(self.os.as_str()));
        platform.set_architecture(Arch::from(self.architecture.as_str()));
        // oci-spec 0.10 reads `armbe` as `arm64be`.
        if self.architecture == "armbe" {
            platform.set_architecture(Arch::ARMbe);
        }
        platform.set_variant(self.variant.clone());
        platform
    }
}

impl From<&oci_spec::image::Platform> for Platform {
    fn from(platform: &oci_spec::image::Platform) -> Self {
        Self {
            os: platform.os().to_string(),
            architecture: platform.architecture().to_string(),
            variant: platform.variant().clone(),
        }
        .normalized()
    }
}

impl From<&oci_spec::image::ImageConfiguration> for Platform {
    fn from(config: &oci_spec::image::ImageConfiguration) -> Self {
        Self {
            os: config.os().to_string(),
            architecture: config.architecture().to_string(),
            variant: config.variant().clone(),
        }
        .normalized()
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Reads `OS/ARCH`, `OS/ARCH/VARIANT`, or an architecture alone (of Linux), and
    /// [normalizes](Platform::normalized) it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PlatformError(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let good = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        let parts: Vec<&str> = lower.split('/').collect();
        if !parts.iter().all(good) {
            return Err(error());
        }
        let (os, architecture, variant) = match parts[..] {
            // The name of an operating system alone is no platform.
            ["linux" | "windows" | "darwin" | "freebsd"] => return Err(error()),
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(error()),
        };
        Ok(Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
        .normalized())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn other_spellings_of_a_platform_are_the_same_one() {
        for (a, b) in [
            ("linux/arm64", "linux/arm64/v8"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/x86_64", "linux/amd64/v1"),
            ("Linux/AMD64", "amd64"),
            ("linux/i686", "linux/386"),
        ] {
            assert_eq!(platform(a), platform(b), "{a} {b}");
            let spelt = Platform {
                variant: platform(b).variant,
                ..platform(a)
            };
            assert!(spelt.matches(&platform(b)));
        }
    }

    #[test]
    fn another_variant_is_another_platform() {
        assert!(!platform("linux/arm/v6").matches(&platform("linux/arm/v7")));
        assert!(!platform("linux/amd64/v3").matches(&platform("linux/amd64")));
        assert!(!platform("linux/amd64").matches(&platform("windows/amd64")));
    }

    #[test]
    fn what_is_no_platform_is_refused_with_an_example() {
        for bad in [
            "",
            "linux",
            "linux/",
            "/amd64",
            "a/b/c/d",
            "linux/am d",
            "linux/a\nb",
        ] {
            let error = bad.parse::<Platform>().unwrap_err().to_string();
            assert!(error.contains("linux/arm/v7"), "{error}");
        }
    }

    #[test]
    fn oci_spec_keeps_every_architecture() {
        for text in [
            "linux/armbe",
            "linux/riscv64",
            "linux/loong64",
            "linux/unheard-of",
        ] {
            assert_eq!(Platform::from(&platform(text).to_oci()), platform(text));
        }
    }

    proptest! {
        #[test]
        fn a_platform_is_read_back_as_it_was_shown(
            text in "(linux|windows)/(amd64|arm64|arm|386|s390x|x86_64)(/v[0-9])?"
        ) {
            let platform: Platform = text.parse().unwrap();
            prop_assert_eq!(platform.to_string().parse::<Platform>().unwrap(), platform.clone());
            prop_assert_eq!(platform.normalized(), platform);
        }
    }
}

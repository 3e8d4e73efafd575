//! Debian's architectures.

use std::fmt;

use crate::image::Platform;

/// An architecture that Debian or Ubuntu has packages for (`dpkg-architecture(1)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
    /// 32-bit ARM with hardware floating point, ARMv7.
    Armhf,
    /// 32-bit x86.
    I386,
    /// 64-bit little-endian POWER.
    Ppc64el,
    /// 64-bit RISC-V.
    Riscv64,
    /// IBM Z.
    S390x,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Amd64,
        Self::Arm64,
        Self::Armhf,
        Self::I386,
        Self::Ppc64el,
        Self::Riscv64,
        Self::S390x,
    ];

    /// Debian's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Armhf => "armhf",
            Self::I386 => "i386",
            Self::Ppc64el => "ppc64el",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
        }
    }

    /// The directory of its libraries below `/usr/lib`.
    pub fn triplet(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
            Self::Armhf => "arm-linux-gnueabihf",
            Self::I386 => "i386-linux-gnu",
            Self::Ppc64el => "powerpc64le-linux-gnu",
            Self::Riscv64 => "riscv64-linux-gnu",
            Self::S390x => "s390x-linux-gnu",
        }
    }

    /// The platform of an image of it.
    pub fn platform(self) -> Platform {
        match self {
            Self::Amd64 => Platform::linux("amd64", None),
            Self::Arm64 => Platform::linux("arm64", None),
            Self::Armhf => Platform::linux("arm", Some("v7")),
            Self::I386 => Platform::linux("386", None),
            Self::Ppc64el => Platform::linux("ppc64le", None),
            Self::Riscv64 => Platform::linux("riscv64", None),
            Self::S390x => Platform::linux("s390x", None),
        }
    }

    /// The architecture of a platform, if Debian has it.
    pub fn of(platform: &Platform) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|it| it.platform().matches(platform))
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is none of Debian's architectures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is none of Debian's architectures: amd64, arm64, armhf, i386, ppc64el, riscv64, s390x"
)]
pub struct ArchitectureError(String);

impl std::str::FromStr for Architecture {
    type Err = ArchitectureError;

    /// Debian's name, or one that [`Platform`] knows: `x86_64`, `aarch64`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let by_name = Self::ALL.into_iter().find(|it| it.name() == text);
        by_name
            .or_else(|| Self::of(&Platform::linux(text, None)))
            .ok_or_else(|| ArchitectureError(text.to_owned()))
    }
}

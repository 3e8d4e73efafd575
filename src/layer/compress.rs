//! The compressed forms of a layer.

use std::fmt;
use std::io;
use std::str::FromStr;

use oci_spec::image::MediaType;

use super::buffer::Buffer;

/// How a layer is compressed, and at which level.
///
/// Written as on the command line: `none`, `gzip`, `zstd` or `estargz`, each but the
/// first with an optional level after a colon.
///
/// A compressor takes a few MiB of memory at the default levels, and about 8 MiB (gzip) or
/// 30 MiB (zstd) at the highest, once for every thread.
///
/// ```
/// use distrobuild::layer::Compression;
///
/// assert_eq!("gzip".parse(), Ok(Compression::Gzip(5)));
/// assert_eq!("zstd:19".parse::<Compression>().unwrap().to_string(), "zstd:19");
/// assert!("gzip:13".parse::<Compression>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// An uncompressed tar.
    None,
    /// gzip members, levels 1 to 12 (libdeflate's), 5 by default: a tenth faster than 6 for 0.4 % more.
    Gzip(u8),
    /// zstd frames, levels 1 to 19, 3 by default.
    Zstd(u8),
    /// gzip members with eStargz's table of contents and footer, levels as for gzip.
    Estargz(u8),
}

/// What is no [`Compression`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// The name is unknown.
    #[error("there is no compression {0:?}: choose gzip, zstd, estargz or none")]
    Unknown(String),
    /// The level is no number, or outside the codec's range.
    #[error(
        "{level:?} is no level of {name}: choose {lowest} to {highest}, as in {name}:{default}"
    )]
    Level {
        /// The compression.
        name: &'static str,
        /// What was given.
        level: String,
        /// The fastest level.
        lowest: u8,
        /// The strongest level.
        highest: u8,
        /// The level without one given.
        default: u8,
    },
    /// `none` was given a level.
    #[error("`none` takes no level")]
    NoLevel,
}

const GZIP_LEVELS: (u8, u8, u8) = (1, 12, 5);
const ZSTD_LEVELS: (u8, u8, u8) = (1, 19, 3);

impl Compression {
    /// Its name without the level.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip(_) => "gzip",
            Self::Zstd(_) => "zstd",
            Self::Estargz(_) => "estargz",
        }
    }

    /// The level; `None` where there is none.
    pub fn level(self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::Gzip(level) | Self::Zstd(level) | Self::Estargz(level) => Some(level),
        }
    }

    /// Media type of a layer in this form (image-spec, `layer.md`).
    pub fn media_type(self) -> MediaType {
        match self {
            Self::None => MediaType::ImageLayer,
            Self::Gzip(_) | Self::Estargz(_) => MediaType::ImageLayerGzip,
            Self::Zstd(_) => MediaType::ImageLayerZstd,
        }
    }

    /// Checks the level.
    ///
    /// # Errors
    /// When it is outside the codec's range.
    pub fn check(self) -> Result<(), CompressionError> {
        let Some(level) = self.level() else {
            return Ok(());
        };
        let (lowest, highest, default) = self.levels();
        if (lowest..=highest).contains(&level) {
            return Ok(());
        }
        Err(CompressionError::Level {
            name: self.name(),
            level: level.to_string(),
            lowest,
            highest,
            default,
        })
    }

    /// Lowest, highest and default level.
    fn levels(self) -> (u8, u8, u8) {
        match self {
            Self::None => (0, 0, 0),
            Self::Gzip(_) | Self::Estargz(_) => GZIP_LEVELS,
            Self::Zstd(_) => ZSTD_LEVELS,
        }
    }

    /// The codec, its level and its version: equal for two builds only when equal
    /// input gives them equal members.
    pub(super) fn codec(self) -> String {
        // libdeflate cannot be asked for its version; the program's own stands for it,
        // as a release pins its dependencies.
        let build = env!("CARGO_PKG_VERSION");
        match self {
            Self::None => "none".to_owned(),
            Self::Gzip(level) | Self::Estargz(level) => {
                format!("gzip:{level} libdeflate ({build})")
            }
            Self::Zstd(level) => {
                format!(
                    "zstd:{level} {} ({build})",
                    zstd::zstd_safe::version_number()
                )
            }
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::Gzip(GZIP_LEVELS.2)
    }
}

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let make: fn(u8) -> Self = match name {
            "none" if level.is_some() => return Err(CompressionError::NoLevel),
            "none" => return Ok(Self::None),
            "gzip" => Self::Gzip,
            "zstd" => Self::Zstd,
            "estargz" => Self::Estargz,
            _ => return Err(CompressionError::Unknown(name.to_owned())),
        };
        let (lowest, highest, default) = make(0).levels();
        let Some(level) = level else {
            return Ok(make(default));
        };
        level
            .parse()
            .ok()
            .filter(|level| (lowest..=highest).contains(level))
            .map(make)
            .ok_or_else(|| CompressionError::Level {
                name: make(0).name(),
                level: level.to_owned(),
                lowest,
                highest,
                default,
            })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level() {
            None => f.write_str(self.name()),
            Some(level) => write!(f, "{}:{level}", self.name()),
        }
    }
}

/// Compresses one member at a time. What it has compressed before never shows in the bytes.
pub(super) enum Encoder {
    /// Members are the bytes themselves.
    Plain,
    /// Each member is a gzip member (RFC 1952) with an empty name, no time and OS 255.
    Gzip(libdeflater::Compressor),
    /// Each member is a frame (RFC 8878) that states its content's size.
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Encoder {
    /// An encoder for `compression`, the level of which was checked.
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain,
            Compression::Gzip(level) | Compression::Estargz(level) => {
                let level = libdeflater::CompressionLvl::new(i32::from(level))
                    .map_err(|_| io::Error::other("libdeflate refuses this level"))?;
                Self::Gzip(libdeflater::Compressor::new(level))
            }
            // No workers: one frame is one thread's work, and their number shows in the bytes.
            Compression::Zstd(level) => Self::Zstd(zstd::bulk::Compressor::new(i32::from(level))?),
        })
    }

    /// Replaces what is in `member` by `raw`, compressed.
    pub(super) fn encode(&mut self, raw: &[u8], member: &mut Buffer) -> io::Result<()> {
        let length = match self {
            Self::Plain => {
                member.clear();
                member.space(raw.len()).copy_from_slice(raw);
                raw.len()
            }
            Self::Gzip(compressor) => {
                let bound = compressor.gzip_compress_bound(raw.len());
                member.clear();
                compressor
                    .gzip_compress(raw, member.space(bound))
                    .map_err(io::Error::other)?
            }
            Self::Zstd(compressor) => {
                let bound = zstd::zstd_safe::compress_bound(raw.len());
                member.clear();
                compressor.compress_to_buffer(raw, member.space(bound))?
            }
        };
        member.advance(length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn encoded(compression: Compression, raw: &[u8]) -> Vec<u8> {
        let mut member = Buffer::default();
        Encoder::new(compression)
            .unwrap()
            .encode(raw, &mut member)
            .unwrap();
        member.filled().to_vec()
    }

    #[test]
    fn names_and_levels_are_parsed_and_written_back() {
        for (text, expected) in [
            ("none", Compression::None),
            ("gzip", Compression::Gzip(5)),
            ("gzip:12", Compression::Gzip(12)),
            ("zstd", Compression::Zstd(3)),
            ("zstd:1", Compression::Zstd(1)),
            ("estargz", Compression::Estargz(5)),
        ] {
            let parsed: Compression = text.parse().unwrap();
            assert_eq!(parsed, expected);
            assert_eq!(parsed.to_string().parse(), Ok(expected));
            assert_eq!(parsed.check(), Ok(()));
        }
    }

    #[test]
    fn a_level_outside_the_range_names_the_range() {
        for bad in [
            "gzip:0",
            "gzip:13",
            "zstd:20",
            "zstd:-1",
            "estargz:x",
            "gzip:",
        ] {
            let error = bad.parse::<Compression>().unwrap_err().to_string();
            assert!(error.contains("1 to 1"), "{bad}: {error}");
        }
        assert!(Compression::Gzip(13).check().is_err());
        assert_eq!(
            "none:1".parse::<Compression>(),
            Err(CompressionError::NoLevel)
        );
        assert!(matches!(
            "xz".parse::<Compression>(),
            Err(CompressionError::Unknown(name)) if name == "xz"
        ));
    }

    #[test]
    fn a_gzip_header_says_nothing_of_the_machine_or_the_time() {
        for level in 1..=12 {
            for raw in [&b""[..], b"x", &[7; 100_000]] {
                let member = encoded(Compression::Gzip(level), raw);
                // ID1 ID2 CM FLG MTIME(4): no name, no comment, no time.
                assert_eq!(member[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
                assert_eq!(member[9], 255, "OS unknown");
                let other = encoded(Compression::Gzip(level), b"other");
                assert_eq!(member[8], other[8], "XFL is the level's alone");
            }
        }
    }

    #[test]
    fn a_zstd_frame_states_the_size_of_its_content() {
        let member = encoded(Compression::Zstd(3), &[7; 100_000]);
        let size = zstd::zstd_safe::get_frame_content_size(&member).unwrap();
        assert_eq!(size, Some(100_000));
    }

    #[test]
    fn an_encoder_forgets_what_it_compressed_before() {
        let noise: Vec<u8> = (0..200_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        for compression in [
            Compression::None,
            Compression::Gzip(5),
            Compression::Zstd(3),
        ] {
            let mut encoder = Encoder::new(compression).unwrap();
            let mut member = Buffer::default();
            for raw in [&noise[..], &noise[..1000], b"", &noise[5..70_000]] {
                encoder.encode(raw, &mut member).unwrap();
                assert_eq!(member.filled(), encoded(compression, raw));
            }
        }
    }
}

//! Slim bases: the recorded sizes of well-known small images, `bases/slim.json`.

mod refresh;
mod table;

use serde::{Deserialize, Serialize};

pub use refresh::{Refreshed, RowChange, Unanswered};
use table::Programs;

const EMBEDDED: &str = include_str!("../../bases/slim.json");
const SCHEMA: &str = "distrobuild.slim/1";

/// A recorded image: one platform of one build of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlimBase {
    /// Its usual name, `debian:bookworm-slim`.
    pub reference: String,
    /// Other names of the same build.
    pub aliases: Vec<String>,
    /// `OS/ARCH`; `None` when the source does not say.
    pub platform: Option<String>,
    /// How far the sizes can be trusted.
    pub evidence: Evidence,
    /// Digest of the manifest.
    pub digest: Option<String>,
    /// Digest of the index over all platforms.
    pub index_digest: Option<String>,
    /// Digest of the config.
    pub image_id: Option<String>,
    /// Number of layers.
    pub layer_count: Option<u64>,
    /// Sizes of the layers' blobs in bytes.
    pub layer_sizes: Option<Vec<u64>>,
    /// Sum of the layers' blobs in bytes; `None` is unknown.
    pub compressed_bytes: Option<u64>,
    /// Size of the config in bytes.
    pub config_bytes: Option<u64>,
    /// Unpacked size in bytes; `None` is unknown.
    pub uncompressed_bytes: Option<u64>,
    /// To how many bytes the source rounded the unpacked size.
    pub uncompressed_rounded_to: Option<u64>,
    /// Number of packages in it.
    pub package_count: Option<u64>,
    /// Whether it has a shell; `None` is unknown.
    pub has_shell: Option<bool>,
    /// Its package manager, `none` for none; `None` is unknown.
    pub package_manager: Option<String>,
    /// A size as prose, where that is all there is: to be shown, not for arithmetic.
    pub published_size: Option<String>,
    /// Date of the image's content, `YYYY-MM-DD`.
    pub date_recorded: Option<String>,
    /// Where the row was read.
    pub source: String,
    /// Where the unpacked size was read, when elsewhere.
    pub uncompressed_source: Option<String>,
    /// What else is to know.
    pub note: Option<String>,
}

/// How far the sizes of a [`SlimBase`] can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// Exact.
    Recorded,
    /// Prose.
    Published,
}

/// All recorded slim bases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlimBases {
    schema: String,
    about: String,
    defaults: Defaults,
    rows: Vec<SlimBase>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    /// What every image is compared with.
    always: Vec<String>,
    /// What an image is compared with as well, by the program that it starts.
    programs: Programs,
}

/// Why there is nothing to compare with.
#[derive(Debug, thiserror::Error)]
pub enum SlimError {
    /// No recorded image has this name.
    #[error("no size is recorded for {reference:?}; {}", known(.near, .all))]
    Unknown {
        /// What was asked for.
        reference: String,
        /// Recorded references of the same image, or with a similar name.
        near: Vec<String>,
        /// All recorded references.
        all: Vec<String>,
    },
    /// The table is not as it should be.
    #[error("the table of slim bases cannot be read: {0}")]
    Table(#[from] serde_json::Error),
    /// The table is of another schema.
    #[error("the table of slim bases has the schema {0:?}, this version reads {SCHEMA:?}")]
    Schema(String),
}

fn known(near: &[String], all: &[String]) -> String {
    match near {
        [] => format!("known are {}", all.join(", ")),
        near => format!(
            "known are {} (and {} others)",
            near.join(", "),
            all.len() - near.len()
        ),
    }
}

impl SlimBases {
    /// The table that this program carries.
    ///
    /// # Errors
    /// Never: a test reads it.
    pub fn embedded() -> Result<Self, SlimError> {
        Self::parse(EMBEDDED)
    }

    /// Reads a table in the form of `bases/slim.json`.
    ///
    /// # Errors
    /// When it is no such JSON, or of another schema.
    pub fn parse(json: &str) -> Result<Self, SlimError> {
        let table: Self = serde_json::from_str(json)?;
        if table.schema != SCHEMA {
            return Err(SlimError::Schema(table.schema));
        }
        Ok(table)
    }

    /// All rows, in the table's order.
    pub fn rows(&self) -> &[SlimBase] {
        &self.rows
    }

    /// What the table says of itself.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The rows for `reference`, which may be spelled with or without its registry, tag
    /// (`latest`) and digest: the newest for `platform`, and when it has only one of the two
    /// sizes, the newest with the other. Those of other platforms only when there is none.
    ///
    /// # Errors
    /// When nothing is recorded under that name.
    pub fn find(&self, reference: &str, platform: &str) -> Result<Vec<&SlimBase>, SlimError> {
        let wanted = Name::parse(reference);
        let named: Vec<&SlimBase> = self
            .rows
            .iter()
            .filter(|row| row.is_named(&wanted))
            .collect();
        if named.is_empty() {
            return Err(self.unknown(reference, &wanted));
        }
        let (mut here, elsewhere): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|row| row.is_for(platform));
        if here.is_empty() {
            here = elsewhere;
        }
        here.sort_by(|a, b| b.date_recorded.cmp(&a.date_recorded));
        Ok(newest_of_each_size(&here))
    }

    /// The rows that an image for `platform` that starts `program` is compared with when the
    /// user names none.
    pub fn defaults(&self, program: Option<&str>, platform: &str) -> Vec<&SlimBase> {
        self.default_names(program)
            .filter_map(|reference| self.find(reference, platform).ok())
            .filter_map(|rows| rows.first().copied())
            .collect()
    }

    /// The names of those, as they are asked for.
    pub(super) fn default_names(&self, program: Option<&str>) -> impl Iterator<Item = &str> {
        let special = program.and_then(|program| {
            let stem = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            let programs = &self.defaults.programs;
            programs.get(program).or_else(|| programs.get(stem))
        });
        let always = self.defaults.always.iter().map(String::as_str);
        special.into_iter().chain(always)
    }

    /// The unpacked size of the very build with this digest, when it is recorded.
    pub(super) fn unpacked_of(&self, digest: Option<&str>) -> Option<u64> {
        let mut same = self
            .rows
            .iter()
            .filter(|row| row.digest.as_deref() == digest);
        digest.and_then(|_| same.find_map(SlimBase::exact_unpacked))
    }

    fn unknown(&self, reference: &str, wanted: &Name<'_>) -> SlimError {
        let mut all: Vec<String> = self.rows.iter().map(|row| row.reference.clone()).collect();
        all.sort();
        all.dedup();
        let last = |repository: &str| -> String {
            repository.rsplit('/').next().unwrap_or_default().to_owned()
        };
        let image = last(wanted.repository);
        let such = |is_near: &dyn Fn(&str) -> bool| -> Vec<String> {
            let near = all
                .iter()
                .filter(|known| is_near(Name::parse(known).repository));
            near.cloned().collect()
        };
        // Other tags of it, then the same name elsewhere, then what may have been meant.
        let near = [
            such(&|repository| repository == wanted.repository),
            such(&|repository| last(repository) == image),
            such(&|repository| distance(&last(repository), &image) <= 2),
        ];
        let near = near
            .into_iter()
            .find(|near| !near.is_empty())
            .unwrap_or_default();
        SlimError::Unknown {
            reference: crate::registry::harmless(reference),
            near,
            all,
        }
    }
}

impl SlimBase {
    /// Whether it is for `platform` (`linux/arm64` is `linux/arm64/v8`), or does not say.
    pub fn is_for(&self, platform: &str) -> bool {
        let plain = |platform: &str| -> String {
            let plain = platform.strip_suffix("/v8").unwrap_or(platform);
            plain.to_owned()
        };
        self.platform
            .as_deref()
            .is_none_or(|own| plain(own) == plain(platform))
    }

    /// The compressed size that may be reckoned with.
    pub fn exact_compressed(&self) -> Option<u64> {
        self.compressed_bytes
            .filter(|_| self.evidence == Evidence::Recorded)
    }

    /// The unpacked size that may be reckoned with.
    pub fn exact_unpacked(&self) -> Option<u64> {
        self.uncompressed_bytes
            .filter(|_| self.evidence == Evidence::Recorded)
    }

    fn is_named(&self, wanted: &Name<'_>) -> bool {
        if let Some(digest) = wanted.digest {
            return [&self.digest, &self.index_digest]
                .into_iter()
                .any(|own| own.as_deref() == Some(digest));
        }
        std::iter::once(&self.reference)
            .chain(&self.aliases)
            .map(|name| Name::parse(name))
            .any(|own| own.repository == wanted.repository && own.tag() == wanted.tag())
    }
}

/// The first row, and the first that has what it lacks.
fn newest_of_each_size<'a>(rows: &[&'a SlimBase]) -> Vec<&'a SlimBase> {
    let compressed = rows.iter().find(|row| row.compressed_bytes.is_some());
    let unpacked = rows.iter().find(|row| row.uncompressed_bytes.is_some());
    match (compressed, unpacked) {
        (Some(both), _) if both.uncompressed_bytes.is_some() => vec![both],
        (Some(compressed), Some(unpacked)) => vec![compressed, unpacked],
        (Some(one), None) | (None, Some(one)) => vec![one],
        (None, None) => rows.first().copied().into_iter().collect(),
    }
}

/// An image reference in its parts.
struct Name<'a> {
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Name<'a> {
    fn parse(reference: &'a str) -> Self {
        let reference = reference.trim();
        let (name, digest) = match reference.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (reference, None),
        };
        // A colon before the last slash is that of a port.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (name, None),
        };
        let repository = ["docker.io/", "index.docker.io/", "registry-1.docker.io/"]
            .iter()
            .find_map(|host| repository.strip_prefix(host))
            .unwrap_or(repository);
        Self {
            repository: repository.strip_prefix("library/").unwrap_or(repository),
            tag,
            digest,
        }
    }

    fn tag(&self) -> &str {
        self.tag.unwrap_or("latest")
    }
}

/// Levenshtein's distance, for a name of at most 64 characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != *y))
                .min(above + 1)
                .min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;

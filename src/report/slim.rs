//! Slim bases: the recorded sizes of well-known small images, `bases/slim.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// Whether it has a shell.
    pub has_shell: bool,
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlimBases {
    schema: String,
    about: String,
    defaults: Defaults,
    rows: Vec<SlimBase>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    /// What every image is compared with.
    always: Vec<String>,
    /// What an image is compared with as well, by the program that it starts.
    programs: BTreeMap<String, String>,
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
        let special = program.and_then(|program| {
            let stem = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            let programs = &self.defaults.programs;
            programs.get(program).or_else(|| programs.get(stem))
        });
        let references = special.into_iter().chain(&self.defaults.always);
        references
            .filter_map(|reference| self.find(reference, platform).ok())
            .filter_map(|rows| rows.first().copied())
            .collect()
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
            reference: reference.to_owned(),
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
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn table() -> SlimBases {
        SlimBases::embedded().unwrap()
    }

    fn found(reference: &str, platform: &str) -> Vec<String> {
        let table = table();
        let rows = table.find(reference, platform).unwrap();
        rows.iter()
            .map(|row| {
                format!(
                    "{} {}",
                    row.reference,
                    row.date_recorded.as_deref().unwrap_or("?")
                )
            })
            .collect()
    }

    #[test]
    fn every_row_has_a_source_and_no_size_that_contradicts_another() {
        let table = table();
        assert!(table.rows().len() >= 80, "{}", table.rows().len());
        for row in table.rows() {
            assert!(!row.source.is_empty(), "{}", row.reference);
            assert!(!Name::parse(&row.reference).repository.is_empty());
            let date = row.date_recorded.as_deref();
            assert!(date.is_none_or(|d| d.len() == 10 && d.split('-').count() == 3));
            if let (Some(sizes), Some(sum)) = (&row.layer_sizes, row.compressed_bytes) {
                assert_eq!(sizes.iter().sum::<u64>(), sum, "{}", row.reference);
                assert_eq!(row.layer_count, Some(sizes.len() as u64));
            }
            if row.evidence == Evidence::Published {
                assert!(row.published_size.is_some(), "{}", row.reference);
                assert_eq!((row.exact_compressed(), row.exact_unpacked()), (None, None));
            }
        }
    }

    #[test]
    fn every_default_is_in_the_table() {
        let table = table();
        let defaults = &table.defaults;
        for reference in defaults.always.iter().chain(defaults.programs.values()) {
            assert!(table.find(reference, "linux/amd64").is_ok(), "{reference}");
        }
    }

    #[test]
    fn a_reference_is_found_with_and_without_registry_tag_and_digest() {
        let slim = found("debian:bookworm-slim", "linux/amd64");
        assert_eq!(slim, ["debian:bookworm-slim 2026-09-19"]);
        for spelling in [
            "docker.io/library/debian:bookworm-slim",
            "docker.io/debian:bookworm-slim",
            "library/debian:bookworm-slim",
            "debian@sha256:f3034a6ec3c1205360777c4aae76234998866ad18806ae62b63a3f84ccad782b",
        ] {
            assert_eq!(found(spelling, "linux/amd64"), slim, "{spelling}");
        }
        assert_eq!(found("alpine", "linux/amd64"), ["alpine:3.24.2 2026-09-17"]);
        assert_eq!(
            found("gcr.io/distroless/static:latest", "linux/amd64"),
            ["gcr.io/distroless/static 2023-08-26"]
        );
    }

    #[test]
    fn sizes_of_two_builds_stay_two_rows() {
        let rows = found("python:3.9-slim", "linux/amd64");
        assert_eq!(
            rows,
            ["python:3.9-slim 2025-01-08", "python:3.9-slim 2024-07-08"]
        );
    }

    #[test]
    fn another_platform_is_shown_only_when_there_is_none_for_this_one() {
        let table = table();
        let rows = table
            .find("debian:bookworm-slim", "linux/arm64/v8")
            .unwrap();
        assert!(
            rows.iter()
                .all(|row| row.platform.as_deref() == Some("linux/arm64"))
        );
        let rows = table.find("node:22-alpine", "linux/arm64").unwrap();
        assert!(rows.iter().all(|row| !row.is_for("linux/arm64")));
    }

    #[test]
    fn a_near_miss_lists_what_is_known() {
        let message = |reference| {
            table()
                .find(reference, "linux/amd64")
                .unwrap_err()
                .to_string()
        };
        assert!(message("python:2.7").contains("known are python:3.11-slim, python:3.12,"));
        assert!(message("debain:12").contains("debian:12-slim"));
        assert!(message("qqqqqqqq").contains("known are alpine:3.24.2, amazonlinux:2023"));
    }

    #[test]
    fn a_runtime_is_compared_with_its_own_slim_image_first() {
        let table = table();
        let first = |program| table.defaults(program, "linux/amd64")[0].reference.clone();
        assert_eq!(first(Some("python3.11")), "python:3.13-slim");
        assert_eq!(first(Some("node")), "node:22-slim");
        assert_eq!(first(Some("jq")), "alpine:3.24.2");
        assert_eq!(first(None), "alpine:3.24.2");
    }

    #[test]
    fn a_table_of_another_schema_is_refused() {
        let json = EMBEDDED.replacen("distrobuild.slim/1", "distrobuild.slim/9", 1);
        let error = SlimBases::parse(&json).unwrap_err().to_string();
        assert!(error.contains("distrobuild.slim/9"), "{error}");
    }
}

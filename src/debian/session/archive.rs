//! One suite of an archive: where it is, its signed state, its indices.

use super::indices::Indices;
use super::{Architecture, Mirror, Recipe, SessionError, SessionOptions};
use crate::debian::recipe::Archive;
use crate::debian::{AptSource, Index, Keyring, Release, Trust};
use crate::download::{Downloader, Expected, Fetched, Progress, Request};

/// The most bytes of an `InRelease`: Debian's unstable has 0.2 MB.
const RELEASE_LIMIT: u64 = 16 << 20;
/// The most bytes of an index, uncompressed: Debian's unstable has 60 MB.
const INDEX_LIMIT: u64 = 1 << 30;

/// Where a suite is, best first.
#[derive(Debug)]
pub(super) struct Place<'r> {
    pub(super) archive: &'r Archive,
    pub(super) urls: Vec<String>,
}

/// The state of a suite, verified.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) indices: Vec<Index>,
    /// For each index the suite's name.
    pub(super) index_names: Vec<String>,
    pub(super) release: Release,
    pub(super) archive: Archive,
    pub(super) urls: Vec<String>,
}

/// Where the suites of `recipe` are: what the user names, else the system's own mirrors before
/// the usual ones.
pub(super) fn places<'r>(
    recipe: &'r Recipe,
    architecture: Architecture,
    mirrors: &[Mirror],
    sources: &[AptSource],
) -> Vec<Place<'r>> {
    let archives = recipe.archives_for(architecture);
    let main = archives.first().map(|(_, url)| url.clone());
    archives
        .iter()
        .map(|(archive, url)| {
            let by_suite = mirrors
                .iter()
                .filter(|mirror| mirror.suite.as_ref() == Some(&archive.suite));
            let of_main = mirrors
                .iter()
                .filter(|mirror| mirror.suite.is_none() && main.as_ref() == Some(url));
            let mut urls: Vec<String> = by_suite
                .chain(of_main)
                .map(|mirror| mirror.url.clone())
                .collect();
            if urls.is_empty() {
                urls = of_host(archive, architecture, sources);
                urls.push(url.trim_end_matches('/').to_owned());
            }
            let mut seen = std::collections::BTreeSet::new();
            urls.retain(|url| seen.insert(url.clone()));
            Place { archive, urls }
        })
        .collect()
}

/// The mirrors that the system itself takes the suite from.
fn of_host(archive: &Archive, architecture: Architecture, sources: &[AptSource]) -> Vec<String> {
    let has_all = |source: &AptSource| {
        let mut components = archive.components.iter();
        source.suites.contains(&archive.suite)
            && components.all(|component| source.components.contains(component))
            && (source.architectures.is_empty()
                || source
                    .architectures
                    .iter()
                    .any(|it| it == architecture.name()))
    };
    sources
        .iter()
        .filter(|source| has_all(source))
        .flat_map(|source| &source.uris)
        .map(|uri| uri.trim_end_matches('/').to_owned())
        .collect()
}

/// Opens suites.
pub(super) struct Opener<'a> {
    pub(super) options: &'a SessionOptions,
    pub(super) downloader: &'a Downloader,
    pub(super) indices: &'a Indices,
    pub(super) progress: &'a dyn Progress,
}

impl Opener<'_> {
    /// Fetches the state of a suite, verifies it, and reads its indices.
    pub(super) fn open(
        &self,
        place: &Place<'_>,
        architecture: Architecture,
    ) -> Result<Suite, SessionError> {
        let archive = place.archive;
        let keyring = match &self.options.keyring {
            Some(path) => Keyring::read(path)?,
            None => Keyring::built_in(&archive.keyring)?,
        };
        let release = self.release(place, &keyring)?;
        let mut suite = Suite {
            indices: Vec::new(),
            index_names: Vec::new(),
            release,
            archive: archive.clone(),
            urls: place.urls.clone(),
        };
        for component in &archive.components {
            let index = self.index(&suite, component, architecture)?;
            suite.indices.push(index);
            suite.index_names.push(archive.suite.clone());
        }
        Ok(suite)
    }

    /// The signed state: of the first mirror that answers. What one of them says wrong is an
    /// error, not a reason to ask the next.
    fn release(&self, place: &Place<'_>, keyring: &Keyring) -> Result<Release, SessionError> {
        let suite = &place.archive.suite;
        let mut failure = None;
        for url in &place.urls {
            let url = format!("{url}/dists/{suite}/InRelease");
            let latest = match self.downloader.latest(&url, RELEASE_LIMIT) {
                Ok(latest) => latest,
                Err(error) => {
                    failure.get_or_insert(error);
                    continue;
                }
            };
            let trust = Trust {
                keyring,
                now: self.options.now,
                allow_expired: self.options.allow_expired,
            };
            let release = Release::verify(&latest.bytes, &url, &trust)?;
            if !release.is(suite) {
                return Err(SessionError::OtherSuite {
                    url,
                    wanted: suite.clone(),
                    found: release.codename,
                });
            }
            // What cannot be kept is asked for again.
            let _ = latest.keep();
            return Ok(release);
        }
        Err(match failure {
            Some(source) => SessionError::Suite {
                suite: suite.clone(),
                source,
            },
            None => SessionError::NoMirror {
                suite: suite.clone(),
            },
        })
    }

    fn index(
        &self,
        suite: &Suite,
        component: &str,
        architecture: Architecture,
    ) -> Result<Index, SessionError> {
        let directory = format!("{component}/binary-{architecture}");
        // A gzip file is a third larger than its xz, and read five times faster.
        let forms =
            ["Packages.gz", "Packages.xz", "Packages"].map(|it| format!("{directory}/{it}"));
        let known = forms
            .iter()
            .find_map(|path| Some((path, suite.release.files.get(path)?)));
        let Some((path, file)) = known else {
            return Err(SessionError::NoIndex {
                suite: suite.archive.suite.clone(),
                component: component.to_owned(),
                architecture,
                known: suite.release.architectures.clone(),
            });
        };
        if let Some(index) = self.indices.get(&file.sha256) {
            return Ok(index);
        }
        let fetched = self.fetch(suite, path)?;
        let bytes = std::fs::read(&fetched.path).map_err(|source| SessionError::Unreadable {
            name: format!("{} {path}", suite.archive.suite),
            source,
        })?;
        let index = Index::read(&bytes).map_err(|source| SessionError::Index {
            path: path.clone(),
            suite: suite.archive.suite.clone(),
            source,
        })?;
        self.indices.keep(&file.sha256, &index);
        Ok(index)
    }

    /// Fetches a file of a suite that its signed state lists.
    pub(super) fn fetch(&self, suite: &Suite, path: &str) -> Result<Fetched, SessionError> {
        let name = format!("{} {path}", suite.archive.suite);
        let Some(file) = suite.release.files.get(path) else {
            return Err(SessionError::Unlisted { name });
        };
        let mut urls = Vec::new();
        for url in &suite.urls {
            let below = format!("{url}/dists/{}", suite.archive.suite);
            // By its hash it is there also while the mirror is being renewed.
            if suite.release.by_hash {
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                let separator = if directory.is_empty() { "" } else { "/" };
                let hash = file.sha256.hex();
                urls.push(format!(
                    "{below}/{directory}{separator}by-hash/SHA256/{hash}"
                ));
            }
            urls.push(format!("{below}/{path}"));
        }
        let request = Request {
            name,
            urls,
            expected: Expected {
                sha256: file.sha256,
                size: Some(file.size),
            },
        };
        Ok(self.downloader.fetch(&request, self.progress)?)
    }
}

/// Reads a file of an archive, uncompressed by the ending of its name.
pub(super) fn reader(
    file: &std::path::Path,
    name: &str,
) -> std::io::Result<Box<dyn std::io::Read>> {
    use std::io::Read;
    let opened = std::io::BufReader::with_capacity(1 << 18, std::fs::File::open(file)?);
    let limited = |reader: Box<dyn Read>| -> Box<dyn Read> { Box::new(reader.take(INDEX_LIMIT)) };
    Ok(match name.rsplit_once('.') {
        Some((_, "gz")) => limited(Box::new(flate2::bufread::MultiGzDecoder::new(opened))),
        Some((_, "xz")) => limited(Box::new(lzma_rust2::XzReader::new(opened, true))),
        _ => limited(Box::new(opened)),
    })
}

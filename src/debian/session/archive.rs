//! One suite of an archive: where it is, its signed state, its indices.

use super::indices::Indices;
use super::{Architecture, Mirror, Recipe, SessionError, SessionOptions};
use crate::debian::recipe::Archive;
use crate::debian::{AptSource, Index, Keyring, Release, Trust};
use crate::download::{Downloader, Expected, Fetched, Progress, Request, shown_text};
use crate::image::rfc3339;

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
    /// What the user should know of it.
    pub(super) notice: Option<String>,
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
        let (release, notice) = self.release(place, &keyring)?;
        let mut suite = Suite {
            indices: Vec::new(),
            index_names: Vec::new(),
            release,
            archive: archive.clone(),
            urls: place.urls.clone(),
            notice,
        };
        for component in &archive.components {
            let index = self.index(&suite, component, architecture)?;
            suite.indices.push(index);
            suite.index_names.push(archive.suite.clone());
        }
        Ok(suite)
    }

    /// The signed state: of the first mirror that answers. What one of them says wrong is an
    /// error, not a reason to ask the next. Where it goes back in time, the state that was kept
    /// is used, and a notice tells it.
    fn release(
        &self,
        place: &Place<'_>,
        keyring: &Keyring,
    ) -> Result<(Release, Option<String>), SessionError> {
        let suite = &place.archive.suite;
        let mut failure = None;
        for url in &place.urls {
            let asked = format!("{url}/dists/{suite}/InRelease");
            let latest = match self.downloader.latest(&asked, RELEASE_LIMIT) {
                Ok(latest) => latest,
                Err(error) => {
                    failure.get_or_insert(error);
                    continue;
                }
            };
            // What is said of it does not tell its credentials.
            let url = shown_text(&asked);
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
            if !self.options.allow_expired
                && !latest.was_kept
                && let Some(kept) = self.downloader.kept(&asked, RELEASE_LIMIT)
                && let Ok(kept) = Release::verify(&kept.bytes, &url, &trust)
                && kept.is(suite)
                && kept.date > release.date
            {
                let notice = format!(
                    "{url} is of {}, older than what it was before, of {}, which is used on: the \
                     mirror lags behind, or somebody shows old packages. --allow-expired takes the \
                     older state",
                    rfc3339(release.date),
                    rfc3339(kept.date)
                );
                return Ok((kept, Some(notice)));
            }
            // What cannot be kept is asked for again.
            let _ = latest.keep();
            return Ok((release, None));
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::debian::Recipes;

    const MAIN: &str = "http://deb.debian.org/debian";
    const SECURITY: &str = "http://deb.debian.org/debian-security";

    fn recipe(reference: &str) -> Recipe {
        let recipes = Recipes::built_in().unwrap();
        recipes.find(&reference.parse().unwrap()).unwrap()
    }

    fn source(uri: &str, suites: &[&str]) -> AptSource {
        AptSource {
            uris: vec![uri.to_owned()],
            suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
            components: vec!["main".to_owned(), "contrib".to_owned()],
            architectures: Vec::new(),
            signed_by: None,
        }
    }

    /// The suites of `debian:bookworm/base`, each with its URLs.
    fn bookworm(mirrors: &[&str], sources: &[AptSource]) -> Vec<(String, Vec<String>)> {
        let mirrors: Vec<Mirror> = mirrors.iter().map(|text| text.parse().unwrap()).collect();
        let recipe = recipe("debian:bookworm/base");
        places(&recipe, Architecture::Amd64, &mirrors, sources)
            .into_iter()
            .map(|place| (place.archive.suite.clone(), place.urls))
            .collect()
    }

    fn expected(main: &[&str], updates: &[&str], security: &[&str]) -> Vec<(String, Vec<String>)> {
        let suites = ["bookworm", "bookworm-updates", "bookworm-security"];
        suites
            .iter()
            .zip([main, updates, security])
            .map(|(suite, urls)| {
                let urls = urls.iter().map(|url| (*url).to_owned()).collect();
                ((*suite).to_owned(), urls)
            })
            .collect()
    }

    #[test]
    fn without_mirrors_and_sources_a_suite_is_at_its_usual_place() {
        let usual = expected(&[MAIN], &[MAIN], &[SECURITY]);
        assert_eq!(bookworm(&[], &[]), usual);
    }

    #[test]
    fn a_mirror_without_a_suite_is_one_of_the_main_archive_alone() {
        let found = bookworm(&["http://a/debian", "http://b/debian/"], &[]);
        let both = &["http://a/debian", "http://b/debian"];
        assert_eq!(found, expected(both, both, &[SECURITY]));
    }

    #[test]
    fn a_mirror_of_a_suite_comes_before_those_of_the_main_archive_and_each_once() {
        let mirrors = [
            "http://a/debian",
            "bookworm=http://b/debian",
            "bookworm=http://a/debian/",
            "bookworm-security=http://c/security",
            "trixie=http://d/debian",
        ];
        assert_eq!(
            bookworm(&mirrors, &[]),
            expected(
                &["http://b/debian", "http://a/debian"],
                &["http://a/debian"],
                &["http://c/security"],
            )
        );
    }

    #[test]
    fn the_sources_of_the_system_come_before_the_usual_place() {
        let sources = [
            source("http://near/debian/", &["bookworm", "bookworm-updates"]),
            source("http://far/debian", &["bookworm"]),
            source(MAIN, &["bookworm-updates"]),
        ];
        assert_eq!(
            bookworm(&[], &sources),
            expected(
                &["http://near/debian", "http://far/debian", MAIN],
                &["http://near/debian", MAIN],
                &[SECURITY],
            )
        );
        // What the user names counts alone.
        let found = bookworm(&["http://a/debian"], &sources);
        assert_eq!(found[0].1, ["http://a/debian"]);
    }

    #[test]
    fn a_source_for_other_machines_or_components_is_passed_over() {
        let usual = expected(&[MAIN], &[MAIN], &[SECURITY]);
        let mut other = source("http://near/debian", &["bookworm"]);
        other.architectures = vec!["arm64".to_owned()];
        assert_eq!(bookworm(&[], &[other.clone()]), usual);
        other.architectures.push("amd64".to_owned());
        assert_eq!(bookworm(&[], &[other.clone()])[0].1.len(), 2);
        other.components = vec!["contrib".to_owned()];
        assert_eq!(bookworm(&[], &[other]), usual);
    }

    #[test]
    fn each_architecture_has_the_archives_that_are_made_for_it() {
        let noble = recipe("ubuntu:noble/base");
        let urls = |architecture| -> Vec<Vec<String>> {
            let places = places(&noble, architecture, &[], &[]).into_iter();
            places.map(|place| place.urls).collect()
        };
        assert_eq!(
            urls(Architecture::Amd64)[0],
            ["http://archive.ubuntu.com/ubuntu"]
        );
        assert_eq!(
            urls(Architecture::Arm64)[0],
            ["http://ports.ubuntu.com/ubuntu-ports"]
        );
        // Nobody makes security updates of bookworm for it any more.
        let bookworm = recipe("debian:bookworm/base");
        let places = places(&bookworm, Architecture::S390x, &[], &[]);
        let suites: Vec<&str> = places.iter().map(|it| it.archive.suite.as_str()).collect();
        assert_eq!(suites, ["bookworm", "bookworm-updates"]);
    }

    #[test]
    fn files_of_an_archive_are_read_by_the_ending_of_their_names() {
        let read = |name: &str, bytes: &[u8]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let mut text = String::new();
            let mut reader = reader(file.path(), name).unwrap();
            std::io::Read::read_to_string(&mut reader, &mut text).map(|_| text)
        };
        let pack = |text: &[u8]| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut gzip, text).unwrap();
            gzip.finish().unwrap()
        };
        // A gzip file may have several members.
        let both = [pack(b"usr/bin/jq "), pack(b"utils/jq\n")].concat();
        let expected = "usr/bin/jq utils/jq\n";
        assert_eq!(read("main/Contents-amd64.gz", &both).unwrap(), expected);
        assert_eq!(read("main/Contents-amd64", b"plain").unwrap(), "plain");
        assert!(read("main/Contents-amd64.gz", b"plain").is_err());
        assert!(read("main/Contents-amd64.xz", b"plain").is_err());
    }
}

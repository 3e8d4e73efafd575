//! A file of which no hash is known, such as a signed index: what it was the last time is
//! only good for asking whether it has changed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::attempts::{Ended, Trouble, persist};
use super::fetch::parse;
use super::http::{Question, shown};
use super::store::{LATEST, Store};
use super::transfer::{gather, open_local, read_bounded, read_local};
use super::{DownloadError, Downloader, aside};
use crate::layer::Digest;

/// The first line of a kept file is not longer than this in bytes.
const LONGEST_HEAD: u64 = 16 << 10;

/// A file of which no hash is known.
#[derive(Debug, Clone)]
pub struct Latest {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Whether it was kept from an earlier time, and has not changed since or, offline, was
    /// not asked for.
    pub was_kept: bool,
    place: Option<PathBuf>,
    head: Head,
}

/// The first line of a kept file, as JSON; the content follows.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Head {
    url: String,
    sha256: String,
    entity_tag: Option<String>,
    last_modified: Option<String>,
}

impl Latest {
    /// Keeps it for the next time, and for builds that are offline. Only to be called when
    /// its content was verified: a signature is what stands in for the hash here.
    ///
    /// # Errors
    /// When it cannot be written to the cache.
    pub fn keep(&self) -> io::Result<()> {
        let Some(place) = &self.place else {
            return Ok(());
        };
        if self.was_kept {
            // Only the order of pruning depends on it.
            if let Ok(file) = File::open(place) {
                let _ = file.set_modified(SystemTime::now());
            }
            return Ok(());
        }
        let directory = place.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        let mut head = serde_json::to_vec(&self.head)?;
        head.push(b'\n');
        file.write_all(&head)?;
        file.write_all(&self.bytes)?;
        file.persist(place).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Downloader {
    /// Asks for a file of which no hash is known, and takes at most `limit` bytes. The server
    /// is told which one was kept, and may answer that it has not changed. Offline it is the
    /// one that was kept, unless a `file:` URL has it.
    ///
    /// # Errors
    /// When the URL does not give it; offline, when none was kept.
    pub fn latest(&self, url: &str, limit: u64) -> Result<Latest, DownloadError> {
        let parsed = parse(url).map_err(|failure| failed(url, failure))?;
        let name = shown(&parsed);
        let kept = kept(&self.store, &parsed, limit);
        if self.options.offline && parsed.scheme() != "file" {
            return kept.ok_or(DownloadError::Offline {
                name,
                cache: self.options.cache.clone(),
            });
        }
        let stop = AtomicBool::new(false);
        let asked = aside(|| {
            persist(&self.options, &stop, &name, || {
                self.ask_for_latest(&parsed, limit, kept.as_ref())
            })
        });
        match asked {
            Some(Ok(Ok(latest))) => Ok(latest),
            Some(Ok(Err(failure))) => {
                let error = failed(&name, failure);
                match kept {
                    // A mirror on a disk that is not here at the moment.
                    Some(kept) if self.options.offline && error.is_not_found() => Ok(kept),
                    _ => Err(error),
                }
            }
            Some(Err(Ended::Failed(error))) => Err(error),
            Some(Err(Ended::Stopped)) | None => Err(DownloadError::Thread { name }),
        }
    }

    /// What of this URL was kept the last time, if anything.
    pub fn kept(&self, url: &str, limit: u64) -> Option<Latest> {
        kept(&self.store, &parse(url).ok()?, limit)
    }

    fn ask_for_latest(
        &self,
        url: &Url,
        limit: u64,
        kept: Option<&Latest>,
    ) -> Result<Latest, Trouble> {
        if url.scheme() == "file" {
            let (mut file, _) = open_local(url)?;
            let bytes = gather(limit, &mut |buffer, _| read_local(&mut file, buffer))?;
            let place = Some(place(&self.store.directory(LATEST), url));
            return Ok(fresh(place, url, bytes, (None, None)));
        }
        let mut answer = self.http.get(
            url,
            &Question {
                unless_tag: kept.and_then(|kept| kept.head.entity_tag.as_deref()),
                unless_since: kept.and_then(|kept| kept.head.last_modified.as_deref()),
                // A proxy's copy may be older than the indices that it belongs to.
                cache_control: Some("max-age=0"),
                ..Question::default()
            },
        )?;
        match (answer.status(), kept) {
            (StatusCode::OK, _) => {}
            (StatusCode::NOT_MODIFIED, Some(kept)) => return Ok(kept.clone()),
            _ => return Err(answer.refusal()),
        }
        let via = std::mem::take(&mut answer.via);
        let validators = (answer.tag(), answer.last_modified());
        let bytes = read_bounded(&mut answer, limit).map_err(|trouble| trouble.via(via))?;
        let place = Some(place(&self.store.directory(LATEST), url));
        Ok(fresh(place, url, bytes, validators))
    }
}

fn fresh(
    place: Option<PathBuf>,
    url: &Url,
    bytes: Vec<u8>,
    (entity_tag, last_modified): (Option<String>, Option<String>),
) -> Latest {
    Latest {
        head: Head {
            url: shown(url),
            sha256: Digest::of(&bytes).to_string(),
            entity_tag,
            last_modified,
        },
        bytes,
        was_kept: false,
        place,
    }
}

fn failed(name: &str, failure: super::Failure) -> DownloadError {
    DownloadError::Failed {
        name: file_name(name),
        failures: vec![failure],
    }
}

/// What people call it: the last part of its path.
fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or(path)
        .to_owned()
}

fn place(directory: &Path, url: &Url) -> PathBuf {
    directory.join(Digest::of(shown(url).as_bytes()).hex())
}

/// What was kept, if it is whole.
fn kept(store: &Store, url: &Url, limit: u64) -> Option<Latest> {
    let directories = [Some(store.directory(LATEST)), store.readable(LATEST)];
    directories
        .into_iter()
        .flatten()
        .find_map(|directory| read_kept(place(&directory, url), url, limit))
}

fn read_kept(place: PathBuf, url: &Url, limit: u64) -> Option<Latest> {
    let most = limit.saturating_add(LONGEST_HEAD);
    if fs::metadata(&place).ok()?.len() > most {
        return None;
    }
    let mut text = Vec::new();
    File::open(&place)
        .ok()?
        .take(most)
        .read_to_end(&mut text)
        .ok()?;
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let head: Head = serde_json::from_slice(text.get(..end)?).ok()?;
    let bytes = text.split_off(end + 1);
    let is_whole = head.url == shown(url)
        && head.sha256 == Digest::of(&bytes).to_string()
        && bytes.len() as u64 <= limit;
    is_whole.then_some(Latest {
        bytes,
        was_kept: true,
        place: Some(place),
        head,
    })
}

//! One attempt: an answer's bytes into a partial file, up to the whole and its hash.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::{StatusCode, Url};

use super::attempts::{Again, Ended, Trouble};
use super::http::{Answer, Question, shown};
use super::partial::{Partial, Source};
use super::store::CHUNK;
use super::{DownloadError, Downloader, Progress, Reason, Request};

/// Reads on into a buffer; is told how much is there, for what it says when it fails.
type Read<'a> = dyn FnMut(&mut [u8], u64) -> Result<usize, Trouble> + 'a;

/// A download that is going on.
pub(super) struct Job<'a> {
    pub(super) request: &'a Request,
    pub(super) progress: &'a dyn Progress,
    pub(super) stop: &'a AtomicBool,
    /// Bytes that were told to `progress`.
    pub(super) told: u64,
}

impl Job<'_> {
    /// Tells what is there, if it is more than ever before.
    pub(super) fn tell(&mut self, partial: &Partial) {
        let more = partial.have().saturating_sub(self.told);
        if more > 0 {
            self.progress.advance(more);
            self.told += more;
        }
    }
}

impl From<DownloadError> for Trouble {
    fn from(error: DownloadError) -> Self {
        Self::fatal(Ended::Failed(error))
    }
}

impl Downloader {
    /// Completes `partial` from this URL; then its hash is the expected one.
    pub(super) fn attempt(
        &self,
        job: &mut Job<'_>,
        url: &Url,
        partial: &mut Partial,
    ) -> Result<(), Trouble> {
        if job.request.expected.size == Some(partial.have()) {
            return verify(job, partial);
        }
        if url.scheme() == "file" {
            self.copy(job, url, partial)
        } else {
            self.ask(job, url, partial)
        }
    }

    fn ask(&self, job: &mut Job<'_>, url: &Url, partial: &mut Partial) -> Result<(), Trouble> {
        let source = shown(url);
        let mut answer = self.http.get(
            url,
            &Question {
                from: partial.have(),
                if_range: partial.validator(&source),
                // What was wrong may be what a cache on the way keeps.
                cache_control: partial.is_distrustful().then_some("no-cache"),
                ..Question::default()
            },
        )?;
        match answer.status() {
            StatusCode::OK => {
                if partial.have() > 0 {
                    partial.reset()?;
                }
            }
            StatusCode::PARTIAL_CONTENT if partial.have() > 0 => {
                let expected = job.request.expected.size;
                let is_right = answer.range().is_some_and(|(first, size)| {
                    first == partial.have()
                        && (size.is_none() || expected.is_none() || size == expected)
                });
                if !is_right {
                    return from_scratch(partial);
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE if partial.have() > 0 => {
                return from_scratch(partial);
            }
            _ => return Err(answer.refusal()),
        }
        let via = std::mem::take(&mut answer.via);
        let validator = answer.validator();
        let length = answer.length();
        self.limit(job, partial.have(), length)
            .map_err(|trouble| trouble.via(via.clone()))?;
        partial.comes_from(Source {
            url: source,
            validator,
        })?;
        self.receive(job, partial, &mut |buffer, have| answer.read(buffer, have))
            .map_err(|trouble| trouble.via(via))
    }

    fn copy(&self, job: &mut Job<'_>, url: &Url, partial: &mut Partial) -> Result<(), Trouble> {
        let (mut file, size) = open_local(url)?;
        partial.reset()?;
        self.limit(job, 0, Some(size))?;
        self.receive(job, partial, &mut |buffer, _| read_local(&mut file, buffer))
    }

    /// Whether what is announced may be as large as that.
    fn limit(&self, job: &Job<'_>, have: u64, length: Option<u64>) -> Result<(), Trouble> {
        let total = length.map(|length| length.saturating_add(have));
        match (job.request.expected.size, total) {
            (Some(expected), Some(found)) if found != expected => {
                Err(Trouble::last(Reason::Size {
                    expected,
                    found: Some(found),
                }))
            }
            (None, Some(found)) if found > self.options.largest => {
                Err(Trouble::last(Reason::TooLarge {
                    limit: self.options.largest,
                }))
            }
            _ => Ok(()),
        }
    }

    fn receive(
        &self,
        job: &mut Job<'_>,
        partial: &mut Partial,
        read: &mut Read<'_>,
    ) -> Result<(), Trouble> {
        let expected = job.request.expected.size;
        let limit = expected.unwrap_or(self.options.largest);
        let mut buffer = vec![0; CHUNK];
        job.tell(partial);
        loop {
            if job.stop.load(Ordering::Relaxed) {
                return Err(Trouble::fatal(Ended::Stopped));
            }
            let count = match read(&mut buffer, partial.have()) {
                Ok(count) => count,
                Err(trouble) => return Err(of_size(trouble, expected)),
            };
            if count == 0 {
                break;
            }
            if count as u64 > limit.saturating_sub(partial.have()) {
                let was_of_one_answer = partial.is_of_one_answer();
                partial.distrust()?;
                let reason = match expected {
                    Some(expected) => Reason::Size {
                        expected,
                        found: None,
                    },
                    None => Reason::TooLarge { limit },
                };
                return Err(wrong(reason, was_of_one_answer));
            }
            partial.append(buffer.get(..count).unwrap_or_default())?;
            job.tell(partial);
        }
        match expected {
            Some(size) if partial.have() < size => Err(Trouble {
                again: Again::After(None),
                ..Trouble::last(Reason::Interrupted {
                    received: partial.have(),
                    expected,
                    why: "the server closed it".to_owned(),
                })
            }),
            _ => verify(job, partial),
        }
    }
}

fn verify(job: &mut Job<'_>, partial: &mut Partial) -> Result<(), Trouble> {
    job.tell(partial);
    let expected = job.request.expected.sha256;
    let found = partial.digest();
    if found == expected {
        return Ok(());
    }
    let was_of_one_answer = partial.is_of_one_answer();
    partial.distrust()?;
    let reason = Reason::Hash {
        expected: Box::new(expected),
        found: Box::new(found),
    };
    Err(wrong(reason, was_of_one_answer))
}

/// What is wrong is this server's fault only if all of it came from there just now.
fn wrong(reason: Reason, is_of_one_answer: bool) -> Trouble {
    let again = if is_of_one_answer {
        Again::No
    } else {
        Again::Now
    };
    Trouble {
        again,
        ..Trouble::last(reason)
    }
}

/// The server does not go on where the partial file ends.
fn from_scratch(partial: &mut Partial) -> Result<(), Trouble> {
    let received = partial.have();
    partial.reset()?;
    Err(Trouble {
        again: Again::Now,
        ..Trouble::last(Reason::Interrupted {
            received,
            expected: None,
            why: "the server does not go on from there".to_owned(),
        })
    })
}

fn of_size(mut trouble: Trouble, size: Option<u64>) -> Trouble {
    if let Reason::Interrupted { expected, .. } = &mut trouble.reason {
        *expected = size;
    }
    trouble
}

/// The file of a `file:` URL and its size in bytes.
pub(super) fn open_local(url: &Url) -> Result<(File, u64), Trouble> {
    let refused = |error: io::Error| {
        Trouble::last(match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Reason::NotFound { status: None }
            }
            _ => Reason::File(error),
        })
    };
    let path = url
        .to_file_path()
        .map_err(|()| Trouble::last(Reason::Url("no path of this host".to_owned())))?;
    // Asked before it is opened: to open a pipe means to wait for who writes to it.
    if !fs::metadata(&path).map_err(refused)?.is_file() {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        return Err(refused(error));
    }
    let file = File::open(&path).map_err(refused)?;
    let size = file.metadata().map_err(refused)?.len();
    Ok((file, size))
}

pub(super) fn read_local(file: &mut File, buffer: &mut [u8]) -> Result<usize, Trouble> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map_err(|error| Trouble::last(Reason::File(error))),
        }
    }
}

/// Reads an answer of which no hash is known, at most `limit` bytes.
pub(super) fn read_bounded(answer: &mut Answer, limit: u64) -> Result<Vec<u8>, Trouble> {
    let expected = answer.length();
    if expected.is_some_and(|length| length > limit) {
        return Err(Trouble::last(Reason::TooLarge { limit }));
    }
    gather(limit, &mut |buffer, have| answer.read(buffer, have))
        .map_err(|trouble| of_size(trouble, expected))
}

/// Reads all that comes, at most `limit` bytes.
pub(super) fn gather(limit: u64, read: &mut Read<'_>) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = read(&mut buffer, bytes.len() as u64)?;
        if count == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if bytes.len() as u64 > limit {
            return Err(Trouble::last(Reason::TooLarge { limit }));
        }
    }
}

//! One file whose hash is known: from the cache, or from the first URL that gives it.

use std::sync::atomic::AtomicBool;

use reqwest::Url;

use super::attempts::{Ended, persist};
use super::claim::Claim;
use super::http::{shown, shown_text};
use super::partial::Partial;
use super::transfer::Job;
use super::{DownloadError, Downloader, Failure, Fetched, Progress, Reason, Request, aside};

impl Downloader {
    /// Gives a file that is in the cache, or downloads it, checks its hash, and puts it there
    /// at once as a whole.
    ///
    /// While another build downloads the same file, this waits for it; when nothing comes
    /// there for [`stall`](super::Options::stall), it goes on by itself. What a build that
    /// was killed has left is resumed.
    ///
    /// # Errors
    /// When no URL gives it: the error holds what happened at each. When the cache cannot be
    /// written to.
    pub fn fetch(
        &self,
        request: &Request,
        progress: &dyn Progress,
    ) -> Result<Fetched, DownloadError> {
        let stop = AtomicBool::new(false);
        let failed = || DownloadError::Thread {
            name: request.name.clone(),
        };
        if let Some(found) = self.store.find(&request.expected) {
            return Ok(found);
        }
        match aside(|| self.obtain(request, progress, &stop)).ok_or_else(failed)? {
            Ok(fetched) => Ok(fetched),
            Err(Ended::Failed(error)) => Err(error),
            Err(Ended::Stopped) => Err(failed()),
        }
    }

    /// The same, on this thread, until `stop`.
    pub(super) fn obtain(
        &self,
        request: &Request,
        progress: &dyn Progress,
        stop: &AtomicBool,
    ) -> Result<Fetched, Ended> {
        if let Some(found) = self.store.find(&request.expected) {
            return Ok(found);
        }
        let urls = self.usable(&request.name, &request.urls)?;
        let claim = self.store.claim(
            &request.expected,
            self.options.largest,
            self.options.stall,
            stop,
        )?;
        let mut partial = match claim {
            Claim::Done(found) => return Ok(found),
            Claim::Mine(partial) => partial,
        };
        progress.begin(&request.name, request.expected.size);
        let mut job = Job {
            request,
            progress,
            stop,
            told: 0,
        };
        let outcome = self.complete(&mut job, &urls, &mut partial);
        progress.end(&request.name);
        match outcome {
            Ok(()) => {
                let size = partial.have();
                let (file, path) = partial.whole();
                Ok(self
                    .store
                    .place(&path, file, &request.expected.sha256, size)?)
            }
            Err(ended) => {
                if !partial.can_be_resumed() {
                    partial.remove();
                }
                Err(ended)
            }
        }
    }

    /// Tries one URL after the other.
    fn complete(
        &self,
        job: &mut Job<'_>,
        urls: &[&str],
        partial: &mut Partial,
    ) -> Result<(), Ended> {
        let mut failures = Vec::new();
        for text in urls {
            let url = match parse(text) {
                Ok(url) => url,
                Err(failure) => {
                    failures.push(failure);
                    continue;
                }
            };
            let stop = job.stop;
            let outcome = persist(&self.options, stop, &shown(&url), || {
                self.attempt(job, &url, partial)
            })?;
            match outcome {
                Ok(()) => return Ok(()),
                Err(failure) => failures.push(failure),
            }
        }
        Err(Ended::Failed(DownloadError::Failed {
            name: job.request.name.clone(),
            failures,
        }))
    }

    /// Those of the URLs that may be asked.
    pub(super) fn usable<'a>(
        &self,
        name: &str,
        urls: &'a [String],
    ) -> Result<Vec<&'a str>, DownloadError> {
        if urls.is_empty() {
            return Err(DownloadError::NoUrl {
                name: name.to_owned(),
            });
        }
        let usable: Vec<&str> = urls
            .iter()
            .map(String::as_str)
            .filter(|url| !self.options.offline || is_local(url))
            .collect();
        if usable.is_empty() {
            return Err(DownloadError::Offline {
                name: name.to_owned(),
                cache: self.options.cache.clone(),
            });
        }
        Ok(usable)
    }
}

/// Whether a URL is asked without the network.
fn is_local(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "file")
}

pub(super) fn parse(text: &str) -> Result<Url, Failure> {
    let refused = |shown: String, why: String| Failure {
        url: shown,
        via: Vec::new(),
        attempts: 0,
        reason: Reason::Url(why),
    };
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https" | "file") => Ok(url),
        Ok(url) => Err(refused(
            shown(&url),
            format!("its scheme is {}", url.scheme()),
        )),
        Err(error) => Err(refused(shown_text(text), error.to_string())),
    }
}

//! What is tried again, when, and how often.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{DownloadError, Failure, Options, Reason};

/// The longest time between two attempts; a server that wants more is not asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long a sleeping download takes at most to notice that it is not needed any more.
const GLANCE: Duration = Duration::from_millis(50);

/// Whether a failure is worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// No: the same would happen.
    No,
    /// At once, and it does not count: what was left of an earlier download was at fault,
    /// and is gone.
    Now,
    /// After a while; not before the time that the server named.
    After(Option<Duration>),
}

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) reason: Reason,
    pub(super) again: Again,
    pub(super) via: Vec<String>,
    /// What has nothing to do with the URL, and ends everything.
    pub(super) fatal: Option<Box<Ended>>,
}

/// Why a download ended without its file.
#[derive(Debug)]
pub(super) enum Ended {
    /// Another one failed, so that this one is not needed.
    Stopped,
    /// It failed itself.
    Failed(DownloadError),
}

impl From<DownloadError> for Ended {
    fn from(error: DownloadError) -> Self {
        Self::Failed(error)
    }
}

impl Trouble {
    /// A failure that would be the same the next time.
    pub(super) fn last(reason: Reason) -> Self {
        Self {
            reason,
            again: Again::No,
            via: Vec::new(),
            fatal: None,
        }
    }

    /// A failure that has nothing to do with the URL.
    pub(super) fn fatal(ended: Ended) -> Self {
        Self {
            fatal: Some(Box::new(ended)),
            ..Self::last(Reason::Client(String::new()))
        }
    }

    pub(super) fn via(self, via: Vec<String>) -> Self {
        Self { via, ..self }
    }
}

/// Asks the same URL until it gives what is wanted or another attempt is not worth it.
pub(super) fn persist<T>(
    options: &Options,
    stop: &AtomicBool,
    url: &str,
    mut attempt: impl FnMut() -> Result<T, Trouble>,
) -> Result<Result<T, Failure>, Ended> {
    let mut attempts = 0;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Ended::Stopped);
        }
        let trouble = match attempt() {
            Ok(done) => return Ok(Ok(done)),
            Err(trouble) => trouble,
        };
        if let Some(ended) = trouble.fatal {
            return Err(*ended);
        }
        if trouble.again == Again::Now {
            continue;
        }
        attempts += 1;
        let pause = match trouble.again {
            Again::After(asked) if attempts < options.attempts.get() => {
                pause(options.backoff, attempts, asked)
            }
            _ => None,
        };
        let Some(pause) = pause else {
            return Ok(Err(Failure {
                url: url.to_owned(),
                via: trouble.via,
                attempts,
                reason: trouble.reason,
            }));
        };
        sleep(pause, stop);
    }
}

/// How long to wait after so many failed attempts; `None` when that is too long.
pub(crate) fn pause(backoff: Duration, attempts: u32, asked: Option<Duration>) -> Option<Duration> {
    if asked.is_some_and(|asked| asked > LONGEST_WAIT) {
        return None;
    }
    let doubled = backoff
        .saturating_mul(1 << attempts.saturating_sub(1).min(20))
        .min(LONGEST_WAIT);
    // Builds that failed together shall not come back together. The seed of the hash maps
    // is the standard library's only source of chance.
    let chance = RandomState::new().hash_one(attempts) % 256;
    let longer = doubled / 4 * u32::try_from(chance).unwrap_or_default() / 256;
    let wait = (doubled + longer).min(LONGEST_WAIT);
    Some(wait.max(asked.unwrap_or_default()))
}

fn sleep(pause: Duration, stop: &AtomicBool) {
    let end = Instant::now() + pause;
    while !stop.load(Ordering::Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(GLANCE));
    }
}

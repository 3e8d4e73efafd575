//! Many files, some at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::attempts::Ended;
use super::{DownloadError, Downloader, Fetched, Progress, Request};

/// How many errors are told one by one.
const TOLD: usize = 8;

impl Downloader {
    /// Gives all of these files, in this order, as [`fetch`](Self::fetch) does, several at
    /// once, the largest first. After the first failure the rest is stopped; what came so far
    /// is resumed the next time. Offline, all that is missing is told.
    ///
    /// # Errors
    /// As of `fetch`, or [`DownloadError::Several`].
    pub fn fetch_all(
        &self,
        requests: &[Request],
        progress: &dyn Progress,
    ) -> Result<Vec<Fetched>, DownloadError> {
        let mut order: Vec<usize> = (0..requests.len()).collect();
        // The largest last to end would have the whole time for itself.
        order.sort_by_key(|&at| {
            let size = requests.get(at).and_then(|request| request.expected.size);
            std::cmp::Reverse(size.unwrap_or(u64::MAX))
        });
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let outcomes: Vec<Mutex<Option<Result<Fetched, Ended>>>> =
            requests.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            while let Some(&at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (Some(request), Some(outcome)) = (requests.get(at), outcomes.get(at)) else {
                    continue;
                };
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let result = self.obtain(request, progress, &stop);
                if result.is_err() && !self.options.offline {
                    stop.store(true, Ordering::Relaxed);
                }
                *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        std::thread::scope(|scope| {
            let threads = self.options.parallel.get().min(requests.len());
            for _ in 0..threads {
                let started = std::thread::Builder::new()
                    .name("download".to_owned())
                    .spawn_scoped(scope, work);
                if started.is_err() {
                    // Those that were started do the work of all.
                    break;
                }
            }
        });
        let outcomes = outcomes
            .into_iter()
            .map(|outcome| outcome.into_inner().unwrap_or_else(PoisonError::into_inner));
        gather(requests, outcomes)
    }
}

fn gather(
    requests: &[Request],
    outcomes: impl Iterator<Item = Option<Result<Fetched, Ended>>>,
) -> Result<Vec<Fetched>, DownloadError> {
    let mut fetched = Vec::with_capacity(requests.len());
    let mut errors = Vec::new();
    let mut undone = None;
    for (request, outcome) in requests.iter().zip(outcomes) {
        match outcome {
            Some(Ok(file)) => fetched.push(file),
            Some(Err(Ended::Failed(error))) => errors.push(error),
            Some(Err(Ended::Stopped)) | None => {
                undone.get_or_insert(request);
            }
        }
    }
    match (errors.len(), undone) {
        (0, None) => Ok(fetched),
        (0, Some(request)) => Err(DownloadError::Thread {
            name: request.name.clone(),
        }),
        (1, _) => Err(errors.remove(0)),
        (count, _) => {
            errors.truncate(TOLD);
            Err(DownloadError::Several {
                more: count - errors.len(),
                errors,
            })
        }
    }
}

//! Several blobs at once.

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::TransferError;

/// Set when one blob has failed, so that the others end soon.
#[derive(Debug, Default)]
pub(super) struct Stop(AtomicBool);

impl Stop {
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A reader that fails as soon as another blob has.
    pub(super) fn watch<'a, R: Read + 'a>(&'a self, inner: R) -> impl Read + 'a {
        Watched { inner, stop: self }
    }
}

struct Watched<'a, R> {
    inner: R,
    stop: &'a Stop,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_set() {
            return Err(io::Error::other("another blob could not be copied"));
        }
        self.inner.read(buffer)
    }
}

/// Does `work` for each of `items`, in their order, at most `parallel` at once.
///
/// # Errors
/// The first error; none is begun after it.
pub(super) fn each<T: Sync>(
    items: &[T],
    parallel: NonZeroUsize,
    work: &(dyn Fn(&T, &Stop) -> Result<(), TransferError> + Sync),
) -> Result<(), TransferError> {
    let (stop, next) = (Stop::default(), AtomicUsize::new(0));
    let first: Mutex<Option<TransferError>> = Mutex::new(None);
    let run = || {
        while !stop.is_set() {
            let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            if let Err(error) = work(item, &stop) {
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(error);
                stop.set();
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..parallel.get().min(items.len()) {
            let thread = std::thread::Builder::new().name("copy".into());
            // Where there can be no more threads, those that are there do all.
            if thread.spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        run();
    });
    let first = first.into_inner().unwrap_or_else(PoisonError::into_inner);
    first.map_or(Ok(()), Err)
}

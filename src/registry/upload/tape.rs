//! The bytes of a blob in one pass, for all parts of its upload.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};

/// How much is read at once, in bytes.
const BLOCK: u64 = 256 << 10;

/// Blocks that are read ahead.
const AHEAD: usize = 2;

/// Gives what `open` opens.
type Open<'o, 'a> = dyn Fn() -> io::Result<Box<dyn Read + 'a>> + Sync + 'o;

/// Reads a blob on a thread of its own, so that each part of it goes on where the one before
/// ended: to open it anew for each would read a blob of a thousand parts five hundred times. It
/// is opened again only where a part does not begin there.
pub(super) struct Tape<'scope, 'env, 'a> {
    scope: &'scope Scope<'scope, 'env>,
    open: &'env Open<'env, 'a>,
    size: u64,
    /// Bytes that were told to `progress`.
    told: AtomicU64,
    progress: &'env (dyn Fn(u64) + Sync),
    pass: Mutex<Option<Pass>>,
}

/// A pass over the blob that is going on.
struct Pass {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Vec<u8>,
    used: usize,
    position: u64,
}

impl<'scope, 'env, 'a> Tape<'scope, 'env, 'a>
where
    'a: 'env,
{
    /// A blob of `size` bytes. `progress` is told of each byte once.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        open: &'env Open<'env, 'a>,
        size: u64,
        progress: &'env (dyn Fn(u64) + Sync),
    ) -> Self {
        Self {
            scope,
            open,
            size,
            told: AtomicU64::new(0),
            progress,
            pass: Mutex::new(None),
        }
    }
}

impl Tape<'_, '_, '_> {
    /// The `length` bytes from `at` on. The last byte of the blob comes only when the blob has
    /// ended well there: what checks itself at its end has done so.
    pub(super) fn read_from(&self, at: u64, length: u64) -> io::Result<Box<dyn Read + '_>> {
        let mut pass = self.pass();
        if pass.as_ref().is_none_or(|pass| pass.position != at) {
            *pass = None;
            *pass = Some(self.begin(at)?);
        }
        Ok(Box::new(Part {
            tape: self,
            at,
            left: length,
        }))
    }

    fn begin(&self, at: u64) -> io::Result<Pass> {
        let (sender, blocks) = sync_channel(AHEAD);
        let (open, size) = (self.open, self.size);
        Builder::new()
            .name("upload".to_owned())
            .spawn_scoped(self.scope, move || {
                if let Err(error) = play(open, at, size, &sender) {
                    // Nobody waits for it any more.
                    let _ = sender.send(Err(error));
                }
            })?;
        Ok(Pass {
            blocks,
            block: Vec::new(),
            used: 0,
            position: at,
        })
    }

    fn pass(&self) -> MutexGuard<'_, Option<Pass>> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads at most as much as `buffer` takes, from `at` on.
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = {
            let mut pass = self.pass();
            let Some(current) = pass.as_mut().filter(|pass| pass.position == at) else {
                return Err(io::Error::other("its bytes were read for another attempt"));
            };
            match current.read(buffer) {
                Ok(count) => count,
                Err(error) => {
                    *pass = None;
                    return Err(error);
                }
            }
        };
        let position = at.saturating_add(count as u64);
        let told = self.told.fetch_max(position, Ordering::Relaxed);
        if position > told {
            (self.progress)(position - told);
        }
        Ok(count)
    }
}

impl Pass {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used >= self.block.len() {
            // Its end was told by an error, or the thread has panicked.
            self.block = self.blocks.recv().map_err(|_| ended(self.position))??;
            self.used = 0;
        }
        let rest = self.block.get(self.used..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.used += count;
        self.position = self.position.saturating_add(count as u64);
        Ok(count)
    }
}

/// Reads the blob from `at` to its end into a channel, a block late: the last one is given when
/// it is known that it is the last.
fn play(
    open: &Open<'_, '_>,
    at: u64,
    size: u64,
    blocks: &SyncSender<io::Result<Vec<u8>>>,
) -> io::Result<()> {
    let mut reader = open()?;
    let mut position = io::copy(&mut reader.by_ref().take(at), &mut io::sink())?;
    let mut held: Option<Vec<u8>> = None;
    loop {
        let mut block = Vec::new();
        reader.by_ref().take(BLOCK).read_to_end(&mut block)?;
        if block.is_empty() {
            break;
        }
        position = position.saturating_add(block.len() as u64);
        if position > size {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("there are more than the {size} bytes that it should have"),
            ));
        }
        if let Some(before) = held.replace(block)
            && blocks.send(Ok(before)).is_err()
        {
            return Ok(());
        }
    }
    if position < size {
        return Err(ended(position));
    }
    if let Some(last) = held {
        let _ = blocks.send(Ok(last));
    }
    Ok(())
}

fn ended(position: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("it ended after {position} bytes"),
    )
}

/// A part of the blob.
struct Part<'t, 'scope, 'env, 'a> {
    tape: &'t Tape<'scope, 'env, 'a>,
    at: u64,
    left: u64,
}

impl Read for Part<'_, '_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let Some(room) = buffer.get_mut(..most).filter(|room| !room.is_empty()) else {
            return Ok(0);
        };
        let count = self.tape.read(self.at, room)?;
        self.at = self.at.saturating_add(count as u64);
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

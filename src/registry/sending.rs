//! What a request carries: read on the thread that asks, sent on the one that has the connection.
//!
//! The connection takes what it can send and asks for more; the thread that asks reads on only
//! then. So at most [`AHEAD`] blocks are in memory, an answer that comes early is noticed at once,
//! and how far the sending got is known to the watch over standstills.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::http::Event;

/// What is read at once, in bytes.
const BLOCK: usize = 256 << 10;

/// How many blocks are read before they are wanted.
const AHEAD: usize = 2;

/// What is given to the connection at once, in bytes: what the watch sees of the progress.
const FRAME: usize = 32 << 10;

/// What may still be in the buffers of the connection and of the system when the last byte was
/// taken, in bytes, and the bytes a second that such a rest is sent with at least.
const BUFFERED: u64 = 4 << 20;
const SLOWEST: u64 = 32 << 10;

/// What both sides know.
struct Pipe {
    state: Mutex<State>,
}

struct State {
    blocks: VecDeque<Bytes>,
    /// Bytes that were not read yet.
    unread: u64,
    /// Bytes that were not taken by the connection yet.
    left: u64,
    /// All of it.
    length: u64,
    /// When a byte was last taken.
    moved: Instant,
    /// Whether the connection waits for bytes that were not read yet.
    waits: bool,
    /// Whether the thread that asks was told to read on.
    asked: bool,
    /// Whether nothing more comes: what was sent is not whole.
    given_up: bool,
    waker: Option<Waker>,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds it leaves it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the connection.
pub(super) struct Drain {
    pipe: Arc<Pipe>,
    events: Sender<Event>,
}

/// The end of who has the bytes. When it is dropped before all was sent, the connection is broken:
/// half of something never looks like all of it.
pub(super) struct Feed {
    pipe: Arc<Pipe>,
}

/// Sees how far it got.
pub(super) struct Watch {
    pipe: Arc<Pipe>,
}

/// A body of `length` bytes; who has them is told by an event when they are wanted.
pub(super) fn pipe(length: u64, events: Sender<Event>) -> (Drain, Feed, Watch) {
    let pipe = Arc::new(Pipe {
        state: Mutex::new(State {
            blocks: VecDeque::new(),
            unread: length,
            left: length,
            length,
            moved: Instant::now(),
            waits: false,
            asked: false,
            given_up: false,
            waker: None,
        }),
    });
    (
        Drain {
            pipe: Arc::clone(&pipe),
            events,
        },
        Feed {
            pipe: Arc::clone(&pipe),
        },
        Watch { pipe },
    )
}

impl http_body::Body for Drain {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut state = self.pipe.lock();
        if state.given_up {
            return Poll::Ready(Some(Err(io::Error::other("the rest is not sent"))));
        }
        if state.left == 0 {
            return Poll::Ready(None);
        }
        let frame = state.blocks.front_mut().map(|block| {
            let most = block.len().min(FRAME);
            (block.split_to(most), block.is_empty())
        });
        if let Some((_, true)) = frame {
            state.blocks.pop_front();
        }
        if state.blocks.len() < AHEAD && state.unread > 0 && !state.asked {
            state.asked = true;
            // Who went away has given up, too.
            let _ = self.events.send(Event::Wanted);
        }
        match frame {
            Some((frame, _)) => {
                state.left = state.left.saturating_sub(frame.len() as u64);
                state.moved = Instant::now();
                Poll::Ready(Some(Ok(Frame::data(frame))))
            }
            None => {
                state.waits = true;
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pipe.lock().left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.pipe.lock().left)
    }
}

impl Feed {
    /// Reads on as far as it is wanted.
    ///
    /// # Errors
    /// Those of the reader, and when it ends too early or does not end.
    pub(super) fn read(&self, reader: &mut dyn Read) -> io::Result<()> {
        loop {
            let unread = {
                let mut state = self.pipe.lock();
                if state.unread == 0 || state.blocks.len() >= AHEAD {
                    // Together with the look at the blocks: else who takes the last of them
                    // between both would wait for ever.
                    state.asked = false;
                    return Ok(());
                }
                state.unread
            };
            let block = block(reader, unread)?;
            let mut state = self.pipe.lock();
            state.unread = unread.saturating_sub(block.len() as u64);
            state.blocks.push_back(block.into());
            if std::mem::take(&mut state.waits) {
                // The time in which it waited for us is not the network's.
                state.moved = Instant::now();
            }
            let waker = state.waker.take();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        if state.left == 0 {
            return;
        }
        state.given_up = true;
        state.blocks.clear();
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Watch {
    /// When it stands still unless something moves before; `None` as long as it waits for who has
    /// the bytes.
    pub(super) fn due(&self, stall: Duration) -> Option<Instant> {
        let state = self.pipe.lock();
        if state.waits {
            return None;
        }
        // What the system took is not seen to move, and the server may only then answer.
        let rest = match state.left {
            0 => Duration::from_millis(state.length.min(BUFFERED) * 1000 / SLOWEST),
            _ => Duration::ZERO,
        };
        state.moved.checked_add(stall.saturating_add(rest))
    }
}

/// The next block, and with the last one the proof that there is no more: a reader that verifies
/// only fails there, and then not all of its bytes may be sent.
fn block(reader: &mut dyn Read, unread: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(unread).unwrap_or(BLOCK).min(BLOCK);
    let mut block = vec![0; size];
    reader
        .read_exact(&mut block)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("it ended early, with up to {unread} bytes missing: {error}"),
            ),
            _ => error,
        })?;
    if size as u64 == unread {
        let more = loop {
            match reader.read(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if more > 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it has more bytes than was said",
            ));
        }
    }
    Ok(block)
}

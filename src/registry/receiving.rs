//! The content of an answer: taken from the connection on the thread that has it, a little ahead
//! of who reads.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::fault::Fault;
use super::http::Engine;
use super::sending::Feed;

/// How many pieces are taken from the connection before they are wanted.
const AHEAD: usize = 4;

/// How many bytes a second have to come, of all the time that is waited for them: a server that
/// sends one now and then would keep us for ever, and never stand still.
const LEAST_RATE: u64 = 64;

/// The content of an answer. Its errors tell a stall ([`io::ErrorKind::TimedOut`]) from a break
/// ([`io::ErrorKind::ConnectionAborted`]).
pub(super) struct Incoming {
    pieces: Receiver<Result<Bytes, Fault>>,
    /// Each allows to take one piece more.
    credits: UnboundedSender<()>,
    piece: Bytes,
    ended: bool,
    host: String,
    /// The rest of the question, when the answer came before all of it was sent: the connection is
    /// only broken when nobody reads the answer any more.
    _rest: Option<Feed>,
    /// Keeps the thread that has the connection.
    _engine: Arc<Engine>,
}

impl Incoming {
    pub(super) fn new(
        engine: &Arc<Engine>,
        response: reqwest::Response,
        host: String,
        rest: Option<Feed>,
    ) -> Self {
        let (credits, allowed) = unbounded_channel();
        let (tell, pieces) = channel();
        let is_empty = response.content_length() == Some(0);
        if !is_empty {
            for _ in 0..AHEAD {
                // The other end is here.
                let _ = credits.send(());
            }
            engine.spawn(pump(response, allowed, tell, engine.stall()));
        }
        Self {
            pieces,
            credits,
            piece: Bytes::new(),
            ended: is_empty,
            host,
            _rest: rest,
            _engine: Arc::clone(engine),
        }
    }
}

/// Takes pieces as long as somebody wants them. Without a reader the answer is dropped, at the
/// latest when it stands still, and its connection closed unless its end was there.
async fn pump(
    mut response: reqwest::Response,
    mut allowed: UnboundedReceiver<()>,
    tell: Sender<Result<Bytes, Fault>>,
    stall: Duration,
) {
    let (mut waited, mut came) = (Duration::ZERO, 0_u64);
    while allowed.recv().await.is_some() {
        let begun = Instant::now();
        let piece = match tokio::time::timeout(stall, response.chunk()).await {
            Ok(Ok(Some(piece))) => {
                // Time in which nobody wanted any is not the server's.
                waited += begun.elapsed();
                came = came.saturating_add(piece.len() as u64);
                let is_trickle =
                    waited >= stall && came < LEAST_RATE.saturating_mul(waited.as_secs());
                if waited >= stall {
                    (waited, came) = (Duration::ZERO, 0);
                }
                match is_trickle {
                    true => Err(Fault::Stalled(stall)),
                    false => Ok(piece),
                }
            }
            // The other end is told by the end of the channel.
            Ok(Ok(None)) => {
                let _ = tell.send(Ok(Bytes::new()));
                return;
            }
            Ok(Err(error)) => Err(Fault::of(&error)),
            Err(_) => Err(Fault::Stalled(stall)),
        };
        let is_last = piece.is_err();
        if tell.send(piece).is_err() || is_last {
            return;
        }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while !self.piece.has_remaining() {
            if self.ended {
                return Ok(0);
            }
            let fault = match self.pieces.recv() {
                Ok(Ok(piece)) => {
                    self.ended = piece.is_empty();
                    self.piece = piece;
                    // Who pumps may have come to the end already.
                    let _ = self.credits.send(());
                    continue;
                }
                Ok(Err(fault)) => fault,
                Err(_) => Fault::Interrupted("nothing is left of it".to_owned()),
            };
            return Err(fault.into_io(self.host.clone()));
        }
        let count = self.piece.remaining().min(buffer.len());
        if let Some(room) = buffer.get_mut(..count) {
            self.piece.copy_to_slice(room);
        }
        Ok(count)
    }
}

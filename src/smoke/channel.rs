//! How the parts of a run talk: messages over a socket that is the other part's standard input.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A message of more bytes is refused. The largest is the list of an image's files, of
/// which each takes some 200 bytes.
const LIMIT: u64 = 1 << 30;

/// What is sent and read in one go.
const BUFFER: usize = 64 << 10;

/// One end. A message is its length in bytes, as a big-endian 64-bit number, and JSON.
#[derive(Debug)]
pub(super) struct Channel {
    reader: BufReader<UnixStream>,
    writer: BufWriter<UnixStream>,
}

impl Channel {
    /// Both ends: ours, and what becomes the standard input of the other part.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self::over(ours)?, theirs.into()))
    }

    /// The end that this process was started with. From here on its standard input is `/dev/null`.
    pub(super) fn inherited() -> io::Result<Self> {
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Self::over(socket.into())
    }

    fn over(socket: UnixStream) -> io::Result<Self> {
        Ok(Self {
            writer: BufWriter::with_capacity(BUFFER, socket.try_clone()?),
            reader: BufReader::with_capacity(BUFFER, socket),
        })
    }

    /// How long [`Self::receive`] waits at most.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        let patience = patience.max(Duration::from_millis(1));
        self.reader.get_ref().set_read_timeout(Some(patience))
    }

    /// Sends a message.
    pub(super) fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        self.writer.write_all(&(bytes.len() as u64).to_be_bytes())?;
        self.writer.write_all(&bytes)?;
        self.writer.flush()
    }

    /// Sends bytes that the last message has announced, piece by piece.
    pub(super) fn send_bytes<'b>(
        &mut self,
        mut pieces: impl Iterator<Item = &'b [u8]>,
    ) -> io::Result<()> {
        pieces.try_for_each(|piece| self.writer.write_all(piece))?;
        self.writer.flush()
    }

    /// Waits for a message; `None` when the other part has closed its end.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut length = [0; 8];
        let mut first = 0;
        while first == 0 {
            first = match self.reader.read(&mut length[..1]) {
                Ok(0) => return Ok(None),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                // A process that ends with unread bytes resets the connection.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        self.reader.read_exact(&mut length[1..])?;
        let length = u64::from_be_bytes(length);
        if length > LIMIT {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(length).read_to_end(&mut bytes)?;
        if (read as u64) < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// The bytes that the last message has announced.
    pub(super) fn bytes(&mut self, length: u64) -> impl Read + '_ {
        (&mut self.reader).take(length)
    }

    /// Whether the other part still holds its end. Only when no message is awaited.
    pub(super) fn is_open(&mut self) -> bool {
        let socket = self.reader.get_mut();
        if socket.set_nonblocking(true).is_err() {
            return false;
        }
        let open = matches!(socket.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        open && socket.set_nonblocking(false).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn both() -> (Channel, Channel) {
        let (ours, theirs) = Channel::pair().unwrap();
        (ours, Channel::over(theirs.into()).unwrap())
    }

    #[test]
    fn a_message_and_the_bytes_behind_it_arrive() {
        let (mut one, mut other) = both();
        one.send(&vec![1, 2]).unwrap();
        one.send_bytes([&b"a"[..], b"bc"].into_iter()).unwrap();
        one.send(&"next").unwrap();
        assert_eq!(other.receive::<Vec<u8>>().unwrap(), Some(vec![1, 2]));
        let mut bytes = Vec::new();
        other.bytes(3).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"abc");
        assert_eq!(other.receive::<String>().unwrap().as_deref(), Some("next"));
    }

    #[test]
    fn a_closed_end_is_the_end_of_the_talk_and_half_a_message_an_error() {
        let (mut one, mut other) = both();
        assert!(other.is_open());
        one.send_bytes([&[0; 3][..]].into_iter()).unwrap();
        drop(one);
        assert!(other.receive::<u8>().is_err());

        let (one, mut other) = both();
        drop(one);
        assert!(!other.is_open());
        assert_eq!(other.receive::<u8>().unwrap(), None);
    }

    #[test]
    fn a_length_without_end_is_refused() {
        let (mut one, mut other) = both();
        one.send_bytes([&[0xff; 8][..]].into_iter()).unwrap();
        assert!(other.receive::<u8>().is_err());
    }
}

//! Reading, hashing, compressing and writing at once, with flat memory.
//!
//! Every thread does the same: it reads the next member (one thread at a time), adds it
//! to the diff_id when it is that member's turn, compresses it while its bytes are still
//! in the processor's cache, and leaves the result for whoever writes. The thread that
//! completes the next member due is the writer until none is ready. So no thread ever
//! only reads or only hashes, and with as many threads as cores all cores are busy.
//! Which thread does what never shows in the bytes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::buffer::Buffer;
use super::cache::{Cache, MemberKey};
use super::compress::{Compression, Encoder};
use super::digest::{Digest, Hasher};
use super::pack::PackError;
use super::source::Source;
use super::tar::{Member, Piece, Placed, Plan};

/// Each thread takes 2 to 3 MiB; with more than this the peak would be over 64 MiB, on a
/// machine with many cores by default. zstd is by then as fast as the diff_id, which is one
/// hash over everything.
const MAX_THREADS: usize = 10;

/// Members that may be under way at once, whatever the number of threads: with the
/// buffers and compressors of ten threads less than 64 MiB.
const MAX_UNDER_WAY: usize = 16;

/// What a buffer may hold at most, about: a chunk and the bound on its compressed form.
const BUFFER: usize = 1200 << 10;

/// Members smaller than this in bytes are copied out of their buffer, so that one that
/// waits for its turn does not hold a large one.
const TINY: usize = 64 << 10;

/// A member as it was written.
#[derive(Debug, Clone)]
pub(super) struct WrittenMember {
    /// Size in the blob in bytes.
    pub(super) size: u64,
    /// Digest of its uncompressed bytes, where it was wanted.
    pub(super) content: Option<Digest>,
    /// How the cache names it, when it is kept there.
    pub(super) key: Option<MemberKey>,
    /// The compressed bytes of a member too small for the cache, for the layer's recipe.
    pub(super) inline: Vec<u8>,
}

/// Everything of a blob that was written.
pub(super) struct Written {
    /// The members in the plan's order.
    pub(super) members: Vec<WrittenMember>,
    /// Digests of the whole content of files that have more than one member, by entry.
    pub(super) files: BTreeMap<usize, Digest>,
    /// Has seen the uncompressed tar.
    pub(super) tar: Hasher,
    /// Uncompressed bytes.
    pub(super) tar_size: u64,
    /// Has seen the blob; `None` when the blob is the tar.
    pub(super) blob: Option<Hasher>,
    /// Compressed bytes.
    pub(super) size: u64,
}

/// What the pipeline works on.
pub(super) struct Job<'a> {
    pub(super) plan: &'a Plan,
    pub(super) entries: &'a [Placed<'a>],
    pub(super) epoch: u64,
    pub(super) compression: Compression,
    pub(super) cache: Option<&'a Cache>,
    pub(super) threads: usize,
    pub(super) progress: &'a (dyn Fn(u64) + Sync),
}

impl Job<'_> {
    /// Writes all members to `out`.
    pub(super) fn run(&self, out: &mut (dyn Write + Send)) -> Result<Written, PackError> {
        let threads = self.threads.clamp(1, MAX_THREADS);
        let threads = threads.min(self.plan.members.len().max(1));
        let line = Line {
            job: self,
            under_way: (3 * threads).min(MAX_UNDER_WAY) * BUFFER,
            reader: Mutex::new(Reader {
                source: Source::new(self.entries, self.epoch),
                next: 0,
            }),
            hashes: Mutex::new(Hashes::default()),
            writer: Mutex::new(Writer {
                out,
                blob: (self.compression != Compression::None).then(Hasher::new),
                size: 0,
                inlined: 0,
                members: Vec::with_capacity(self.plan.members.len()),
            }),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                // Where the system gives no more threads, those that there are do the work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, || line.work());
            }
            line.work();
        });
        line.finish()
    }

    /// Whether a member's own digest is wanted in any case: eStargz lists those of chunks.
    fn lists_chunks(&self) -> bool {
        matches!(self.compression, Compression::Estargz(_))
    }
}

/// The assembly line that the threads share.
///
/// Locks are taken in the order reader, then state; hashes and writer are each taken by
/// the one thread whose turn it is.
struct Line<'a> {
    job: &'a Job<'a>,
    /// Bytes that may be claimed and not yet written.
    under_way: usize,
    reader: Mutex<Reader<'a>>,
    hashes: Mutex<Hashes>,
    writer: Mutex<Writer<'a>>,
    state: Mutex<State>,
    changed: Condvar,
}

struct Reader<'a> {
    source: Source<'a>,
    next: usize,
}

#[derive(Default)]
struct Hashes {
    tar: Hasher,
    size: u64,
    file: Option<(usize, Hasher)>,
    files: BTreeMap<usize, Digest>,
}

struct Writer<'a> {
    out: &'a mut (dyn Write + Send),
    blob: Option<Hasher>,
    size: u64,
    inlined: usize,
    members: Vec<WrittenMember>,
}

/// Compressed and waiting to be written.
struct Ready {
    bytes: Buffer,
    raw_length: usize,
    content: Option<Digest>,
    key: Option<MemberKey>,
}

#[derive(Default)]
struct State {
    /// The next member to be hashed.
    hashed: usize,
    /// The next member to be written.
    written: usize,
    /// Whether a thread is writing.
    writing: bool,
    /// Bytes claimed and not yet written.
    under_way: usize,
    ready: BTreeMap<usize, Ready>,
    spare: Vec<Buffer>,
    failed: Option<(usize, PackError)>,
    /// A thread has panicked: its panic is passed on, and the others end.
    panicked: bool,
}

impl State {
    fn stopped(&self) -> bool {
        self.failed.is_some() || self.panicked
    }
}

/// A panic elsewhere is passed on by the scope; what a lock guards is then not used any more.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the other threads when this one panics, which would else wait for it for ever.
struct Alarm<'a, 'b>(&'a Line<'b>);

impl Drop for Alarm<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(&self.0.state).panicked = true;
            self.0.changed.notify_all();
        }
    }
}

impl Line<'_> {
    /// What every thread does.
    fn work(&self) {
        let _alarm = Alarm(self);
        let mut encoder = match Encoder::new(self.job.compression) {
            Ok(encoder) => encoder,
            Err(source) => return self.fail(0, PackError::Compress(source)),
        };
        let mut raw = Buffer::default();
        loop {
            let (index, member) = match self.read(&mut raw) {
                Ok(Some(claimed)) => claimed,
                Ok(None) => return,
                Err((index, error)) => return self.fail(index, error),
            };
            if !self.hash(index, member, &raw) {
                return;
            }
            let ready = match self.compress(member, &mut raw, &mut encoder) {
                Ok(ready) => ready,
                Err(source) => return self.fail(index, PackError::Compress(source)),
            };
            if let Err((index, error)) = self.deliver(index, ready) {
                return self.fail(index, error);
            }
        }
    }

    fn fail(&self, index: usize, error: PackError) {
        let mut state = lock(&self.state);
        // The first in the tar is told, whichever thread met its error first.
        if state
            .failed
            .as_ref()
            .is_none_or(|(first, _)| index < *first)
        {
            state.failed = Some((index, error));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Reads the next member as soon as there is room for it; `None` when there is none left.
    fn read(&self, raw: &mut Buffer) -> Result<Option<(usize, &Member)>, (usize, PackError)> {
        let mut reader = lock(&self.reader);
        let index = reader.next;
        let Some(member) = self.job.plan.members.get(index) else {
            return Ok(None);
        };
        let cost = cost(member.length);
        let mut state = lock(&self.state);
        while !state.stopped() && state.under_way > 0 && state.under_way + cost > self.under_way {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped() {
            return Ok(None);
        }
        state.under_way += cost;
        drop(state);
        reader.next += 1;
        let pieces = self.job.plan.pieces_of(member);
        match reader.source.read(pieces, raw) {
            Ok(()) => Ok(Some((index, member))),
            Err(error) => Err((index, error)),
        }
    }

    /// Hashes the member when all before it were hashed; `false` when there is no going on.
    fn hash(&self, index: usize, member: &Member, raw: &Buffer) -> bool {
        let mut state = lock(&self.state);
        while !state.stopped() && state.hashed != index {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped() {
            return false;
        }
        drop(state);
        let mut hashes = lock(&self.hashes);
        hashes.tar.update(raw.filled());
        hashes.size += raw.filled().len() as u64;
        if self.job.lists_chunks() {
            hashes.add_chunk(self.job.entries, self.job.plan.pieces_of(member), raw);
        }
        drop(hashes);
        lock(&self.state).hashed = index + 1;
        self.changed.notify_all();
        true
    }

    /// The member's compressed form, from the cache or made and put there.
    fn compress(
        &self,
        member: &Member,
        raw: &mut Buffer,
        encoder: &mut Encoder,
    ) -> io::Result<Ready> {
        let raw_length = member.length;
        if matches!(encoder, Encoder::Plain) {
            let bytes = match small_copy(raw) {
                Some(copy) => copy,
                None => {
                    let spare = lock(&self.state).spare.pop().unwrap_or_default();
                    std::mem::replace(raw, spare)
                }
            };
            return Ok(Ready {
                bytes,
                raw_length,
                content: None,
                key: None,
            });
        }
        let cache = self
            .job
            .cache
            .filter(|_| member.length >= Cache::SMALLEST_MEMBER);
        let content =
            (cache.is_some() || self.job.lists_chunks()).then(|| Digest::of(raw.filled()));
        let key = content
            .filter(|_| cache.is_some())
            .map(|content| MemberKey::new(&content, self.job.compression));
        let mut bytes = lock(&self.state).spare.pop().unwrap_or_default();
        match cache.zip(key.as_ref()) {
            Some((cache, key)) => {
                if !cache.load_member(key, &mut bytes) {
                    encoder.encode(raw.filled(), &mut bytes)?;
                    cache.store_member(key, bytes.filled());
                }
            }
            None => encoder.encode(raw.filled(), &mut bytes)?,
        }
        if let Some(copy) = small_copy(&bytes) {
            self.recycle(std::mem::replace(&mut bytes, copy));
        }
        Ok(Ready {
            bytes,
            raw_length,
            content,
            key,
        })
    }

    /// Leaves a member to be written, and writes what is due unless another thread does.
    fn deliver(&self, index: usize, ready: Ready) -> Result<(), (usize, PackError)> {
        let mut state = lock(&self.state);
        state.ready.insert(index, ready);
        if state.writing {
            return Ok(());
        }
        state.writing = true;
        while !state.stopped() {
            let due = state.written;
            let Some(ready) = state.ready.remove(&due) else {
                break;
            };
            drop(state);
            let raw_length = ready.raw_length;
            let bytes = self.write(ready).map_err(|error| (due, error))?;
            state = lock(&self.state);
            state.written += 1;
            state.under_way = state.under_way.saturating_sub(cost(raw_length));
            keep_spare(&mut state, bytes);
            self.changed.notify_all();
        }
        state.writing = false;
        Ok(())
    }

    fn write(&self, ready: Ready) -> Result<Buffer, PackError> {
        let mut writer = lock(&self.writer);
        let bytes = ready.bytes.filled();
        writer.out.write_all(bytes).map_err(PackError::Write)?;
        if let Some(blob) = &mut writer.blob {
            blob.update(bytes);
        }
        writer.size += bytes.len() as u64;
        let inline = if self.job.cache.is_some()
            && writer.blob.is_some()
            && ready.key.is_none()
            && writer.inlined + bytes.len() <= Cache::INLINE_LIMIT
        {
            writer.inlined += bytes.len();
            bytes.to_vec()
        } else {
            Vec::new()
        };
        writer.members.push(WrittenMember {
            size: bytes.len() as u64,
            content: ready.content,
            key: ready.key,
            inline,
        });
        drop(writer);
        (self.job.progress)(ready.raw_length as u64);
        Ok(ready.bytes)
    }

    fn recycle(&self, buffer: Buffer) {
        keep_spare(&mut lock(&self.state), buffer);
    }

    fn finish(self) -> Result<Written, PackError> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, error)) = state.failed {
            return Err(error);
        }
        let hashes = self
            .hashes
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let writer = self
            .writer
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Written {
            members: writer.members,
            files: hashes.files,
            tar: hashes.tar,
            tar_size: hashes.size,
            blob: writer.blob,
            size: writer.size,
        })
    }
}

impl Hashes {
    /// Adds a chunk to the digest of its file, when the file has more than one.
    fn add_chunk(&mut self, entries: &[Placed<'_>], pieces: &[Piece], raw: &Buffer) {
        let [
            Piece::Content {
                entry,
                offset,
                length,
            },
        ] = *pieces
        else {
            return;
        };
        let size = entries
            .get(entry)
            .map_or(0, |(_, entry)| super::tar::content_size(entry));
        let end = offset + length as u64;
        if offset == 0 && end == size {
            return;
        }
        let mut hasher = match self.file.take() {
            Some((number, hasher)) if number == entry => hasher,
            _ => Hasher::new(),
        };
        hasher.update(raw.filled());
        if end == size {
            self.files.insert(entry, hasher.finish());
        } else {
            self.file = Some((entry, hasher));
        }
    }
}

/// Bytes of memory that a member stands for while it is under way.
fn cost(raw_length: usize) -> usize {
    if raw_length < TINY {
        raw_length + 1024
    } else {
        raw_length.max(BUFFER)
    }
}

/// A copy of its own for what is small.
fn small_copy(buffer: &Buffer) -> Option<Buffer> {
    (buffer.filled().len() < TINY).then(|| Buffer::from(buffer.filled().to_vec()))
}

fn keep_spare(state: &mut State, buffer: Buffer) {
    // Copies of small members are not worth keeping; oversized ones are given back.
    if (TINY..=2 * BUFFER).contains(&buffer.capacity()) && state.spare.len() < MAX_UNDER_WAY {
        state.spare.push(buffer);
    }
}

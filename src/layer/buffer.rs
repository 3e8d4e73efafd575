//! Reused memory.

/// Bytes that are written over again and again: the memory behind them is zeroed
/// once, when it grows, and not each time it is used.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// What was filled.
    pub(super) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Forgets what was filled and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Room for `length` bytes after what is filled; of any content.
    pub(super) fn space(&mut self, length: usize) -> &mut [u8] {
        let end = self.filled + length;
        if self.bytes.len() < end {
            // Exact: a vector that doubles would break the limit on memory.
            self.bytes.reserve_exact(end - self.bytes.len());
            self.bytes.resize(end, 0);
        }
        self.bytes.get_mut(self.filled..end).unwrap_or_default()
    }

    /// Counts `length` bytes of the [`space`](Self::space) as filled.
    pub(super) fn advance(&mut self, length: usize) {
        self.filled = (self.filled + length).min(self.bytes.len());
    }

    /// Appends `bytes`.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.space(bytes.len()).copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// Appends `length` zeros.
    pub(super) fn extend_zeros(&mut self, length: usize) {
        self.space(length).fill(0);
        self.advance(length);
    }

    /// Bytes of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        let filled = bytes.len();
        Self { bytes, filled }
    }
}

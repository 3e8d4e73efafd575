//! What the program prints: its last part is kept, and all of it searched.

use std::collections::VecDeque;

/// How much of the end is kept, in bytes.
const KEPT: usize = 64 << 10;

/// The end of all that was printed, of both streams as it came.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<u8>);

impl Tail {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let kept = bytes
            .get(bytes.len().saturating_sub(KEPT)..)
            .unwrap_or(bytes);
        let surplus = (self.0.len() + kept.len()).saturating_sub(KEPT);
        self.0.drain(..surplus.min(self.0.len()));
        self.0.extend(kept);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into()
    }
}

/// A search for texts in one stream, in whatever pieces it comes.
#[derive(Debug)]
pub(super) struct Search {
    /// The end of what was searched: a text can have begun there.
    carried: Vec<u8>,
    longest: usize,
}

impl Search {
    /// A search for texts of which the longest has so many bytes.
    pub(super) fn new(longest: usize) -> Self {
        Self {
            carried: Vec::new(),
            longest,
        }
    }

    /// Takes the next piece, and gives `found` to each wanted text that is complete with it.
    pub(super) fn add(&mut self, bytes: &[u8], wanted: &[String], mut found: impl FnMut(usize)) {
        self.carried.extend_from_slice(bytes);
        for (number, text) in wanted.iter().enumerate() {
            let text = text.as_bytes();
            if text.is_empty() || self.carried.windows(text.len()).any(|part| part == text) {
                found(number);
            }
        }
        let keep = self.longest.saturating_sub(1);
        let surplus = self.carried.len().saturating_sub(keep);
        self.carried.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::default();
        tail.add(b"first");
        tail.add(&vec![b'x'; KEPT - 1]);
        tail.add(b"yz");
        let bytes = tail.into_bytes();
        assert_eq!(bytes.len(), KEPT);
        assert!(bytes.starts_with(b"xxx") && bytes.ends_with(b"xyz"));
        let mut tail = Tail::default();
        tail.add(&vec![b'x'; 3 * KEPT]);
        assert_eq!(tail.into_bytes().len(), KEPT);
    }

    proptest! {
        #[test]
        fn a_text_is_found_however_the_stream_is_cut(
            before in "[ab]{0,9}", after in "[ab]{0,9}", cut in 1..5usize
        ) {
            let stream = format!("{before}needle{after}");
            let wanted = ["needle".to_owned(), "never".to_owned()];
            let mut search = Search::new(6);
            let mut found = Vec::new();
            for piece in stream.as_bytes().chunks(cut) {
                search.add(piece, &wanted, |number| found.push(number));
            }
            prop_assert_eq!(found, vec![0]);
        }
    }
}

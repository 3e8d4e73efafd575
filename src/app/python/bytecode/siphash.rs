//! SipHash (Aumasson and Bernstein, 2012) with a 64-bit key and result, as CPython hashes sources
//! for hash-based `.pyc` files (`_Py_KeyedHash`).

/// How many rounds of SipHash a version of CPython uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounds {
    /// One for each word, three at the end: since 3.11.
    OneThree,
    /// Two for each word, four at the end: before.
    TwoFour,
}

impl Rounds {
    fn counts(self) -> (usize, usize) {
        match self {
            Self::OneThree => (1, 3),
            Self::TwoFour => (2, 4),
        }
    }
}

/// The hash of `data` under `key`, whose upper half is zero.
pub(super) fn siphash(rounds: Rounds, key: u64, data: &[u8]) -> u64 {
    let (each, last) = rounds.counts();
    let mut state = State([
        key ^ 0x736f_6d65_7073_6575,
        0x646f_7261_6e64_6f6d,
        key ^ 0x6c79_6765_6e65_7261,
        0x7465_6462_7974_6573,
    ]);
    let (words, rest) = data.as_chunks::<8>();
    for word in words {
        state.absorb(u64::from_le_bytes(*word), each);
    }
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(rest) {
        *to = *from;
    }
    // The last byte is the length modulo 256.
    let length = (data.len() as u64) << 56;
    state.absorb(u64::from_le_bytes(word) | length, each);
    state.finish(last)
}

struct State([u64; 4]);

impl State {
    fn absorb(&mut self, word: u64, rounds: usize) {
        self.0[3] ^= word;
        for _ in 0..rounds {
            self.round();
        }
        self.0[0] ^= word;
    }

    fn finish(mut self, rounds: usize) -> u64 {
        self.0[2] ^= 0xff;
        for _ in 0..rounds {
            self.round();
        }
        let [a, b, c, d] = self.0;
        a ^ b ^ c ^ d
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32).wrapping_add(d);
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // From `_imp.source_hash(MAGIC, b'hello world')` of CPython 3.8.18 and 3.11.7.
    #[test]
    fn it_is_the_hash_that_cpython_makes() {
        let old = siphash(Rounds::TwoFour, 0x0a0d_0d55, b"hello world");
        assert_eq!(&old.to_le_bytes(), b"[\xee\xe8\xf4\xf1\xa8\xe5\x94");
        let new = siphash(Rounds::OneThree, 0x0a0d_0da7, b"hello world");
        assert_eq!(&new.to_le_bytes(), b"\xf3:\xbd\xc5\x08\x16\xac\x07");
    }

    // The standard library's is the same function with a key of zero.
    #[test]
    #[allow(deprecated)]
    fn it_is_siphash_at_every_length() {
        use std::hash::{Hasher, SipHasher};
        let data: Vec<u8> = (0..64).collect();
        for length in 0..data.len() {
            let data = &data[..length];
            let mut hasher = SipHasher::new();
            hasher.write(data);
            assert_eq!(siphash(Rounds::TwoFour, 0, data), hasher.finish());
        }
    }
}

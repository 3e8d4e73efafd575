//! `/etc/ld.so.cache` and `/etc/ld.so.conf`: reading both, writing the cache.
//!
//! The format is that of glibc's `sysdeps/generic/dl-cache.h`, version 1.1 ("new format"),
//! alone as since glibc 2.32, or behind the table of the old format.

mod conf;
mod write;

use std::cmp::Ordering;

use goblin::elf::header::{
    EM_AARCH64, EM_ARM, EM_IA_64, EM_LOONGARCH, EM_MIPS, EM_PPC64, EM_RISCV, EM_S390, EM_SPARCV9,
    EM_X86_64,
};

use super::object::{ARM_FLOAT_HARD, ARM_FLOAT_SOFT, MIPS_N32};
use super::{ByteOrder, Class, Machine};

pub use conf::conf_directories;

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const SECTION_GENERATOR: u32 = 0;
const SECTION_HWCAPS: u32 = 1;
/// Bit 62 of an entry's `hwcap`: the low half is an index into the names of subdirectories.
const HWCAP_EXTENSION: u64 = 1 << 62;
/// Bits 32 to 41 beside it: the least level of the instruction set.
const HWCAP_LEVEL: u64 = 0x3ff << 32;
/// Strings of one cache together, in bytes: a bound on memory, since they may overlap. That of a
/// large system has some 200 KiB.
const MAX_STRINGS: usize = 64 << 20;
/// `FLAG_ELF_LIBC6`: in the flags of every entry that glibc 2 uses.
const LIBC6: u32 = 0x0003;

/// A parsed `ld.so.cache`, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cache {
    entries: Vec<CacheEntry>,
}

/// One entry of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The soname (bytes).
    pub soname: Vec<u8>,
    /// The file's path (bytes).
    pub path: Vec<u8>,
    /// ABI flags, such as 0x0303 for x86-64.
    pub flags: u32,
    /// The name of the `glibc-hwcaps` subdirectory, if it is for one.
    pub hwcap: Option<Vec<u8>>,
}

/// Why a file is no readable cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// It starts with no magic that is known.
    #[error("it does not start as an ld.so.cache; `ldconfig` writes a new one")]
    UnknownFormat,
    /// It has only the table that libc 5 and glibc before 2.2 used.
    #[error(
        "it has only the format of glibc before 2.2, which no loader reads any more; \
         `ldconfig` writes a new one"
    )]
    OldFormatOnly,
    /// It says that it is not valid (`cache_file_new_flags_endian_invalid`).
    #[error("it is marked as not valid; `ldconfig` writes a new one")]
    MarkedInvalid,
    /// A table or a string lies past the end of the file.
    #[error(
        "it is cut short or damaged: {what} at offset {offset:#x} points past the end, the file \
         has {size} bytes; `ldconfig` writes a new one"
    )]
    PastEnd {
        /// What lies there.
        what: &'static str,
        /// Where it should be, from the start of the file.
        offset: u64,
        /// Size of the file in bytes.
        size: u64,
    },
    /// Its strings overlap so that they would take more memory than any real cache.
    #[error("it is damaged: its strings take more than {} MiB; `ldconfig` writes a new one", MAX_STRINGS >> 20)]
    TooLarge,
}

impl Cache {
    /// Parses the bytes of a cache.
    ///
    /// Entries for the hardware capabilities of old (`hwcap` bits other than those of
    /// `glibc-hwcaps`) are left out: no loader since glibc 2.37 uses them, and an older one has the
    /// plain entry of the same name.
    ///
    /// # Errors
    /// When the format is unknown or a table points outside the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, CacheError> {
        let table = Table::find(bytes)?;
        let hwcaps = table.hwcaps()?;
        let mut room = MAX_STRINGS;
        let mut entries = Vec::with_capacity(table.count);
        for index in 0..table.count {
            let at = HEADER + index * ENTRY;
            let hwcap = table.long(at + 16, "an entry")?;
            let hwcap = match hwcap {
                0 => None,
                _ if (hwcap & !HWCAP_LEVEL) >> 32 == HWCAP_EXTENSION >> 32 => {
                    match hwcaps.get((hwcap & 0xffff_ffff) as usize) {
                        Some(name) => Some(*name),
                        // The loader passes over an index outside its table.
                        None => continue,
                    }
                }
                _ => continue,
            };
            let soname = table.string(table.word(at + 4, "an entry")?)?;
            let path = table.string(table.word(at + 8, "an entry")?)?;
            let lengths = soname.len() + path.len() + hwcap.map_or(0, <[u8]>::len);
            room = room.checked_sub(lengths).ok_or(CacheError::TooLarge)?;
            entries.push(CacheEntry {
                flags: table.word(at, "an entry")?,
                soname: soname.to_vec(),
                path: path.to_vec(),
                hwcap: hwcap.map(<[u8]>::to_vec),
            });
        }
        Ok(Self { entries })
    }

    /// The entries in the order of the file.
    pub fn entries(&self) -> &[CacheEntry] {
        &self.entries
    }

    /// The entries for `soname` that an object of this machine may use, best first.
    ///
    /// Those for `glibc-hwcaps` subdirectories come first, the most demanding one at the front: a
    /// loader takes the first that its CPU can run. The one without comes last; it is there for
    /// all CPUs, and there is one at the most, since the loader never looks at a second.
    /// An image for unknown CPUs needs all of them.
    ///
    /// As in the loader this is a binary search (`search_cache` in `elf/dl-cache.c`): in a cache
    /// that is not sorted it misses what the loader misses.
    pub fn lookup(&self, soname: &[u8], machine: &Machine) -> Vec<&CacheEntry> {
        let (mut left, mut right) = (0, self.entries.len());
        let mut found = None;
        while left < right {
            // The loader's middle, with `right` as the last index and not one past it.
            let middle = left + (right - 1 - left) / 2;
            let Some(entry) = self.entries.get(middle) else {
                break;
            };
            match compare_sonames(soname, &entry.soname) {
                Ordering::Less => left = middle + 1,
                Ordering::Greater => right = middle,
                Ordering::Equal => {
                    found = Some(middle);
                    break;
                }
            }
        }
        let Some(found) = found else {
            return Vec::new();
        };
        let same = |entry: &&CacheEntry| compare_sonames(soname, &entry.soname).is_eq();
        let (before, after) = self.entries.split_at(found);
        let run_before = before.iter().rev().take_while(same).count();
        let run = before
            .iter()
            .skip(before.len() - run_before)
            .chain(after.iter().take_while(same));
        let mut variants = Vec::new();
        let mut plain = None;
        for entry in run.filter(|entry| is_usable(entry.flags, machine)) {
            match &entry.hwcap {
                Some(name) => variants.push((name, entry)),
                None => {
                    plain = Some(entry);
                    break;
                }
            }
        }
        variants.sort_by(|(one, _), (other, _)| compare_sonames(other, one));
        let variants = variants.into_iter().map(|(_, entry)| entry);
        variants.chain(plain).collect()
    }

    /// Writes a cache that glibc's loader of any version since 2.2 accepts.
    ///
    /// The byte order is that of the machine that the flags of the entries stand for, where they
    /// stand for one of a certain order, else little-endian: see [`Cache::write_in`].
    pub fn write(entries: &[CacheEntry]) -> Vec<u8> {
        const BIG: [u32; 2] = [0x0403, 0x0103];
        let big = entries.iter().any(|entry| BIG.contains(&entry.flags));
        let order = if big {
            ByteOrder::Big
        } else {
            ByteOrder::Little
        };
        Self::write_in(entries, order)
    }

    /// As [`Cache::write`], in the byte order of the machine that is to read it.
    ///
    /// The order of equal sonames in `entries` is kept: the first wins, as the first
    /// directory does in `ldconfig`.
    pub fn write_in(entries: &[CacheEntry], order: ByteOrder) -> Vec<u8> {
        write::write(entries, order)
    }
}

/// How the cache is sorted (`_dl_cache_libcmp` of glibc's `elf/dl-cache.c`): by bytes, but runs of
/// digits by their value, and a digit after anything else. The file is sorted descending.
///
/// Different names can be equal by it, `libx.so.1` and `libx.so.01`, and then the loader takes
/// one for the other. Bytes above 0x7f compare as on x86, where `char` is signed.
pub fn compare_sonames(one: &[u8], other: &[u8]) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let (Some((&a, one_rest)), Some((&b, other_rest))) =
            (one.split_first(), other.split_first())
        else {
            // The shorter is less, as in C, where a NUL stands after it. What follows may be
            // "negative" there.
            let next = |bytes: &[u8]| bytes.first().map_or(0, |byte| byte.cast_signed());
            return next(one).cmp(&next(other));
        };
        match (a.is_ascii_digit(), b.is_ascii_digit()) {
            (true, true) => {
                let (a, b) = (take_number(&mut one), take_number(&mut other));
                let difference = a.wrapping_sub(b);
                if difference != 0 {
                    return difference.cmp(&0);
                }
            }
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) if a != b => return a.cast_signed().cmp(&b.cast_signed()),
            (false, false) => (one, other) = (one_rest, other_rest),
        }
    }
}

/// Takes the digits in front as an `int` that wraps, as it does in the loader.
fn take_number(bytes: &mut &[u8]) -> i32 {
    let mut number = 0_i32;
    while let Some((digit, rest)) = bytes.split_first()
        && digit.is_ascii_digit()
    {
        number = number
            .wrapping_mul(10)
            .wrapping_add(i32::from(digit - b'0'));
        *bytes = rest;
    }
    number
}

/// The flags of cache entries for objects of this machine; `None` when glibc has none for it.
///
/// They are the `FLAG_*` of glibc's `sysdeps/generic/ldconfig.h`, as `readelflib.c` of each
/// machine gives them to an object.
pub fn abi_flags(machine: &Machine) -> Option<u32> {
    /// `EF_MIPS_NAN2008`.
    const NAN2008: u32 = 0x400;
    let wide = machine.class == Class::Elf64;
    let flags = machine.flags;
    let abi = match machine.number {
        EM_X86_64 if wide => 0x0300,
        EM_X86_64 => 0x0800,
        EM_AARCH64 if wide => 0x0a00,
        EM_ARM if flags & ARM_FLOAT_HARD != 0 => 0x0900,
        EM_ARM if flags & ARM_FLOAT_SOFT != 0 => 0x0b00,
        EM_PPC64 => 0x0500,
        EM_S390 if wide => 0x0400,
        EM_SPARCV9 => 0x0100,
        EM_IA_64 => 0x0200,
        EM_RISCV => match flags & 0x6 {
            0x0 => 0x0f00,
            0x4 => 0x1000,
            _ => return None,
        },
        EM_LOONGARCH => match flags & 0x7 {
            0x1 => 0x1100,
            0x3 => 0x1200,
            _ => return None,
        },
        EM_MIPS => match (wide, flags & MIPS_N32 != 0, flags & NAN2008 != 0) {
            (true, _, false) => 0x0700,
            (true, _, true) => 0x0e00,
            (false, true, false) => 0x0600,
            (false, true, true) => 0x0d00,
            (false, false, false) => 0,
            (false, false, true) => 0x0c00,
        },
        EM_AARCH64 => return None,
        _ if wide => return None,
        _ => 0,
    };
    Some(abi | LIBC6)
}

/// Whether a loader of this machine takes entries with these flags (`_dl_cache_check_flags`).
fn is_usable(flags: u32, machine: &Machine) -> bool {
    let Some(own) = abi_flags(machine) else {
        return false;
    };
    // A soft-float loader for ARM takes the entries of objects that tell no float ABI, too.
    let soft_arm = machine.number == EM_ARM && machine.flags & ARM_FLOAT_HARD == 0;
    flags == own || (soft_arm && (flags == LIBC6 || flags == 0x0b00 | LIBC6))
}

/// The table of the new format within a file.
struct Table<'a> {
    /// From its header to the end of the file: offsets count from here.
    bytes: &'a [u8],
    /// Where that is in the file.
    start: usize,
    order: ByteOrder,
    count: usize,
}

impl<'a> Table<'a> {
    fn find(file: &'a [u8]) -> Result<Self, CacheError> {
        let start = if file.starts_with(MAGIC) {
            0
        } else if file.starts_with(OLD_MAGIC) {
            behind_old_table(file)?
        } else {
            return Err(CacheError::UnknownFormat);
        };
        let mut table = Self {
            bytes: file.get(start..).unwrap_or_default(),
            start,
            order: ByteOrder::Little,
            count: 0,
        };
        if table.bytes.len() < HEADER {
            return Err(table.past_end("the header", 0));
        }
        // The low two bits are the byte order; zero before glibc 2.33.
        let marked = table.bytes.get(28).map_or(0, |byte| byte & 3);
        table.order = match marked {
            1 => return Err(CacheError::MarkedInvalid),
            2 => ByteOrder::Little,
            3 => ByteOrder::Big,
            _ => table.likely_order(),
        };
        let count = table.word(20, "the header")?;
        table.count = usize::try_from(count).unwrap_or(usize::MAX);
        if !table.holds(table.count) {
            return Err(table.past_end("the table of entries", HEADER));
        }
        Ok(table)
    }

    /// Whether so many entries fit into the file.
    fn holds(&self, count: usize) -> bool {
        count <= (self.bytes.len() - HEADER.min(self.bytes.len())) / ENTRY
    }

    /// The byte order in which the number of entries fits into the file.
    fn likely_order(&self) -> ByteOrder {
        let count = self.word(20, "the header").unwrap_or(u32::MAX);
        match usize::try_from(count) {
            Ok(count) if self.holds(count) => ByteOrder::Little,
            _ => ByteOrder::Big,
        }
    }

    /// The names of the `glibc-hwcaps` subdirectories, which entries name by their index.
    fn hwcaps(&self) -> Result<Vec<&'a [u8]>, CacheError> {
        const WHAT: &str = "the extension";
        let directory = self.word(32, "the header")? as usize;
        // A loader before 2.33 ignores the extension, a later one does so when the magic differs.
        if directory == 0 || self.word(directory, WHAT)? != EXTENSION_MAGIC {
            return Ok(Vec::new());
        }
        let sections = self.word(directory.saturating_add(4), WHAT)? as usize;
        for index in 0..sections {
            let at = directory
                .saturating_add(8)
                .saturating_add(index.saturating_mul(16));
            let tag = self.word(at, WHAT)?;
            if tag != SECTION_HWCAPS {
                continue;
            }
            let offset = self.word(at.saturating_add(8), WHAT)? as usize;
            let size = self.word(at.saturating_add(12), WHAT)? as usize;
            let end = offset.saturating_add(size);
            let Some(names) = self.bytes.get(offset..end) else {
                return Err(self.past_end(WHAT, offset));
            };
            let (names, _) = names.as_chunks::<4>();
            return names
                .iter()
                .map(|name| self.string(self.number(*name)))
                .collect();
        }
        Ok(Vec::new())
    }

    fn string(&self, offset: u32) -> Result<&'a [u8], CacheError> {
        let start = offset as usize;
        let rest = self.bytes.get(start..).unwrap_or_default();
        match rest.iter().position(|byte| *byte == 0) {
            Some(end) => Ok(rest.get(..end).unwrap_or_default()),
            None => Err(self.past_end("a string", start)),
        }
    }

    fn word(&self, at: usize, what: &'static str) -> Result<u32, CacheError> {
        match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(bytes) => Ok(self.number(*bytes)),
            None => Err(self.past_end(what, at)),
        }
    }

    fn long(&self, at: usize, what: &'static str) -> Result<u64, CacheError> {
        let (first, second) = (self.word(at, what)?, self.word(at + 4, what)?);
        let (low, high) = match self.order {
            ByteOrder::Little => (first, second),
            ByteOrder::Big => (second, first),
        };
        Ok(u64::from(low) | u64::from(high) << 32)
    }

    fn number(&self, bytes: [u8; 4]) -> u32 {
        match self.order {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        }
    }

    fn past_end(&self, what: &'static str, offset: usize) -> CacheError {
        CacheError::PastEnd {
            what,
            offset: (self.start as u64).saturating_add(offset as u64),
            size: (self.start + self.bytes.len()) as u64,
        }
    }
}

/// Where the new table starts behind the old one, which is a header, entries and then nothing but
/// room up to an aligned offset; strings are shared.
fn behind_old_table(file: &[u8]) -> Result<usize, CacheError> {
    let count = file
        .get(12..)
        .and_then(|rest| rest.first_chunk::<4>())
        .ok_or(CacheError::OldFormatOnly)?;
    // Eight on most machines, four on those where a 64-bit number is aligned so (i386).
    for count in [u32::from_le_bytes(*count), u32::from_be_bytes(*count)] {
        let end = (count as usize)
            .saturating_mul(OLD_ENTRY)
            .saturating_add(OLD_HEADER);
        for align in [8, 4] {
            let start = end.checked_next_multiple_of(align).unwrap_or(usize::MAX);
            if file
                .get(start..)
                .is_some_and(|rest| rest.starts_with(MAGIC))
            {
                return Ok(start);
            }
        }
    }
    Err(CacheError::OldFormatOnly)
}

#[cfg(test)]
mod tests;

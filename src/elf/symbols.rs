//! Dynamic symbols: which functions an object imports. Read only where a rule asks for it.

use std::io;

use super::Class;
use super::segments::{Segments, read_up_to};
use crate::sysroot::OpenFile;

const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

/// Tags of which the value is the address of a table that may follow the symbol table.
/// (`DT_PLTGOT`, `DT_HASH`, `DT_STRTAB`, `DT_RELA`, `DT_INIT`, `DT_FINI`, `DT_REL`, `DT_JMPREL`,
/// `DT_INIT_ARRAY`, `DT_FINI_ARRAY`, `DT_RELR`, `DT_GNU_HASH`, `DT_VERSYM`, `DT_VERDEF`, `DT_VERNEED`.)
const ADDRESSES: [u64; 15] = [
    3,
    4,
    5,
    7,
    12,
    13,
    17,
    23,
    25,
    26,
    36,
    0x6fff_fef5,
    0x6fff_fff0,
    0x6fff_fffc,
    0x6fff_fffe,
];

/// No object comes near; a hostile one must not make us read for ever.
const MAX_SYMBOLS: u64 = 1 << 21;
const MAX_STRINGS: u64 = 64 << 20;

/// The dynamic symbol table of one object.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    strings: Vec<u8>,
    /// Offset of the name, and whether the symbol is undefined.
    entries: Vec<(u64, bool)>,
}

/// How much of the table is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Linkers put undefined symbols in front of those that are hashed.
    Imports,
    All,
}

impl Symbols {
    /// The symbols that the object takes from others.
    pub(crate) fn imports(file: &OpenFile) -> io::Result<Self> {
        Self::read(file, Extent::Imports)
    }

    /// All symbols, also those that the object defines.
    pub(super) fn all(file: &OpenFile) -> io::Result<Self> {
        Self::read(file, Extent::All)
    }

    fn read(file: &OpenFile, extent: Extent) -> io::Result<Self> {
        let segments = Segments::read(file)?;
        let dynamic = segments.dynamic(file)?;
        let value = |wanted| {
            dynamic
                .iter()
                .find(|(tag, _)| *tag == wanted)
                .map(|(_, value)| *value)
        };
        let (Some(table), Some(strings)) = (value(DT_SYMTAB), value(DT_STRTAB)) else {
            return Ok(Self::default());
        };
        let (Some((offset, mapped)), Some((strings_at, strings_mapped))) =
            (segments.locate(table), segments.locate(strings))
        else {
            return Ok(Self::default());
        };
        let size = match segments.class() {
            Class::Elf32 => 16,
            Class::Elf64 => 24,
        };
        let next = dynamic
            .iter()
            .filter(|(tag, address)| ADDRESSES.contains(tag) && *address > table)
            .map(|(_, address)| (address - table) / size)
            .min()
            .unwrap_or(u64::MAX);
        let hash = |tag| value(tag).and_then(|address| segments.locate(address));
        let count = match (hash(DT_HASH), hash(DT_GNU_HASH)) {
            (Some((at, _)), _) => segments.word(&read_up_to(file, at, 8)?, 4),
            // A table without hashed symbols says 1 whatever the number of symbols is:
            // then all up to the next table are looked at.
            (None, Some((at, _))) if extent == Extent::Imports => {
                match segments.word(&read_up_to(file, at, 8)?, 4) {
                    0 | 1 => next,
                    first_hashed => first_hashed,
                }
            }
            _ => next,
        };
        let count = count.min(MAX_SYMBOLS).min(mapped / size);
        let table = read_up_to(file, offset, count * size)?;
        let length = value(DT_STRSZ).unwrap_or(u64::MAX);
        Ok(Self {
            strings: read_up_to(
                file,
                strings_at,
                length.min(strings_mapped).min(MAX_STRINGS),
            )?,
            entries: table
                .chunks_exact(size as usize)
                .map(|symbol| {
                    let section = match segments.class() {
                        Class::Elf32 => segments.half(symbol, 14),
                        Class::Elf64 => segments.half(symbol, 6),
                    };
                    (segments.word(symbol, 0), section == 0)
                })
                .collect(),
        })
    }

    /// The names of undefined symbols.
    pub(crate) fn undefined(&self) -> impl Iterator<Item = &[u8]> {
        self.names(true)
    }

    /// The names of defined symbols.
    pub(super) fn defined(&self) -> impl Iterator<Item = &[u8]> {
        self.names(false)
    }

    fn names(&self, wanted: bool) -> impl Iterator<Item = &[u8]> {
        self.entries
            .iter()
            .filter(move |(_, undefined)| *undefined == wanted)
            .filter_map(|(at, _)| {
                let rest = self.strings.get(usize::try_from(*at).ok()?..)?;
                rest.split(|byte| *byte == 0).next()
            })
            .filter(|name| !name.is_empty())
    }
}

/// The entries of the dynamic section that name another object, in table order.
/// `Object` holds them apart by kind; their order among each other matters only
/// where an object has filters, so it is read only then.
pub(super) fn dependency_order(file: &OpenFile) -> io::Result<Vec<Dependency>> {
    Ok(Segments::read(file)?
        .dynamic(file)?
        .into_iter()
        .filter_map(|(tag, _)| match tag {
            1 => Some(Dependency::Needed),
            0x7fff_ffff => Some(Dependency::Filter),
            0x7fff_fffd => Some(Dependency::Auxiliary),
            _ => None,
        })
        .collect())
}

/// What kind of entry names another object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dependency {
    /// `DT_NEEDED`.
    Needed,
    /// `DT_FILTER`: must exist.
    Filter,
    /// `DT_AUXILIARY`: may exist.
    Auxiliary,
}

//! The ELF header: what the file is, and whether loaders refuse it at once.

use goblin::elf::header::{
    EI_CLASS, EI_DATA, EI_OSABI, EI_VERSION, ELFMAG, ET_DYN, ET_EXEC, Header,
};

use super::pages::Pages;
use super::{ByteOrder, Class, Foreign, Machine, ObjectError};

/// Why the loaders refuse an object outright (`open_verify` in glibc's `elf/dl-load.c`).
///
/// glibc looks at `e_machine` between the two: an object of another machine is passed
/// over silently, unless it was refused for its `e_ident` before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// For its `e_ident`, whatever the machine.
    Ident(&'static str),
    /// For another field of its header, if the machine is right.
    Header(&'static str),
}

impl Refusal {
    /// What is wrong, for people.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Ident(reason) | Self::Header(reason) => reason,
        }
    }

    /// Whether it is refused before its machine is looked at.
    pub fn before_machine(&self) -> bool {
        matches!(self, Self::Ident(_))
    }
}

/// The header, if the file starts with one of a known class and byte order.
pub(super) fn identify(pages: &Pages<'_>) -> Result<(Header, Machine), ObjectError> {
    let head = pages.head();
    if head.is_empty() {
        return Err(ObjectError::Empty);
    }
    if !head.starts_with(ELFMAG) {
        return Err(ObjectError::NotElf {
            what: Foreign::recognise(head),
            size: pages.size(),
        });
    }
    let short = |header| ObjectError::TooShort {
        size: pages.size(),
        header,
    };
    let (Some(class), Some(data)) = (head.get(EI_CLASS), head.get(EI_DATA)) else {
        return Err(short(64));
    };
    let (class, size) = match class {
        1 => (Class::Elf32, 52),
        2 => (Class::Elf64, 64),
        other => return Err(ObjectError::UnknownClass(*other)),
    };
    let order = match data {
        1 => ByteOrder::Little,
        2 => ByteOrder::Big,
        other => return Err(ObjectError::UnknownByteOrder(*other)),
    };
    // Class and byte order are known and the bytes are there, so this does not fail.
    let header = match head.get(..size) {
        Some(bytes) => goblin::elf::Elf::parse_header(bytes).map_err(|_| short(size as u64))?,
        None => return Err(short(size as u64)),
    };
    let machine = Machine {
        number: header.e_machine,
        class,
        order,
        flags: header.e_flags,
    };
    Ok((header, machine))
}

/// The tests of glibc's `open_verify` that need the header only, in its order.
pub(super) fn refusal(header: &Header) -> Option<Refusal> {
    const SYSV: u8 = 0;
    const GNU: u8 = 3;
    /// `LIBC_ABI_MAX` grows with glibc; a later object fails in an older glibc only.
    const LIBC_ABI_MAX: u8 = 8;
    let version = header.e_ident[EI_VERSION];
    let os_abi = header.e_ident[EI_OSABI];
    let abi_version = header.e_ident[EI_OSABI + 1];
    let known_abi = match os_abi {
        SYSV => abi_version == 0,
        _ => abi_version < LIBC_ABI_MAX,
    };
    let padding = &header.e_ident[EI_OSABI + 2..];
    if version != 1 {
        Some(Refusal::Ident("its format version (EI_VERSION) is not 1"))
    } else if os_abi != SYSV && os_abi != GNU {
        Some(Refusal::Ident(
            "it is for another operating system (EI_OSABI is neither System V nor GNU)",
        ))
    } else if !known_abi {
        Some(Refusal::Ident("its ABI version (EI_ABIVERSION) is unknown"))
    } else if padding.iter().any(|byte| *byte != 0) {
        Some(Refusal::Ident("the padding in its e_ident is not zero"))
    } else if header.e_version != 1 {
        Some(Refusal::Header("its format version (e_version) is not 1"))
    } else if header.e_type != ET_DYN && header.e_type != ET_EXEC {
        Some(Refusal::Header(
            "it is neither a shared object nor an executable (e_type)",
        ))
    } else {
        None
    }
}

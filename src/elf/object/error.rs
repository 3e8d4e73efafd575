//! Why a file is no usable ELF object.

use super::{Foreign, Machine};

/// Why a file is no usable ELF object. The message says what is wrong, without the
/// file's name: the caller knows which file it opened.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It could not be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It has no bytes.
    #[error("it is empty")]
    Empty,
    /// It starts as an ELF file and ends within the header.
    #[error("it is cut short: it has {size} bytes, its ELF header alone takes {header}")]
    TooShort {
        /// Size of the file in bytes.
        size: u64,
        /// Size of the header in bytes.
        header: u64,
    },
    /// It is something else.
    #[error("it is not an ELF file but {what}")]
    NotElf {
        /// What it is.
        what: Foreign,
        /// Size of the file in bytes.
        size: u64,
    },
    /// `EI_CLASS` is neither 32-bit nor 64-bit.
    #[error("its ELF class (EI_CLASS) is {0}; 1 (32-bit) and 2 (64-bit) are known")]
    UnknownClass(u8),
    /// `EI_DATA` is neither little-endian nor big-endian.
    #[error("its byte order (EI_DATA) is {0}; 1 (little-endian) and 2 (big-endian) are known")]
    UnknownByteOrder(u8),
    /// A table lies past the end of the file.
    #[error(
        "it is cut short or damaged: its {what} at offset {offset:#x} of {size} bytes points past \
         the end, the file has {file_size} bytes"
    )]
    Truncated {
        /// Which table.
        what: &'static str,
        /// Where it should start in the file.
        offset: u64,
        /// Its size in bytes.
        size: u64,
        /// Size of the file in bytes.
        file_size: u64,
        /// What the object is for.
        machine: Machine,
    },
    /// Its tables contradict the format or themselves.
    #[error("it is damaged: {what}")]
    Malformed {
        /// What is wrong, in words.
        what: String,
        /// What the object is for.
        machine: Machine,
    },
}

impl ObjectError {
    /// Whether the file starts otherwise than an ELF file ("invalid ELF header").
    pub fn is_not_elf(&self) -> bool {
        matches!(self, Self::NotElf { .. })
    }

    /// Whether the loader of a 64-bit system would say "file too short".
    pub fn is_too_short(&self) -> bool {
        match self {
            Self::Empty | Self::TooShort { .. } => true,
            Self::NotElf { size, .. } => *size < 64,
            _ => false,
        }
    }

    /// Whether the loader would pass over the file as one of another class.
    pub fn is_unknown_class(&self) -> bool {
        matches!(self, Self::UnknownClass(_))
    }

    /// What the object is for, when its header could be read: a loader passes over a damaged
    /// object of another class or machine as over a good one.
    pub fn machine(&self) -> Option<Machine> {
        match self {
            Self::Truncated { machine, .. } | Self::Malformed { machine, .. } => Some(*machine),
            _ => None,
        }
    }
}

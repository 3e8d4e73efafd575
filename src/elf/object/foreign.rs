//! What a file is that is no ELF object, told by its first bytes.

use std::fmt;

/// A kind of file that people hand over in place of an ELF object.
///
/// Shown, it reads as the end of a sentence: `a Mach-O file, a program for macOS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreign {
    /// A `#!` script, with what follows on its first line.
    Script {
        /// The rest of the `#!` line, trimmed; shortened when very long.
        line: String,
    },
    /// A Mach-O file (macOS), thin or universal.
    MachO,
    /// A PE or plain DOS file (Windows).
    Pe,
    /// An `ar` archive: a static library, or a Debian package.
    Archive,
    /// A linker script, such as the `libc.so` that compilers use.
    LinkerScript,
    /// A WebAssembly module.
    Wasm,
    /// A compiled Java class.
    JavaClass,
    /// A ZIP archive: a `.jar`, a wheel...
    Zip,
    /// LLVM bitcode.
    Bitcode,
    /// Something compressed, by this tool.
    Compressed(&'static str),
    /// A tar archive.
    Tar,
    /// A pointer of Git LFS in place of the file.
    LfsPointer,
    /// Text of some kind, without a `#!` line.
    Text,
    /// Nothing known; the first bytes, four at most.
    Unknown(Vec<u8>),
}

/// How much of the `#!` line is shown.
const SHOWN_LINE: usize = 120;
/// How much of the beginning must be text for the file to be called text.
const TEXT_SAMPLE: usize = 512;

impl Foreign {
    /// Tells what a file is that starts with `head` (a few hundred bytes are enough).
    pub fn recognise(head: &[u8]) -> Self {
        if let Some(rest) = head.strip_prefix(b"#!") {
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or(rest);
            let line = line.get(..SHOWN_LINE).unwrap_or(line).trim_ascii();
            return Self::Script {
                line: String::from_utf8_lossy(line).into_owned(),
            };
        }
        if let Some(kind) = by_magic(head) {
            return kind;
        }
        if head.get(257..262) == Some(b"ustar") {
            return Self::Tar;
        }
        let sample = head.get(..TEXT_SAMPLE).unwrap_or(head);
        if !is_text(sample) {
            return Self::Unknown(head.iter().take(4).copied().collect());
        }
        if sample.starts_with(b"version https://git-lfs") {
            Self::LfsPointer
        } else if is_linker_script(sample) {
            Self::LinkerScript
        } else {
            Self::Text
        }
    }
}

fn by_magic(head: &[u8]) -> Option<Foreign> {
    // Universal Mach-O and Java classes share their magic. What follows is a count of
    // architectures there, and a version of 45 or more here.
    if let Some(rest) = head.strip_prefix(b"\xca\xfe\xba\xbe") {
        let word = rest.first_chunk::<4>().copied().map(u32::from_be_bytes);
        return Some(match word {
            Some(count) if count < 45 => Foreign::MachO,
            _ => Foreign::JavaClass,
        });
    }
    let table: [(&[u8], Foreign); 18] = [
        (b"\xfe\xed\xfa\xce", Foreign::MachO),
        (b"\xfe\xed\xfa\xcf", Foreign::MachO),
        (b"\xce\xfa\xed\xfe", Foreign::MachO),
        (b"\xcf\xfa\xed\xfe", Foreign::MachO),
        (b"\xca\xfe\xba\xbf", Foreign::MachO),
        (b"MZ", Foreign::Pe),
        (b"!<arch>\n", Foreign::Archive),
        (b"!<thin>\n", Foreign::Archive),
        (b"\0asm", Foreign::Wasm),
        (b"PK\x03\x04", Foreign::Zip),
        (b"PK\x05\x06", Foreign::Zip),
        (b"BC\xc0\xde", Foreign::Bitcode),
        (b"\xde\xc0\x17\x0b", Foreign::Bitcode),
        (b"\x1f\x8b", Foreign::Compressed("gzip")),
        (b"\xfd7zXZ\0", Foreign::Compressed("xz")),
        (b"\x28\xb5\x2f\xfd", Foreign::Compressed("zstd")),
        (b"BZh", Foreign::Compressed("bzip2")),
        (b"\x04\x22\x4d\x18", Foreign::Compressed("lz4")),
    ];
    table
        .into_iter()
        .find(|(magic, _)| head.starts_with(magic))
        .map(|(_, kind)| kind)
}

fn is_text(sample: &[u8]) -> bool {
    let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    !sample.is_empty() && !sample.iter().any(|byte| control(byte) || *byte == 0x7f)
}

fn is_linker_script(text: &[u8]) -> bool {
    let commands: [&[u8]; 5] = [
        b"GNU ld script",
        b"OUTPUT_FORMAT",
        b"GROUP",
        b"INPUT",
        b"AS_NEEDED",
    ];
    text.contains(&b'(')
        && commands
            .iter()
            .any(|command| text.windows(command.len()).any(|window| window == *command))
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Script { line } => return write!(f, "a script (#!{line})"),
            Self::MachO => "a Mach-O file, a program for macOS",
            Self::Pe => "a PE file, a program for Windows",
            Self::Archive => "an ar archive, such as a static library (.a)",
            Self::LinkerScript => "a linker script, a text that only compilers use",
            Self::Wasm => "a WebAssembly module",
            Self::JavaClass => "a compiled Java class",
            Self::Zip => "a ZIP archive, such as a .jar",
            Self::Bitcode => "LLVM bitcode",
            Self::Compressed(tool) => return write!(f, "a file compressed with {tool}"),
            Self::Tar => "a tar archive",
            Self::LfsPointer => "a pointer of Git LFS, not the file itself",
            Self::Text => "a text",
            Self::Unknown(bytes) => {
                f.write_str("of an unknown kind (first bytes:")?;
                for byte in bytes {
                    write!(f, " {byte:02x}")?;
                }
                return f.write_str(")");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_by_its_first_bytes() {
        let cases: [(&[u8], &str); 16] = [
            (b"#!/bin/sh -e\necho", "a script (#!/bin/sh -e)"),
            (
                b"\xcf\xfa\xed\xfe\x07\0\0\x01",
                "a Mach-O file, a program for macOS",
            ),
            (
                b"\xca\xfe\xba\xbe\0\0\0\x02",
                "a Mach-O file, a program for macOS",
            ),
            (b"\xca\xfe\xba\xbe\0\0\0\x41", "a compiled Java class"),
            (b"MZ\x90\0", "a PE file, a program for Windows"),
            (
                b"!<arch>\nx",
                "an ar archive, such as a static library (.a)",
            ),
            (b"\x1f\x8b\x08", "a file compressed with gzip"),
            (b"\0asm\x01", "a WebAssembly module"),
            (b"PK\x03\x04", "a ZIP archive, such as a .jar"),
            (b"BC\xc0\xde", "LLVM bitcode"),
            (
                b"/* GNU ld script */\nGROUP ( /lib/libc.so.6 )",
                "a linker script, a text that only compilers use",
            ),
            (
                b"INPUT(-lncurses)",
                "a linker script, a text that only compilers use",
            ),
            (
                b"version https://git-lfs.github.com/spec/v1",
                "a pointer of Git LFS, not the file itself",
            ),
            (b"print('hi')\n", "a text"),
            (
                b"\x01\x02\x03\x04\x05",
                "of an unknown kind (first bytes: 01 02 03 04)",
            ),
            (b"\x28\xb5\x2f\xfd", "a file compressed with zstd"),
        ];
        for (head, words) in cases {
            assert_eq!(Foreign::recognise(head).to_string(), words);
        }
    }

    #[test]
    fn a_tar_archive_is_told_by_its_magic_further_in() {
        let mut head = vec![0; 512];
        head[257..262].copy_from_slice(b"ustar");
        assert_eq!(Foreign::recognise(&head), Foreign::Tar);
    }
}

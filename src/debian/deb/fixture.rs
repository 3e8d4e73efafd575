//! Packages put together byte by byte, good ones and bad ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;

use flate2::Crc;
use flate2::write::GzEncoder;

/// A package in the making.
#[derive(Clone)]
pub(in crate::debian) struct Package {
    pub(in crate::debian) control: Vec<(String, Vec<u8>)>,
    pub(in crate::debian) data: Vec<u8>,
    pub(in crate::debian) compression: &'static str,
}

impl Package {
    /// One with a stanza and no member.
    pub(in crate::debian) fn new(name: &str, version: &str) -> Self {
        let stanza = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDescription: a test\n"
        );
        Self {
            control: vec![("./control".to_owned(), stanza.into_bytes())],
            data: Vec::new(),
            compression: ".gz",
        }
    }

    pub(in crate::debian) fn compression(mut self, ending: &'static str) -> Self {
        self.compression = ending;
        self
    }

    pub(in crate::debian) fn control_file(mut self, name: &str, content: &str) -> Self {
        self.control
            .push((name.to_owned(), content.as_bytes().to_vec()));
        self
    }

    pub(in crate::debian) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.raw(b'0', path, "", 0o644, content.as_ref())
    }

    pub(in crate::debian) fn program(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.raw(b'0', path, "", 0o755, content.as_ref())
    }

    pub(in crate::debian) fn directory(self, path: &str) -> Self {
        self.raw(b'5', path, "", 0o755, b"")
    }

    pub(in crate::debian) fn symlink(self, path: &str, target: &str) -> Self {
        self.raw(b'2', path, target, 0o777, b"")
    }

    pub(in crate::debian) fn hard_link(self, path: &str, target: &str) -> Self {
        self.raw(b'1', path, target, 0o644, b"")
    }

    pub(in crate::debian) fn raw(
        mut self,
        kind: u8,
        path: &str,
        target: &str,
        mode: u32,
        content: &[u8],
    ) -> Self {
        entry(&mut self.data, kind, path, target, mode, content);
        self
    }

    pub(in crate::debian) fn build(&self) -> Vec<u8> {
        let mut control = Vec::new();
        for (name, content) in &self.control {
            entry(&mut control, b'0', name, "", 0o644, content);
        }
        let control = compressed(&ended(control), self.compression);
        let data = compressed(&ended(self.data.clone()), self.compression);
        archive(&[
            ("debian-binary", b"2.0\n"),
            (&format!("control.tar{}", self.compression), &control),
            (&format!("data.tar{}", self.compression), &data),
        ])
    }
}

/// An ar archive of these parts.
pub(in crate::debian) fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in parts {
        writeln!(
            bytes,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
            0,
            0,
            0,
            "100644",
            content.len()
        )
        .unwrap();
        bytes.extend_from_slice(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// A tar archive with the mark of its end.
pub(in crate::debian) fn ended(mut tar: Vec<u8>) -> Vec<u8> {
    tar.resize((tar.len() + 1024).next_multiple_of(10240), 0);
    tar
}

/// Appends a member as ustar has it, with GNU's long names where they are needed.
pub(in crate::debian) fn entry(
    tar: &mut Vec<u8>,
    kind: u8,
    path: &str,
    target: &str,
    mode: u32,
    content: &[u8],
) {
    for (letter, name) in [(b'K', target), (b'L', path)] {
        if name.len() > 100 {
            header(tar, letter, "././@LongLink", "", 0, name.len() as u64 + 1);
            padded(tar, &[name.as_bytes(), b"\0"].concat());
        }
    }
    header(tar, kind, path, target, mode, content.len() as u64);
    padded(tar, content);
}

pub(in crate::debian) fn header(
    tar: &mut Vec<u8>,
    kind: u8,
    path: &str,
    target: &str,
    mode: u32,
    size: u64,
) {
    let mut block = [0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &path.as_bytes()[..path.len().min(100)]);
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, &target.as_bytes()[..target.len().min(100)]);
    put(257, b"ustar  \0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&block);
}

fn padded(tar: &mut Vec<u8>, content: &[u8]) {
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

pub(in crate::debian) fn compressed(bytes: &[u8], ending: &str) -> Vec<u8> {
    match ending {
        ".gz" => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        ".zst" => zstd::encode_all(bytes, 1).unwrap(),
        ".xz" => stored_xz(bytes),
        _ => bytes.to_vec(),
    }
}

/// An xz file of one block with stored chunks: The .xz File Format, version 1.2.1.
fn stored_xz(bytes: &[u8]) -> Vec<u8> {
    const FLAGS: &[u8] = &[0, 1];
    let crc = |bytes: &[u8]| {
        let mut crc = Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let mut xz = b"\xfd7zXZ\0".to_vec();
    xz.extend_from_slice(FLAGS);
    xz.extend_from_slice(&crc(FLAGS));
    let start = xz.len();
    // Two words of header, LZMA2 with a dictionary of 64 KiB.
    let block = [2, 0, 0x21, 1, 8, 0, 0, 0];
    xz.extend_from_slice(&block);
    xz.extend_from_slice(&crc(&block));
    for (at, chunk) in bytes.chunks(0x10000).enumerate() {
        xz.push(if at == 0 { 1 } else { 2 });
        xz.extend_from_slice(&u16::try_from(chunk.len() - 1).unwrap().to_be_bytes());
        xz.extend_from_slice(chunk);
    }
    xz.push(0);
    let unpadded = xz.len() - start + 4;
    while !(xz.len() - start).is_multiple_of(4) {
        xz.push(0);
    }
    xz.extend_from_slice(&crc(bytes));
    let mut index = vec![0, 1];
    for mut number in [unpadded, bytes.len()] {
        while number >= 0x80 {
            index.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        index.push(u8::try_from(number).unwrap());
    }
    while !index.len().is_multiple_of(4) {
        index.push(0);
    }
    xz.extend_from_slice(&index);
    xz.extend_from_slice(&crc(&index));
    let mut footer = u32::try_from((index.len() + 4) / 4 - 1)
        .unwrap()
        .to_le_bytes()
        .to_vec();
    footer.extend_from_slice(FLAGS);
    xz.extend_from_slice(&crc(&footer));
    xz.extend_from_slice(&footer);
    xz.extend_from_slice(b"YZ");
    xz
}

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::*;
use crate::elf::Priority;
use crate::sysroot::{Directory, Sysroot};

fn read(bytes: &[u8]) -> Result<Object, ObjectError> {
    Object::read(&OpenFile::from_memory(Arc::from(bytes), 0o755, 1))
}

/// Compiles `source` with further arguments and reads the facts of the result.
fn compiled(source: &str, arguments: &[&str]) -> Object {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("x.c");
    let output = directory.path().join("x");
    std::fs::write(&input, source).unwrap();
    let status = Command::new("cc")
        .args([&input, Path::new("-o"), &output])
        .args(arguments)
        .status()
        .unwrap();
    assert!(status.success());
    read(&std::fs::read(output).unwrap()).unwrap()
}

/// An object put together by hand, for any class and byte order.
struct Image {
    class: Class,
    order: ByteOrder,
    bytes: Vec<u8>,
}

const STRINGS: &[u8] = b"\0libself.so\0libone.so\0/run\0V1\0lib\xff.so\0";
const VERSIONS_AT: u64 = 0x600;
const NOTE_AT: u64 = 0x700;

impl Image {
    fn new(class: Class, order: ByteOrder, machine: u16) -> Self {
        let mut image = Self {
            class,
            order,
            bytes: vec![0; 0x1000],
        };
        let wide = class == Class::Elf64;
        image.bytes[..7].copy_from_slice(b"\x7fELF\0\0\x01");
        image.bytes[4] = if wide { 2 } else { 1 };
        image.bytes[5] = if order == ByteOrder::Little { 1 } else { 2 };
        image.put(16, 2, 3);
        image.put(18, 2, machine.into());
        image.put(20, 4, 1);
        if wide {
            image.put(32, 8, 64);
            image.put(54, 2, 56);
            image.put(56, 2, 3);
        } else {
            image.put(28, 4, 52);
            image.put(42, 2, 32);
            image.put(44, 2, 3);
        }
        // Mapped at another address than the offset, so that confusing them shows.
        image.segment(0, 1, 0, 0x10000, 0x1000);
        image.segment(1, 2, 0x400, 0x10400, 0x100);
        image.segment(2, 4, NOTE_AT, 0x10000 + NOTE_AT, 0x200);
        image.bytes[0x500..0x500 + STRINGS.len()].copy_from_slice(STRINGS);
        let name = |text: &[u8]| {
            STRINGS
                .windows(text.len())
                .position(|window| window == text)
                .unwrap() as u64
        };
        let dynamic = [
            (1, name(b"libone.so")),
            (1, name(b"lib\xff.so")),
            (14, name(b"libself.so")),
            (29, name(b"/run")),
            (5, 0x10500),
            (10, STRINGS.len() as u64),
            (0x6fff_fffe, 0x10000 + VERSIONS_AT),
            (0x6fff_fffc, 0x10000 + VERSIONS_AT + 0x80),
            (0x6fff_fffb, 0x800),
            (0x7fff_ffff, name(b"libone.so")),
            (0, 0),
        ];
        let word = if wide { 8 } else { 4 };
        for (index, (tag, value)) in dynamic.into_iter().enumerate() {
            let at = 0x400 + index as u64 * word * 2;
            image.put(at, word, tag);
            image.put(at + word, word, value);
        }
        // One verneed with one vernaux, weak; one verdef.
        for (at, size, value) in [
            (0, 2, 1),
            (2, 2, 1),
            (4, 4, name(b"libone.so")),
            (8, 4, 16),
            (16, 4, 0x1234),
            (20, 2, 2),
            (24, 4, name(b"V1")),
            (0x80, 2, 1),
            (0x88, 4, 0x5678),
            (0x8c, 4, 20),
            (0x94, 4, name(b"V1")),
        ] {
            image.put(VERSIONS_AT + at, size, value);
        }
        image
            .note(br#"[{"soname":["liba.so.2","liba.so.1"],"feature":"a","priority":"required"}]"#);
        image
    }

    fn put(&mut self, at: u64, size: u64, value: u64) {
        let at = usize::try_from(at).unwrap();
        let size = usize::try_from(size).unwrap();
        let bytes = match self.order {
            ByteOrder::Little => value.to_le_bytes()[..size].to_vec(),
            ByteOrder::Big => value.to_be_bytes()[8 - size..].to_vec(),
        };
        self.bytes[at..at + size].copy_from_slice(&bytes);
    }

    fn segment(&mut self, index: u64, kind: u64, offset: u64, address: u64, size: u64) {
        if self.class == Class::Elf64 {
            let at = 64 + index * 56;
            for (by, width, value) in [
                (0, 4, kind),
                (8, 8, offset),
                (16, 8, address),
                (32, 8, size),
                (40, 8, size),
                (48, 8, 4),
            ] {
                self.put(at + by, width, value);
            }
        } else {
            let at = 52 + index * 32;
            for (by, value) in [
                (0, kind),
                (4, offset),
                (8, address),
                (16, size),
                (20, size),
                (28, 4),
            ] {
                self.put(at + by, 4, value);
            }
        }
    }

    fn note(&mut self, json: &[u8]) {
        self.put(NOTE_AT, 4, 4);
        self.put(NOTE_AT + 4, 4, json.len() as u64 + 1);
        self.put(NOTE_AT + 8, 4, 0x407c_0c0a);
        let at = usize::try_from(NOTE_AT).unwrap() + 12;
        self.bytes[at..at + 4].copy_from_slice(b"FDO\0");
        self.bytes[at + 4..0x900].fill(0);
        self.bytes[at + 4..at + 4 + json.len()].copy_from_slice(json);
    }

    fn read(&self) -> Result<Object, ObjectError> {
        read(&self.bytes)
    }
}

fn x86_64() -> Image {
    Image::new(Class::Elf64, ByteOrder::Little, 62)
}

#[test]
fn every_class_and_byte_order_gives_the_same_facts() {
    for (class, order, machine, platform) in [
        (Class::Elf64, ByteOrder::Little, 62, "amd64"),
        (Class::Elf64, ByteOrder::Big, 22, "s390x"),
        (Class::Elf32, ByteOrder::Little, 3, "386"),
        (Class::Elf32, ByteOrder::Big, 8, "mips"),
    ] {
        let object = Image::new(class, order, machine).read().unwrap();
        assert_eq!(object.machine.platform(), Some((platform, None)));
        assert_eq!((object.machine.class, object.machine.order), (class, order));
        assert_eq!(object.kind, ObjectKind::Library);
        assert_eq!(object.soname.as_deref(), Some(OsStr::new("libself.so")));
        assert_eq!(object.runpath.as_deref(), Some(OsStr::new("/run")));
        assert_eq!(object.filters, ["libone.so"]);
        assert_eq!(object.needed.len(), 2);
        assert!(object.no_default_lib);
        let [need] = object.version_needs.as_slice() else {
            panic!("{:?}", object.version_needs);
        };
        assert_eq!((need.hash, need.weak), (0x1234, true));
        assert_eq!(
            (&*need.file, &*need.version),
            ("libone.so".as_ref(), "V1".as_ref())
        );
        let [definition] = object.version_definitions.as_slice() else {
            panic!("{:?}", object.version_definitions);
        };
        assert_eq!(
            (definition.hash, &*definition.version),
            (0x5678, "V1".as_ref())
        );
        let [note] = object.dlopen_notes.as_slice() else {
            panic!("{:?}", object.dlopen_notes);
        };
        assert_eq!(note.sonames, ["liba.so.2", "liba.so.1"]);
        assert_eq!(note.priority, Priority::Required);
    }
}

#[test]
fn a_name_that_is_not_utf8_is_kept_as_it_is() {
    use std::os::unix::ffi::OsStrExt;
    assert_eq!(x86_64().read().unwrap().needed[1].as_bytes(), b"lib\xff.so");
}

#[test]
fn a_dlopen_note_in_the_form_before_1_0_is_read_and_its_priority_defaults_to_recommended() {
    let mut image = x86_64();
    image.note(br#"{"soname":"libold.so.1"}"#);
    let object = image.read().unwrap();
    assert_eq!(object.dlopen_notes[0].sonames, ["libold.so.1"]);
    assert_eq!(object.dlopen_notes[0].priority, Priority::Recommended);
}

#[test]
fn a_malformed_dlopen_note_is_ignored_with_a_warning() {
    for json in [
        &b"[{]"[..],
        b"[{\"soname\":[]}]",
        b"[{\"soname\":3}]",
        b"\xff",
    ] {
        let mut image = x86_64();
        image.note(json);
        let object = image.read().unwrap();
        assert_eq!(object.dlopen_notes, []);
        assert_eq!(object.warnings.len(), 1);
        assert!(object.warnings[0].starts_with(".note.dlopen is ignored:"));
    }
}

#[test]
fn a_note_that_is_longer_than_its_segment_is_passed_over() {
    let mut image = x86_64();
    image.put(NOTE_AT + 4, 4, 0xffff_fff0);
    assert_eq!(image.read().unwrap().dlopen_notes, []);
}

#[test]
fn version_chains_that_never_end_are_refused() {
    let mut image = x86_64();
    image.bytes.resize(0x40000, 0);
    image.segment(0, 1, 0, 0x10000, 0x40000);
    // Steps of no length within one record cannot be spelled; steps that overlap can.
    for at in (0..0x30000).step_by(16) {
        image.put(0x1000 + at, 2, 1);
        image.put(0x1000 + at + 8, 4, 0);
        image.put(0x1000 + at + 12, 4, 1);
    }
    image.put(VERSIONS_AT + 8, 4, 0x1000 - VERSIONS_AT);
    assert!(matches!(
        image.read(),
        Err(ObjectError::Malformed { .. } | ObjectError::Truncated { .. })
    ));
}

#[test]
fn names_that_overlap_cannot_fill_the_memory() {
    let mut image = x86_64();
    image.bytes.resize(0x80000, 0);
    image.segment(0, 1, 0, 0x10000, 0x80000);
    // One file name of 60,000 bytes, required again by each of 20,000 records.
    image.bytes[0x10000..0x10000 + 60_000].fill(b'a');
    image.put(VERSIONS_AT + 4, 4, 0x10000 - 0x500);
    image.put(VERSIONS_AT + 8, 4, 0x20000 - VERSIONS_AT);
    for at in (0x20000..0x20000 + 20_000 * 16).step_by(16) {
        image.put(at + 8, 4, 1);
        image.put(at + 12, 4, 16);
    }
    let error = image.read().unwrap_err().to_string();
    assert_eq!(error, "it is damaged: its names take more than 8 MiB");
}

#[test]
fn what_is_no_elf_file_is_named() {
    assert_eq!(read(b"").unwrap_err().to_string(), "it is empty");
    assert_eq!(
        read(b"#!/bin/sh\n").unwrap_err().to_string(),
        "it is not an ELF file but a script (#!/bin/sh)"
    );
    assert_eq!(
        read(b"\x7fELF\x02\x01\x01").unwrap_err().to_string(),
        "it is cut short: it has 7 bytes, its ELF header alone takes 64"
    );
    assert!(read(b"text").unwrap_err().is_too_short());
    assert!(read(&[b'x'; 64]).unwrap_err().is_not_elf());
    assert!(!read(&[b'x'; 64]).unwrap_err().is_too_short());
}

#[test]
fn an_unknown_class_or_byte_order_is_told() {
    let mut image = x86_64();
    image.bytes[4] = 7;
    assert!(image.read().unwrap_err().is_unknown_class());
    image.bytes[4] = 2;
    image.bytes[5] = 9;
    assert_eq!(
        image.read().unwrap_err().to_string(),
        "its byte order (EI_DATA) is 9; 1 (little-endian) and 2 (big-endian) are known"
    );
}

#[test]
fn a_table_past_the_end_is_told_with_its_place() {
    let mut image = x86_64();
    image.put(32, 8, 0x2000);
    let error = image.read().unwrap_err();
    assert_eq!(
        error.to_string(),
        "it is cut short or damaged: its program headers at offset 0x2000 of 168 bytes points past \
         the end, the file has 4096 bytes"
    );
    assert_eq!(error.machine().unwrap().number, 62);

    let mut image = x86_64();
    image.bytes.truncate(0x480);
    assert!(matches!(image.read(), Err(ObjectError::Truncated { .. })));
}

#[test]
fn offsets_at_the_end_of_the_number_range_do_no_harm() {
    for (at, size) in [
        (32, 8),
        (72, 8),
        (80, 8),
        (96, 8),
        (128, 8),
        (136, 8),
        (152, 8),
    ] {
        for value in [u64::MAX, u64::MAX - 8, i64::MAX as u64, 1 << 63] {
            let mut image = x86_64();
            image.put(at, size, value);
            let _ = image.read();
        }
    }
}

#[test]
fn more_program_headers_than_the_kernel_takes_are_refused() {
    let mut image = x86_64();
    image.put(56, 2, 0xffff);
    assert_eq!(
        image.read().unwrap_err().to_string(),
        "it is damaged: its 65535 program headers are more than the kernel takes (64 KiB of them)"
    );
}

#[test]
fn what_the_loader_refuses_is_told_apart_by_when_it_does() {
    let refused = |at: u64, size, value| {
        let mut image = x86_64();
        image.put(at, size, value);
        image.read().unwrap().refused.unwrap()
    };
    assert!(refused(6, 1, 2).before_machine());
    assert!(refused(7, 1, 9).before_machine());
    assert!(refused(8, 1, 1).before_machine());
    assert!(refused(12, 1, 1).before_machine());
    assert!(!refused(20, 4, 2).before_machine());
    assert!(!refused(16, 2, 1).before_machine());
    assert!(!refused(54, 2, 55).before_machine());
    assert_eq!(x86_64().read().unwrap().refused, None);
    let mut gnu = x86_64();
    gnu.bytes[7] = 3;
    assert_eq!(gnu.read().unwrap().refused, None);
}

#[test]
fn section_headers_past_the_end_are_only_a_warning() {
    let mut image = x86_64();
    image.put(40, 8, 0x9000);
    assert_eq!(image.read().unwrap().warnings.len(), 1);
}

#[test]
fn an_arm_object_is_v5_when_it_is_soft_float_and_v7_otherwise() {
    for (flags, variant) in [
        (0x0500_0200, "v5"),
        (0x0500_0400, "v7"),
        (0x0500_0000, "v7"),
    ] {
        let mut image = Image::new(Class::Elf32, ByteOrder::Little, 40);
        image.put(36, 4, flags);
        let machine = image.read().unwrap().machine;
        assert_eq!(machine.platform(), Some(("arm", Some(variant))));
    }
}

#[test]
fn an_unknown_machine_has_a_number_and_no_platform() {
    let machine = Image::new(Class::Elf64, ByteOrder::Little, 0x1234)
        .read()
        .unwrap()
        .machine;
    assert_eq!(machine.platform(), None);
    assert_eq!(machine.name(), "machine 0x1234");
}

#[test]
fn compiled_objects_are_of_the_kind_that_they_were_made_as() {
    const MAIN: &str = "int main(void) { return 0; }";
    let dynamic = compiled(MAIN, &[]);
    assert_eq!(dynamic.kind, ObjectKind::Dynamic);
    assert!(dynamic.interpreter.is_some());
    assert!(!dynamic.needed.is_empty() && !dynamic.version_needs.is_empty());

    let library = compiled(
        "int f(void) { return 0; }",
        &[
            "-shared",
            "-fPIC",
            "-Wl,-soname,libf.so.3",
            "-Wl,-rpath,$ORIGIN/x",
        ],
    );
    assert_eq!(library.kind, ObjectKind::Library);
    assert!(!library.executable);
    assert_eq!(library.soname.as_deref(), Some(OsStr::new("libf.so.3")));
    let path = library.runpath.or(library.rpath);
    assert_eq!(path.as_deref(), Some(OsStr::new("$ORIGIN/x")));

    let fixed = compiled(
        "void _start(void) { for (;;); }",
        &["-static", "-nostdlib", "-no-pie"],
    );
    assert_eq!(fixed.kind, ObjectKind::Static);
    assert!(fixed.executable);
    let moving = compiled(
        "void _start(void) { for (;;); }",
        &["-static-pie", "-nostdlib"],
    );
    assert_eq!(moving.kind, ObjectKind::Static);

    let relocatable = compiled("int f(void) { return 0; }", &["-c"]);
    assert_eq!(relocatable.kind, ObjectKind::Other);
}

/// The same facts, read by the `object` crate from the whole file.
#[test]
fn another_reader_finds_the_same_in_the_libraries_of_this_machine() {
    use object::elf::FileHeader64;
    use object::read::elf::{Dyn, FileHeader};

    let host = Directory::host().unwrap();
    let mut compared = 0;
    for directory in ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/bin"]
        .map(Path::new)
        .iter()
        .flat_map(|top| {
            let below = std::fs::read_dir(top).into_iter().flatten().flatten();
            let below = below.map(|entry| entry.path()).filter(|path| path.is_dir());
            std::iter::once(top.to_path_buf()).chain(below)
        })
    {
        for name in host.read_dir(&directory).unwrap_or_default() {
            if compared >= 600 {
                break;
            }
            let path = directory.join(name);
            let Ok(bytes) = host.read(&path, 4 << 20) else {
                continue;
            };
            let Ok(header) = FileHeader64::<object::Endianness>::parse(&*bytes) else {
                continue;
            };
            let Ok(endian) = header.endian() else {
                continue;
            };
            let Ok(sections) = header.sections(endian, &*bytes) else {
                continue;
            };
            let Ok(Some((dynamic, strings))) = sections.dynamic(endian, &*bytes) else {
                continue;
            };
            let strings = sections.strings(endian, &*bytes, strings).unwrap();
            let theirs = |wanted: u64| -> Vec<Vec<u8>> {
                dynamic
                    .iter()
                    .filter(|entry| u64::try_from(entry.d_tag(endian).0).unwrap_or(0) == wanted)
                    .map(|entry| {
                        let at = u32::try_from(entry.d_val(endian)).unwrap();
                        strings.get(at).unwrap().to_vec()
                    })
                    .collect()
            };
            let ours = Object::read(&host.open(&path).unwrap()).unwrap();
            let bytes = |names: Vec<OsString>| -> Vec<Vec<u8>> {
                names.into_iter().map(OsStringExt::into_vec).collect()
            };
            assert_eq!(bytes(ours.needed), theirs(1), "{}", path.display());
            assert_eq!(bytes(ours.soname.into_iter().collect()), theirs(14));
            assert_eq!(bytes(ours.rpath.into_iter().collect()), theirs(15));
            assert_eq!(bytes(ours.runpath.into_iter().collect()), theirs(29));
            compared += 1;
        }
    }
    assert!(compared > 0);
}

#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

const X86_64: Machine = Machine {
    number: EM_X86_64,
    class: Class::Elf64,
    order: ByteOrder::Little,
    flags: 0,
};

fn entry(soname: &str, path: &str) -> CacheEntry {
    CacheEntry {
        soname: soname.into(),
        path: path.into(),
        flags: 0x0303,
        hwcap: None,
    }
}

fn variant(soname: &str, path: &str, hwcap: &str) -> CacheEntry {
    CacheEntry {
        hwcap: Some(hwcap.into()),
        ..entry(soname, path)
    }
}

fn paths(cache: &Cache, soname: &str) -> Vec<String> {
    cache
        .lookup(soname.as_bytes(), &X86_64)
        .iter()
        .map(|entry| String::from_utf8(entry.path.clone()).unwrap())
        .collect()
}

#[test]
fn names_compare_as_in_a_table_worked_out_by_hand() {
    use Ordering::{Equal, Greater, Less};
    for (one, other, order) in [
        ("libc.so.6", "libc.so.6", Equal),
        ("libx.so.9", "libx.so.10", Less),
        ("libx.so.1", "libx.so.01", Equal),
        ("libx.so", "libx.so.1", Less),
        ("lib1.so", "liba.so", Greater),
        ("lib+.so", "lib1.so", Less),
        ("libA.so", "liba.so", Less),
        ("lib10a", "lib9b", Greater),
        ("", "a", Less),
        ("lib2", "lib", Greater),
        // 2^32 + 1 is 1 in an int.
        ("lib4294967297", "lib1", Equal),
    ] {
        assert_eq!(
            compare_sonames(one.as_bytes(), other.as_bytes()),
            order,
            "{one} {other}"
        );
        assert_eq!(
            compare_sonames(other.as_bytes(), one.as_bytes()),
            order.reverse(),
            "{other} {one}"
        );
    }
}

#[test]
fn a_written_cache_is_sorted_descending_with_numbers_by_value() {
    let cache = Cache::write(&[
        entry("libx.so.9", "/lib/libx.so.9"),
        entry("liba.so", "/lib/liba.so"),
        entry("libx.so.10", "/lib/libx.so.10"),
    ]);
    let cache = Cache::parse(&cache).unwrap();
    let names: Vec<&[u8]> = cache.entries().iter().map(|entry| &*entry.soname).collect();
    assert_eq!(names, [&b"libx.so.10"[..], b"libx.so.9", b"liba.so"]);
}

#[test]
fn the_first_directory_with_a_soname_wins() {
    let cache = Cache::parse(&Cache::write(&[
        entry("libz.so.1", "/opt/libz.so.1"),
        entry("libz.so.1", "/lib/libz.so.1"),
    ]))
    .unwrap();
    assert_eq!(paths(&cache, "libz.so.1"), ["/opt/libz.so.1"]);
}

#[test]
fn entries_of_another_abi_are_not_found() {
    let other = CacheEntry {
        flags: 0x0003,
        ..entry("libz.so.1", "/lib32/libz.so.1")
    };
    let both = [other.clone(), entry("libz.so.1", "/lib/libz.so.1")];
    let cache = Cache::parse(&Cache::write(&both)).unwrap();
    assert_eq!(paths(&cache, "libz.so.1"), ["/lib/libz.so.1"]);
    let i386 = Machine {
        number: 3,
        class: Class::Elf32,
        ..X86_64
    };
    assert_eq!(cache.lookup(b"libz.so.1", &i386), [&other]);
}

#[test]
fn variants_come_before_the_plain_entry_the_most_demanding_first() {
    let cache = Cache::parse(&Cache::write(&[
        entry("libz.so.1", "/lib/libz.so.1"),
        variant(
            "libz.so.1",
            "/lib/glibc-hwcaps/x86-64-v2/libz.so.1",
            "x86-64-v2",
        ),
        variant(
            "libz.so.1",
            "/lib/glibc-hwcaps/x86-64-v3/libz.so.1",
            "x86-64-v3",
        ),
    ]))
    .unwrap();
    assert_eq!(
        paths(&cache, "libz.so.1"),
        [
            "/lib/glibc-hwcaps/x86-64-v3/libz.so.1",
            "/lib/glibc-hwcaps/x86-64-v2/libz.so.1",
            "/lib/libz.so.1"
        ]
    );
}

#[test]
fn a_cache_behind_the_old_table_is_found_in_both_alignments_and_orders() {
    let entries = [entry("libz.so.1", "/lib/libz.so.1")];
    for order in [ByteOrder::Little, ByteOrder::Big] {
        for (count, align) in [(0_u32, 8), (1, 8), (1, 4), (2, 8)] {
            let mut file = b"ld.so-1.7.0\0".to_vec();
            file.extend(match order {
                ByteOrder::Little => count.to_le_bytes(),
                ByteOrder::Big => count.to_be_bytes(),
            });
            file.resize(16 + count as usize * 12, 0x55);
            file.resize(file.len().next_multiple_of(align), 0);
            file.extend(Cache::write_in(&entries, order));
            assert_eq!(Cache::parse(&file).unwrap().entries(), entries);
        }
    }
}

#[test]
fn a_cache_from_before_byte_orders_were_marked_is_read() {
    let entries = [entry("libz.so.1", "/lib/libz.so.1")];
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let mut file = Cache::write_in(&entries, order);
        file[28] = 0;
        assert_eq!(Cache::parse(&file).unwrap().entries(), entries);
    }
}

#[test]
fn what_is_no_cache_is_told() {
    assert_eq!(Cache::parse(b""), Err(CacheError::UnknownFormat));
    assert_eq!(Cache::parse(b"\x7fELF"), Err(CacheError::UnknownFormat));
    assert_eq!(
        Cache::parse(b"ld.so-1.7.0\0\0\0\0\0"),
        Err(CacheError::OldFormatOnly)
    );
    let mut file = Cache::write(&[entry("a", "/a")]);
    file[28] = 1;
    assert_eq!(Cache::parse(&file), Err(CacheError::MarkedInvalid));
    file[28] = 2;
    file[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
    let size = file.len() as u64;
    assert_eq!(
        Cache::parse(&file),
        Err(CacheError::PastEnd {
            what: "the table of entries",
            offset: 48,
            size,
        })
    );
}

#[test]
fn strings_that_overlap_cannot_fill_the_memory() {
    let long = format!("/{}", "a".repeat(100_000));
    let mut file = Cache::write(&vec![entry("a", "/a"); 2000]);
    let at = u32::try_from(file.len()).unwrap();
    file.extend(long.bytes().chain([0]));
    for index in 0..2000 {
        let path = 48 + index * 24 + 8;
        file[path..path + 4].copy_from_slice(&at.to_le_bytes());
    }
    assert_eq!(Cache::parse(&file), Err(CacheError::TooLarge));
}

#[test]
fn the_cache_of_this_machine_survives_a_round_trip() {
    let Ok(bytes) = std::fs::read("/etc/ld.so.cache") else {
        return;
    };
    let cache = Cache::parse(&bytes).unwrap();
    let again = Cache::parse(&Cache::write(cache.entries())).unwrap();
    assert_eq!(again, cache);
    for entry in cache.entries() {
        let found = paths_of(&cache, entry);
        assert!(!found.is_empty() || entry.flags != 0x0303);
    }
}

fn paths_of<'a>(cache: &'a Cache, entry: &CacheEntry) -> Vec<&'a CacheEntry> {
    cache.lookup(&entry.soname, &X86_64)
}

/// `ldconfig -p` of glibc prints what we wrote; passed over where there is no such tool.
#[test]
fn ldconfig_prints_what_was_written() {
    let entries = [
        entry("libz.so.1", "/opt/z/libz.so.1"),
        variant(
            "libz.so.1",
            "/opt/z/glibc-hwcaps/x86-64-v3/libz.so.1",
            "x86-64-v3",
        ),
        entry("liba.so.10", "/opt/a/liba.so.10"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cache");
    std::fs::write(&file, Cache::write(&entries)).unwrap();
    let tools = ["/sbin/ldconfig", "/usr/sbin/ldconfig"];
    let Some(tool) = tools
        .iter()
        .find(|tool| std::path::Path::new(tool).exists())
    else {
        return;
    };
    let output = std::process::Command::new(tool)
        .args(["-p", "-C"])
        .arg(&file)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // musl systems and busybox have another ldconfig, without -p.
    if !output.status.success() && !text.contains("libs found") {
        return;
    }
    assert!(text.starts_with("3 libs found in cache"), "{text}");
    assert!(
        text.contains("libz.so.1 (libc6,x86-64, hwcap: \"x86-64-v3\") => /opt/z/glibc-hwcaps/")
            && text.contains("libz.so.1 (libc6,x86-64) => /opt/z/libz.so.1")
            && text.contains("liba.so.10 (libc6,x86-64) => /opt/a/liba.so.10"),
        "{text}"
    );
}

#[test]
fn each_abi_has_the_flags_that_ldconfig_gives_it() {
    let flags = |number, wide, flags| {
        let class = if wide { Class::Elf64 } else { Class::Elf32 };
        abi_flags(&Machine {
            number,
            class,
            flags,
            ..X86_64
        })
    };
    for (number, wide, elf_flags, expected) in [
        (EM_X86_64, true, 0, 0x0303),
        (EM_X86_64, false, 0, 0x0803),
        (3, false, 0, 0x0003),
        (EM_AARCH64, true, 0, 0x0a03),
        (EM_ARM, false, 0x0500_0400, 0x0903),
        (EM_ARM, false, 0x0500_0200, 0x0b03),
        (EM_PPC64, true, 2, 0x0503),
        (EM_S390, true, 0, 0x0403),
        (EM_S390, false, 0, 0x0003),
        (EM_RISCV, true, 5, 0x1003),
        (EM_LOONGARCH, true, 0x43, 0x1203),
        (EM_MIPS, true, 0, 0x0703),
        (EM_MIPS, false, 0x20, 0x0603),
    ] {
        assert_eq!(
            flags(number, wide, elf_flags),
            Some(expected),
            "machine {number}"
        );
    }
    assert_eq!(flags(EM_RISCV, true, 2), None);
    assert_eq!(flags(0x1234, true, 0), None);
}

prop_compose! {
    fn any_entry()(
        soname in "lib[a-c]{1,2}[0-9]{0,3}\\.so(\\.[0-9]{1,2})?",
        directory in "(/[a-z]{1,4}){1,2}",
        flags in prop::sample::select(vec![0x0303_u32, 0x0003]),
        hwcap in prop::option::of(prop::sample::select(vec!["x86-64-v2", "x86-64-v3"])),
        other_name in any::<bool>(),
    ) -> CacheEntry {
        let file = if other_name { "file" } else { &soname };
        CacheEntry {
            path: format!("{directory}/{file}").into_bytes(),
            soname: soname.into_bytes(),
            flags,
            hwcap: hwcap.map(|name| name.as_bytes().to_vec()),
        }
    }
}

proptest! {
    #[test]
    fn writing_keeps_every_entry_and_writing_again_changes_nothing(
        entries in prop::collection::vec(any_entry(), 0..40),
        big in any::<bool>(),
    ) {
        let order = if big { ByteOrder::Big } else { ByteOrder::Little };
        let written = Cache::write_in(&entries, order);
        let cache = Cache::parse(&written).unwrap();
        prop_assert_eq!(&Cache::write_in(cache.entries(), order), &written);
        let key = |entry: &CacheEntry| (entry.soname.clone(), entry.path.clone(), entry.flags, entry.hwcap.clone());
        let mut given: Vec<_> = entries.iter().map(key).collect();
        let mut kept: Vec<_> = cache.entries().iter().map(key).collect();
        given.sort();
        kept.sort();
        prop_assert_eq!(given, kept);
        for entry in entries.iter().filter(|entry| entry.flags == 0x0303) {
            let found = cache.lookup(&entry.soname, &X86_64);
            prop_assert!(found.iter().all(|hit| hit.flags == 0x0303));
            if entry.hwcap.is_none() {
                prop_assert!(found.last().is_some_and(|last| last.hwcap.is_none()));
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        marked in any::<bool>(),
    ) {
        if marked {
            bytes.splice(0..0, MAGIC.iter().copied());
        }
        let _ = Cache::parse(&bytes);
    }

    #[test]
    fn comparing_is_antisymmetric(one in "[a0-9]{0,6}", other in "[a0-9]{0,6}") {
        let (one, other) = (one.as_bytes(), other.as_bytes());
        prop_assert_eq!(compare_sonames(one, other), compare_sonames(other, one).reverse());
    }
}

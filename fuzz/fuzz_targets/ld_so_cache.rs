//! Any bytes as an `ld.so.cache`: what can be read can be written, and reads the same again.
#![no_main]

use distrobuild::elf::cache::Cache;
use distrobuild::elf::{ByteOrder, Class, Machine};
use libfuzzer_sys::fuzz_target;

const X86_64: Machine = Machine {
    number: 62,
    class: Class::Elf64,
    order: ByteOrder::Little,
    flags: 0,
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(cache) = Cache::parse(bytes) else {
        return;
    };
    for entry in cache.entries().iter().take(64) {
        let _ = cache.lookup(&entry.soname, &X86_64);
    }
    let written = Cache::write(cache.entries());
    let again = Cache::parse(&written).expect("what was written can be read");
    assert_eq!(again.entries().len(), cache.entries().len());
    assert_eq!(Cache::write(again.entries()), written);
});

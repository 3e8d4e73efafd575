//! Any bytes as an ELF file: read, named, stripped.
#![no_main]

use std::sync::Arc;

use distrobuild::elf::{Object, strip};
use distrobuild::sysroot::OpenFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Object::read(&OpenFile::from_memory(Arc::from(bytes), 0o755, 1)) {
        Ok(object) => {
            let _ = (object.machine.platform(), object.machine.name());
            let _ = strip::strip(bytes);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

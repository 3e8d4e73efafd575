//! What becomes of a file that is found: the rows of `open_verify`.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::workshop::{Workshop, found};

/// A program that finds `bad/libx1.so` first and `good/libx1.so` after it.
struct Row {
    shop: Workshop,
    app: PathBuf,
    bad: PathBuf,
}

impl Row {
    fn new() -> Self {
        let shop = Workshop::new();
        shop.library("good/libx1.so", &[]);
        let app = shop.program("app", &["{}/good/libx1.so", "-Wl,-rpath,{}/bad:{}/good"]);
        let bad = shop.at("bad/libx1.so");
        Self { shop, app, bad }
    }

    /// The bad file is the good one with a byte changed.
    fn patched(at: usize, value: u8) -> Self {
        let row = Self::new();
        let mut bytes = std::fs::read(row.shop.at("good/libx1.so")).unwrap();
        bytes[at] = value;
        std::fs::write(&row.bad, bytes).unwrap();
        row
    }

    fn is_passed_over(&self) {
        let closure = self.shop.agrees(&self.app);
        assert_eq!(
            found(&closure, "libx1.so"),
            Some(self.shop.at("good/libx1.so"))
        );
    }

    fn is_refused(&self, text: &str) {
        self.shop.refuses(&self.app, &self.bad, text);
    }
}

#[test]
fn a_dangling_link_is_passed_over() {
    let row = Row::new();
    symlink("nowhere", &row.bad).unwrap();
    row.is_passed_over();
}

#[test]
fn a_dangling_link_is_named_where_nothing_else_is_found() {
    let row = Row::new();
    symlink("nowhere", &row.bad).unwrap();
    std::fs::remove_file(row.shop.at("good/libx1.so")).unwrap();
    let closure = row.shop.agrees(&row.app);
    let (path, why) = &closure.missing[0].unsuitable[0];
    assert_eq!(path, &row.bad);
    assert_eq!(why, "it is a link to nowhere, which does not exist");
}

#[test]
fn a_link_loop_gives_the_rest_of_the_path_up() {
    let row = Row::new();
    symlink("libx1.so", &row.bad).unwrap();
    let closure = row.shop.agrees(&row.app);
    assert_eq!(closure.missing[0].name, "libx1.so");
}

#[test]
fn a_directory_that_is_a_link_loop_is_passed_over() {
    let row = Row::new();
    std::fs::remove_dir(row.bad.parent().unwrap()).unwrap();
    symlink("bad", row.bad.parent().unwrap()).unwrap();
    row.is_passed_over();
}

#[test]
fn another_class_is_passed_over_and_remembered() {
    let row = Row::patched(4, 1);
    row.is_passed_over();
    std::fs::remove_file(row.shop.at("good/libx1.so")).unwrap();
    let closure = row.shop.closure(&row.app);
    assert_eq!(closure.missing[0].unsuitable[0].0, row.bad);
    assert!(closure.missing[0].unsuitable[0].1.contains("class"));
}

#[test]
fn another_machine_is_passed_over() {
    // SPARC.
    Row::patched(18, 2).is_passed_over();
}

#[test]
fn a_text_is_refused() {
    let row = Row::new();
    std::fs::write(
        &row.bad,
        "INPUT(libreal.so) /* a linker script */".repeat(4),
    )
    .unwrap();
    row.is_refused("invalid ELF header");
}

#[test]
fn a_short_file_is_refused() {
    let row = Row::new();
    std::fs::write(&row.bad, "short").unwrap();
    row.is_refused("file too short");
    std::fs::write(&row.bad, "").unwrap();
    row.is_refused("file too short");
}

#[test]
fn a_directory_of_that_name_is_refused() {
    let row = Row::new();
    std::fs::create_dir(&row.bad).unwrap();
    row.is_refused("cannot read file data");
}

#[test]
fn another_byte_order_is_refused() {
    Row::patched(5, 2).is_refused("data encoding");
}

#[test]
fn another_os_abi_is_refused() {
    Row::patched(7, 9).is_refused("OS ABI invalid");
}

#[test]
fn padding_that_is_not_zero_is_refused() {
    Row::patched(12, 1).is_refused("nonzero padding");
}

#[test]
fn a_relocatable_file_is_refused() {
    Row::patched(16, 1).is_refused("only ET_DYN and ET_EXEC");
}

#[test]
fn program_headers_of_another_size_are_refused() {
    Row::patched(54, 57).is_refused("phentsize");
}

#[test]
fn a_position_independent_executable_is_refused() {
    let row = Row::new();
    row.shop.program("bad/libx1.so", &["-pie", "-fPIE"]);
    row.is_refused("cannot dynamically load position-independent executable");
}

#[test]
fn an_executable_is_refused() {
    let row = Row::new();
    row.shop.program("bad/libx1.so", &["-no-pie"]);
    row.is_refused("cannot dynamically load executable");
}

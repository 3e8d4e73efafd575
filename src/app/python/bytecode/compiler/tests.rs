#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Makes a program of a shell script.
pub(in super::super) fn write_program(program: &Path, script: &str) {
    // Written by another process: while this one has it open for writing, a child that another
    // test starts at that moment keeps it open, and it cannot be run (`ETXTBSY`).
    let written = Command::new("sh")
        .args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"",
        ])
        .arg(program)
        .arg(script)
        .status();
    assert!(written.unwrap().success());
}

/// A compiler of what a shell script answers.
fn fake(directory: &Path, script: &str) -> Compiler {
    let program = directory.join("python");
    write_program(&program, script);
    let host = Host {
        variables: BTreeMap::new(),
        scratch: directory.to_path_buf(),
        threads: 1,
    };
    let mut compiler = Compiler::new(&program, &host, *b"abcd");
    compiler.time_limit = Duration::from_secs(20);
    compiler
}

#[test]
fn a_program_that_is_no_such_python_compiles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut missing = fake(directory.path(), "");
    missing.interpreter = directory.path().join("missing");
    assert!(matches!(missing.compile(b""), Err(CompilerError::Start(_))));
    let mut silent = fake(directory.path(), "exit 1");
    assert!(matches!(silent.compile(b""), Err(CompilerError::Start(_))));
    let mut other = fake(directory.path(), "printf efgh; exec cat");
    let error = other.compile(b"").unwrap_err();
    assert!(matches!(error, CompilerError::Version));
    assert!(!error.is_the_sources_fault());
}

#[test]
fn a_source_on_which_it_dies_does_not_spoil_the_next() {
    let directory = tempfile::tempdir().unwrap();
    // Answers each source with itself, but ends at the first one ever.
    let flag = directory.path().join("died");
    let script = format!(
        "printf abcd; [ -e {0} ] || {{ : > {0}; exit 1; }}; exec cat",
        flag.display()
    );
    let mut compiler = fake(directory.path(), &script);
    assert!(matches!(
        compiler.compile(b"x"),
        Err(CompilerError::Died(_))
    ));
    assert_eq!(
        compiler.compile(b"yz").unwrap().as_deref(),
        Some(&b"yz"[..])
    );
    assert_eq!(compiler.compile(b"x").unwrap().as_deref(), Some(&b"x"[..]));
    assert_eq!(compiler.compile(b"").unwrap(), None);
}

#[test]
fn one_that_never_answers_or_never_listens_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let mut compiler = fake(directory.path(), "printf abcd; exec sleep 600");
    compiler.time_limit = Duration::from_millis(300);
    let large = vec![0; 1 << 20];
    for source in [&b"x"[..], &large] {
        assert!(matches!(compiler.compile(source), Err(CompilerError::Slow)));
    }
}

#[test]
fn an_answer_without_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut compiler = fake(
        directory.path(),
        r"printf 'abcd\377\377\377\377'; exec cat /dev/zero",
    );
    assert!(matches!(
        compiler.compile(b"x"),
        Err(CompilerError::Died(_))
    ));
}

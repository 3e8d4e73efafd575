#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::report::fixture::{Entry, Memory, file, layer, on, plain};
use crate::report::{Charset, Comparison, Markdown, Renderer, SlimBases, Terminal, Unanswered};

fn wanted(reference: &str, platform: &str, unpacked: bool) -> Wanted {
    Wanted {
        reference: reference.to_owned(),
        platform: platform.parse().unwrap(),
        unpacked,
    }
}

/// `python:3.12-slim` for two platforms, one layer more on arm64.
fn registry() -> Memory {
    let mut memory = Memory::default();
    let base = layer(&[
        ("bin/sh", Entry::File(b"12345"), 0o755, 0),
        ("usr/bin/apt", Entry::File(b"12345678"), 0o755, 0),
    ]);
    let amd64 = memory.image("amd64", json!({}), std::slice::from_ref(&base));
    let arm64 = memory.image("arm64", json!({}), &[base, layer(&[file("x", b"1")])]);
    let index = memory.index_of(&[on("amd64", amd64), on("arm64", arm64)]);
    memory.entries = vec![index];
    memory
}

#[test]
fn the_sizes_of_one_platform_are_had_without_reading_a_layer() {
    let memory = registry().without_layers();
    let wanted = wanted("python:3.12-slim", "linux/arm64", false);
    let base = live(&memory, &wanted, "2026-11-29").unwrap();
    assert_eq!(base.layer_count, Some(2));
    let sizes = base.layer_sizes.as_ref().unwrap();
    assert_eq!(base.compressed_bytes, Some(sizes.iter().sum()));
    assert_eq!(base.platform.as_deref(), Some("linux/arm64"));
    assert_eq!(base.date_recorded.as_deref(), Some("2026-11-29"));
    let index = memory.entries[0]["digest"].as_str().unwrap();
    assert_eq!(base.index_digest.as_deref(), Some(index));
    assert_eq!(base.source, format!("registry:python:3.12-slim@{index}"));
    assert_ne!(base.digest, base.index_digest);
    assert_eq!((base.uncompressed_bytes, base.has_shell), (None, None));
}

#[test]
fn the_unpacked_size_is_that_of_the_files() {
    let wanted = wanted("python:3.12-slim", "linux/arm64", true);
    let base = live(&registry(), &wanted, "2026-11-29").unwrap();
    assert_eq!(base.uncompressed_bytes, Some(14));
    assert_eq!(base.has_shell, Some(true));
    assert_eq!(base.package_manager.as_deref(), Some("apt"));
}

#[test]
fn a_platform_that_is_not_there_is_an_error_that_lists_what_is() {
    let wanted = wanted("python:3.12-slim", "linux/s390x", false);
    let error = live(&registry(), &wanted, "2026-11-29").unwrap_err();
    assert!(error.to_string().contains("linux/arm64"), "{error}");
}

#[test]
fn today_is_told_in_utc() {
    let at = |seconds| today(UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(at(1_700_000_000), "2023-11-14");
    assert_eq!(at(86_399), "1970-01-01");
    assert_eq!(today(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01");
}

/// A report of a small image for `linux/amd64`.
fn report() -> Report {
    let mut memory = Memory::default();
    let config = json!({ "Entrypoint": ["/usr/bin/python3"] });
    let image = memory.image("amd64", config, &[layer(&[file("a", &[b'x'; 5000])])]);
    let image = crate::report::fixture::descriptor(&image);
    Report::of_image(&memory, "app.oci", &image).unwrap()
}

fn compared(
    references: &[&str],
    ask: &(dyn Fn(&Wanted) -> Result<SlimBase, String> + Sync),
) -> (Report, Vec<Unanswered>, Option<String>) {
    let mut report = report();
    let mut unanswered = Vec::new();
    let references: Vec<String> = references.iter().map(|name| (*name).to_owned()).collect();
    let table = SlimBases::embedded().unwrap();
    let result = report.compare_live(&table, &references, ask, &mut |one| unanswered.push(one));
    (
        report,
        unanswered,
        result.err().map(|error| error.to_string()),
    )
}

fn asked(wanted: &Wanted) -> Result<SlimBase, String> {
    live(&registry(), wanted, "2026-11-29").map_err(|error| error.to_string())
}

fn offline(_: &Wanted) -> Result<SlimBase, String> {
    Err("the network is down".to_owned())
}

#[test]
fn a_live_row_has_its_date_digest_and_layers_and_no_recorded_size_of_another_build() {
    let (report, unanswered, error) = compared(&["python:3.12-slim"], &asked);
    assert_eq!((unanswered, error), (vec![], None));
    let [row] = report.comparisons.as_slice() else {
        panic!("{:?}", report.comparisons);
    };
    assert!(row.live && row.digest.is_some());
    assert_eq!(row.layer_count, Some(1));
    assert_eq!((row.unpacked.bytes, row.unpacked.times), (None, None));
    assert!(row.compressed.bytes.is_some() && row.compressed.times.is_some());
    assert_eq!(row.has_shell, Some(true));
    let text = plain(&Terminal::new(80, Charset::Unicode).report(&report));
    assert!(text.contains("live 2026-11-29"), "{text}");
    assert!(
        text.contains("python:3.12-slim: 1 layer · sha256:"),
        "{text}"
    );
    for width in 40..76 {
        let text = plain(&Terminal::new(width, Charset::Unicode).report(&report));
        assert!(
            text.contains("live") && text.contains("2026-11-29"),
            "{text}"
        );
        for line in text.lines() {
            assert!(line.chars().count() <= width.max(60), "{width}: {line}");
        }
    }
    let markdown = Markdown.report(&report);
    assert!(markdown.contains("| live 2026-11-29 |"), "{markdown}");
}

#[test]
fn the_recorded_unpacked_size_stands_when_the_build_is_the_recorded_one() {
    let table = SlimBases::embedded().unwrap();
    let recorded = table.find("debian:bookworm-slim", "linux/amd64").unwrap()[0].clone();
    let same = |_: &Wanted| {
        Ok(SlimBase {
            uncompressed_bytes: None,
            date_recorded: Some("2026-11-29".to_owned()),
            ..recorded.clone()
        })
    };
    let (report, ..) = compared(&["debian:bookworm-slim"], &same);
    let row = &report.comparisons[0];
    assert!(row.live);
    assert_eq!(row.unpacked.bytes, recorded.uncompressed_bytes);
}

#[test]
fn without_an_answer_the_recorded_row_is_shown_with_its_own_date() {
    let (report, unanswered, error) = compared(&["debian:bookworm-slim"], &offline);
    assert_eq!(error, None);
    assert_eq!(unanswered.len(), 1);
    assert!(unanswered[0].is_recorded);
    assert_eq!(unanswered[0].why, "the network is down");
    let row = &report.comparisons[0];
    assert!(!row.live);
    assert_eq!(row.date.as_deref(), Some("2026-09-19"));
}

#[test]
fn a_name_that_is_neither_recorded_nor_answered_is_an_error() {
    let (_, unanswered, error) = compared(&["no/such:image"], &offline);
    assert!(!unanswered[0].is_recorded);
    assert!(error.unwrap().contains("no/such:image"));
    // Answered, it need not be recorded.
    let (report, _, error) = compared(&["no/such:image"], &asked);
    assert_eq!(error, None);
    let row: &Comparison = &report.comparisons[0];
    assert_eq!(
        (row.reference.as_str(), row.has_shell),
        ("no/such:image", None)
    );
}

#[test]
fn without_names_the_usual_ones_are_asked_for_the_platform_of_the_image() {
    let asked_for = Mutex::new(Vec::new());
    let ask = |wanted: &Wanted| {
        let mut asked_for = asked_for.lock().unwrap();
        asked_for.push(format!("{} {}", wanted.reference, wanted.platform));
        Err("no".to_owned())
    };
    let (report, unanswered, error) = compared(&[], &ask);
    assert_eq!(error, None);
    let mut asked_for = asked_for.lock().unwrap().clone();
    asked_for.sort();
    assert_eq!(
        asked_for,
        [
            "alpine:latest linux/amd64",
            "debian:bookworm-slim linux/amd64",
            "gcr.io/distroless/base linux/amd64",
            "python:3.13-slim linux/amd64",
            "ubuntu:24.04 linux/amd64",
        ]
    );
    assert_eq!(unanswered.len(), 5);
    assert_eq!(report.comparisons.len(), 5);
    // Those of several threads come back in the order of the questions.
    assert_eq!(unanswered[0].reference, "python:3.13-slim");
}

#![allow(clippy::unwrap_used)]

use super::*;

fn table() -> SlimBases {
    SlimBases::embedded().unwrap()
}

fn found(reference: &str, platform: &str) -> Vec<String> {
    let table = table();
    let rows = table.find(reference, platform).unwrap();
    rows.iter()
        .map(|row| {
            format!(
                "{} {}",
                row.reference,
                row.date_recorded.as_deref().unwrap_or("?")
            )
        })
        .collect()
}

#[test]
fn every_row_has_a_source_and_no_size_that_contradicts_another() {
    let table = table();
    assert!(table.rows().len() >= 80, "{}", table.rows().len());
    for row in table.rows() {
        assert!(!row.source.is_empty(), "{}", row.reference);
        assert!(!Name::parse(&row.reference).repository.is_empty());
        let date = row.date_recorded.as_deref();
        assert!(date.is_none_or(|d| d.len() == 10 && d.split('-').count() == 3));
        if let (Some(sizes), Some(sum)) = (&row.layer_sizes, row.compressed_bytes) {
            assert_eq!(sizes.iter().sum::<u64>(), sum, "{}", row.reference);
            assert_eq!(row.layer_count, Some(sizes.len() as u64));
        }
        if row.evidence == Evidence::Published {
            assert!(row.published_size.is_some(), "{}", row.reference);
            assert_eq!((row.exact_compressed(), row.exact_unpacked()), (None, None));
        }
    }
}

#[test]
fn every_default_is_in_the_table() {
    let table = table();
    let defaults = &table.defaults;
    for reference in defaults.always.iter().chain(defaults.programs.references()) {
        assert!(table.find(reference, "linux/amd64").is_ok(), "{reference}");
    }
}

#[test]
fn a_reference_is_found_with_and_without_registry_tag_and_digest() {
    let slim = found("debian:bookworm-slim", "linux/amd64");
    assert_eq!(slim, ["debian:bookworm-slim 2026-09-19"]);
    for spelling in [
        "docker.io/library/debian:bookworm-slim",
        "docker.io/debian:bookworm-slim",
        "library/debian:bookworm-slim",
        "debian@sha256:f3034a6ec3c1205360777c4aae76234998866ad18806ae62b63a3f84ccad782b",
    ] {
        assert_eq!(found(spelling, "linux/amd64"), slim, "{spelling}");
    }
    assert_eq!(found("alpine", "linux/amd64"), ["alpine:3.24.2 2026-09-17"]);
    assert_eq!(
        found("gcr.io/distroless/static:latest", "linux/amd64"),
        ["gcr.io/distroless/static 2023-08-26"]
    );
}

#[test]
fn sizes_of_two_builds_stay_two_rows() {
    let rows = found("python:3.9-slim", "linux/amd64");
    assert_eq!(
        rows,
        ["python:3.9-slim 2025-01-08", "python:3.9-slim 2024-07-08"]
    );
}

#[test]
fn another_platform_is_shown_only_when_there_is_none_for_this_one() {
    let table = table();
    let rows = table
        .find("debian:bookworm-slim", "linux/arm64/v8")
        .unwrap();
    assert!(
        rows.iter()
            .all(|row| row.platform.as_deref() == Some("linux/arm64"))
    );
    let rows = table.find("node:22-alpine", "linux/arm64").unwrap();
    assert!(rows.iter().all(|row| !row.is_for("linux/arm64")));
}

#[test]
fn a_near_miss_lists_what_is_known() {
    let message = |reference| {
        table()
            .find(reference, "linux/amd64")
            .unwrap_err()
            .to_string()
    };
    assert!(message("python:2.7").contains("known are python:3.11-slim, python:3.12,"));
    assert!(message("debain:12").contains("debian:12-slim"));
    assert!(message("qqqqqqqq").contains("known are alpine:3.24.2, amazonlinux:2023"));
}

#[test]
fn a_runtime_is_compared_with_its_own_slim_image_first() {
    let table = table();
    let first = |program| table.defaults(program, "linux/amd64")[0].reference.clone();
    assert_eq!(first(Some("python3.11")), "python:3.13-slim");
    assert_eq!(first(Some("node")), "node:22-slim");
    assert_eq!(first(Some("jq")), "alpine:3.24.2");
    assert_eq!(first(None), "alpine:3.24.2");
}

#[test]
fn a_table_of_another_schema_is_refused() {
    let json = EMBEDDED.replacen("distrobuild.slim/1", "distrobuild.slim/9", 1);
    let error = SlimBases::parse(&json).unwrap_err().to_string();
    assert!(error.contains("distrobuild.slim/9"), "{error}");
}

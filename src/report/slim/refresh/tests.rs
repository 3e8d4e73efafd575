#![allow(clippy::unwrap_used)]

use super::*;

const FILE: &str = include_str!("../../../../bases/slim.json");

fn table() -> SlimBases {
    SlimBases::parse(FILE).unwrap()
}

/// What a registry says of an image: another build than any that is recorded.
fn answer(wanted: &Wanted) -> SlimBase {
    let letter = wanted.platform.architecture.len() % 10;
    SlimBase {
        reference: wanted.reference.clone(),
        aliases: Vec::new(),
        platform: Some(wanted.platform.to_string()),
        evidence: Evidence::Recorded,
        digest: Some(format!("sha256:{}", letter.to_string().repeat(64))),
        index_digest: Some(format!("sha256:{}", "e".repeat(64))),
        image_id: Some(format!("sha256:{}", "c".repeat(64))),
        layer_count: Some(2),
        layer_sizes: Some(vec![1000, 500]),
        compressed_bytes: Some(1500),
        config_bytes: Some(77),
        uncompressed_bytes: wanted.unpacked.then_some(4000),
        uncompressed_rounded_to: None,
        package_count: None,
        has_shell: wanted.unpacked.then_some(true),
        package_manager: wanted.unpacked.then(|| "apk".to_owned()),
        published_size: None,
        date_recorded: Some("2026-11-29".to_owned()),
        source: format!("registry:{}", wanted.reference),
        uncompressed_source: None,
        note: None,
    }
}

fn always(wanted: &Wanted) -> Result<SlimBase, String> {
    Ok(answer(wanted))
}

fn row<'t>(table: &'t SlimBases, reference: &str, platform: &str) -> &'t SlimBase {
    let mut rows = table
        .rows()
        .iter()
        .filter(|row| row.reference == reference && row.platform.as_deref() == Some(platform));
    rows.next().unwrap()
}

#[test]
fn the_file_is_written_as_it_was_read() {
    assert_eq!(table().to_json(), FILE);
}

#[test]
fn a_second_refresh_of_a_day_changes_no_byte() {
    let mut table = table();
    table.refresh(&[], false, &always);
    let once = table.to_json();
    assert_ne!(once, FILE);
    let refreshed = table.refresh(&[], false, &always);
    assert_eq!(table.to_json(), once);
    assert!(
        refreshed
            .rows
            .iter()
            .all(|row| row.words().ends_with(": the same"))
    );
    // And what is written can be read.
    assert_eq!(SlimBases::parse(&once).unwrap(), table);
}

#[test]
fn a_new_build_loses_the_unpacked_size_of_the_old_one_and_keeps_the_notes() {
    let mut table = table();
    let old = row(&table, "debian:bookworm-slim", "linux/amd64").clone();
    assert!(old.uncompressed_bytes.is_some() && old.note.is_some());
    let refreshed = table.refresh(
        &["docker.io/library/debian:bookworm-slim".into()],
        false,
        &always,
    );
    assert_eq!(refreshed.rows.len(), 2, "both platforms");
    let new = row(&table, "debian:bookworm-slim", "linux/amd64");
    assert_eq!(
        (
            new.uncompressed_bytes,
            new.uncompressed_rounded_to,
            &new.uncompressed_source
        ),
        (None, None, &None)
    );
    assert_eq!((&new.note, new.has_shell), (&old.note, Some(true)));
    assert_eq!(new.compressed_bytes, Some(1500));
    assert_eq!(new.layer_sizes.as_deref(), Some(&[1000, 500][..]));
    assert_eq!(new.date_recorded.as_deref(), Some("2026-11-29"));
    assert_eq!(
        refreshed.rows[0].words(),
        "debian:bookworm-slim linux/amd64: 28.2 MB → 1.5 kB, unpacked 74.8 MB → unknown, \
         sha256:f3034a6ec3c1 → sha256:555555555555, 2026-09-19 → 2026-11-29"
    );
}

#[test]
fn the_same_build_keeps_its_unpacked_size_and_where_that_was_read() {
    let mut table = table();
    let recorded = table.clone();
    let same = |wanted: &Wanted| {
        let old = row(&recorded, &wanted.reference, &wanted.platform.to_string());
        Ok(SlimBase {
            digest: old.digest.clone(),
            ..answer(wanted)
        })
    };
    let index = table
        .rows
        .iter()
        .position(|row| row.reference == "debian:bookworm-slim")
        .unwrap();
    // Read in the same place as the rest.
    table.rows[index].uncompressed_source = None;
    let source = table.rows[index].source.clone();
    table.refresh(&["debian:bookworm-slim".into()], false, &same);
    let new = &table.rows[index];
    assert_eq!(new.uncompressed_bytes, Some(74_830_000));
    assert_eq!(new.uncompressed_source, Some(source));
    assert_eq!(new.source, "registry:debian:bookworm-slim");
    // The other names are still names of it: nobody had to be asked.
    assert!(new.aliases.contains(&"debian:12-slim".to_owned()));
}

#[test]
fn a_measured_unpacked_size_is_exact() {
    let mut table = table();
    table.refresh(&["debian:bookworm-slim".into()], true, &always);
    let new = row(&table, "debian:bookworm-slim", "linux/amd64");
    assert_eq!(
        (new.uncompressed_bytes, new.uncompressed_rounded_to),
        (Some(4000), None)
    );
    assert_eq!(
        new.package_manager.as_deref(),
        Some("apt"),
        "it was recorded"
    );
}

#[test]
fn rows_without_an_answer_stay_as_they_are() {
    let mut table = table();
    let ask = |wanted: &Wanted| match wanted.reference.as_str() {
        "debian:bookworm-slim" => always(wanted),
        _ => Err("refused".to_owned()),
    };
    let before = table.clone();
    let refreshed = table.refresh(&[], false, &ask);
    assert_eq!(refreshed.rows.len(), 2);
    assert!(
        refreshed
            .failed
            .iter()
            .all(|one| one.is_recorded && one.why == "refused")
    );
    for (old, new) in before.rows().iter().zip(table.rows()) {
        assert!(old == new || new.reference == "debian:bookworm-slim");
    }
    let mut none = before.clone();
    let refreshed = none.refresh(&[], false, &|_| Err("refused".to_owned()));
    assert!(refreshed.rows.is_empty() && !refreshed.failed.is_empty());
    assert_eq!(none, before);
}

#[test]
fn a_name_that_no_row_has_is_added_at_the_end_for_two_platforms() {
    let mut table = table();
    let count = table.rows().len();
    let ask = |wanted: &Wanted| match wanted.platform.architecture.as_str() {
        "arm64" => Err("not there".to_owned()),
        _ => always(wanted),
    };
    let refreshed = table.refresh(&["docker.io/library/nosuch".into()], false, &ask);
    assert_eq!(table.rows().len(), count + 1);
    assert_eq!(table.rows()[count].reference, "nosuch:latest");
    assert_eq!(refreshed.rows[0].before, None);
    assert!(
        refreshed.rows[0]
            .words()
            .starts_with("nosuch:latest linux/amd64: new, 1.5 kB")
    );
    assert!(!refreshed.failed[0].is_recorded);
    // What is not known of it is null, and found under its name.
    assert_eq!(table.rows()[count].has_shell, None);
    assert_eq!(table.find("nosuch", "linux/amd64").unwrap().len(), 1);
    assert_eq!(&table.to_json()[..FILE.len() - 6], &FILE[..FILE.len() - 6]);
}

#[test]
fn of_several_rows_of_one_image_the_newest_is_renewed() {
    let mut table = table();
    let dates = |table: &SlimBases| -> Vec<Option<String>> {
        let rows = table.rows().iter();
        rows.filter(|row| row.reference == "python:3.9-slim")
            .map(|row| row.date_recorded.clone())
            .collect()
    };
    let before = dates(&table);
    assert_eq!(before.len(), 2);
    let refreshed = table.refresh(&["python:3.9-slim".into()], false, &always);
    assert_eq!(refreshed.rows.len(), 1);
    let after = dates(&table);
    let newest = before.iter().max().unwrap();
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(old != new, old == newest, "{before:?} {after:?}");
    }
}

#[test]
fn prose_becomes_a_recorded_size_of_the_usual_platform() {
    let mut table = table();
    let refreshed = table.refresh(&["gcr.io/distroless/base".into()], false, &always);
    let row = &refreshed.rows[0].after;
    assert_eq!(row.platform.as_deref(), Some("linux/amd64"));
    assert_eq!(
        (row.evidence, &row.published_size),
        (Evidence::Recorded, &None)
    );
    assert_eq!(row.exact_compressed(), Some(1500));
}

#[test]
fn another_name_that_moved_on_is_dropped_and_told() {
    let mut table = table();
    let ask = |wanted: &Wanted| match wanted.reference.as_str() {
        "debian:bookworm-20260918-slim" => Ok(SlimBase {
            digest: Some(format!("sha256:{}", "f".repeat(64))),
            ..answer(wanted)
        }),
        _ => always(wanted),
    };
    let refreshed = table.refresh(&["debian:bookworm-slim".into()], false, &ask);
    let aliases = &row(&table, "debian:bookworm-slim", "linux/amd64").aliases;
    assert_eq!(*aliases, ["debian:12-slim"]);
    let name = |name: &str| name.to_owned();
    assert_eq!(
        refreshed.dropped,
        [(
            name("debian:bookworm-20260918-slim"),
            name("debian:bookworm-slim")
        )]
    );
}

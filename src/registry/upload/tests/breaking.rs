//! What happens to uploads when something breaks.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

fn ranges(fake: &Fake) -> Vec<String> {
    let seen = fake.seen();
    let ranges = seen.iter().filter_map(|head| head.header("content-range"));
    ranges.map(str::to_owned).collect()
}

fn count(fake: &Fake, method: &str) -> usize {
    fake.seen()
        .iter()
        .filter(|head| head.method == method)
        .count()
}

#[test]
fn a_piece_that_breaks_is_gone_on_with_from_what_the_registry_has() {
    let body = content(1000);
    let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
        ("PUT", 0) => Some(Fault::Break(300)),
        _ => None,
    });
    let outcome = upload(&fake, &body);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(
        fake.lines()[2..],
        [
            "PUT blobs/uploads/1?digest=X",
            "GET blobs/uploads/1",
            "PATCH blobs/uploads/1",
            "PUT blobs/uploads/1?digest=X"
        ]
    );
    assert_eq!(ranges(&fake), ["300-999"]);
}

#[test]
fn a_registry_that_kept_nothing_of_a_broken_piece_gets_it_again() {
    let body = content(1000);
    let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
        ("PUT", 0) => Some(Fault::Break(0)),
        _ => None,
    });
    let outcome = upload(&fake, &body);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(ranges(&fake), [""; 0]);
    assert_eq!(count(&fake, "PUT"), 2);
}

#[test]
fn a_piece_that_breaks_twice_or_is_too_large_goes_in_parts() {
    let body = content(1000);
    let breaks: fn() -> Fault = || Fault::Break(0);
    let refused: fn() -> Fault = || Fault::status(413);
    for (fault, times) in [(breaks, 2), (refused, 1)] {
        let fake =
            Fake::with(move |seen, count| (seen.method == "PUT" && count < times).then(fault));
        let outcome = upload(&fake, &body);
        assert_sent(&fake, &body, &outcome);
        assert_eq!(ranges(&fake), ["0-999"], "a part of 16 MiB holds it all");
        assert_eq!(count(&fake, "PUT"), times + 1);
        assert_eq!(count(&fake, "POST"), 1);
    }
}

#[test]
fn parts_that_are_too_large_are_made_smaller() {
    let body = content(3 << 20);
    let fake = Fake::with(|seen, _| {
        let length: u64 = seen
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        (length > 1 << 20).then(|| Fault::status(413))
    });
    let outcome = upload(&fake, &body);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(ranges(&fake).len(), 2 + 4);
    let fake = Fake::with(|seen, _| {
        let length: u64 = seen
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        (length > 0).then(|| Fault::status(413))
    });
    let error = upload(&fake, &body).result.unwrap_err();
    assert!(
        matches!(error, RegistryError::Refused { status: 413, .. }),
        "{error}"
    );
    assert_eq!(fake.open_sessions(), 0);
}

#[test]
fn a_part_that_breaks_is_gone_on_with_from_what_the_registry_has() {
    let body = content(1000);
    let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
        ("PATCH", 1) => Some(Fault::Break(150)),
        _ => None,
    });
    let outcome = chunked(&fake, &body, 400);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(ranges(&fake), ["0-399", "400-799", "550-949", "950-999"]);
}

#[test]
fn a_part_whose_answer_is_lost_is_not_sent_again() {
    let body = content(1000);
    let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
        ("PATCH", 0) => Some(Fault::Swallow),
        _ => None,
    });
    let outcome = chunked(&fake, &body, 400);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(ranges(&fake), ["0-399", "400-799", "800-999"]);
    assert_eq!(outcome.opened, 1);
}

#[test]
fn an_upload_whose_last_answer_is_lost_is_found_to_be_there() {
    let body = content(1000);
    for chunk in [None, Some(400)] {
        let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
            ("PUT", 0) => Some(Fault::Swallow),
            _ => None,
        });
        let options = Options { chunk, ..options() };
        let outcome = upload_with(&fake, &body, &[], options);
        assert_sent(&fake, &body, &outcome);
        assert_eq!(count(&fake, "PUT"), 1);
        assert_eq!(count(&fake, "POST"), 1);
    }
}

#[test]
fn a_session_that_vanishes_is_begun_anew_but_not_for_ever() {
    let body = content(1000);
    let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
        ("PATCH", 1) => Some(Fault::status(404)),
        _ => None,
    });
    let outcome = chunked(&fake, &body, 400);
    // That session is only not told of.
    assert_eq!(fake.open_sessions(), 1);
    assert_eq!(outcome.result.unwrap(), Uploaded::Sent);
    assert_eq!(outcome.told, 1000);
    assert_eq!(
        ranges(&fake),
        ["0-399", "400-799", "0-399", "400-799", "800-999"]
    );
    let fake = Fake::with(|seen, count| {
        (seen.method == "PATCH" && count % 2 == 1).then(|| Fault::status(404))
    });
    let error = chunked(&fake, &body, 400).result.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert_eq!(count(&fake, "POST"), 5, "as many as there are attempts");
}

#[test]
fn a_registry_that_breaks_again_and_again_ends_it_and_the_session() {
    let body = content(1000);
    let faults: [fn() -> Fault; 3] = [
        || Fault::Break(0),
        || Fault::status(503),
        || Fault::status(408),
    ];
    for fault in faults {
        for chunk in [None, Some(400)] {
            let fake = Fake::with(move |seen, _| {
                matches!(seen.method.as_str(), "PUT" | "PATCH").then(fault)
            });
            let options = Options {
                attempts: NonZeroU32::new(3).unwrap(),
                chunk,
                ..options()
            };
            let outcome = upload_with(&fake, &body, &[], options);
            assert!(outcome.result.is_err());
            assert_eq!(count(&fake, "PUT") + count(&fake, "PATCH"), 3);
            assert_eq!(fake.open_sessions(), 0);
        }
    }
}

#[test]
fn a_registry_that_takes_a_few_bytes_a_connection_is_not_asked_for_ever() {
    let body = content(300_000);
    let fake = Fake::with(|seen, _| {
        matches!(seen.method.as_str(), "PUT" | "PATCH").then(|| Fault::Break(10))
    });
    let outcome = upload(&fake, &body);
    assert!(outcome.result.is_err());
    let attempts = options().attempts.get() as usize;
    assert_eq!(count(&fake, "PUT") + count(&fake, "PATCH"), attempts);
    // One that takes more at a time gets all of it, however often it breaks.
    let fake = Fake::with(|seen, _| {
        matches!(seen.method.as_str(), "PUT" | "PATCH").then(|| Fault::Break(20_000))
    });
    let outcome = upload(&fake, &body);
    assert!(outcome.result.is_ok() && fake.has(&body));
}

#[test]
fn a_registry_that_takes_less_than_it_says_is_asked_for_the_rest() {
    let body = content(1000);
    let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
        // It says that 200 bytes are there, and the next part has to begin at 200.
        ("PATCH", 0) => Some(Fault::Reply(
            super::super::super::script::Reply::status(202).header("Range: 0-199"),
        )),
        _ => None,
    });
    // The fake has nothing in truth, and says so to the next part: 416.
    let outcome = chunked(&fake, &body, 400);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(ranges(&fake)[..3], ["0-399", "200-599", "0-399"]);
}

#[test]
fn a_registry_that_knows_nothing_of_a_session_gets_a_new_one() {
    let body = content(1000);
    let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
        ("PUT", 0) => Some(Fault::Break(500)),
        ("GET", _) => Some(Fault::status(405)),
        _ => None,
    });
    let outcome = upload(&fake, &body);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(count(&fake, "POST"), 2);
    assert_eq!(count(&fake, "DELETE"), 1);
}

#[test]
fn a_registry_that_has_more_than_there_is_gets_a_new_session() {
    let body = content(1000);
    let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
        ("PUT", 0) => Some(Fault::Break(500)),
        ("GET", 0) => Some(Fault::Reply(
            super::super::super::script::Reply::status(204).header("Range: 0-1000"),
        )),
        _ => None,
    });
    let outcome = upload(&fake, &body);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(count(&fake, "POST"), 2);
}

#[test]
fn pieces_that_do_not_fit_together_are_sent_anew() {
    let body = content(1000);
    let fake = Fake::with(|seen, count| match (seen.method.as_str(), count) {
        ("PUT", 0) => Some(Fault::Break(500)),
        ("PUT", 1) => Some(Fault::status(400)),
        _ => None,
    });
    let outcome = upload(&fake, &body);
    assert_sent(&fake, &body, &outcome);
    assert_eq!(count(&fake, "POST"), 2);
    // What was never broken is refused for good.
    let fake = Fake::with(|seen, _| (seen.method == "PUT").then(|| Fault::status(400)));
    let error = upload(&fake, &body).result.unwrap_err();
    assert!(
        matches!(error, RegistryError::Refused { status: 400, .. }),
        "{error}"
    );
    assert_eq!(count(&fake, "PUT"), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever a registry does on the way, what it has in the end is what was sent, each byte
    /// was told once at most, and it ends.
    #[test]
    fn no_script_of_a_registry_makes_a_wrong_blob(
        script in prop::collection::vec((0..12u8, 0..1200usize), 1..12),
        chunk in prop::option::of(1..1200u64),
    ) {
        let body = content(1000);
        let fake = Fake::with(move |seen, count| {
            let (kind, at) = script[(count + seen.method.len()) % script.len()];
            match (seen.method.as_str(), kind) {
                ("HEAD", _) => None,
                (_, 0) => Some(Fault::Break(at)),
                (_, 1) => Some(Fault::Swallow),
                (_, 2) => Some(Fault::status(404)),
                (_, 3) => Some(Fault::status(416)),
                (_, 4) => Some(Fault::Reply(
                    super::super::super::script::Reply::status(202).header(&format!("Range: 0-{at}")),
                )),
                (_, 5) => Some(Fault::status(500)),
                _ => None,
            }
        });
        let outcome = upload_with(&fake, &body, &[], Options { chunk, ..options() });
        prop_assert!(outcome.told <= 1000);
        if outcome.result.is_ok() {
            prop_assert!(fake.has(&body));
            prop_assert_eq!(outcome.told, 1000);
        }
        prop_assert!(fake.seen().len() < 5000);
    }
}

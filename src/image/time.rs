//! Times as RFC 3339 writes them.

const DAY: u64 = 86_400;

/// The last second that RFC 3339 can write, 9999-12-31T23:59:59Z.
const LAST: u64 = 253_402_300_799;

/// `seconds` since the epoch, in UTC: `1970-01-01T00:00:00Z`. What lies beyond the
/// year 9999, which RFC 3339 cannot write, becomes its last second.
#[must_use]
pub fn rfc3339(seconds: u64) -> String {
    let seconds = seconds.min(LAST);
    let (year, month, day) = date(seconds / DAY);
    let second = seconds % DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of the proleptic Gregorian calendar, `days` after 1970-01-01.
///
/// Years are counted from March, so that a leap day ends its year, and in eras of 400
/// years, which all have the same number of days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // 0000-03-01 to 1970-01-01
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times_are_written_as_date_writes_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }

    proptest! {
        #[test]
        fn a_later_time_is_a_later_text(a in 0..=LAST, b in 0..=LAST) {
            prop_assert_eq!(a.cmp(&b), rfc3339(a).cmp(&rfc3339(b)));
        }
    }
}

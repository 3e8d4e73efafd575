//! Times as archives write them (Debian's repository format, "Date, Valid-Until"; RFC 2822 in UTC).

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Seconds since the epoch of `Sat, 11 Jul 2026 10:16:37 UTC`. Ubuntu writes hours before ten
/// with a blank. The time zone must be UTC, however called: so apt, too.
pub(super) fn parse(text: &str) -> Option<u64> {
    let mut words = text.split_ascii_whitespace();
    let weekday = words.next()?.strip_suffix(',')?;
    if !DAYS.contains(&weekday) {
        return None;
    }
    let day = number(words.next()?, 1..=31)?;
    let month = words.next()?;
    let month = 1 + MONTHS.iter().position(|it| *it == month)? as u64;
    let year = number(words.next()?, 1970..=9999)?;
    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?, 0..=23)?;
    let minute = number(clock.next()?, 0..=59)?;
    // A leap second counts as the one behind it.
    let second = number(clock.next()?, 0..=60)?;
    let zone = words.next()?;
    if clock.next().is_some()
        || words.next().is_some()
        || !["UTC", "GMT", "Z", "UT", "+0000", "-0000"].contains(&zone)
        || day > length(year, month)
    {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn number(text: &str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok())??;
    range.contains(&number).then_some(number)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn length(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let before = year - 1;
    let leaps = before / 4 - before / 100 + before / 400 - 477;
    let months: u64 = (1..month).map(|month| length(year, month)).sum();
    (year - 1970) * 365 + leaps + months + day - 1
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::rfc3339;
    use proptest::prelude::*;

    #[test]
    fn the_archives_ways_to_write_a_time_are_read() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0),
            ("Sat, 11 Jul 2026 10:16:37 UTC", 1_783_764_997),
            ("Sat, 28 Nov 2026  2:50:56 UTC", 1_795_834_256),
            ("Tue, 29 Feb 2000 23:59:59 +0000", 951_868_799),
            ("Mon, 1 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_in_utc_is_refused() {
        for text in [
            "",
            "Sat, 11 Jul 2026 10:16:37",
            "Sat, 11 Jul 2026 10:16:37 +0200",
            "Sat, 11 Jul 2026 10:16:37 CEST",
            "Sat, 31 Jun 2026 10:16:37 UTC",
            "Sun, 29 Feb 2026 10:16:37 UTC",
            "Sat, 00 Jul 2026 10:16:37 UTC",
            "Sat, 11 Jul 1969 10:16:37 UTC",
            "Sat, 11 Jul 2026 24:16:37 UTC",
            "Sat, 11 Jul 2026 +1:16:37 UTC",
            "Sat, 11 Jul 2026 10:16 UTC",
            "Sat, 11 Jul 2026 10:16:37:00 UTC",
            "Sat, 11 Jul 2026 10:16:37 UTC now",
            "Cat, 11 Jul 2026 10:16:37 UTC",
            "2026-07-11T10:16:37Z",
            "Sat, 11 Jul 99999999999999999999 10:16:37 UTC",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_that_was_written_is_read_again(seconds in 0_u64..253_402_300_800) {
            let iso = rfc3339(seconds);
            let month: usize = iso[5..7].parse().unwrap();
            let text = format!(
                "Mon, {} {} {} {} UTC",
                &iso[8..10], MONTHS[month - 1], &iso[..4], &iso[11..19]
            );
            prop_assert_eq!(parse(&text), Some(seconds));
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,60}") {
            let _ = parse(&text);
        }
    }
}

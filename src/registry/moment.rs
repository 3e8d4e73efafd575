//! Points in time as servers write them, in seconds since 1970.

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7); of the three forms the one that
/// servers may write.
pub(super) fn http_date(text: &str) -> Option<u64> {
    let mut words = text.split_ascii_whitespace();
    words.next()?.strip_suffix(',')?;
    let day = number(words.next()?)?;
    let month = words.next()?;
    let month = 1 + MONTHS.iter().position(|it| *it == month)? as u64;
    let year = number(words.next()?)?;
    let clock = clock(words.next()?)?;
    (words.next() == Some("GMT") && words.next().is_none())
        .then(|| Some(days(year, month, day)? * 86_400 + clock))?
}

/// `2026-07-11T10:16:37.123Z` (RFC 3339); the part of a second is left out.
pub(super) fn rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let days = days(number(year)?, number(month)?, number(day)?)?;
    let (time, zone) = time.split_at_checked(8)?;
    let zone = zone.strip_prefix('.').map_or(zone, |rest| {
        rest.trim_start_matches(|c: char| c.is_ascii_digit())
    });
    let local = days * 86_400 + clock(time)?;
    if matches!(zone, "Z" | "z") {
        return Some(local);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let offset = number(hours)? * 3600 + number(minutes)? * 60;
    match zone.as_bytes().first()? {
        b'+' => local.checked_sub(offset),
        b'-' => local.checked_add(offset),
        _ => None,
    }
}

/// Seconds of `08:49:37`; a leap second counts as the one behind it.
fn clock(text: &str) -> Option<u64> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// At most four digits.
fn number(text: &str) -> Option<u64> {
    let is_number = text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// Days since 1970-01-01.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [
        31,
        if is_leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let month = usize::try_from(month).ok()?.checked_sub(1)?;
    if year < 1970 || day == 0 || day > *lengths.get(month)? {
        return None;
    }
    let before = year - 1;
    let leaps = before / 4 - before / 100 + before / 400 - 477;
    let months: u64 = lengths.iter().take(month).sum();
    Some((year - 1970) * 365 + leaps + months + day - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_of_headers_are_read() {
        assert_eq!(
            http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(
            http_date("Thu, 29 Feb 2024 23:59:60 GMT"),
            Some(1_709_251_200)
        );
        for wrong in [
            "",
            "Sun",
            "06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Wed, 29 Feb 2023 00:00:00 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
        ] {
            assert_eq!(http_date(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn dates_of_tokens_are_read() {
        assert_eq!(rfc3339("1994-11-06T08:49:37Z"), Some(784_111_777));
        assert_eq!(rfc3339("1994-11-06T08:49:37.123456789Z"), Some(784_111_777));
        assert_eq!(rfc3339("1994-11-06T09:49:37+01:00"), Some(784_111_777));
        assert_eq!(rfc3339("1994-11-06T07:19:37.5-01:30"), Some(784_111_777));
        for wrong in [
            "",
            "1994-11-06",
            "1994-11-06T08:49:37",
            "1994-13-06T08:49:37Z",
            "1970-01-01T00:00:00+23:00",
        ] {
            assert_eq!(rfc3339(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_this_program_writes_is_read() {
        for seconds in [0, 951_782_400, 1_767_225_599, 4_102_444_800] {
            assert_eq!(rfc3339(&crate::image::rfc3339(seconds)), Some(seconds));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,40}") {
            let _ = (http_date(&text), rfc3339(&text));
        }
    }
}

//! How often a question is asked again, and when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use super::{Options, moment};
use crate::download::pause;

/// What is left of the attempts of one question.
pub(super) struct Patience {
    attempts: u32,
    backoff: Duration,
    made: u32,
}

impl Patience {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            attempts: options.attempts.get(),
            backoff: options.backoff,
            made: 0,
        }
    }

    /// For a question that others can answer as well.
    pub(super) fn little(options: &Options) -> Self {
        Self {
            attempts: 1,
            ..Self::new(options)
        }
    }

    /// After a failed attempt: waits, at least as long as the server `asked` for, and tells
    /// whether there is another one. There is none when that would be too long.
    pub(super) fn is_left(&mut self, asked: Option<Duration>) -> bool {
        self.made = self.made.saturating_add(1);
        if self.made >= self.attempts {
            return false;
        }
        let Some(pause) = pause(self.backoff, self.made, asked) else {
            return false;
        };
        std::thread::sleep(pause);
        true
    }
}

/// Whether the same question may be answered otherwise later, and cannot do twice what shall be
/// done once.
pub(super) fn may_pass(status: StatusCode, is_repeatable: bool) -> bool {
    match status.as_u16() {
        // Not acted on.
        429 | 503 => true,
        408 | 500 | 502 | 504 => is_repeatable,
        _ => false,
    }
}

/// When the server wants to be asked again (RFC 9110, section 10.2.3): seconds, or a date by the
/// server's own clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    let wanted = text(&RETRY_AFTER)?.trim();
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = moment::http_date(wanted)?;
    let now = text(&DATE).and_then(moment::http_date).or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        Some(now.as_secs())
    })?;
    Some(Duration::from_secs(then.saturating_sub(now)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(list: &[(HeaderName, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_server_names_seconds_or_a_date_of_its_own_clock() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (list, wanted) in [
            (&[(RETRY_AFTER, " 7 ")][..], Some(7)),
            (
                &[(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:57 GMT"), (DATE, date)],
                Some(20),
            ),
            (&[(RETRY_AFTER, date), (DATE, date)], Some(0)),
            (&[(RETRY_AFTER, date)], Some(0)),
            (&[(RETRY_AFTER, "soon")], None),
            (&[(RETRY_AFTER, "-1")], None),
            (&[], None),
        ] {
            let wanted = wanted.map(Duration::from_secs);
            assert_eq!(retry_after(&headers(list)), wanted, "{list:?}");
        }
        let far = headers(&[(RETRY_AFTER, "Fri, 31 Dec 9999 23:59:59 GMT")]);
        assert!(retry_after(&far).unwrap() > Duration::from_secs(60));
    }

    #[test]
    fn a_server_that_wants_more_than_a_minute_is_not_asked_again() {
        let mut patience = Patience::new(&Options::default());
        assert!(!patience.is_left(Some(Duration::from_secs(61))));
    }

    #[test]
    fn what_may_have_been_acted_on_is_not_asked_twice() {
        for (status, once, again) in [
            (429, true, true),
            (503, true, true),
            (500, false, true),
            (502, false, true),
            (504, false, true),
            (501, false, false),
            (404, false, false),
            (200, false, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(may_pass(status, false), once, "{status}");
            assert_eq!(may_pass(status, true), again, "{status}");
        }
    }
}

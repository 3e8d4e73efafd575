//! Whether a run is what was asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::message::{Answer, Check, Ending, Fault, Outcome, Unmet};
use super::output::Search;

/// The HTTP status of a server that is not ready yet (RFC 9110, 15.6.4): it is asked again.
const UNAVAILABLE: u16 = 503;

impl Check {
    /// Whether the program is to stay up.
    pub(super) fn is_for_servers(&self) -> bool {
        !self.ports.is_empty() || self.stay.is_some()
    }

    fn asks_nothing(&self) -> bool {
        self.expect.is_empty() && !self.is_for_servers()
    }

    /// The time limit, which a time to stay up cannot outlast.
    fn limit(&self) -> Duration {
        self.limit.max(self.stay.unwrap_or_default())
    }
}

/// What has been seen of a run so far.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    check: &'a Check,
    seen: Vec<bool>,
    searches: [Search; 2],
    answers: BTreeMap<u16, Answer>,
    /// The last HTTP status of ports that are not ready.
    not_ready: BTreeMap<u16, u16>,
    error: Option<(u16, u16)>,
    fault: Option<Fault>,
    ending: Option<Ending>,
    stayed: bool,
}

impl<'a> Judge<'a> {
    pub(super) fn new(check: &'a Check) -> Self {
        let longest = check.expect.iter().map(String::len).max().unwrap_or(0);
        Self {
            check,
            seen: check.expect.iter().map(String::is_empty).collect(),
            searches: [Search::new(longest), Search::new(longest)],
            answers: BTreeMap::new(),
            not_ready: BTreeMap::new(),
            error: None,
            fault: None,
            ending: None,
            stayed: false,
        }
    }

    pub(super) fn is_not_ready(status: u16) -> bool {
        status == UNAVAILABLE
    }

    pub(super) fn not_started(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    pub(super) fn printed(&mut self, stream: usize, bytes: &[u8]) {
        let Some(search) = self.searches.get_mut(stream) else {
            return;
        };
        let seen = &mut self.seen;
        search.add(bytes, &self.check.expect, |number| {
            if let Some(seen) = seen.get_mut(number) {
                *seen = true;
            }
        });
    }

    pub(super) fn answered(&mut self, port: u16, status: Option<u16>, after: Duration) {
        match status {
            Some(status) if Self::is_not_ready(status) => {
                self.not_ready.insert(port, status);
            }
            Some(status) if status >= 500 => {
                self.error.get_or_insert((port, status));
            }
            _ => {
                self.answers.entry(port).or_insert(Answer {
                    port,
                    status,
                    after,
                });
            }
        }
    }

    /// The program has ended, and all that it printed is here.
    pub(super) fn ended(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    /// What came of it, when that is clear after this time.
    pub(super) fn outcome(&mut self, elapsed: Duration, started: bool) -> Option<Outcome> {
        if let Some(fault) = &self.fault {
            return Some(Outcome::NotStarted(fault.clone()));
        }
        if let Some((port, status)) = self.error {
            return Some(Outcome::ServerError { port, status });
        }
        self.stayed |=
            started && self.ending.is_none() && self.check.stay.is_some_and(|stay| elapsed >= stay);
        let asked = !self.check.asks_nothing();
        if asked && self.unmet().is_empty() {
            return Some(Outcome::Passed);
        }
        match self.ending {
            Some(Ending::Exited(0)) if !asked => Some(Outcome::Passed),
            Some(ending) => Some(Outcome::Ended(ending)),
            None => (started && elapsed >= self.check.limit()).then_some(Outcome::TimeOver),
        }
    }

    /// When the next thing is due without anything happening.
    pub(super) fn next_moment(&self, elapsed: Duration) -> Duration {
        let stay = self.check.stay.filter(|stay| *stay > elapsed);
        stay.unwrap_or(self.check.limit()).min(self.check.limit())
    }

    pub(super) fn answers(&self) -> Vec<Answer> {
        self.answers.values().copied().collect()
    }

    /// What was asked for and has not come.
    pub(super) fn unmet(&self) -> Vec<Unmet> {
        let texts = self.check.expect.iter().zip(&self.seen);
        let texts = texts
            .filter(|(_, seen)| !**seen)
            .map(|(text, _)| Unmet::Text(text.clone()));
        let ports = self.check.ports.iter().copied();
        let ports = ports
            .filter(|port| !self.answers.contains_key(port))
            .map(|port| Unmet::Port {
                port,
                status: self.not_ready.get(&port).copied(),
            });
        let stay = (self.check.stay.is_some() && !self.stayed).then_some(Unmet::Stay);
        texts.chain(ports).chain(stay).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn check() -> Check {
        Check {
            limit: 10 * SECOND,
            ..Check::default()
        }
    }

    fn after(judge: &mut Judge<'_>, seconds: u32) -> Option<Outcome> {
        judge.outcome(seconds * SECOND, true)
    }

    #[test]
    fn a_program_of_which_nothing_is_asked_must_exit_with_zero() {
        let check = check();
        let mut judge = Judge::new(&check);
        assert_eq!(after(&mut judge, 9), None);
        assert_eq!(after(&mut judge, 10), Some(Outcome::TimeOver));
        judge.ended(Ending::Exited(0));
        assert_eq!(after(&mut judge, 9), Some(Outcome::Passed));
        let mut judge = Judge::new(&check);
        judge.ended(Ending::Exited(3));
        assert_eq!(
            after(&mut judge, 1),
            Some(Outcome::Ended(Ending::Exited(3)))
        );
    }

    #[test]
    fn a_text_is_enough_and_may_come_in_either_stream() {
        let mut check = check();
        check.expect = vec!["ready".into(), "now".into()];
        let mut judge = Judge::new(&check);
        judge.printed(1, b"rea");
        judge.printed(0, b"dy now");
        assert_eq!(judge.unmet(), [Unmet::Text("ready".into())]);
        judge.printed(1, b"dy");
        assert_eq!(after(&mut judge, 1), Some(Outcome::Passed));
    }

    #[test]
    fn a_good_exit_without_the_text_is_a_failure() {
        let mut check = check();
        check.expect = vec!["ready".into()];
        let mut judge = Judge::new(&check);
        judge.ended(Ending::Exited(0));
        assert_eq!(
            after(&mut judge, 1),
            Some(Outcome::Ended(Ending::Exited(0)))
        );
    }

    #[test]
    fn a_server_must_answer_on_every_port_and_stay() {
        let mut check = check();
        check.ports = vec![1, 2];
        check.stay = Some(20 * SECOND);
        let mut judge = Judge::new(&check);
        judge.answered(1, Some(404), SECOND);
        judge.answered(2, Some(503), SECOND);
        assert_eq!(after(&mut judge, 15), None);
        assert_eq!(
            judge.unmet(),
            [
                Unmet::Port {
                    port: 2,
                    status: Some(503)
                },
                Unmet::Stay
            ]
        );
        judge.answered(2, None, 2 * SECOND);
        assert_eq!(judge.next_moment(15 * SECOND), 20 * SECOND);
        assert_eq!(after(&mut judge, 20), Some(Outcome::Passed));

        let mut judge = Judge::new(&check);
        judge.ended(Ending::Exited(0));
        assert_eq!(
            after(&mut judge, 25),
            Some(Outcome::Ended(Ending::Exited(0)))
        );
    }

    #[test]
    fn an_error_of_the_server_is_a_failure() {
        let mut check = check();
        check.ports = vec![80];
        let mut judge = Judge::new(&check);
        judge.answered(80, Some(500), SECOND);
        let error = Outcome::ServerError {
            port: 80,
            status: 500,
        };
        assert_eq!(after(&mut judge, 1), Some(error));
    }
}

//! A run in words.

use std::fmt;
use std::time::Duration;

use super::cause::{Cause, Surroundings};
use super::message::{Check, Ending, Outcome, Report, Unmet};
use crate::trace::End;

/// How many lines of the output are shown.
const LINES: usize = 20;

/// A longer line is cut, in characters.
const WIDTH: usize = 500;

/// How a run failed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened, for people: `exited with 127 after 0.01 s`.
    pub what: String,
    /// What was missing, where it could be found out.
    pub cause: Option<Cause>,
    /// What to do: a sentence.
    pub advice: String,
    /// The last lines that the program printed.
    pub output: Vec<String>,
    /// What else the user should know.
    pub notices: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.cause {
            Some(cause) => write!(f, "\n{}: {}", capital(&cause.to_string()), self.advice)?,
            None => write!(f, "\n{}", capital(&self.advice))?,
        }
        for notice in &self.notices {
            write!(f, "\nNote: {notice}")?;
        }
        if !self.output.is_empty() {
            f.write_str("\nThe last of its output:")?;
            for line in &self.output {
                write!(f, "\n  {line}")?;
            }
        }
        Ok(())
    }
}

impl Failure {
    pub(super) fn new(
        report: &Report,
        check: &Check,
        cause: Option<Cause>,
        around: &dyn Surroundings,
    ) -> Self {
        let advice = match &cause {
            Some(cause) => cause.advice(around),
            None => advice(report, check).to_owned(),
        };
        Self {
            what: what(report, check),
            cause,
            advice,
            output: last_lines(&String::from_utf8_lossy(report.tail.as_bytes())),
            notices: report.notices.clone(),
        }
    }
}

/// Whether a run of which the system calls are watched could tell more.
pub(super) fn is_worth_watching(report: &Report, check: &Check) -> bool {
    match report.outcome {
        Outcome::Ended(ending) => ending != Ending::Exited(0),
        Outcome::TimeOver => !check.ports.is_empty(),
        Outcome::ServerError { .. } => true,
        Outcome::Passed | Outcome::NotStarted(_) => false,
    }
}

/// What a run that went well did.
pub(super) fn success(report: &Report, check: &Check) -> String {
    let mut parts = Vec::new();
    for text in &check.expect {
        parts.push(format!("printed {text:?}"));
    }
    for answer in &report.answers {
        let status = answer.status.map(|status| format!(" (HTTP {status})"));
        parts.push(format!(
            "answered on {}{} after {}",
            answer.port,
            status.unwrap_or_default(),
            seconds(answer.after)
        ));
    }
    if let Some(stay) = check.stay {
        parts.push(format!("stayed up for {}", seconds(stay)));
    }
    if parts.is_empty() {
        parts.push(format!("exited with 0 after {}", seconds(report.took)));
    }
    enumerate(&parts)
}

fn what(report: &Report, check: &Check) -> String {
    let after = seconds(report.took);
    let unmet = enumerate(&report.unmet.iter().map(unmet).collect::<Vec<_>>());
    match &report.outcome {
        // Not a failure.
        Outcome::Passed => success(report, check),
        Outcome::NotStarted(_) => "its command cannot be executed".to_owned(),
        Outcome::Ended(ending) if unmet.is_empty() => format!("it {} after {after}", end(*ending)),
        Outcome::Ended(ending) => format!("it {} after {after}, and {unmet}", end(*ending)),
        Outcome::TimeOver if unmet.is_empty() => format!("it still ran after {after}"),
        Outcome::TimeOver => format!("within {after} {unmet}"),
        Outcome::ServerError { port, status } => {
            format!("it answered on {port} with HTTP status {status}, after {after}")
        }
    }
}

fn unmet(unmet: &Unmet) -> String {
    match unmet {
        Unmet::Text(text) => format!("did not print {text:?}"),
        Unmet::Port { port, status: None } => {
            format!("did not answer on port {port} (--smoke-port)")
        }
        Unmet::Port {
            port,
            status: Some(status),
        } => format!("answered on port {port} with HTTP status {status} only"),
        Unmet::Stay => "did not stay up as long as --smoke-for asks".to_owned(),
    }
}

/// What to do when no cause is known.
fn advice(report: &Report, check: &Check) -> &'static str {
    let lacks_text = report.unmet.iter().any(|it| matches!(it, Unmet::Text(_)));
    match &report.outcome {
        Outcome::TimeOver if check.expect.is_empty() && !check.is_for_servers() => {
            "for a server, say what it is to do: answer (--smoke-port PORT), stay up (--smoke-for TIME) or print something (--smoke-expect TEXT); for another program, give arguments with which it ends, as --smoke=--version, or more time with --smoke-timeout TIME"
        }
        Outcome::TimeOver if lacks_text => {
            "output into a pipe can be held back until a buffer is full: let the program flush it (in Python, --env PYTHONUNBUFFERED=1), or give more time with --smoke-timeout TIME"
        }
        Outcome::TimeOver => {
            "it must listen on 0.0.0.0 or [::], at the port that --smoke-port names; more time gives --smoke-timeout TIME"
        }
        Outcome::Ended(Ending::Exited(0)) if check.is_for_servers() => {
            "a server that goes to the background ends its container: start it in the foreground, with arguments for that in --smoke=ARGS and --entrypoint"
        }
        Outcome::Ended(Ending::Exited(0)) => {
            "it may need other arguments to print that: --smoke=ARGS"
        }
        Outcome::ServerError { .. } => {
            "its own output or log says more; a file that is opened on a request only is found by --trace"
        }
        Outcome::Ended(Ending::Killed(_)) => {
            "when it runs well outside of the image, a file that it does without badly may be missing: find all files that it opens with --trace"
        }
        _ => {
            "if it cannot succeed without arguments, give those with which it can, as --smoke=--version; if a file is missing, --trace finds all that it opens"
        }
    }
}

fn end(ending: Ending) -> String {
    match ending {
        Ending::Exited(code) => format!("exited with {code}"),
        Ending::Killed(number) => End::Killed(number).to_string(),
    }
}

/// `0.02 s`, `1.5 s`, `30 s`.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds < 0.1 => format!("{seconds:.2} s"),
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

fn enumerate(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Words with which a sentence can begin.
const STARTS: [&str; 10] = [
    "the ", "it ", "its ", "for ", "output ", "a ", "when ", "if ", "no ", "another ",
];

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        // A path or a library keeps its spelling.
        Some(first) if STARTS.iter().any(|start| text.starts_with(start)) => {
            first.to_uppercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

/// The last lines, without what could move a terminal's cursor.
fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(LINES);
    let shown = lines.get(start..).unwrap_or_default().iter();
    let shown = shown.map(|line| {
        let mut line: String = line
            .chars()
            .filter(|c| *c == '\t' || !c.is_control())
            .take(WIDTH)
            .collect();
        line.truncate(line.trim_end().len());
        line
    });
    let mut shown: Vec<String> = shown.collect();
    while shown.last().is_some_and(String::is_empty) {
        shown.pop();
    }
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::path::{Path, PathBuf};

    use super::super::message::{Answer, Raw};
    use super::*;

    struct Nothing;

    impl Surroundings for Nothing {
        fn on_this_machine(&self, _: &Path) -> Option<PathBuf> {
            None
        }

        fn in_working_directory(&self, _: &Path) -> bool {
            false
        }

        fn library(&self, _: &str) -> Option<PathBuf> {
            None
        }

        fn in_image(&self, _: &Path) -> bool {
            false
        }
    }

    fn report(outcome: Outcome) -> Report {
        Report {
            outcome,
            took: Duration::from_millis(120),
            ran: Duration::from_millis(120),
            tail: Raw::from("one\n\x1b[31mtwo\x1b[0m\r\n\n"),
            answers: Vec::new(),
            unmet: Vec::new(),
            notices: Vec::new(),
            failures: Vec::new(),
        }
    }

    fn shown(report: &Report, check: &Check, cause: Option<Cause>) -> String {
        Failure::new(report, check, cause, &Nothing).to_string()
    }

    #[test]
    fn a_failure_tells_what_why_and_what_to_do() {
        let report = report(Outcome::Ended(Ending::Exited(127)));
        let cause = Cause::Library {
            name: "libz.so.1".into(),
            needed_by: Some("/app/app".into()),
        };
        let text = shown(&report, &Check::default(), Some(cause));
        assert_eq!(
            text,
            "it exited with 127 after 0.1 s\n\
             The library libz.so.1, which /app/app needs is not in the image: this machine does not have it either: install the package that holds it and add --dlopen libz.so.1, or name its directory with --library-path DIR as well\n\
             The last of its output:\n  one\n  [31mtwo[0m"
        );
    }

    #[test]
    fn a_program_that_neither_ends_nor_is_asked_anything_gets_advice() {
        let text = shown(&report(Outcome::TimeOver), &Check::default(), None);
        for flag in ["--smoke-port", "--smoke-for", "--smoke=--version"] {
            assert!(text.contains(flag), "{text}");
        }
    }

    #[test]
    fn what_was_expected_and_did_not_come_is_told() {
        let check = Check {
            expect: vec!["ready".into()],
            ports: vec![80],
            ..Check::default()
        };
        let mut late = report(Outcome::TimeOver);
        late.unmet = vec![
            Unmet::Text("ready".into()),
            Unmet::Port {
                port: 80,
                status: Some(503),
            },
        ];
        let text = shown(&late, &check, None);
        assert!(
            text.starts_with(
                "within 0.1 s did not print \"ready\" and answered on port 80 with HTTP status 503 only"
            ),
            "{text}"
        );
        let mut early = report(Outcome::Ended(Ending::Exited(0)));
        early.unmet = vec![Unmet::Stay];
        let text = shown(&early, &check, None);
        assert!(
            text.contains("exited with 0 after 0.1 s, and did not stay up"),
            "{text}"
        );
        assert!(text.contains("foreground"), "{text}");
    }

    #[test]
    fn a_success_tells_what_was_seen() {
        let check = Check {
            expect: vec!["ready".into()],
            ports: vec![80],
            stay: Some(Duration::from_secs(20)),
            ..Check::default()
        };
        let mut report = report(Outcome::Passed);
        assert_eq!(
            success(&report, &Check::default()),
            "exited with 0 after 0.1 s"
        );
        report.answers = vec![Answer {
            port: 80,
            status: Some(200),
            after: Duration::from_millis(20),
        }];
        assert_eq!(
            success(&report, &check),
            "printed \"ready\", answered on 80 (HTTP 200) after 0.02 s and stayed up for 20 s"
        );
    }
}

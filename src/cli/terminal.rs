//! What a person sees beside the result: progress, notes, errors. All of it goes to stderr.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::app::{AppKind, Companions, Provenance};
use crate::build::{Built, Observer, Output, Phase, Plan};
use crate::elf::{Closure, Flavour, Notice};
use crate::report::{Charset, human_size as human};
use crate::rootfs::EntryKind;
use crate::smoke::Started;
use crate::trace::Traced;

/// How many groups of files that come along are named without `-v`.
const COMPANIONS_SHOWN: usize = 6;

/// What no image can hold, so that nobody need be told that a trace leaves it out.
const USUALLY_LEFT_OUT: [&str; 3] = ["/dev", "/proc", "/sys"];

/// How many files that a trace left out are named without `-v`.
const LEFT_OUT_SHOWN: usize = 8;

/// A bar appears only when a phase takes longer than this.
pub(super) const BAR_AFTER: Duration = Duration::from_secs(1);

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Errors and the result.
    Quiet,
    /// What was decided, warnings and hints.
    Normal,
    /// Each library and each phase.
    Verbose,
}

/// The terminal, as a command sees it.
pub(super) struct Terminal {
    level: Level,
    running: Mutex<Option<Running>>,
    done: AtomicU64,
    timings: Mutex<Vec<(String, Duration)>>,
}

struct Running {
    phase: Phase,
    total: u64,
    start: Instant,
    base: u64,
    bar: Option<ProgressBar>,
}

impl Terminal {
    pub(super) fn new(level: Level) -> Self {
        Self {
            level,
            running: Mutex::new(None),
            done: AtomicU64::new(0),
            timings: Mutex::new(Vec::new()),
        }
    }

    /// How the report is drawn on this terminal.
    pub(super) fn renderer(&self) -> crate::report::Terminal {
        crate::report::Terminal::new(width(), charset())
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.level == Level::Quiet
    }

    pub(super) fn is_verbose(&self) -> bool {
        self.level == Level::Verbose
    }

    /// Prints a result to stdout. A reader that closes the pipe early is no error.
    ///
    /// # Errors
    /// When it cannot be written, as to a full disk.
    pub(super) fn result(&self, text: &str) -> anyhow::Result<()> {
        printed(&mut anstream::stdout().lock(), text.as_bytes())
    }

    /// Prints a document to stdout as it is, in the way of [`Self::result`].
    ///
    /// # Errors
    /// When it cannot be written, as to a full disk.
    pub(super) fn document(&self, text: impl AsRef<[u8]>) -> anyhow::Result<()> {
        printed(&mut std::io::stdout().lock(), text.as_ref())
    }

    /// Prints an error with its causes to stderr.
    pub(super) fn error(&self, error: &anyhow::Error) {
        let mut text = error.to_string();
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            // Typed errors often hold their source's words already.
            if !text.contains(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
        }
        self.say(&format!("{ERROR}error:{ERROR:#} {}", harmless(&text)));
    }

    pub(super) fn warn(&self, text: &str) {
        if self.level >= Level::Normal {
            self.say(&format!("{WARNING}warning:{WARNING:#} {}", harmless(text)));
        }
    }

    fn hint(&self, closure: &Closure, notice: &Notice) {
        if self.level >= Level::Normal {
            self.say(&hint_line(closure, notice));
        }
    }

    /// Says something that only `-v` asks for.
    pub(super) fn detail(&self, text: &str) {
        if self.level >= Level::Verbose {
            self.say(&format!("{DIM}{}{DIM:#}", harmless(text)));
        }
    }

    pub(super) fn fact(&self, name: &str, text: &str) {
        if self.level >= Level::Normal {
            self.say(&format!("{BOLD}{name:<9}{BOLD:#} {}", harmless(text)));
        }
    }

    /// Asks for something that is typed behind it on the same line.
    pub(super) fn prompt(&self, text: &str) {
        let mut stderr = anstream::stderr().lock();
        let _ = write!(stderr, "{BOLD}{}{BOLD:#} ", harmless(text));
        let _ = stderr.flush();
    }

    fn say(&self, text: &str) {
        // Nobody is left to be told when stderr is closed.
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }

    /// Says what was decided before anything is written.
    pub(super) fn plan(&self, plan: &Plan) {
        let app = plan.found.display();
        self.fact("app", &format!("{app} ({}, {})", kind(plan), plan.platform));
        for decision in plan
            .app
            .hosted()
            .iter()
            .flat_map(|hosted| &hosted.decisions)
        {
            self.fact("", decision);
        }
        let count = plan.closure.libraries().count();
        let libraries = match count {
            0 => "none needed".to_owned(),
            1 => "1 found".to_owned(),
            _ => format!("{count} found"),
        };
        self.fact("libraries", &libraries);
        for library in plan.closure.libraries() {
            self.detail(&format!("          {}", library.path.display()));
        }
        self.companions(&plan.companions);
        for notice in &plan.notices {
            self.warn(notice);
        }
        self.notices(&plan.closure);
    }

    /// Says what comes along: the largest groups, and how much the others are.
    fn companions(&self, groups: &[Companions]) {
        let mut sorted: Vec<&Companions> = groups.iter().collect();
        sorted.sort_by_key(|group| std::cmp::Reverse(group.size()));
        let shown = match self.level {
            Level::Verbose => sorted.len(),
            // One line for the others is no shorter than one for the last.
            _ if sorted.len() <= COMPANIONS_SHOWN + 1 => sorted.len(),
            _ => COMPANIONS_SHOWN,
        };
        let (first, others) = sorted.split_at(shown);
        for (index, group) in first.iter().enumerate() {
            let by = match &group.by {
                Provenance::Rule(name) => format!(" (--without {name})"),
                _ => String::new(),
            };
            let name = if index == 0 { "with" } else { "" };
            let (size, reason) = (human(group.size()), &group.reason);
            self.fact(name, &format!("{size:>9}  {reason}{by}"));
        }
        if !others.is_empty() {
            let size: u64 = others.iter().map(|group| group.size()).sum();
            let count = others.len();
            self.fact(
                "",
                &format!("{:>9}  {count} more (-v lists them)", human(size)),
            );
        }
    }

    /// Says what a traced run opened beside what is known without it.
    pub(super) fn traced(&self, traced: &Traced, plan: &Plan) {
        let groups = plan.companions.iter();
        let found: Vec<_> = groups
            .filter(|group| group.by == Provenance::Trace)
            .flat_map(|group| &group.files)
            .filter(|file| matches!(file.entry.kind, EntryKind::File(_)))
            .collect();
        self.fact(
            "trace",
            &format!(
                "{} files opened, {} of them not found without the run",
                traced.profile.files.len(),
                found.len()
            ),
        );
        for file in &found {
            self.fact(
                "",
                &format!("{:>9}  {}", human(file.entry.size()), file.path),
            );
        }
        let (told, usual): (Vec<_>, Vec<_>) = traced
            .left_out
            .iter()
            .partition(|(path, _)| !USUALLY_LEFT_OUT.iter().any(|top| path.starts_with(top)));
        let shown = match self.level {
            Level::Verbose => told.len(),
            _ => LEFT_OUT_SHOWN.min(told.len()),
        };
        for (path, why) in told.iter().take(shown) {
            self.fact("", &format!("left out {}: {why}", path.display()));
        }
        let more = told.len() - shown;
        if more > 0 {
            self.fact("", &format!("left out {more} more (-v lists them)"));
        }
        for (path, why) in &usual {
            self.detail(&format!("          left out {}: {why}", path.display()));
        }
        for notice in &traced.notices {
            self.warn(notice);
        }
    }

    /// Says how the image started.
    pub(super) fn started(&self, started: &Started) {
        let seconds = started.took.as_secs_f64();
        let own = started.overhead.as_secs_f64() * 1e3;
        self.fact(
            "smoke",
            &format!(
                "{} ({seconds:.2} s, and {own:.0} ms for the sandbox)",
                started.what
            ),
        );
        for notice in &started.notices {
            self.warn(notice);
        }
    }

    /// Warnings and hints of a closure.
    fn notices(&self, closure: &Closure) {
        for notice in &closure.notices {
            match notice {
                Notice::Warning(text) => self.warn(text),
                Notice::Hint { .. } | Notice::Suggested { .. } => {
                    self.hint(closure, notice);
                }
            }
        }
    }

    /// Says what was written.
    pub(super) fn built(&self, built: &Built, output: &Output<'_>) {
        let layers = built.report.layers.iter();
        let names: Vec<String> = layers
            .map(|layer| format!("{} {}", layer.what, human(layer.compressed)))
            .collect();
        self.fact("layers", &names.join(" · "));
        if !built.reused.is_empty() {
            self.fact("unchanged", &built.reused.join(" · "));
        }
        self.fact(
            "image",
            &format!("{} {}", output.reference(), built.image.descriptor.digest()),
        );
    }

    /// Sets what was said apart from the report that follows.
    pub(super) fn apart(&self) {
        if std::io::stdout().is_terminal() && self.level >= Level::Normal {
            self.say("");
        }
    }

    /// Runs `work` and remembers how long it took, for `--timings`.
    pub(super) fn timed<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.remember(name.to_owned(), start.elapsed());
        result
    }

    /// Shows how long each phase took.
    pub(super) fn timings(&self) {
        let timings = lock(&self.timings);
        for (name, took) in timings.iter() {
            self.say(&format!(
                "{DIM}{:>8.1} ms  {name}{DIM:#}",
                took.as_secs_f64() * 1e3
            ));
        }
    }

    fn remember(&self, name: String, took: Duration) {
        lock(&self.timings).push((name, took));
    }

    pub(super) fn wants_bar(&self) -> bool {
        self.level >= Level::Normal && std::io::stderr().is_terminal()
    }
}

impl Observer for Terminal {
    fn begin(&self, phase: Phase, bytes: u64) {
        let base = self.done.load(Ordering::Relaxed);
        *lock(&self.running) = Some(Running {
            phase,
            total: bytes,
            start: Instant::now(),
            base,
            bar: None,
        });
    }

    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if !self.wants_bar() {
            return;
        }
        // Whoever finds the bar busy leaves it to the next call.
        if let Ok(mut running) = self.running.try_lock()
            && let Some(running) = running.as_mut()
        {
            if running.bar.is_none() && running.start.elapsed() >= BAR_AFTER && running.total > 0 {
                running.bar = Some(bar(
                    &running.phase.to_string(),
                    running.total,
                    running.start.elapsed(),
                ));
            }
            if let Some(bar) = &running.bar {
                bar.set_position(done.saturating_sub(running.base).min(running.total));
            }
        }
    }

    fn end(&self, phase: Phase, took: Duration) {
        if let Some(bar) = lock(&self.running).take().and_then(|running| running.bar) {
            bar.finish_and_clear();
        }
        self.remember(phase.to_string(), took);
    }
}

/// Text with its control characters escaped, and those that turn the direction of what follows,
/// except the ends of its lines: what is said holds names from files, and no file shall steer the
/// terminal.
pub(super) fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => harmless.push(character),
            control if control.is_control() => harmless.extend(control.escape_default()),
            turning @ ('\u{61c}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}') => harmless.extend(turning.escape_default()),
            _ => harmless.push(character),
        }
    }
    harmless
}

/// A hint of a closure, the words of which are escaped already; what is left are its styles.
fn hint_line(closure: &Closure, notice: &Notice) -> String {
    let text = crate::report::deps::hint(closure, notice);
    format!("{HINT}hint:{HINT:#} {text}")
}

/// What the app is, in a few words: `ELF, glibc`, `script of /usr/bin/perl`.
fn kind(plan: &Plan) -> String {
    let libc = match plan.closure.loaders.first().map(|loader| loader.flavour) {
        Some(Flavour::Glibc) => "glibc",
        Some(Flavour::Musl) => "musl",
        Some(Flavour::Other) => "dynamic",
        None => "static",
    };
    match &plan.app.kind {
        AppKind::Elf => format!("ELF, {libc}"),
        AppKind::Script { interpreters } => match interpreters.last() {
            Some(last) => format!("script of {}, {libc}", last.path.display()),
            None => format!("script, {libc}"),
        },
        AppKind::Hosted(hosted) => format!("{} {}, {libc}", hosted.runtime, hosted.version),
    }
}

/// Columns of the terminal that shows the result; `COLUMNS` comes first, 80 last.
fn width() -> usize {
    let asked = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let is = || columns_of(std::io::stdout());
    asked.or_else(is).unwrap_or(80)
}

fn columns_of(stream: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Unicode where the locale says UTF-8 (`locale(7)`: `LC_ALL` before `LC_CTYPE` before `LANG`),
/// and where it says nothing and the text goes into a file or a pipe.
fn charset() -> Charset {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let unicode = match set {
        Some(locale) => {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }
        None => !std::io::stdout().is_terminal(),
    };
    if unicode {
        Charset::Unicode
    } else {
        Charset::Ascii
    }
}

pub(super) fn bar(name: &str, total: u64, elapsed: Duration) -> ProgressBar {
    // The other words take 49 columns; a bar that wraps makes the lines jump.
    let length = columns_of(std::io::stderr())
        .unwrap_or(80)
        .saturating_sub(50)
        .clamp(4, 30);
    let target = ProgressDrawTarget::stderr();
    let bar = ProgressBar::with_draw_target(Some(total), target).with_elapsed(elapsed);
    let template =
        format!("{{prefix}} {{bar:{length}.cyan/blue}} {{done:>8}} of {{all}}, {{left}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        let write = |out: &mut dyn std::fmt::Write, text: &str| {
            // Nothing can be done when a bar cannot be written.
            let _ = out.write_str(text);
        };
        let style = style
            .progress_chars("━╸─")
            .with_key(
                "done",
                move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    write(out, &human(state.pos()));
                },
            )
            .with_key(
                "all",
                move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    write(out, &human(state.len().unwrap_or(0)));
                },
            )
            .with_key(
                "left",
                move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let left = left(state.elapsed(), state.pos(), state.len().unwrap_or(0));
                    write(out, &format!("{} s", left.as_secs_f64().ceil()));
                },
            );
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar
}

fn printed(stdout: &mut dyn Write, text: &[u8]) -> anyhow::Result<()> {
    let written = stdout.write_all(text);
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("the result cannot be written to stdout"))
        }
        _ => Ok(()),
    }
}

/// The time that what is left will take, at the pace so far.
fn left(elapsed: Duration, done: u64, all: u64) -> Duration {
    let seconds = elapsed.as_secs_f64() * all.saturating_sub(done) as f64 / done.max(1) as f64;
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Locks, also when another thread panicked while it held the lock: what is in it are
/// only words for the terminal.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_by_the_pace_so_far() {
        let second = Duration::from_secs(1);
        assert_eq!(left(second, 25, 100), second * 3);
        assert_eq!(left(second, 100, 100), Duration::ZERO);
        assert_eq!(left(second, 0, 100), second * 100);
        assert_eq!(left(Duration::MAX, 1, u64::MAX), Duration::ZERO);
    }
    #[test]
    fn a_name_cannot_write_to_the_terminal() {
        assert_eq!(
            harmless("a\u{1b}[2Jb\u{9b}\r\nc"),
            "a\\u{1b}[2Jb\\u{9b}\\r\nc"
        );
        assert_eq!(harmless("a\u{202e}b\u{2066}é"), "a\\u{202e}b\\u{2066}é");
    }

    #[test]
    fn a_hint_keeps_its_colours_and_escapes_its_names() {
        let notice = Notice::Suggested {
            sonames: vec!["liba\u{1b}[2J.so".into()],
            feature: None,
            by: 0,
        };
        let line = hint_line(&Closure::default(), &notice);
        let plain = anstream::adapter::strip_str(&line).to_string();
        assert!(
            plain.ends_with("give --dlopen liba\\u{1b}[2J.so"),
            "{plain}"
        );
        assert!(!line.contains("\\u{1b}[36m"), "{line}");
    }
}

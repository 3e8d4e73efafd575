//! Watching one run of the program, from its start to the end of everything in it.

use std::io::Read;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::Scope;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;

use super::channel::Channel;
use super::inmate::Instructions;
use super::judge::Judge;
use super::leash::{Leash, Life};
use super::message::{Check, Ending, FailedCall, Fault, Murmur, Order, Outcome, Raw, Report};
use super::output::Tail;
use super::room::Room;
use super::{probe, process};
use crate::helper::{Helper, Part};

/// How long the inmate may take to become the program.
const START: Duration = Duration::from_secs(20);

/// How long a server may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// How long the kernel may take to end what was killed.
const DEATH: Duration = Duration::from_secs(10);

/// Times between two questions at a port: it doubles from the first up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// Events that wait; a program that prints faster than it is read has to wait as well.
const BACKLOG: usize = 64;

const BUFFER: usize = 64 << 10;

/// What happens in a run.
enum Event {
    /// The inmate's process is there.
    Born(Birth),
    /// It says something.
    Heard(Murmur),
    /// It has become the program.
    Started,
    Printed(usize, Vec<u8>),
    Closed,
    Answered {
        port: u16,
        status: Option<u16>,
    },
    /// All processes have ended.
    Ended(Ending, Vec<FailedCall>),
    /// There is no inmate.
    Stillborn(Fault),
}

struct Birth {
    leash: Leash,
    streams: Vec<Box<dyn Read + Send>>,
}

/// Runs the program in `room` as ordered, in a pid namespace of its own. Nothing of it is left
/// when this returns.
pub(super) fn run(room: &Room, order: Order) -> Result<Report, Fault> {
    let (channel, theirs) = Channel::pair().map_err(Fault::step("make a socket"))?;
    let instructions = Instructions {
        launch: order.launch,
        watched: order.watched,
        place: Raw::from(&room.place),
    };
    let (sender, events) = mpsc::sync_channel(BACKLOG);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let life = sender.clone();
        scope.spawn(move || live(theirs.into(), order.watched, &life));
        let mut run = Run {
            scope,
            sender,
            over: &over,
            check: &order.check,
            judge: Judge::new(&order.check),
            tail: Tail::default(),
            notices: Vec::new(),
            leash: None,
            started: None,
            ended: None,
            open_streams: 0,
            listening: false,
        };
        let report = run.complete(&events, channel, instructions);
        over.store(true, Ordering::Relaxed);
        // Who still wants to tell something finds nobody who listens.
        drop(events);
        report
    })
}

/// The life of the inmate. Its parent is this thread, whose end would end it too.
fn live(stdin: Stdio, watched: bool, events: &SyncSender<Event>) {
    // A process that has unshared its pid namespace cannot start threads, but other threads can.
    let born = unshare(CloneFlags::CLONE_NEWPID)
        .map_err(|error| Fault::Namespaces {
            errno: error as i32,
        })
        .and_then(|()| {
            Helper::default()
                .command(Part::Inmate)
                .stdin(stdin)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .map_err(Fault::step("start the first process of the sandbox"))
        });
    let mut child = match born {
        Ok(child) => child,
        Err(fault) => {
            let _ = events.send(Event::Stillborn(fault));
            return;
        }
    };
    let mut streams: Vec<Box<dyn Read + Send>> = Vec::new();
    streams.extend(child.stdout.take().map(|out| Box::new(out) as _));
    streams.extend(child.stderr.take().map(|err| Box::new(err) as _));
    let (life, leash) = Life::of(child, watched);
    // Nobody listens only when the run is over, which it is not before its end.
    let _ = events.send(Event::Born(Birth { leash, streams }));
    let (ending, failures) = life.wait();
    let _ = events.send(Event::Ended(ending, failures));
}

struct Run<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    sender: SyncSender<Event>,
    over: &'scope AtomicBool,
    check: &'scope Check,
    judge: Judge<'scope>,
    tail: Tail,
    notices: Vec<String>,
    leash: Option<Leash>,
    started: Option<Instant>,
    ended: Option<(Instant, Ending, Vec<FailedCall>)>,
    open_streams: usize,
    /// Whether the inmate may still say something.
    listening: bool,
}

impl Run<'_, '_> {
    fn complete(
        &mut self,
        events: &Receiver<Event>,
        channel: Channel,
        instructions: Instructions,
    ) -> Result<Report, Fault> {
        let begun = Instant::now();
        let mut talk = Some((channel, instructions));
        let outcome = loop {
            let (reference, limit) = match self.started {
                Some(started) => (started, self.judge.next_moment(started.elapsed())),
                None => (begun, START),
            };
            if let Some(outcome) = self
                .judge
                .outcome(reference.elapsed(), self.started.is_some())
            {
                break outcome;
            }
            let wait = limit.saturating_sub(reference.elapsed());
            match events.recv_timeout(wait) {
                Ok(Event::Born(birth)) => self.attend(birth, talk.take()),
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) if self.started.is_none() && wait.is_zero() => {
                    break Outcome::NotStarted(Fault::Step {
                        what: "start the program in time".to_owned(),
                        errno: 0,
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break Outcome::TimeOver,
            }
        };
        let now = Instant::now();
        if outcome == Outcome::Passed && self.check.is_for_servers() {
            self.ask_to_end(events);
        }
        self.end(events)?;
        Ok(self.report(outcome, now))
    }

    /// Tells the inmate what to do, and listens to it.
    fn attend(&mut self, birth: Birth, talk: Option<(Channel, Instructions)>) {
        self.leash = Some(birth.leash);
        for (number, stream) in birth.streams.into_iter().enumerate() {
            self.open_streams += 1;
            let sender = self.sender.clone();
            self.scope.spawn(move || read(number, stream, &sender));
        }
        if let Some((mut channel, instructions)) = talk {
            // An inmate that does not listen has ended, which is told elsewhere.
            let _ = channel.send(&instructions);
            self.listening = true;
            let sender = self.sender.clone();
            self.scope.spawn(move || {
                while let Ok(Some(murmur)) = channel.receive() {
                    let _ = sender.send(Event::Heard(murmur));
                }
                let _ = sender.send(Event::Started);
            });
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Born(birth) => self.attend(birth, None),
            Event::Heard(Murmur::Notice(notice)) => self.notices.push(notice),
            Event::Heard(Murmur::Failed(fault)) | Event::Stillborn(fault) => {
                self.judge.not_started(fault);
            }
            Event::Started => {
                self.listening = false;
                self.started.get_or_insert_with(Instant::now);
                self.ask_ports();
            }
            Event::Printed(stream, bytes) => {
                self.tail.add(&bytes);
                self.judge.printed(stream, &bytes);
            }
            Event::Closed => self.open_streams = self.open_streams.saturating_sub(1),
            Event::Answered { port, status } => {
                let after = self.started.map(|started| started.elapsed());
                self.tell_of_loopback(port);
                self.judge.answered(port, status, after.unwrap_or_default());
            }
            Event::Ended(ending, failures) => {
                self.ended = Some((Instant::now(), ending, failures));
            }
        }
        // What was printed or said before the end counts, and can arrive after it.
        if let Some((_, ending, _)) = self.ended
            && self.open_streams == 0
            && !self.listening
        {
            self.judge.ended(ending);
        }
    }

    /// What answers here may be out of reach where it counts.
    fn tell_of_loopback(&mut self, port: u16) {
        if !probe::is_on_loopback_alone(port) {
            return;
        }
        let notice = format!(
            "it listens on port {port} of the loopback address alone, which nobody reaches from outside of the container or pod: let it listen on 0.0.0.0 or [::]"
        );
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    fn ask_ports(&self) {
        for port in self.check.ports.iter().copied() {
            let (sender, over) = (self.sender.clone(), self.over);
            self.scope.spawn(move || {
                let mut pause = FIRST_PAUSE;
                while !over.load(Ordering::Relaxed) {
                    if let Some(status) = probe::ask(port) {
                        let is_final = status.is_none_or(|status| !Judge::is_not_ready(status));
                        if sender.send(Event::Answered { port, status }).is_err() || is_final {
                            return;
                        }
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            });
        }
    }

    /// Ends a server as a runtime does.
    fn ask_to_end(&mut self, events: &Receiver<Event>) {
        let Some(leash) = self.leash.as_ref().filter(|_| self.ended.is_none()) else {
            return;
        };
        let handled = process::handles_term(leash.pid());
        if handled {
            leash.signal(Signal::SIGTERM);
            self.until_ended(events, GRACE);
        }
        if self.ended.is_none() {
            let why = match handled {
                true => "it did not end within 2 s of SIGTERM",
                false => {
                    "it has no handler for SIGTERM, and the first process of a container gets no signal without one"
                }
            };
            self.notices.push(format!(
                "{why}: a runtime that stops it waits, and kills it in the end"
            ));
        }
    }

    /// Ends what still runs, and takes what it has printed.
    fn end(&mut self, events: &Receiver<Event>) -> Result<(), Fault> {
        if self.ended.is_none()
            && let Some(leash) = &self.leash
        {
            leash.kill();
            self.until_ended(events, DEATH);
        }
        if self.leash.is_some() && self.ended.is_none() {
            return Err(Fault::Step {
                what: "end all processes of the program within 10 s of SIGKILL".to_owned(),
                errno: 0,
            });
        }
        Ok(())
    }

    fn until_ended(&mut self, events: &Receiver<Event>, limit: Duration) {
        let begun = Instant::now();
        while self.ended.is_none() || self.open_streams > 0 {
            match events.recv_timeout(limit.saturating_sub(begun.elapsed())) {
                Ok(event) => self.take(event),
                Err(_) => return,
            }
        }
    }

    fn report(&mut self, outcome: Outcome, now: Instant) -> Report {
        let ended = self.ended.take();
        let since_start = |moment: Instant| {
            self.started.map_or(Duration::ZERO, |started| {
                moment.saturating_duration_since(started)
            })
        };
        use std::os::unix::ffi::OsStrExt;
        let tail = std::mem::take(&mut self.tail).into_bytes();
        Report {
            outcome,
            took: since_start(now),
            ran: since_start(ended.as_ref().map_or(now, |(moment, _, _)| *moment)),
            tail: Raw::from(std::ffi::OsStr::from_bytes(&tail)),
            answers: self.judge.answers(),
            unmet: self.judge.unmet(),
            notices: std::mem::take(&mut self.notices),
            failures: ended.map(|(_, _, failures)| failures).unwrap_or_default(),
        }
    }
}

fn read(number: usize, mut stream: Box<dyn Read + Send>, events: &SyncSender<Event>) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                if events.send(Event::Printed(number, bytes)).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = events.send(Event::Closed);
}

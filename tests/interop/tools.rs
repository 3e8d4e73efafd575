//! Running other people's tools: found or failed by name, bounded in time, output kept.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that any one command may take. An emulated or very large program on a
/// busy machine stays far below it.
const DEADLINE: Duration = Duration::from_secs(180);

/// The system's own programs, the administrator's too, which are not in every user's `PATH`.
const SYSTEM_DIRECTORIES: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Each tool with the Debian package that has it.
const PACKAGES: &[(&str, &str)] = &[
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("buildah", "buildah"),
    ("busybox", "busybox-static"),
    ("curl", "curl"),
    ("docker-registry", "docker-registry"),
    ("ffmpeg", "ffmpeg"),
    ("g++", "g++"),
    ("gcc", "gcc"),
    ("gdb", "gdb"),
    ("getent", "libc-bin"),
    ("git", "git"),
    ("iconv", "libc-bin"),
    ("jar", "default-jdk-headless"),
    ("java", "default-jdk-headless"),
    ("javac", "default-jdk-headless"),
    ("jlink", "default-jdk-headless"),
    ("jq", "jq"),
    ("ldconfig", "libc-bin"),
    ("lddtree", "pax-utils"),
    ("lua5.4", "lua5.4"),
    ("mount", "mount"),
    ("musl-gcc", "musl-tools"),
    ("nginx", "nginx-light"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("openssl", "openssl"),
    ("perl", "perl"),
    ("python3", "python3-venv"),
    ("qemu-aarch64-static", "qemu-user-static"),
    ("redis-server", "redis-server"),
    ("runc", "runc"),
    ("skopeo", "skopeo"),
    ("sqlite3", "sqlite3"),
    ("strace", "strace"),
    ("tar", "tar"),
    ("tmux", "tmux"),
    ("tput", "ncurses-bin"),
    ("umoci", "umoci"),
    ("umount", "mount"),
];

/// Those that Go builds.
const BY_GO: &[&str] = &["cosign", "cosign-v2", "crane"];

/// The path of `tool`; a missing one fails the test with what installs it.
pub(crate) fn path_of(tool: &str) -> PathBuf {
    search_path()
        .split(':')
        .map(|directory| PathBuf::from(directory).join(tool))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            if BY_GO.contains(&tool) {
                panic!("{tool} is not installed; get it with: .ci/install");
            }
            let package = PACKAGES
                .iter()
                .find_map(|&(name, package)| (name == tool).then_some(package))
                .unwrap_or(tool);
            panic!("{tool} is not installed; get it with: apt-get install {package}")
        })
}

/// A command that runs `tool`; `None` where there is no Go to build it with, which is said.
pub(crate) fn optional(name: &str) -> Option<Command> {
    let has = |name: &str| {
        search_path()
            .split(':')
            .any(|directory| PathBuf::from(directory).join(name).is_file())
    };
    if has(name) || has("go") {
        return Some(tool(name));
    }
    eprintln!("skipped: {name} is not installed, nor is Go");
    None
}

/// A command that runs `tool`, which must be installed.
pub(crate) fn tool(tool: &str) -> Command {
    let mut command = Command::new(path_of(tool));
    command.env("PATH", search_path());
    command
}

/// The system's directories, then the caller's `PATH`: packaged scripts (lddtree) want the
/// packaged interpreter.
fn search_path() -> String {
    match std::env::var("PATH") {
        Ok(path) => format!("{SYSTEM_DIRECTORIES}:{path}"),
        Err(_) => SYSTEM_DIRECTORIES.to_owned(),
    }
}

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The command line, for failure messages.
    command: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Its standard output, after a check that it succeeded.
    #[track_caller]
    pub(crate) fn output(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }

    /// Its standard error, after a check that it exited with `code`.
    #[track_caller]
    pub(crate) fn exited_with(self, code: i32) -> String {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self.stderr
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n{}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.status, self.stdout, self.stderr
        )
    }
}

/// Runs `command` with no standard input, and ends it at the deadline.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Outcome {
    let line = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{line} did not end within {} s", DEADLINE.as_secs());
        }
        thread::sleep(Duration::from_millis(3));
    };
    Outcome {
        command: line,
        status,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

/// Reads a pipe to its end on a thread, so that a talkative program never blocks.
fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::zombie_processes)]

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

const PROGRAM: &str = "DISTROBUILD_TEST_WATCHED_PROGRAM";

/// Not a test of its own: what [`run`] starts, in a process of its own.
#[test]
fn becomes_the_watched_program() {
    let Some(program) = std::env::var_os(PROGRAM) else {
        return;
    };
    become_traced().unwrap();
    panic!("{}", Command::new(program).exec());
}

/// Watches a program that was made from this C code, in a directory of its own.
fn watched(code: &str, limit: Option<Duration>) -> (tempfile::TempDir, Watched) {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), code);
    let watched = run(&program, directory.path(), &Control::new(), limit);
    (directory, watched.unwrap())
}

fn compile(directory: &Path, code: &str) -> PathBuf {
    let source = directory.join("program.c");
    let program = directory.join("program");
    std::fs::write(&source, code).unwrap();
    let status = Command::new("cc")
        .args(["-pthread", "-w", "-o"])
        .arg(&program)
        .arg(&source)
        .status()
        .unwrap();
    assert!(status.success());
    program
}

fn run(
    program: &Path,
    directory: &Path,
    control: &Control,
    limit: Option<Duration>,
) -> io::Result<Watched> {
    // No test may hang, whatever is broken.
    let limit = limit.unwrap_or(Duration::from_secs(60));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--test-threads=1", "--nocapture", "--quiet"])
        .arg("trace::failures::tests::becomes_the_watched_program")
        .env(PROGRAM, program)
        .current_dir(directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    watch(pid, control, Some(Instant::now() + limit))
}

/// Failures as `call path errno`, paths below `directory` shortened.
fn told(directory: &Path, watched: &Watched) -> Vec<String> {
    let directory = directory.canonicalize().unwrap();
    let told = |failure: &Failure| {
        let path = failure.path.strip_prefix(&directory);
        let path = path.unwrap_or(&failure.path).display().to_string();
        format!("{} {path} {:?}", failure.call, failure.errno)
    };
    watched.failures.iter().map(told).collect()
}

#[test]
fn the_file_that_a_program_did_not_find_is_told() {
    let (directory, watched) = watched(
        r#"#include <stdio.h>
        #include <stdlib.h>
        int main(void) {
            if (fopen("data/app.conf", "r")) return 0;
            exit(3);
        }"#,
        None,
    );
    assert_eq!(watched.end, End::Exited(3));
    assert!(!watched.timed_out);
    let told = told(directory.path(), &watched);
    assert_eq!(told.last().unwrap(), "openat data/app.conf ENOENT");
    let last = watched.failures.last().unwrap();
    assert!(!last.writes());
    assert!(
        last.to_string()
            .ends_with("data/app.conf: no such file or directory")
    );
}

#[test]
fn a_search_that_ends_well_is_no_failure_but_one_that_does_not_is() {
    let (directory, watched) = watched(
        r#"#include <fcntl.h>
        #include <sys/stat.h>
        int main(void) {
            open("a/program.c", O_RDONLY);
            open("b/program.c", O_RDONLY);
            open("a/other", O_RDONLY);
            open("b/other", O_RDONLY);
            open("b/other", O_RDONLY);
            open("program.c", O_RDONLY);
        }"#,
        None,
    );
    let told = told(directory.path(), &watched);
    assert_eq!(
        told.iter()
            .filter(|told| told.contains("program.c") || told.contains("other"))
            .collect::<Vec<_>>(),
        ["openat a/other ENOENT", "openat b/other ENOENT"]
    );
    assert_eq!(watched.end, End::Exited(0));
}

#[test]
fn what_cannot_be_made_or_executed_is_told_and_tidying_up_is_not() {
    let (directory, watched) = watched(
        r#"#include <fcntl.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/socket.h>
        #include <sys/stat.h>
        #include <sys/un.h>
        #include <unistd.h>
        int main(void) {
            unlink("old.pid");
            mkdir("none/cache", 0755);
            open("none/app.pid", O_CREAT | O_WRONLY, 0644);
            rename("none/a", "b");
            struct sockaddr_un address = { .sun_family = AF_UNIX };
            strcpy(address.sun_path, "none/app.sock");
            bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof address);
            execl("none/tool", "tool", (char *)0);
            execl("program.c", "program.c", (char *)0);
        }"#,
        None,
    );
    assert_eq!(
        told(directory.path(), &watched)
            .iter()
            .filter(|told| !told.contains("/etc/") && !told.contains("/lib"))
            .collect::<Vec<_>>(),
        [
            "mkdir none/cache ENOENT",
            "openat none/app.pid ENOENT",
            "rename none/a ENOENT",
            "bind none/app.sock ENOENT",
            "execve none/tool ENOENT",
            "execve program.c EACCES",
        ]
    );
    let writes = |name: &str| {
        let failure = watched.failures.iter().find(|it| it.path.ends_with(name));
        failure.unwrap().writes()
    };
    assert!(writes("cache") && writes("app.pid") && writes("app.sock"));
    assert!(!writes("tool"));
}

#[test]
fn failures_in_threads_and_children_are_told_with_their_own_directory() {
    let (directory, watched) = watched(
        r#"#include <fcntl.h>
        #include <pthread.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <sys/stat.h>
        #include <sys/wait.h>
        #include <unistd.h>
        void *task(void *unused) { open("from-thread", O_RDONLY); return 0; }
        int main(void) {
            pthread_t thread;
            pthread_create(&thread, 0, task, 0);
            pthread_join(thread, 0);
            mkdir("below", 0755);
            if (!fork()) { chdir("below"); open("from-child", O_RDONLY); _exit(0); }
            wait(0);
            int below = open("below", O_RDONLY | O_DIRECTORY);
            openat(below, "from-descriptor", O_RDONLY);
        }"#,
        None,
    );
    let told = told(directory.path(), &watched);
    for expected in [
        "openat from-thread ENOENT",
        "openat below/from-child ENOENT",
        "openat below/from-descriptor ENOENT",
    ] {
        assert!(told.iter().any(|told| told == expected), "{told:?}");
    }
}

#[test]
fn no_more_than_the_last_ones_are_kept() {
    let (directory, watched) = watched(
        r#"#include <fcntl.h>
        #include <stdio.h>
        int main(void) {
            char name[16];
            for (int i = 0; i < 100; i++) { sprintf(name, "none%d", i); open(name, O_RDONLY); }
        }"#,
        None,
    );
    let told = told(directory.path(), &watched);
    assert_eq!(told.len(), LIMIT);
    assert_eq!(told.last().unwrap(), "openat none99 ENOENT");
    assert_eq!(told.first().unwrap(), "openat none68 ENOENT");
}

#[test]
fn the_deadline_ends_all_processes() {
    let (_directory, watched) = watched(
        r#"#include <signal.h>
        #include <unistd.h>
        int main(void) { signal(SIGTERM, SIG_IGN); fork(); for (;;) pause(); }"#,
        Some(Duration::from_millis(300)),
    );
    assert!(watched.timed_out);
    assert_eq!(watched.end, End::Killed(libc::SIGKILL));
}

#[test]
fn another_thread_may_look_and_end_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(
        directory.path(),
        r#"#include <fcntl.h>
        #include <unistd.h>
        int main(void) { open("none", O_RDONLY); for (;;) pause(); }"#,
    );
    let control = Control::new();
    let watched = std::thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + Duration::from_secs(30);
            let seen = || {
                control
                    .failures()
                    .iter()
                    .any(|it| it.path.ends_with("none"))
            };
            while !seen() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            control.signal(Signal::SIGTERM);
        });
        run(&program, directory.path(), &control, None).unwrap()
    });
    assert_eq!(watched.end, End::Killed(libc::SIGTERM));
    assert!(!watched.timed_out);
}

#[test]
fn a_child_that_is_not_traced_is_waited_for() {
    let child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let watched = watch(pid, &Control::new(), None).unwrap();
    assert_eq!(watched.end, End::Exited(7));
    assert_eq!(watched.failures, []);
}

#[test]
fn a_real_time_signal_is_an_error_and_not_a_program_that_hangs() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(
        directory.path(),
        r#"#include <signal.h>
        #include <unistd.h>
        void handle(int number) {}
        int main(void) { signal(SIGRTMIN, handle); raise(SIGRTMIN); for (;;) pause(); }"#,
    );
    let error = run(&program, directory.path(), &Control::new(), None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}

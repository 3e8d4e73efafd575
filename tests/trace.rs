//! `--trace`: what a run of an app tells about the files that it needs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use distrobuild::helper::Helper;
use distrobuild::trace::{Access, End, Profile, TraceError, Traced, Tracing, run};

/// The working directory belongs to the process: one run at a time.
static RUNS: Mutex<()> = Mutex::new(());

/// An app in a directory of its own, in which it runs.
struct App {
    directory: tempfile::TempDir,
}

impl App {
    /// Of a C program.
    fn new(code: &str) -> Self {
        let app = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        app.compile("app", code);
        app
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    fn compile(&self, name: &str, code: &str) {
        let source = self.path(&format!("{name}.c"));
        std::fs::write(&source, code).unwrap();
        let status = Command::new("cc")
            .args(["-pthread", "-w", "-o"])
            .arg(self.path(name))
            .arg(&source)
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::remove_file(source).unwrap();
    }

    fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn trace(&self, arguments: &[&str]) -> Result<Traced, TraceError> {
        // So long that only a test that fails takes it.
        self.trace_for(arguments, Some(Duration::from_secs(60)))
    }

    fn trace_for(&self, arguments: &[&str], time: Option<Duration>) -> Result<Traced, TraceError> {
        let _one = RUNS.lock().unwrap_or_else(|poison| poison.into_inner());
        std::env::set_current_dir(self.directory.path()).unwrap();
        let program = self.path("app").into_os_string();
        let result = run(&Tracing {
            command: std::iter::once(program)
                .chain(arguments.iter().map(OsString::from))
                .collect(),
            time,
            ignore: Vec::new(),
            helper: helper(),
        });
        std::env::set_current_dir("/").unwrap();
        result
    }

    /// What was used, without what belongs to the system's libraries.
    fn used(&self, traced: &Traced) -> BTreeMap<String, Access> {
        let directory = self.path("");
        traced
            .profile
            .files
            .iter()
            .filter(|file| file.path.is_relative() || file.path.starts_with(&directory))
            .map(|file| {
                let path = match file.path.strip_prefix(&directory) {
                    Ok(rest) => format!("/{}", rest.display()),
                    Err(_) => file.path.display().to_string(),
                };
                (path, file.access)
            })
            .collect()
    }

    /// The names of [`App::used`].
    fn names(&self, traced: &Traced) -> Vec<String> {
        self.used(traced).into_keys().collect()
    }
}

fn helper() -> Helper {
    Helper::at(env!("CARGO_BIN_EXE_distrobuild"))
}

fn reason<'a>(traced: &'a Traced, end: &str) -> Option<&'a str> {
    let mut left_out = traced.left_out.iter();
    left_out.find_map(|(path, why)| path.ends_with(end).then_some(*why))
}

#[test]
fn only_files_of_the_code_path_that_was_taken_are_used() {
    let app = App::new(
        r#"#include <stdio.h>
        int main(int count, char **words) { return !fopen(words[1], "r"); }"#,
    );
    app.file("first", "").file("second", "");
    let traced = app.trace(&["first"]).unwrap();
    assert_eq!(app.names(&traced), ["/app", "first"]);
    assert_eq!(app.used(&traced)["/app"], Access::Execute);
    assert_eq!(app.used(&traced)["first"], Access::Read);
    let traced = app.trace(&["second"]).unwrap();
    assert_eq!(app.names(&traced), ["/app", "second"]);
}

#[test]
fn libraries_and_the_loader_are_seen_and_its_cache_is_left_out() {
    let app = App::new("int main(void) { return 0; }");
    let traced = app.trace(&[]).unwrap();
    let has = |name: &str| {
        let mut files = traced.profile.files.iter();
        files.any(|file| file.path.to_string_lossy().contains(name))
    };
    assert!(has("libc.") || has("ld-musl"), "{traced:?}");
    assert!(has("/ld-"), "{traced:?}");
    assert!(!has("ld.so.cache"));
}

#[test]
fn children_threads_and_programs_of_all_kinds_of_fork_are_seen() {
    let app = App::new(
        r#"#define _GNU_SOURCE
        #include <fcntl.h>
        #include <pthread.h>
        #include <sched.h>
        #include <signal.h>
        #include <spawn.h>
        #include <stdlib.h>
        #include <sys/wait.h>
        #include <unistd.h>
        void look(const char *name) { close(open(name, O_RDONLY)); }
        void *task(void *name) { look(name); return 0; }
        int cloned(void *name) { look(name); _exit(0); }
        char stack[65536] __attribute__((aligned(16)));
        int main(int count, char **words) {
            if (count > 1) { look(words[1]); return 0; }
            if (!fork()) { look("forked"); _exit(0); }
            wait(0);
            if (!vfork()) { execl("tool", "tool", "vforked", (char *)0); _exit(1); }
            wait(0);
            pid_t spawned;
            char *command[] = { "tool", "spawned", 0 };
            posix_spawn(&spawned, "tool", 0, 0, command, 0);
            waitpid(spawned, 0, 0);
            clone(cloned, stack + sizeof stack, SIGCHLD, "cloned");
            wait(0);
            pthread_t thread;
            pthread_create(&thread, 0, task, "threaded");
            pthread_join(thread, 0);
        }"#,
    );
    std::fs::copy(app.path("app"), app.path("tool")).unwrap();
    let files = ["forked", "vforked", "spawned", "cloned", "threaded"];
    for file in files {
        app.file(file, "");
    }
    let traced = app.trace(&[]).unwrap();
    let used = app.used(&traced);
    for file in files {
        assert_eq!(used.get(file), Some(&Access::Read), "{file}: {traced:?}");
    }
    assert_eq!(used.get("tool"), Some(&Access::Execute));
}

#[test]
fn a_program_that_a_thread_executes_is_seen_and_ends_the_run() {
    let app = App::new(
        r#"#include <fcntl.h>
        #include <pthread.h>
        #include <unistd.h>
        void *become(void *tool) { execl(tool, tool, "x", (char *)0); return 0; }
        void *wait_on(void *unused) { for (;;) pause(); }
        int main(int count, char **words) {
            if (count > 1) return open("after", O_RDONLY) < 0;
            pthread_t other, thread;
            pthread_create(&other, 0, wait_on, 0);
            pthread_create(&thread, 0, become, "./app");
            pthread_join(other, 0);
        }"#,
    );
    app.file("after", "");
    let traced = app.trace(&[]).unwrap();
    assert_eq!(app.names(&traced), ["/app", "after", "app"]);
}

#[test]
fn children_that_outlive_their_parent_are_followed_to_their_end() {
    let app = App::new(
        r#"#include <fcntl.h>
        #include <unistd.h>
        int main(void) {
            if (fork()) return 0;
            setsid();
            if (fork()) return 0;
            usleep(200000);
            open("late", O_RDONLY);
        }"#,
    );
    app.file("late", "");
    let traced = app.trace(&[]).unwrap();
    assert_eq!(app.names(&traced), ["/app", "late"]);
}

const SERVER: &str = r#"#include <fcntl.h>
    #include <signal.h>
    #include <unistd.h>
    void leave(int number) { open("at-end", O_RDONLY); _exit(7); }
    int main(int count, char **words) {
        signal(SIGTERM, count == 1 ? leave : words[1][0] == 'i' ? SIG_IGN : SIG_DFL);
        open("at-start", O_RDONLY);
        fork();
        for (;;) pause();
    }"#;

#[test]
fn a_server_is_ended_after_its_time_and_all_that_it_opened_counts() {
    let app = App::new(SERVER);
    app.file("at-start", "").file("at-end", "");
    let time = Some(Duration::from_millis(500));
    let traced = app.trace_for(&[], time).unwrap();
    assert_eq!(app.names(&traced), ["/app", "at-end", "at-start"]);
    assert_eq!(traced.notices, Vec::<String>::new());
    let traced = app.trace_for(&["default"], time).unwrap();
    assert_eq!(app.names(&traced), ["/app", "at-start"]);
    // One that had to be killed after its grace would be told.
    assert_eq!(traced.notices, Vec::<String>::new());
}

#[test]
fn a_server_that_ignores_sigterm_is_killed_with_its_children() {
    let app = App::new(SERVER);
    let start = Instant::now();
    let traced = app
        .trace_for(&["ignore"], Some(Duration::from_millis(200)))
        .unwrap();
    assert!(start.elapsed() >= Duration::from_secs(5));
    assert!(traced.notices[0].contains("did not end within 5 s"));
}

#[test]
fn an_app_that_fails_or_crashes_is_an_error_that_says_how() {
    let app = App::new(
        r#"#include <signal.h>
        #include <stdlib.h>
        int main(int count, char **words) {
            if (count > 1) exit(atoi(words[1]));
            raise(SIGSEGV);
        }"#,
    );
    let error = app.trace(&["3"]).unwrap_err();
    assert!(matches!(
        error,
        TraceError::Failed {
            end: End::Exited(3),
            ..
        }
    ));
    assert!(
        error.to_string().contains("ended with exit code 3"),
        "{error}"
    );
    let error = app.trace(&[]).unwrap_err();
    assert!(error.to_string().contains("SIGSEGV"), "{error}");
}

#[test]
fn what_cannot_be_executed_is_told_with_its_reason() {
    let app = App::new("int main(void) { return 0; }");
    std::fs::set_permissions(app.path("app"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = app.trace(&[]).unwrap_err().to_string();
    assert!(
        error.contains("ermission denied") && error.contains("chmod a+x"),
        "{error}"
    );
    std::fs::write(app.path("app"), "#!/none/interpreter\n").unwrap();
    std::fs::set_permissions(app.path("app"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = app.trace(&[]).unwrap_err().to_string();
    assert!(error.contains("interpreter"), "{error}");
    std::fs::remove_file(app.path("app")).unwrap();
    let error = app.trace(&[]).unwrap_err();
    assert!(matches!(error, TraceError::NotFound(_)), "{error}");
    let error = run(&Tracing {
        command: vec!["true".into()],
        time: None,
        ignore: Vec::new(),
        helper: Helper::at("/bin/true"),
    })
    .unwrap_err();
    assert!(matches!(error, TraceError::NoHelper(_)), "{error}");
}

#[test]
fn what_the_app_wrote_is_left_out_and_what_it_only_could_have_written_is_not() {
    let app = App::new(
        r#"#include <fcntl.h>
        #include <stdio.h>
        #include <sys/stat.h>
        #include <unistd.h>
        void look(const char *name) { close(open(name, O_RDONLY)); }
        void write_to(const char *name) {
            int file = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);
            write(file, "text", 4);
            close(file);
        }
        int main(void) {
            write_to("made"); look("made");
            write_to("changed"); look("changed");
            write_to("temporary"); rename("temporary", "renamed"); look("renamed");
            mkdir("directory", 0755); write_to("directory/inner"); look("directory/inner");
            rename("directory", "moved"); look("moved/inner");
            write_to("removed"); look("removed"); unlink("removed");
            symlink("kept", "link"); look("link");
            close(open("database", O_RDWR));
            look("kept");
        }"#,
    );
    app.file("changed", "old")
        .file("database", "")
        .file("kept", "");
    let traced = app.trace(&[]).unwrap();
    assert_eq!(app.names(&traced), ["/app", "database", "kept"]);
    for file in ["made", "changed", "renamed", "moved/inner"] {
        assert_eq!(reason(&traced, file), Some("the app wrote it"), "{file}");
    }
    for file in ["removed", "temporary", "directory/inner"] {
        assert_eq!(
            reason(&traced, file),
            None,
            "{file} is gone, and nobody misses it"
        );
    }
}

#[test]
fn names_are_kept_relative_where_the_app_gave_them_so() {
    let app = App::new(
        r#"#define _GNU_SOURCE
        #include <dirent.h>
        #include <fcntl.h>
        #include <stdlib.h>
        #include <unistd.h>
        int main(int count, char **words) {
            open("./plain", O_RDONLY);
            open("sub/../up", O_RDONLY);
            int below = open("below", O_RDONLY | O_DIRECTORY);
            openat(below, "by-descriptor", O_RDONLY);
            chdir("sub");
            open("after-chdir", O_RDONLY);
            chdir(words[1]);
            open("by-root", O_RDONLY);
        }"#,
    );
    for file in [
        "plain",
        "up",
        "below/by-descriptor",
        "sub/after-chdir",
        "far/by-root",
    ] {
        app.file(file, "");
    }
    let far = app.path("far");
    let traced = app.trace(&[far.to_str().unwrap()]).unwrap();
    assert_eq!(
        app.used(&traced),
        [
            ("/app", Access::Execute),
            ("/far/by-root", Access::Read),
            ("below", Access::List),
            ("below/by-descriptor", Access::Read),
            ("plain", Access::Read),
            ("sub/../up", Access::Read),
            ("sub/after-chdir", Access::Read),
        ]
        .into_iter()
        .map(|(path, access)| (path.to_owned(), access))
        .collect()
    );
}

#[test]
fn secrets_and_what_belongs_to_the_machine_are_left_out_with_a_reason() {
    let app = App::new(
        r#"#include <fcntl.h>
        int main(int count, char **words) {
            for (int i = 1; i < count; i++) open(words[i], O_RDONLY);
        }"#,
    );
    app.file("key.pem", "-----BEGIN PRIVATE KEY-----\n")
        .file(".ssh/id", "")
        .file(".env", "")
        .file("ca.pem", "-----BEGIN CERTIFICATE-----\n");
    std::os::unix::fs::symlink(".ssh/id", app.path("innocent")).unwrap();
    let elsewhere = tempfile::NamedTempFile::new_in("/tmp").unwrap();
    let traced = app
        .trace(&[
            "key.pem",
            ".ssh/id",
            ".env",
            "innocent",
            "ca.pem",
            "/etc/passwd",
            "/proc/self/status",
            "/dev/null",
            elsewhere.path().to_str().unwrap(),
        ])
        .unwrap();
    assert_eq!(app.names(&traced), ["/app", "ca.pem"]);
    assert_eq!(reason(&traced, "key.pem"), Some("it holds a private key"));
    for (file, why) in [
        (".ssh/id", "passwords, tokens or keys"),
        (".env", "passwords, tokens or keys"),
        ("innocent", "passwords, tokens or keys"),
        ("/etc/passwd", "makes its own"),
        ("/proc/self/status", "running system"),
        ("/dev/null", "running system"),
    ] {
        let reason = reason(&traced, file).unwrap_or_default();
        assert!(reason.contains(why), "{file}: {reason}");
    }
    assert!(
        reason(&traced, elsewhere.path().to_str().unwrap())
            .unwrap()
            .contains("temporary")
    );
    assert!(traced.left_out.is_sorted());
}

#[test]
fn interpreters_of_scripts_are_seen_although_the_kernel_opens_them() {
    let app = App::new("int main(void) { return 0; }");
    std::fs::rename(app.path("app"), app.path("interpreter")).unwrap();
    let script = format!("#!{} -x\n", app.path("interpreter").display());
    app.file("app", &script);
    std::fs::set_permissions(app.path("app"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let traced = app.trace(&[]).unwrap();
    let used = app.used(&traced);
    assert_eq!(used["/app"], Access::Execute);
    assert_eq!(used["/interpreter"], Access::Execute);
}

#[test]
fn signals_reach_the_app_and_a_stopped_process_stays_stopped_until_it_is_told_to_go_on() {
    let app = App::new(
        r#"#include <fcntl.h>
        #include <signal.h>
        #include <stdlib.h>
        #include <sys/wait.h>
        #include <unistd.h>
        volatile sig_atomic_t seen;
        void note(int number) { seen++; }
        int main(void) {
            signal(SIGUSR1, note);
            raise(SIGUSR1);
            if (seen != 1) return 10;
            pid_t child = fork();
            if (!child) { open("before", O_RDONLY); raise(SIGSTOP); open("after", O_RDONLY); _exit(5); }
            int status;
            if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status)) return 11;
            usleep(200000);
            if (waitpid(child, &status, WNOHANG) != 0) return 12;
            kill(child, SIGCONT);
            if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 5) return 13;
            alarm(1);
            signal(SIGALRM, note);
            pause();
            return seen == 2 ? 0 : 14;
        }"#,
    );
    app.file("before", "").file("after", "");
    let traced = app.trace(&[]).unwrap();
    assert_eq!(app.names(&traced), ["/app", "after", "before"]);
}

#[test]
fn a_real_time_signal_is_an_error_and_not_an_app_that_hangs() {
    let app = App::new(
        r#"#include <signal.h>
        #include <unistd.h>
        void handle(int number) {}
        int main(void) { signal(SIGRTMIN, handle); raise(SIGRTMIN); for (;;) pause(); }"#,
    );
    let error = app.trace(&[]).unwrap_err();
    assert!(matches!(error, TraceError::Signal { .. }), "{error}");
}

#[test]
fn a_profile_of_a_run_is_the_same_each_time_and_names_no_machine() {
    let app = App::new(
        r#"#include <fcntl.h>
        #include <unistd.h>
        int main(void) { for (int i = 0; i < 4; i++) fork(); open("data", O_RDONLY); }"#,
    );
    app.file("data", "");
    let text = || {
        let file = app.path("profile.toml");
        app.trace(&[]).unwrap().profile.write(&file).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            Profile::read(&file).unwrap().files.len(),
            text.matches("    \"").count()
        );
        text
    };
    let first = text();
    assert_eq!(first, text());
    assert!(first.starts_with("# The files that an app uses"));
    assert!(first.contains("\nschema = 1\n"));
}

/// Runs the app in a process of its own, to which signals can be sent.
#[test]
fn an_interrupt_ends_the_app_and_keeps_what_was_seen() {
    const APP: &str = "DISTROBUILD_TEST_INTERRUPTED_APP";
    if let Some(directory) = std::env::var_os(APP) {
        std::env::set_current_dir(&directory).unwrap();
        let traced = run(&Tracing {
            command: vec![Path::new(&directory).join("app").into()],
            time: None,
            ignore: Vec::new(),
            helper: helper(),
        })
        .unwrap();
        for file in &traced.profile.files {
            eprintln!("seen {}", file.path.display());
        }
        for notice in &traced.notices {
            eprintln!("notice {notice}");
        }
        return;
    }
    let app = App::new(
        r#"#include <fcntl.h>
        #include <unistd.h>
        int main(void) { open("data", O_RDONLY); creat("ready", 0644); for (;;) pause(); }"#,
    );
    app.file("data", "");
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "an_interrupt_ends_the_app_and_keeps_what_was_seen",
        ])
        .env(APP, app.directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !app.path("ready").exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{stderr}");
    assert!(stderr.contains("seen data\n"), "{stderr}");
    assert!(
        stderr.contains("notice the run was interrupted"),
        "{stderr}"
    );
}

//! A run under trace shows which files an app uses that nobody could read from its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::container::{Bundle, open_to_all};
use crate::image::{Image, contents};
use crate::tools::run;
use crate::workshop::{Workshop, assert_tells, program_under_test};

/// A file of every Debian system that no rule brings along.
const LICENSE: &str = "/usr/share/common-licenses/GPL-3";
const TITLE: &str = "GNU GENERAL PUBLIC LICENSE";

/// `show(PATH)` prints the first line of a file, without the blanks before it; `beside(NAME)` is
/// the path of a file in the program's own directory.
const READING: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#define LICENSE "/usr/share/common-licenses/GPL-3"
static int show(const char *path) {
    char line[256];
    FILE *file = fopen(path, "r");
    if (!file) { perror(path); return 1; }
    if (!fgets(line, sizeof line, file)) return 1;
    printf("%s", line + strspn(line, " "));
    fflush(stdout);
    fclose(file);
    return 0;
}
static const char *beside(const char *name) {
    static char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 256);
    while (length > 0 && path[length - 1] != '/') length--;
    strcpy(path + length, name);
    return path;
}
"#;

/// Compiles a program that begins with [`READING`].
#[track_caller]
fn reader(workshop: &Workshop, name: &str, body: &str, flags: &[&str]) -> PathBuf {
    let source = format!("{READING}{body}");
    workshop.compile("gcc", &source, &format!("tree/{name}"), flags)
}

/// Opens two files when it is told to, and none otherwise.
fn deep(workshop: &Workshop) -> PathBuf {
    workshop.write("tree/words", "words beside the program\n");
    reader(
        workshop,
        "deep",
        r#"
int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "deep")) return show(LICENSE) || show(beside("words"));
    puts("shallow");
    return 0;
}
"#,
        &[],
    )
}

fn has(image: &Image, path: &str) -> bool {
    image.paths().contains(path.trim_start_matches('/'))
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn files_that_are_opened_on_a_path_taken_come_along() {
    let workshop = Workshop::new();
    let program = deep(&workshop);
    let blind = workshop.build(&program, "blind.oci", &["--", "deep"]);
    Bundle::of(&blind, &workshop).run().exited_with(1);

    let outcome = workshop.try_build(&program, "deep.oci", &["--trace", "--", "deep"]);
    assert!(outcome.status.success(), "{outcome}");
    assert_tells(&outcome.stderr, &[LICENSE]);
    let image = Image::new(workshop.path("deep.oci"), "latest");
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, format!("{TITLE}\nwords beside the program\n"));

    let shallow = workshop.build(&program, "shallow.oci", &["--trace", "--", "shallow"]);
    assert!(!has(&shallow, LICENSE), "{:#?}", shallow.paths());
    assert!(!has(&shallow, "/app/words"), "{:#?}", shallow.paths());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn what_children_execute_comes_along_with_its_libraries() {
    let workshop = Workshop::new();
    reader(
        &workshop,
        "child",
        r#"
const char *zlibVersion(void);
int main(void) { printf("zlib %c\n", *zlibVersion()); return show(LICENSE); }
"#,
        &["-lz"],
    );
    let parent = reader(
        &workshop,
        "parent",
        r#"
int main(void) {
    const char *program = beside("child");
    int status;
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) { execl(program, program, NULL); _exit(127); }
        waitpid(grandchild, &status, 0);
        _exit(WEXITSTATUS(status));
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}
"#,
        &[],
    );
    let image = workshop.build(&parent, "parent.oci", &["--trace"]);
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, format!("zlib 1\n{TITLE}\n"));
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_library_whose_name_is_made_up_at_run_time_is_found() {
    let workshop = Workshop::new();
    // A thread opens it: a trace follows threads as well as processes.
    let program = reader(
        &workshop,
        "opens",
        r#"
static void *open_library(void *number) {
    char name[32];
    snprintf(name, sizeof name, "lib%c.so.%d", 'z', *(int *)number);
    void *library = dlopen(name, RTLD_NOW);
    if (!library) { fprintf(stderr, "%s\n", dlerror()); exit(1); }
    const char *(*version)(void) = dlsym(library, "zlibVersion");
    printf("zlib %c\n", *version());
    return NULL;
}
int main(void) {
    int number = 1;
    pthread_t thread;
    if (pthread_create(&thread, NULL, open_library, &number)) return 1;
    return pthread_join(thread, NULL);
}
"#,
        &["-pthread", "-ldl"],
    );
    let outcome = workshop.try_build(&program, "opens.oci", &["--trace"]);
    assert!(outcome.status.success(), "{outcome}");
    // What reading the program alone would have missed.
    assert_tells(&outcome.stderr, &["libz.so.1"]);
    let image = Image::new(workshop.path("opens.oci"), "latest");
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, "zlib 1\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_program_that_never_ends_is_ended_after_its_time() {
    let workshop = Workshop::new();
    for (name, first) in [("pauses", ""), ("ignores", "signal(SIGTERM, SIG_IGN);")] {
        let body = format!(
            "int main(void) {{ {first} if (show(LICENSE)) return 1; for (;;) pause(); }}\n"
        );
        let program = reader(&workshop, name, &body, &[]);
        let output = format!("{name}.oci");
        let start = Instant::now();
        let image = workshop.build(&program, &output, &["--trace-for", "1s", "--trace"]);
        let took = start.elapsed();
        assert!(took >= Duration::from_secs(1), "{name}: {took:?}");
        assert!(has(&image, LICENSE), "{name}");
        let mut running = Bundle::of(&image, &workshop).read_only().start();
        while !running.log().contains(TITLE) {
            assert!(!running.has_ended(), "{}", running.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_profile_stands_in_for_the_run() {
    let workshop = Workshop::new();
    let mark = workshop.path("mark");
    let define = format!("-DMARK=\"{}\"", mark.display());
    let program = reader(
        &workshop,
        "marks",
        r#"
int main(void) {
    FILE *mark = fopen(MARK, "a");
    if (mark) { fputs("run\n", mark); fclose(mark); }
    return show(LICENSE);
}
"#,
        &[&define],
    );
    let profile = workshop.path("profile.toml");
    let out = profile.to_str().unwrap();
    let traced = workshop.build(&program, "traced.oci", &["--trace", "--trace-out", out]);
    assert_eq!(fs::read_to_string(&mark).unwrap(), "run\n");
    let told = workshop.build(&program, "told.oci", &["--profile", out]);
    assert_eq!(
        fs::read_to_string(&mark).unwrap(),
        "run\n",
        "it was run again"
    );
    assert_eq!(contents(&traced.layout), contents(&told.layout));
    assert!(has(&told, LICENSE));
    // What it wrote is no part of it; the profile is for people to read and to commit.
    let text = fs::read_to_string(&profile).unwrap();
    toml::from_str::<toml::Table>(&text).unwrap();
    assert!(text.contains(LICENSE), "{text}");
    assert!(!text.contains("mark\""), "{text}");
    // A second trace tells the same.
    let again = workshop.path("again.toml");
    let options = ["--trace", "--trace-out", again.to_str().unwrap()];
    workshop.build(&program, "again.oci", &options);
    assert_eq!(text, fs::read_to_string(again).unwrap());
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn secrets_and_what_the_app_wrote_are_left_out() {
    let workshop = Workshop::new();
    workshop.write("tree/.ssh/id_ed25519", "not for others\n");
    workshop.write("tree/.env", "PASSWORD=not for others\n");
    let program = reader(
        &workshop,
        "secrets",
        r#"
int main(void) {
    FILE *written = fopen(beside("state"), "w");
    if (!written) { perror("state"); return 1; }
    fputs("state\n", written);
    fclose(written);
    return show(beside("state")) || show(beside(".ssh/id_ed25519")) || show(beside(".env"))
        || show("/etc/shadow") || show("/proc/self/status") || show("/sys/kernel/mm/transparent_hugepage/enabled")
        || show(LICENSE);
}
"#,
        &[],
    );
    let outcome = workshop.try_build(&program, "secrets.oci", &["--trace"]);
    assert!(outcome.status.success(), "{outcome}");
    assert_tells(&outcome.stderr, &["id_ed25519", "/etc/shadow"]);
    let image = Image::new(workshop.path("secrets.oci"), "latest");
    assert!(has(&image, LICENSE));
    let found: Vec<_> = image
        .paths()
        .into_iter()
        .filter(|path| {
            ["id_ed25519", ".env", "shadow", "state", "status"]
                .iter()
                .any(|name| path.rsplit('/').next() == Some(name))
                || path.starts_with("proc/")
                || path.starts_with("sys/")
        })
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_files_of_a_python_app_are_found_where_they_move() {
    let workshop = Workshop::new();
    workshop.write("tree/data/words.txt", "words beside the script\n");
    let app = workshop.write_script(
        "tree/app.py",
        "#!/usr/bin/env python3
import pathlib
print((pathlib.Path(__file__).parent / 'data' / 'words.txt').read_text(), end='')
",
    );
    let image = workshop.build(&app, "app.oci", &["--trace"]);
    let output = Bundle::of(&image, &workshop).read_only().run().output();
    assert_eq!(output, "words beside the script\n");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_ordinary_user_may_trace() {
    let workshop = Workshop::new();
    let program = deep(&workshop);
    let copy = workshop.path("distrobuild");
    fs::copy(program_under_test(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    open_to_all(&workshop.directory("open"));
    let output = workshop.path("open/deep.oci");
    let mut command = workshop.distrobuild_at(&copy);
    command
        .args(["--report", "none", "--trace", "-o"])
        .arg(&output)
        .arg(&program)
        .args(["--", "deep"])
        .env("XDG_CACHE_HOME", workshop.path("open/cache"))
        .env("HOME", workshop.path("open"))
        .gid(65534)
        .uid(65534);
    run(&mut command).output();
    assert!(has(&Image::new(output, "latest"), LICENSE));
}

/// Checks that a traced build of `program` fails, tells this, and leaves no profile.
#[track_caller]
fn assert_refused(workshop: &Workshop, program: &Path, tells: &[&str]) {
    let profile = workshop.path("refused.toml");
    let message = workshop.refusal(
        program,
        &["--trace", "--trace-out", profile.to_str().unwrap()],
    );
    assert_tells(&message, tells);
    assert!(!profile.exists(), "{message}");
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_traced_program_that_crashes_is_an_error() {
    let workshop = Workshop::new();
    let program = reader(&workshop, "crashes", "int main(void) { abort(); }\n", &[]);
    assert_refused(&workshop, &program, &["crashes", "SIGABRT"]);
    let body = "int main(void) { return *(volatile int *)8; }\n";
    let program = reader(&workshop, "faults", body, &[]);
    assert_refused(&workshop, &program, &["faults", "SIGSEGV"]);
    let body = "int main(void) { fputs(\"no such luck\\n\", stderr); return 3; }\n";
    let program = reader(&workshop, "fails", body, &[]);
    assert_refused(&workshop, &program, &["fails", "3", "no such luck"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_broken_profile_is_refused() {
    let workshop = Workshop::new();
    let program = deep(&workshop);
    let broken = workshop.write("broken.toml", "files = [\n");
    let message = workshop.refusal(&program, &["--profile", broken.to_str().unwrap()]);
    assert_tells(&message, &["broken.toml"]);
    let gone = workshop.path("gone.toml");
    let message = workshop.refusal(&program, &["--profile", gone.to_str().unwrap()]);
    assert_tells(&message, &["gone.toml"]);
}

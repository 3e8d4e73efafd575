//! The sandbox of `--smoke`: it lets pass what runs, and says of the rest what is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::container::{Bundle, open_to_all};
use crate::image::{Image, contents};
use crate::tools::run;
use crate::workshop::{Workshop, assert_tells, installed, program_under_test};

const INCLUDES: &str = r#"
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
extern char **environ;
"#;

/// Compiles a program of this body.
#[track_caller]
fn program(workshop: &Workshop, name: &str, body: &str) -> PathBuf {
    let source = format!("{INCLUDES}{body}");
    workshop.compile("gcc", &source, &format!("tree/{name}"), &["-ldl"])
}

/// Listens on the port that is its argument, and answers each connection with a word.
const SERVER: &str = r#"
int main(int argc, char **argv) {
    struct sockaddr_in address = { .sin_family = AF_INET };
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    signal(SIGPIPE, SIG_IGN);
    address.sin_port = htons(argc > 1 ? atoi(argv[1]) : 8080);
    if (bind(listener, (struct sockaddr *)&address, sizeof address)) { perror("bind"); return 1; }
    if (listen(listener, 8)) { perror("listen"); return 1; }
    puts("listening");
    fflush(stdout);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) return 1;
        if (write(connection, "HTTP/1.0 200 OK\r\n\r\nhere\n", 24) < 0) perror("write");
        close(connection);
    }
}
"#;

/// An output that is there already, and that a failing build must not touch.
struct Former {
    workshop: Workshop,
    image: Image,
    files: std::collections::BTreeMap<PathBuf, String>,
}

impl Former {
    fn new() -> Self {
        let workshop = Workshop::new();
        let image = workshop.build(installed("jq"), "out/image.oci", &[]);
        let files = contents(&workshop.path("out"));
        Self {
            workshop,
            image,
            files,
        }
    }

    /// The message of a build that `--smoke` ends, after a check that the former output is as it
    /// was and nothing else is there, and that no output comes where there was none.
    #[track_caller]
    fn refusal(&self, app: &Path, options: &[&str]) -> String {
        let digest = self.image.digest();
        let message = self
            .workshop
            .try_build(app, "out/image.oci", options)
            .exited_with(1);
        assert_eq!(
            contents(&self.workshop.path("out")),
            self.files,
            "{message}"
        );
        assert_eq!(self.image.digest(), digest);
        self.workshop.refusal(app, options);
        message
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_image_that_starts_is_the_same_with_and_without_the_proof() {
    let workshop = Workshop::new();
    let jq = installed("jq");
    let arguments = ["--", "-n", "6 * 7"];
    let plain = workshop.build(&jq, "plain.oci", &arguments);
    let options = [&["--smoke", "--smoke-expect", "42"], &arguments[..]].concat();
    let proven = workshop.build(&jq, "proven.oci", &options);
    assert_eq!(contents(&plain.layout), contents(&proven.layout));
    // Other arguments for the proof than for the image.
    let options = [
        "--smoke=--version",
        "--smoke-expect",
        "jq-",
        "--",
        "-n",
        "6 * 7",
    ];
    let proven = workshop.build(&jq, "version.oci", &options);
    assert_eq!(contents(&plain.layout), contents(&proven.layout));
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_library_that_is_opened_by_name_and_missing_is_named_with_its_flag() {
    let former = Former::new();
    let app = program(
        &former.workshop,
        "opens",
        r#"
int main(void) {
    char name[32];
    snprintf(name, sizeof name, "lib%c.so.%d", 'z', 1);
    if (dlopen(name, RTLD_NOW)) return 0;
    fprintf(stderr, "%s\n", dlerror());
    return 1;
}
"#,
    );
    let message = former.refusal(&app, &["--smoke"]);
    assert_tells(&message, &["libz.so.1", "--dlopen"]);
    // The flag is good.
    let options = ["--smoke", "--dlopen", "libz.so.1"];
    former.workshop.build(&app, "good.oci", &options);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_data_file_that_is_missing_is_named_with_its_flag() {
    let former = Former::new();
    let app = program(
        &former.workshop,
        "reads",
        r#"
int main(void) {
    if (open("/usr/share/common-licenses/GPL-3", O_RDONLY) >= 0) return 0;
    fputs("cannot start\n", stderr);
    return 1;
}
"#,
    );
    let message = former.refusal(&app, &["--smoke"]);
    let path = "/usr/share/common-licenses/GPL-3";
    assert_tells(&message, &["cannot start", path, "--include"]);
    former
        .workshop
        .build(&app, "good.oci", &["--smoke", "--include", path]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_port_on_which_nothing_answers_is_told() {
    let former = Former::new();
    let app = program(&former.workshop, "server", SERVER);
    let good = ["--smoke", "--smoke-port", "8080"];
    former.workshop.build(&app, "good.oci", &good);
    // It listens on another one.
    let message = former.refusal(
        &app,
        &[
            "--smoke-timeout",
            "2s",
            "--smoke-port",
            "8080",
            "--smoke",
            "--",
            "8081",
        ],
    );
    assert_tells(&message, &["8080", "--smoke-port"]);
    // It ends before it listens.
    let app = program(&former.workshop, "ends", "int main(void) { return 0; }\n");
    let message = former.refusal(&app, &good);
    assert_tells(&message, &["8080"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_program_that_hangs_is_ended_at_its_limit() {
    let former = Former::new();
    for (name, first) in [("hangs", ""), ("holds", "signal(SIGTERM, SIG_IGN);")] {
        let body = format!("int main(void) {{ {first} for (;;) pause(); }}\n");
        let app = program(&former.workshop, name, &body);
        let message = former.refusal(&app, &["--smoke", "--smoke-timeout", "1s"]);
        assert_tells(&message, &["1.0 s", "--smoke-for", "--smoke-timeout"]);
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_directory_that_must_be_writable_is_named_with_its_flag() {
    let former = Former::new();
    let app = program(
        &former.workshop,
        "writes",
        r#"
int main(void) {
    int file = open("/var/lib/thing/state", O_WRONLY | O_CREAT, 0600);
    if (file >= 0) return write(file, "x", 1) == 1 ? 0 : 2;
    perror("/var/lib/thing/state");
    return 1;
}
"#,
    );
    let keep = former.workshop.write("thing/.keep", "");
    let include = format!("{}:/var/lib/thing/.keep", keep.display());
    let message = former.refusal(&app, &["--smoke", "--include", &include]);
    assert_tells(&message, &["--smoke-writable", "/var/lib/thing"]);
    former.workshop.build(
        &app,
        "good.oci",
        &[
            "--smoke",
            "--smoke-writable",
            "/var/lib/thing",
            "--include",
            &include,
        ],
    );
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_output_without_the_expected_text_is_told() {
    let former = Former::new();
    let body = "int main(void) { puts(\"good evening\"); return 0; }\n";
    let app = program(&former.workshop, "greets", body);
    let message = former.refusal(&app, &["--smoke", "--smoke-expect", "good morning"]);
    assert_tells(&message, &["good morning", "good evening"]);
    former
        .workshop
        .build(&app, "good.oci", &["--smoke", "--smoke-expect", "evening"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_server_must_stay_up() {
    let former = Former::new();
    let app = program(&former.workshop, "server", SERVER);
    let start = Instant::now();
    former
        .workshop
        .build(&app, "good.oci", &["--smoke", "--smoke-for", "1s"]);
    assert!(start.elapsed() >= Duration::from_secs(1));
    let body = "int main(void) { usleep(200000); fputs(\"no database\\n\", stderr); return 0; }\n";
    let app = program(&former.workshop, "leaves", body);
    let message = former.refusal(&app, &["--smoke", "--smoke-for", "5s"]);
    assert_tells(&message, &["no database", "--smoke-for"]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_program_that_crashes_is_told_by_its_signal() {
    let former = Former::new();
    let body = "int main(void) { return *(volatile int *)8; }\n";
    let app = program(&former.workshop, "faults", body);
    assert_tells(&former.refusal(&app, &["--smoke"]), &["SIGSEGV"]);
    let app = program(&former.workshop, "fails", "int main(void) { return 7; }\n");
    assert_tells(&former.refusal(&app, &["--smoke"]), &["7"]);
}

/// Prints what it sees of the world: all of it must be the image's.
const WORLD: &str = r#"
static void list(const char *path) {
    struct dirent *entry;
    DIR *directory = opendir(path);
    char *names[256];
    int count = 0;
    while (directory && (entry = readdir(directory)) && count < 256)
        if (entry->d_name[0] != '.') names[count++] = strdup(entry->d_name);
    qsort(names, count, sizeof *names, (int (*)(const void *, const void *))strcmp);
    printf("%s:", path);
    for (int index = 0; index < count; index++) printf(" %s", names[index]);
    puts("");
}
static void processes(void) {
    struct dirent *entry;
    DIR *directory = opendir("/proc");
    int count = 0;
    while (directory && (entry = readdir(directory)))
        count += atoi(entry->d_name) > 0;
    puts(count > 0 && count < 4 ? "processes: few" : "processes: many");
}
static void network(void) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(9) };
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "192.0.2.1", &address.sin_addr);
    int failed = connect(connection, (struct sockaddr *)&address, sizeof address);
    printf("network: %s\n", failed && errno == ENETUNREACH ? "none" : strerror(errno));
}
int main(void) {
    printf("user: %d %d\n", getuid(), getgid());
    printf("home: %s\n", getenv("OUTSIDE") ? "leaks" : "its own");
    printf("root: %s\n", open("/file", O_WRONLY | O_CREAT, 0600) < 0 && errno == EROFS ? "read-only" : strerror(errno));
    printf("null: %s\n", open("/dev/null", O_RDWR) >= 0 ? "there" : "missing");
    list("/etc");
    processes();
    network();
    return 0;
}
"#;

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_sandbox_holds_the_image_and_nothing_of_the_host() {
    let workshop = Workshop::new();
    // A program sees in the sandbox what it sees in a container of runc.
    let app = program(&workshop, "world", WORLD);
    let plain = workshop.build(&app, "plain.oci", &[]);
    let judged = Bundle::of(&plain, &workshop).read_only().run().output();
    assert_tells(
        &judged,
        &["user: 65532 65532", "network: none", "processes: few"],
    );
    let mut options = vec!["--smoke"];
    // The order of a directory is nobody's promise, and runtimes write files of their own to /etc.
    let lines = judged.lines().filter(|line| !line.starts_with("/etc:"));
    for line in lines {
        options.extend(["--smoke-expect", line]);
    }
    let mut command = workshop.build_command(&app, "proven.oci", &options);
    run(command.env("OUTSIDE", "yes")).output();
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_ordinary_user_may_prove_an_image() {
    let workshop = Workshop::new();
    let app = program(&workshop, "world", WORLD);
    let copy = workshop.path("distrobuild");
    fs::copy(program_under_test(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    open_to_all(&workshop.directory("open"));
    let mut command = workshop.distrobuild_at(&copy);
    command
        .args(["--report", "none", "--smoke"])
        .args([
            "--smoke-expect",
            "user: 65532 65532",
            "--smoke-expect",
            "network: none",
            "-o",
        ])
        .arg(workshop.path("open/world.oci"))
        .arg(&app)
        .env("XDG_CACHE_HOME", workshop.path("open/cache"))
        .env("HOME", workshop.path("open"))
        .gid(65534)
        .uid(65534);
    run(&mut command).output();
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn nothing_of_a_sandbox_is_left() {
    let workshop = Workshop::new();
    let temporary = workshop.directory("temporary");
    let app = program(
        &workshop,
        "leaves",
        r#"
int main(void) {
    if (fork() == 0) { setsid(); for (;;) pause(); }
    return 0;
}
"#,
    );
    // By its argument the child would be found among the processes of the host.
    let mark = format!("orphan-of-{}", workshop.path("").display());
    let mut command = workshop.build_command(&app, "leaves.oci", &["--smoke", "--", &mark]);
    run(command.env("TMPDIR", &temporary)).output();
    assert_eq!(fs::read_dir(temporary).unwrap().count(), 0);
    let left: Vec<PathBuf> = fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|process| {
            fs::read(process.join("cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&mark))
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

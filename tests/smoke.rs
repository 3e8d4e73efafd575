//! Images that start and images that do not, in the sandbox of `--smoke`. The programs are
//! compiled here, and the images made by hand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use distrobuild::ImagePath;
use distrobuild::helper::Helper;
use distrobuild::image::Settings;
use distrobuild::rootfs::{Content, Entry, EntryKind, Origin, Rootfs};
use distrobuild::smoke::{self, Cause, Failure, Smoke, SmokeError, Started};
use distrobuild::sysroot::{FileFacts, FileIdentity};
use tempfile::TempDir;

/// Names another copy of the program that makes the sandbox.
const HELPER: &str = "DISTROBUILD_TEST_HELPER";

/// An image in the making.
struct Image {
    directory: TempDir,
    rootfs: Rootfs,
    settings: Settings,
    smoke: Smoke,
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn compile(directory: &Path, name: &str, source: &str, options: &[&str]) -> PathBuf {
    let code = directory.join(format!("{name}.c"));
    fs::write(&code, source).unwrap();
    let program = directory.join(name);
    let output = Command::new("cc")
        .args(["-w", "-o"])
        .args([&program, &code])
        .args(options)
        .output()
        .expect("a C compiler, which the README asks for");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    program
}

impl Image {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            rootfs: Rootfs::new(),
            settings: Settings {
                user: "65532:65532".to_owned(),
                entrypoint: vec!["/app/app".to_owned()],
                ..Settings::default()
            },
            smoke: Smoke {
                limit: Duration::from_secs(20),
                helper: Helper::at(
                    std::env::var_os(HELPER)
                        .unwrap_or_else(|| env!("CARGO_BIN_EXE_distrobuild").into()),
                ),
                ..Smoke::default()
            },
        }
    }

    /// An image of a program with the body of `main` given, and the libraries that it needs.
    fn of(body: &str) -> Self {
        let mut image = Self::new();
        image.program("app", body, &[]);
        image
    }

    fn program(&mut self, name: &str, body: &str, options: &[&str]) {
        let source = format!(
            "#define _GNU_SOURCE\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
             #include <unistd.h>\n#include <fcntl.h>\n#include <signal.h>\n#include <errno.h>\n\
             #include <sys/stat.h>\n#include <sys/wait.h>\n#include <sys/socket.h>\n\
             #include <netinet/in.h>\n#include <arpa/inet.h>\n\
             int main(int argc, char **argv, char **envp) {{\n{body}\n return 0;\n}}\n"
        );
        let program = compile(self.directory.path(), name, &source, options);
        self.host(&format!("/app/{name}"), &program, 0o755);
        self.libraries(&program);
    }

    /// Adds what ldd(1) lists and this machine has, which for these programs is the C library.
    fn libraries(&mut self, program: &Path) {
        let listed = Command::new("ldd").arg(program).output().unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for word in listed
            .split_whitespace()
            .filter(|word| word.starts_with('/') && Path::new(word).exists())
        {
            self.host(word, Path::new(word), 0o755);
        }
    }

    fn host(&mut self, at: &str, file: &Path, mode: u32) {
        let file = file.canonicalize().unwrap();
        let metadata = file.metadata().unwrap();
        let nanoseconds =
            |seconds: i64, part: i64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
        let content = Content::Host {
            path: file,
            facts: FileFacts {
                size: metadata.len(),
                mode: metadata.mode() & 0o7777,
                identity: FileIdentity {
                    device: metadata.dev(),
                    inode: metadata.ino(),
                    size: metadata.len(),
                    modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
                    changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
                },
            },
        };
        self.rootfs
            .insert(path(at), Entry::file(content, mode, Origin::App))
            .unwrap();
    }

    fn file(&mut self, at: &str, text: &'static str) {
        let content = Content::Bytes(text.as_bytes().into());
        self.entry(at, Entry::file(content, 0o644, Origin::App));
    }

    fn entry(&mut self, at: &str, entry: Entry) {
        self.rootfs.insert(path(at), entry).unwrap();
    }

    /// `None` where this machine allows no sandbox, which is said.
    fn run(&self) -> Option<Result<Started, SmokeError>> {
        let result = smoke::run(&self.rootfs, &self.settings, &self.smoke);
        if let Err(SmokeError::Unavailable { .. }) = &result {
            eprintln!("SKIPPED: {}", result.unwrap_err());
            return None;
        }
        Some(result)
    }

    fn starts(&self) -> Option<Started> {
        self.run().map(|result| match result {
            Ok(started) => started,
            Err(error) => panic!("{error}"),
        })
    }

    fn fails(&self) -> Option<Failure> {
        match self.run()? {
            Err(SmokeError::Failed(failure)) => Some(*failure),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_program_that_exits_with_zero_starts() {
    let Some(started) = Image::of("return 0;").starts() else {
        return;
    };
    assert!(
        started.what.starts_with("exited with 0"),
        "{}",
        started.what
    );
    assert!(started.notices.is_empty(), "{:?}", started.notices);
}

#[test]
fn a_program_in_a_path_of_the_image_is_found_and_gets_the_default_arguments() {
    let mut image = Image::of("puts(argv[0]); puts(argc > 1 ? argv[1] : \"none\");");
    image.settings.entrypoint = vec!["app".into()];
    image.settings.env = vec![("PATH".into(), "/nowhere:/app".into())];
    image.settings.cmd = vec!["default".into()];
    image.smoke.expect = vec!["app\ndefault\n".into()];
    let Some(_) = image.starts() else { return };
    image.smoke.arguments = Some(vec!["--version".into()]);
    image.smoke.expect = vec!["app\n--version\n".into()];
    image.starts();
}

#[test]
fn a_library_that_is_missing_is_named_with_the_flag_that_adds_it() {
    let mut image = Image::new();
    let library = compile(
        image.directory.path(),
        "libgone.so",
        "int gone(void) { return 0; }",
        &["-shared", "-fPIC"],
    );
    let source = "int gone(void); int main(void) { return gone(); }";
    let program = compile(
        image.directory.path(),
        "app",
        source,
        &[library.to_str().unwrap(), "-Wl,-soname,x"],
    );
    image.host("/app/app", &program, 0o755);
    let aside = image.directory.path().join("aside");
    fs::rename(&library, &aside).unwrap();
    image.libraries(&program);
    fs::rename(&aside, &library).unwrap();
    // By its path, as no soname was given.
    let Some(failure) = image.fails() else { return };
    assert!(failure.what.contains("exited with 127"), "{failure}");
    let gone = library.to_str().unwrap().to_owned();
    assert!(
        matches!(&failure.cause, Some(Cause::Library { name, .. }) if *name == gone),
        "{failure}"
    );
    assert!(
        failure.to_string().contains(&format!("--include {gone}")),
        "{failure}"
    );
}

#[test]
fn a_library_that_dlopen_does_not_find_is_named() {
    let mut image = Image::new();
    let body = "#include <dlfcn.h>\n int main(void) { return dlopen(\"libc-that-is-not.so.9\", 1) ? 0 : 4; }";
    let program = compile(image.directory.path(), "app", body, &["-ldl"]);
    image.host("/app/app", &program, 0o755);
    image.libraries(&program);
    let Some(failure) = image.fails() else { return };
    assert!(failure.what.contains("exited with 4"), "{failure}");
    let text = failure.to_string();
    assert!(text.contains("--dlopen libc-that-is-not.so.9"), "{text}");
}

#[test]
fn a_data_file_that_is_missing_is_named_whether_the_program_tells_or_not() {
    for body in [
        "if (!fopen(\"/srv/app.conf\", \"r\")) { perror(\"app: /srv/app.conf\"); return 1; }",
        "if (!fopen(\"/srv/app.conf\", \"r\")) { fprintf(stderr, \"cannot start\\n\"); return 1; }",
        "FILE *file = fopen(\"/srv/app.conf\", \"r\"); fgetc(file);",
    ] {
        let Some(failure) = Image::of(body).fails() else {
            return;
        };
        assert_eq!(
            failure.cause,
            Some(Cause::File("/srv/app.conf".into())),
            "{failure}"
        );
        assert!(
            failure.advice.contains("--include FILE:/srv/app.conf"),
            "{failure}"
        );
    }
}

#[test]
fn a_file_that_this_machine_has_is_offered() {
    let mut image = Image::new();
    let file = image.directory.path().join("model");
    fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    image.program(
        "app",
        &format!("return open(\"{file}\", O_RDONLY) < 0;"),
        &[],
    );
    let Some(failure) = image.fails() else { return };
    assert!(
        failure.advice.contains(&format!("--include {file},")),
        "{failure}"
    );
}

const SERVER: &str = "
    int s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
    if (bind(s, (void *)&a, sizeof a)) return 9;
    listen(s, 9);
    for (;;) {
        int c = accept(s, 0, 0);
        char b[999]; read(c, b, sizeof b);
        write(c, ANSWER, strlen(ANSWER)); close(c);
    }";

fn server(port: u16, answer: &str) -> Image {
    let body = SERVER
        .replace("PORT", &port.to_string())
        .replace("ANSWER", &format!("{answer:?}"));
    let mut image = Image::of(&body);
    image.smoke.ports = vec![port];
    image
}

#[test]
fn a_server_that_answers_starts_and_its_status_is_told() {
    let Some(started) = server(8080, "HTTP/1.0 404 No\r\n\r\n").starts() else {
        return;
    };
    assert!(
        started.what.contains("answered on 8080 (HTTP 404)"),
        "{}",
        started.what
    );
    // It has no handler for SIGTERM.
    assert!(
        started
            .notices
            .iter()
            .any(|notice| notice.contains("SIGTERM"))
    );
    let other = server(6379, "-ERR\r\n").starts().unwrap();
    assert!(
        other.what.contains("answered on 6379 after"),
        "{}",
        other.what
    );
}

#[test]
fn a_server_that_answers_with_an_error_of_its_own_fails() {
    let Some(failure) = server(8080, "HTTP/1.0 500 No\r\n\r\n").fails() else {
        return;
    };
    assert!(
        failure
            .what
            .contains("answered on 8080 with HTTP status 500"),
        "{failure}"
    );
}

#[test]
fn a_server_on_another_port_fails() {
    let mut image = server(8080, "HTTP/1.0 200 OK\r\n\r\n");
    image.smoke.ports = vec![8080, 8081];
    image.smoke.limit = Duration::from_secs(1);
    let Some(failure) = image.fails() else { return };
    assert!(
        failure.what.contains("did not answer on port 8081"),
        "{failure}"
    );
    assert!(!failure.what.contains("8080"), "{failure}");
}

#[test]
fn a_port_below_1024_is_for_root_and_for_whom_an_answer_there_is_asked() {
    let mut image = server(80, "HTTP/1.0 200 OK\r\n\r\n");
    let ports = std::mem::take(&mut image.smoke.ports);
    image.smoke.stay = Some(Duration::from_secs(5));
    let Some(failure) = image.fails() else { return };
    assert_eq!(failure.cause, Some(Cause::Port(Some(80))), "{failure}");
    image.smoke.stay = None;
    image.smoke.ports = ports;
    let started = image.starts().unwrap();
    assert!(started.what.contains("answered on 80"), "{}", started.what);
    let notice = started.notices.join("\n");
    assert!(notice.contains("ip_unprivileged_port_start"), "{notice}");
    image.settings.user = "0".into();
    let started = image.starts().unwrap();
    assert!(started.what.contains("answered on 80"), "{}", started.what);
    assert!(
        !started
            .notices
            .join("")
            .contains("ip_unprivileged_port_start")
    );
}

#[test]
fn a_server_that_stays_up_starts_and_ends_by_sigterm() {
    let mut image = Image::of("signal(SIGTERM, exit); for (;;) pause();");
    image.smoke.stay = Some(Duration::from_millis(300));
    let Some(started) = image.starts() else {
        return;
    };
    assert_eq!(started.what, "stayed up for 0.3 s");
    assert!(started.notices.is_empty(), "{:?}", started.notices);
}

#[test]
fn a_server_that_goes_to_the_background_fails() {
    let mut image = Image::of("if (fork() == 0) for (;;) pause();");
    image.smoke.stay = Some(Duration::from_secs(5));
    let Some(failure) = image.fails() else { return };
    assert!(failure.what.contains("exited with 0"), "{failure}");
    assert!(failure.advice.contains("foreground"), "{failure}");
}

#[test]
fn a_program_that_hangs_is_ended_and_the_flags_for_servers_are_told() {
    let mut image = Image::of("puts(\"up\"); fflush(stdout); for (;;) pause();");
    image.smoke.limit = Duration::from_millis(300);
    let Some(failure) = image.fails() else { return };
    assert_eq!(failure.what, "it still ran after 0.3 s");
    assert_eq!(failure.output, ["up"]);
    for flag in ["--smoke-port", "--smoke-for", "--smoke=--version"] {
        assert!(failure.advice.contains(flag), "{failure}");
    }
}

#[test]
fn a_directory_that_must_be_writable_is_named_and_can_be_made_so() {
    let body = "if (mkdir(\"/var/lib/app/data\", 0700)) return 5;
        return open(\"/var/lib/app/data/x\", O_CREAT | O_WRONLY, 0600) < 0;";
    let mut image = Image::of(body);
    image.entry("/var/lib/app", Entry::directory(0o755, Origin::App));
    let Some(failure) = image.fails() else { return };
    assert_eq!(
        failure.cause,
        Some(Cause::ReadOnly("/var/lib/app/data".into())),
        "{failure}"
    );
    assert!(
        failure.advice.contains("--smoke-writable /var/lib/app,"),
        "{failure}"
    );
    image.smoke.writable = vec![path("/var/lib/app"), path("/var/lib/app/deep")];
    image.starts();
}

#[test]
fn what_the_images_user_may_not_read_is_not_read() {
    let body = "return open(\"/etc/secret\", O_RDONLY) >= 0 ? 0 : 6;";
    let mut image = Image::of(body);
    let content = Content::Bytes(b"x".into());
    image.entry("/etc/secret", Entry::file(content, 0o600, Origin::App));
    let Some(failure) = image.fails() else { return };
    assert_eq!(
        failure.cause,
        Some(Cause::Denied("/etc/secret".into())),
        "{failure}"
    );
    image.settings.user = "0:0".into();
    image.starts();
}

#[test]
fn the_program_runs_as_the_images_user_and_nobody_else() {
    let body = "
        struct stat s; stat(\"/app/app\", &s);
        printf(\"%d %d %d %s %d\\n\", getuid(), getegid(), getpid(), getenv(\"HOME\"), s.st_uid);";
    let mut image = Image::of(body);
    image.file("/etc/passwd", "web:x:33:34::/srv:/none\n");
    image.settings.user = "web".into();
    image.smoke.expect = vec!["33 34 1 /srv ".into()];
    let Some(_) = image.starts() else { return };
    image.settings.user = "ghost".into();
    let error = image.run().unwrap().unwrap_err().to_string();
    assert!(
        error.contains("ghost is not in the image's /etc/passwd"),
        "{error}"
    );
}

#[test]
fn an_exit_code_and_a_crash_are_told() {
    let Some(failure) = Image::of("fprintf(stderr, \"no luck\\n\"); return 3;").fails() else {
        return;
    };
    assert!(
        failure.what.starts_with("it exited with 3 after"),
        "{failure}"
    );
    assert_eq!(failure.output, ["no luck"]);
    let mut image = Image::of("*(volatile int *)8 = 1;");
    // A first process that is watched while it crashes must end by itself: nobody waits this long.
    image.smoke.limit = Duration::from_secs(3600);
    let crash = image.fails().unwrap();
    assert!(crash.what.contains("SIGSEGV"), "{crash}");
}

#[test]
fn a_text_ends_the_run_and_its_absence_fails_it() {
    let mut image = Image::of(
        "fputs(\"rea\", stderr); usleep(20000); fputs(\"dy\\n\", stderr); for (;;) pause();",
    );
    image.smoke.expect = vec!["ready".into()];
    let Some(started) = image.starts() else {
        return;
    };
    assert_eq!(started.what, "printed \"ready\"");
    image.smoke.expect = vec!["ready".into(), "steady".into()];
    image.smoke.limit = Duration::from_millis(400);
    let failure = image.fails().unwrap();
    assert!(
        failure.what.contains("did not print \"steady\""),
        "{failure}"
    );
}

#[test]
fn a_flood_of_output_is_searched_to_its_end_and_not_kept() {
    let mut image =
        Image::of("for (int i = 0; i < 3000000; i++) puts(\"some line\"); puts(\"the end\");");
    image.smoke.expect = vec!["the end".into()];
    let Some(_) = image.starts() else { return };
    image.smoke.expect = vec!["never".into()];
    let failure = image.fails().unwrap();
    assert_eq!(failure.output.last().unwrap(), "the end");
    assert_eq!(failure.output.len(), 20);
}

#[test]
fn children_do_not_outlive_the_run() {
    // It keeps the output open, and is in another session.
    let body = "if (fork() == 0) { setsid(); signal(SIGTERM, SIG_IGN); for (;;) pause(); } puts(\"parent\"); return 0;";
    let mut image = Image::new();
    let name = format!("outlive{}", std::process::id());
    image.program(&name, body, &[]);
    image.settings.entrypoint = vec![format!("/app/{name}")];
    let Some(_) = image.starts() else { return };
    assert!(!is_running(&name));
}

/// Whether a process of this name runs on this machine.
fn is_running(name: &str) -> bool {
    let short = &name[..name.len().min(15)];
    fs::read_dir("/proc").unwrap().any(|entry| {
        let comm = fs::read_to_string(entry.unwrap().path().join("comm")).unwrap_or_default();
        comm.trim_end() == short
    })
}

#[test]
fn nothing_of_the_machine_is_visible() {
    let body = "
        char h[99]; gethostname(h, 99); printf(\"host %s\\n\", h);
        for (char **e = envp; *e; e++) printf(\"env %s\\n\", *e);
        for (int fd = 0; fd < 1000; fd++) if (fcntl(fd, F_GETFD) >= 0) printf(\"fd %d\\n\", fd);
        printf(\"cwd %s\\n\", getcwd(h, 99));
        printf(\"umask %o\\n\", umask(0));
        char l[999]; FILE *f;
        for (f = fopen(\"/proc/self/status\", \"r\"); fgets(l, 999, f);)
            if (!strncmp(l, \"SigIgn\", 6)) printf(\"SigIgn %llx\\n\", strtoull(l + 8, 0, 16) & ~0x180000000ull); // but those of the C library
            else if (!strncmp(l, \"SigBlk\", 6) || !strncmp(l, \"Cap\", 3) || !strncmp(l, \"NoNew\", 5)) fputs(l, stdout);
        for (f = fopen(\"/proc/net/dev\", \"r\"); fgets(l, 999, f);)
            if (strchr(l, ':')) printf(\"net %s\\n\", strtok(l, \":\"));
        for (f = fopen(\"/etc/hosts\", \"r\"); fgets(l, 999, f);) printf(\"hosts %s\", l);
        printf(\"procs %d\\n\", kill(2, 0));
        printf(\"tty %d\\n\", open(\"/dev/tty\", O_RDWR));
        printf(\"null %d zero %d random %d\\n\", open(\"/dev/null\", O_RDWR) > 2, open(\"/dev/zero\", O_RDONLY) > 2, open(\"/dev/urandom\", O_RDONLY) > 2);
        printf(\"shm %d\\n\", open(\"/dev/shm/x\", O_CREAT | O_RDWR, 0600) > 2);
        printf(\"stdin %d\\n\", (int) read(0, l, 1));
        int denied = 0; const char *names[] = {\"/proc/sys/kernel/core_pattern\", \"/proc/sysrq-trigger\", \"/x\", \"/etc/x\", \"/dev/x\"};
        for (int i = 0; i < 5; i++) denied += open(names[i], O_WRONLY | O_CREAT, 0600) < 0;
        printf(\"denied %d\\n\", denied);
        return 7;";
    let mut image = Image::of(body);
    for user in ["65532:65532", "0:0"] {
        image.settings.user = user.into();
        image.settings.env = vec![("OWN".into(), "1".into())];
        image.settings.workdir = "/srv/work".into();
        let Some(result) = image.run() else { return };
        // 20 lines are shown; the whole is searched.
        let Err(SmokeError::Failed(failure)) = result else {
            panic!("{result:?}")
        };
        assert!(failure.what.contains("exited with 7"), "{failure}");
        for line in [
            "host smoke",
            "env OWN=1",
            "env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "env HOSTNAME=smoke",
            "env HOME=/",
            "fd 0\nfd 1\nfd 2\ncwd /srv/work\numask 22\n",
            "SigBlk:\t0000000000000000\nSigIgn 0\n",
            "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nnet     lo\nhosts 127.0.0.1\tlocalhost smoke\n",
            "procs -1\ntty -1\nnull 1 zero 1 random 1\nshm 1\nstdin 0\ndenied 5\n",
        ] {
            image.smoke.expect = vec![line.into()];
            if let Err(error) = image.run().unwrap() {
                panic!("no {line:?} in the output: {error}");
            }
            image.smoke.expect = Vec::new();
        }
        // Exactly these variables.
        image.smoke.expect = vec!["env PWD".into()];
        assert!(image.run().unwrap().is_err());
        image.smoke.expect = Vec::new();
    }
}

#[test]
fn the_keys_of_the_machine_are_out_of_reach() {
    let mut image = Image::new();
    let body = "
        /* KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING */
        if (syscall(KEYCTL, 0, -3, 0) != -1 || errno != EPERM) return 3;
        if (syscall(ADD_KEY, 0, 0, 0, 0, 0) != -1 || errno != EPERM) return 4;";
    let numbers = [
        format!("-DKEYCTL={}", nix::libc::SYS_keyctl),
        format!("-DADD_KEY={}", nix::libc::SYS_add_key),
    ];
    image.program("app", body, &[&numbers[0], &numbers[1]]);
    image.starts();
}

#[test]
fn a_server_at_the_loopback_address_alone_starts_and_is_told_of() {
    for (address, is_told) in [("INADDR_LOOPBACK", true), ("INADDR_ANY", false)] {
        let body = SERVER
            .replace(
                "htons(PORT)",
                &format!("htons(8080), .sin_addr = {{ htonl({address}) }}"),
            )
            .replace("ANSWER", "\"hello\"");
        let mut image = Image::of(&body);
        image.smoke.ports = vec![8080];
        let Some(started) = image.starts() else {
            return;
        };
        let tells = |notice: &String| notice.contains("loopback address alone");
        assert_eq!(started.notices.iter().any(tells), is_told, "{address}");
    }
}

#[test]
fn a_file_is_no_working_directory_and_nothing_of_the_runtime_is_made_writable() {
    let mut image = Image::of("return 0;");
    image.settings.workdir = "/app/app/below".to_owned();
    let error = smoke::run(&image.rootfs, &image.settings, &image.smoke).unwrap_err();
    assert!(error.to_string().contains("--workdir"), "{error}");
    image.settings.workdir = String::new();
    for (directory, says) in [("/proc/sys", "no volume"), ("/app/app", "--smoke-writable")] {
        image.smoke.writable = vec![path(directory)];
        let error = smoke::run(&image.rootfs, &image.settings, &image.smoke).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn the_tree_is_the_image_with_its_links_and_modes() {
    let body = "
        struct stat a, b; char l[99] = {0};
        if (stat(\"/data/one\", &a) || stat(\"/data/two\", &b)) return 11;
        if (a.st_ino != b.st_ino || a.st_dev != b.st_dev) return 12;
        if (stat(\"/data/big\", &a) || stat(\"/data/bigger\", &b)) return 13;
        if (a.st_ino != b.st_ino || a.st_dev != b.st_dev || a.st_size != 3000000) return 14;
        if (readlink(\"/data/link\", l, 98) != 10 || strcmp(l, \"../nowhere\")) return 15;
        if (stat(\"/data\", &a) || (a.st_mode & 0777) != 0555) return 16;
        if (access(\"/data/one\", R_OK) || !access(\"/data/one\", X_OK)) return 17;
        if (open(\"/data/big\", O_WRONLY) >= 0 || chmod(\"/data/one\", 0777) == 0) return 18;
        if (unlink(\"/data/link\") == 0 || access(\"/tmp\", F_OK) == 0 || access(\"/sys\", F_OK) == 0) return 19;
        FILE *f = fopen(\"/data/two\", \"r\"); if (!fgets(l, 99, f) || strcmp(l, \"hello\")) return 20;
        f = fopen(\"/data/bigger\", \"r\"); fseek(f, 2999999, 0); if (fgetc(f) != 'x') return 21;";
    let mut image = Image::of(body);
    image.file("/data/one", "hello");
    let big = image.directory.path().join("big");
    fs::write(&big, "x".repeat(3_000_000)).unwrap();
    image.host("/data/big", &big, 0o644);
    for (name, target) in [("/data/two", "/data/one"), ("/data/bigger", "/data/big")] {
        let link = Entry {
            kind: EntryKind::HardLink(path(target)),
            ..Entry::directory(0o644, Origin::App)
        };
        image.entry(name, link);
    }
    image.entry("/data/link", Entry::symlink("../nowhere", Origin::App));
    image.starts();
}

#[test]
fn a_tree_of_thousands_of_files_is_there_in_a_moment() {
    let mut image = Image::of("return access(\"/data/39/99\", R_OK);");
    for directory in 0..40 {
        let there = image.directory.path().join(directory.to_string());
        fs::create_dir(&there).unwrap();
        for file in 0..100 {
            let name = there.join(file.to_string());
            fs::write(&name, vec![b'x'; 1000 + 300 * file]).unwrap();
            image.host(&format!("/data/{directory}/{file}"), &name, 0o644);
        }
    }
    let Some(started) = image.starts() else {
        return;
    };
    eprintln!("4000 files: {:?}", started.overhead);
}

#[test]
fn a_command_that_cannot_be_executed_is_explained() {
    let mut image = Image::of("return 0;");
    image.settings.entrypoint = vec!["/app/gone".into()];
    let Some(failure) = image.fails() else { return };
    assert_eq!(
        failure.cause,
        Some(Cause::Command("/app/gone".into())),
        "{failure}"
    );

    image.file("/app/script", "#!/usr/bin/python9\n");
    image.rootfs.set_mode(&path("/app/script"), 0o755);
    image.settings.entrypoint = vec!["/app/script".into()];
    let failure = image.fails().unwrap();
    let interpreter = Cause::Interpreter {
        program: "/app/script".into(),
        interpreter: "/usr/bin/python9".into(),
    };
    assert_eq!(failure.cause, Some(interpreter), "{failure}");

    image.rootfs.set_mode(&path("/app/script"), 0o644);
    let failure = image.fails().unwrap();
    assert_eq!(
        failure.cause,
        Some(Cause::NotExecutable("/app/script".into())),
        "{failure}"
    );

    image.file("/app/text", "hello\n");
    image.rootfs.set_mode(&path("/app/text"), 0o755);
    image.settings.entrypoint = vec!["/app/text".into()];
    let failure = image.fails().unwrap();
    assert_eq!(
        failure.cause,
        Some(Cause::Format("/app/text".into())),
        "{failure}"
    );

    image.settings.entrypoint = Vec::new();
    let error = image.run().unwrap().unwrap_err();
    assert!(matches!(error, SmokeError::NoCommand), "{error}");
}

#[test]
fn a_program_without_its_loader_is_explained() {
    let mut image = Image::new();
    let program = compile(
        image.directory.path(),
        "app",
        "int main(void) { return 0; }",
        &[],
    );
    image.host("/app/app", &program, 0o755);
    let Some(failure) = image.fails() else { return };
    assert!(
        matches!(failure.cause, Some(Cause::Interpreter { .. })),
        "{failure}"
    );
}

#[test]
fn a_program_for_another_machine_cannot_be_run_here() {
    let mut image = Image::of("return 0;");
    let program = image.directory.path().join("app");
    let mut bytes = fs::read(&program).unwrap();
    // e_machine: RISC-V, which few machines are, and few emulate in containers.
    bytes[18..20].copy_from_slice(&243u16.to_le_bytes());
    let other = image.directory.path().join("other");
    fs::write(&other, bytes).unwrap();
    image.host("/app/other", &other, 0o755);
    image.settings.entrypoint = vec!["/app/other".into()];
    let Some(result) = image.run() else { return };
    let error = result.unwrap_err();
    assert!(matches!(error, SmokeError::Machine { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("/app/other is a program for RISC-V 64"),
        "{error}"
    );
}

#[test]
fn a_file_that_changed_since_is_refused() {
    let mut image = Image::of("return 0;");
    let file = image.directory.path().join("data");
    fs::write(&file, "one").unwrap();
    image.host("/data", &file, 0o644);
    fs::write(&file, "other").unwrap();
    let Some(result) = image.run() else { return };
    let error = result.unwrap_err();
    assert!(
        matches!(&error, SmokeError::Changed { path } if path.ends_with("data")),
        "{error}"
    );
}

#[test]
fn a_helper_that_plays_no_part_is_an_error() {
    let mut image = Image::of("return 0;");
    image.smoke.helper = Helper::at("/bin/true");
    let error = image.run().unwrap().unwrap_err();
    assert!(matches!(error, SmokeError::Talk(_)), "{error}");
    image.smoke.helper = Helper::at("/nowhere/distrobuild");
    let error = image.run().unwrap().unwrap_err();
    assert!(matches!(error, SmokeError::Helper { .. }), "{error}");
}

/// The name of the test that [`when_the_one_that_asked_is_killed_nothing_stays`] starts, with
/// what it runs.
const LEFT_ALONE: &str = "DISTROBUILD_TEST_LEFT_ALONE";

#[test]
fn when_the_one_that_asked_is_killed_nothing_stays() {
    let mut image = Image::new();
    let name = format!("alone{}", std::process::id());
    if let Some(program) = std::env::var_os(LEFT_ALONE) {
        // The part that is killed.
        let program = PathBuf::from(program);
        image.host("/app/app", &program, 0o755);
        image.libraries(&program);
        image.run();
        return;
    }
    image.program(&name, "for (;;) pause();", &[]);
    image.settings.entrypoint = vec!["/app/app".into()];
    let program = image.directory.path().join(&name);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "when_the_one_that_asked_is_killed_nothing_stays"])
        .env(LEFT_ALONE, &program)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // The program is called `app` in its image.
    let runs = |pid: u32| descendants(pid).iter().any(|(_, comm)| comm == "app");
    let started = wait_until(|| runs(child.id()) || child.try_wait().unwrap().is_some());
    let family = descendants(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    if !family.iter().any(|(_, comm)| comm == "app") {
        assert!(started && image.run().is_none(), "{family:?}");
        return;
    }
    let gone = wait_until(|| {
        family
            .iter()
            .all(|(pid, _)| !Path::new(&format!("/proc/{pid}/exe")).exists())
    });
    assert!(gone, "{family:?}");
}

fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(15) {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// The processes below this one, and their names.
fn descendants(of: u32) -> Vec<(u32, String)> {
    let mut parents: Vec<(u32, u32, String)> = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            let mut lines = status.lines();
            let value = lines.find_map(|line| line.strip_prefix(name))?;
            Some(value.trim().to_owned())
        };
        if let (Some(parent), Some(comm)) = (field("PPid:"), field("Name:")) {
            parents.push((pid, parent.parse().unwrap_or(0), comm));
        }
    }
    let mut family = vec![(of, String::new())];
    let mut at = 0;
    while let Some((pid, _)) = family.get(at).cloned() {
        let children = parents.iter().filter(|(_, parent, _)| *parent == pid);
        family.extend(children.map(|(pid, _, comm)| (*pid, comm.clone())));
        at += 1;
    }
    family.split_off(1)
}

#[test]
fn an_ordinary_user_can_do_it_as_well() {
    const ORDINARY: &str = "DISTROBUILD_TEST_ORDINARY";
    if std::env::var_os(ORDINARY).is_some() {
        let image = Image::of("printf(\"%d\\n\", getuid()); return 0;");
        let mut image = image;
        image.smoke.expect = vec!["65532\n".into()];
        image.starts();
        return;
    }
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let has_setpriv = Command::new("setpriv").arg("--version").output().is_ok();
    if !is_root || !has_setpriv {
        eprintln!("SKIPPED: all of this suite runs as an ordinary user, or there is no setpriv");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // Where the target directory is may not be open to others.
    let copy = |from: &Path, name: &str| {
        let to = directory.path().join(name);
        fs::copy(from, &to).unwrap();
        to
    };
    let suite = copy(&std::env::current_exe().unwrap(), "suite");
    let helper = copy(Path::new(env!("CARGO_BIN_EXE_distrobuild")), "helper");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(suite)
        .args([
            "--exact",
            "an_ordinary_user_can_do_it_as_well",
            "--nocapture",
        ])
        .env(ORDINARY, "1")
        .env(HELPER, helper)
        .current_dir(directory.path())
        .env("TMPDIR", directory.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    for line in errors.lines().filter(|line| line.contains("SKIPPED")) {
        eprintln!("{line}");
    }
}

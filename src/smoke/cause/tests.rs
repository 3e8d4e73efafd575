#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::smoke::message::Raw;

struct Machine;

impl Surroundings for Machine {
    fn on_this_machine(&self, path: &Path) -> Option<PathBuf> {
        match path.to_str()? {
            "/app/conf/app.conf" => Some("conf/app.conf".into()),
            "/site.py" => Some("site.py".into()),
            "/bin/sh" => Some(path.into()),
            path => path.starts_with("/usr/share/here").then(|| path.into()),
        }
    }

    fn in_working_directory(&self, path: &Path) -> bool {
        path == Path::new("site.py")
    }

    fn library(&self, name: &str) -> Option<PathBuf> {
        (name == "libz.so.1").then(|| "/usr/lib/libz.so.1".into())
    }

    fn in_image(&self, path: &Path) -> bool {
        path.starts_with("/var/cache")
    }
}

fn found(output: &str) -> Cause {
    Cause::in_output(output, Path::new("/app")).unwrap_or_else(|| panic!("nothing in {output:?}"))
}

fn library(name: &str) -> Cause {
    Cause::Library {
        name: name.into(),
        needed_by: None,
    }
}

#[test]
fn a_missing_library_is_found_in_the_words_of_each_loader() {
    let glibc = "/app/app: error while loading shared libraries: libz.so.1: cannot open shared object file: No such file or directory\n";
    assert_eq!(found(glibc), library("libz.so.1"));
    let musl = "Error loading shared library libz.so.1: No such file or directory (needed by /app/app)\nError relocating /app/app: deflate: symbol not found\n";
    assert_eq!(
        Cause::in_output(musl.lines().next().unwrap(), Path::new("/")),
        Some(Cause::Library {
            name: "libz.so.1".into(),
            needed_by: Some("/app/app".into())
        })
    );
    let python = "Traceback (most recent call last):\n  File \"/app/x.py\", line 1, in <module>\nImportError: libopenblas.so.0: cannot open shared object file: No such file or directory\n\nDuring handling of the above exception:\nImportError: Error importing numpy: /nowhere/numpy: No such file or directory";
    assert_eq!(found(python), library("libopenblas.so.0"));
    let java = "Exception in thread \"main\" java.lang.UnsatisfiedLinkError: /usr/lib/jvm/lib/libfontmanager.so: libfreetype.so.6: cannot open shared object file: No such file or directory";
    assert_eq!(found(java), library("libfreetype.so.6"));
}

#[test]
fn an_old_library_and_a_lost_symbol_are_told_apart() {
    assert_eq!(
        found(
            "/app/app: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /app/app)"
        ),
        Cause::Version {
            version: "GLIBC_2.38".into(),
            library: "/lib/x86_64-linux-gnu/libc.so.6".into(),
            needed_by: Some("/app/app".into())
        }
    );
    let symbol = |symbol: &str, object: &str| Cause::Symbol {
        symbol: symbol.into(),
        object: object.into(),
    };
    assert_eq!(
        found("/app/app: symbol lookup error: /app/app: undefined symbol: deflate, version Z_1"),
        symbol("deflate", "/app/app")
    );
    assert_eq!(
        found("Error relocating /app/app: deflate: symbol not found"),
        symbol("deflate", "/app/app")
    );
}

#[test]
fn what_a_traceback_shows_no_source_of_is_no_missing_file() {
    let calls = [
        call("openat", "/app/data.csv", ENOENT, false),
        call("openat", "/<unknown>", ENOENT, false),
        call(
            "openat",
            "/app/x.cpython-311-x86_64-linux-gnu.so",
            ENOENT,
            false,
        ),
        call(
            "stat",
            "/usr/lib/python3.11/collections/__init__.so",
            ENOENT,
            false,
        ),
        call(
            "stat",
            "/usr/local/lib/python3.11/site-packages",
            ENOENT,
            false,
        ),
    ];
    assert_eq!(
        Cause::in_calls(&calls),
        Some(Cause::File("/app/data.csv".into()))
    );
}

#[test]
fn servers_name_the_module_that_they_do_not_find() {
    for line in [
        "Failed to find attribute 'app' in 'main'.",
        "ERROR:    Error loading ASGI app. Attribute \"app\" not found in module \"main\".",
        "ERROR:    Error loading ASGI app. Could not import module \"main\".",
        "Error: Failed to find Flask application or factory in module 'main'. Use 'main:name'",
        "Error: Could not import 'main'.",
    ] {
        assert_eq!(found(line), Cause::PythonModule("main".into()), "{line}");
    }
}

#[test]
fn a_module_that_an_argument_names_is_looked_for_here() {
    assert_eq!(
        Cause::PythonModule("site".into()).advice(&Machine),
        "site.py is in this directory: add it with --include site.py:/app/site.py --workdir /app, \
         where Python looks for what is named by an argument"
    );
}

#[test]
fn a_file_beside_the_user_is_included_where_it_is_looked_for() {
    let advice = Cause::File("/site.py".into()).advice(&Machine);
    assert_eq!(
        advice,
        "the current directory has it: add it with --include site.py:/site.py, or let a run find \
         all such files with --trace"
    );
}

#[test]
fn a_program_without_a_place_for_temporary_files_wants_to_write() {
    let cause = found(
        "FileNotFoundError: [Errno 2] No usable temporary directory found in ['/tmp', '/var/tmp']",
    );
    assert_eq!(cause, Cause::ReadOnly("/tmp".into()));
    assert!(
        cause
            .advice(&Machine)
            .starts_with("add --smoke-writable /tmp,")
    );
}

#[test]
fn modules_of_language_runtimes_are_named() {
    assert_eq!(
        found("ModuleNotFoundError: No module named 'yaml.loader'"),
        Cause::PythonModule("yaml.loader".into())
    );
    assert_eq!(
        found("/usr/bin/python3: No module named flask"),
        Cause::PythonModule("flask".into())
    );
    assert_eq!(
        found(
            "node:internal/modules/cjs/loader:1228\n  throw err;\n  ^\n\nError: Cannot find module 'express'\nRequire stack:\n- /app/server.js\n    at Module._resolveFilename (node:internal)\n"
        ),
        Cause::NodeModule("express".into())
    );
    assert_eq!(
        found("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'koa' imported from /app/x.mjs"),
        Cause::NodeModule("koa".into())
    );
    assert_eq!(
        found(
            "Exception in thread \"main\" java.lang.NoClassDefFoundError: java/sql/Driver\n\tat Main.main(Main.java:3)"
        ),
        Cause::JavaClass("java.sql.Driver".into())
    );
    assert_eq!(
        found(
            "Error: Could not find or load main class demo.Main\nCaused by: java.lang.ClassNotFoundException: demo.Main"
        ),
        Cause::JavaClass("demo.Main".into())
    );
    assert!(matches!(
        found(
            "java.lang.UnsupportedClassVersionError: Main has been compiled by a more recent version"
        ),
        Cause::JavaVersion(_)
    ));
}

#[test]
fn a_file_is_found_in_the_messages_of_many_programs() {
    for (message, path) in [
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/srv/model.bin'",
            "/srv/model.bin",
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: 'data/model.bin'",
            "/app/data/model.bin",
        ),
        (
            "Error: ENOENT: no such file or directory, open '/srv/config.json'",
            "/srv/config.json",
        ),
        (
            "panic: open /etc/app/conf.toml: no such file or directory",
            "/etc/app/conf.toml",
        ),
        (
            "nginx: [emerg] open() \"/etc/nginx/nginx.conf\" failed (2: No such file or directory)",
            "/etc/nginx/nginx.conf",
        ),
        (
            "app: /etc/app.conf: No such file or directory",
            "/etc/app.conf",
        ),
        (
            "java.nio.file.NoSuchFileException: /srv/x.txt",
            "/srv/x.txt",
        ),
    ] {
        assert_eq!(found(message), Cause::File(path.into()), "{message}");
    }
    assert_eq!(
        found("OSError: [Errno 30] Read-only file system: '/var/cache/app'"),
        Cause::ReadOnly("/var/cache/app".into())
    );
    assert_eq!(
        found(
            "[emerg] mkdir() \"/var/cache/nginx/client_temp\" failed (30: Read-only file system)"
        ),
        Cause::ReadOnly("/var/cache/nginx/client_temp".into())
    );
    assert_eq!(
        found("cat: /etc/shadow: Permission denied"),
        Cause::Denied("/etc/shadow".into())
    );
}

#[test]
fn a_port_that_may_not_be_used_is_named() {
    for message in [
        "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)",
        "Error: listen EACCES: permission denied 0.0.0.0:80",
        "listen tcp :80: bind: permission denied",
    ] {
        assert_eq!(found(message), Cause::Port(Some(80)), "{message}");
    }
}

#[test]
fn output_without_an_error_tells_nothing() {
    for output in [
        "",
        "starting\nlistening on /run/x.sock\n",
        "No such file or directory",
    ] {
        assert_eq!(Cause::in_output(output, Path::new("/")), None, "{output:?}");
    }
}

fn call(call: &str, path: &str, errno: i32, writes: bool) -> FailedCall {
    FailedCall {
        call: call.into(),
        path: Raw::from(path),
        errno,
        writes,
    }
}

const ENOENT: i32 = nix::errno::Errno::ENOENT as i32;
const EACCES: i32 = nix::errno::Errno::EACCES as i32;
const EROFS: i32 = nix::errno::Errno::EROFS as i32;

#[test]
fn the_last_call_that_needed_a_file_counts() {
    let calls = [
        call("openat", "/etc/old.conf", ENOENT, false),
        call("openat", "/srv/app.conf", ENOENT, false),
        call("access", "/etc/maybe", ENOENT, false),
        call(
            "openat",
            "/usr/share/locale/en/LC_MESSAGES/libc.mo",
            ENOENT,
            false,
        ),
        call("openat", "/usr/lib/python3/x.pyc", ENOENT, false),
    ];
    assert_eq!(
        Cause::in_calls(&calls),
        Some(Cause::File("/srv/app.conf".into()))
    );
    assert_eq!(
        Cause::in_calls(&calls[2..]),
        Some(Cause::File("/etc/maybe".into()))
    );
    assert_eq!(Cause::in_calls(&calls[3..]), None);
}

#[test]
fn calls_tell_libraries_writes_and_ports_apart() {
    let one = |it| Cause::in_calls(&[it]).unwrap();
    assert_eq!(
        one(call("openat", "/usr/lib/libfoo.so.2", ENOENT, false)),
        library("libfoo.so.2")
    );
    assert_eq!(
        one(call("openat", "/etc/x.sources", ENOENT, false)),
        Cause::File("/etc/x.sources".into())
    );
    assert_eq!(
        one(call("openat", "/var/lib/x", EROFS, true)),
        Cause::ReadOnly("/var/lib/x".into())
    );
    assert_eq!(
        one(call("mkdir", "/var/lib/x", EACCES, true)),
        Cause::ReadOnly("/var/lib/x".into())
    );
    assert_eq!(
        one(call("openat", "/etc/key", EACCES, false)),
        Cause::Denied("/etc/key".into())
    );
    assert_eq!(
        one(call("bind", "0.0.0.0:443", EACCES, false)),
        Cause::Port(Some(443))
    );
}

#[test]
fn the_advice_names_the_flag_and_what_this_machine_has() {
    let advice = |cause: Cause| cause.advice(&Machine);
    assert!(
        advice(library("libz.so.1")).contains("/usr/lib/libz.so.1: add it with --dlopen libz.so.1")
    );
    assert!(advice(library("libq.so")).contains("does not have it either"));
    assert!(
        advice(Cause::File("/usr/share/here/x".into())).contains("--include /usr/share/here/x,")
    );
    assert!(advice(Cause::File("/srv/x".into())).contains("--include FILE:/srv/x"));
    let writable = "--smoke-writable /var/lib/app, and mount a volume at /var/lib/app";
    assert!(advice(Cause::ReadOnly("/var/lib/app/pid".into())).contains(writable));
    assert!(
        advice(Cause::ReadOnly("/var/cache/app".into()))
            .contains("--smoke-writable /var/cache/app,")
    );
    assert!(advice(Cause::Port(Some(80))).contains("1024"));
    assert!(advice(Cause::PythonModule("x".into())).contains("--trace"));
    assert!(advice(Cause::JavaClass("java.sql.Driver".into())).contains("runtime"));
    assert!(advice(Cause::Command("/srv/run".into())).contains("--include FILE:/srv/run"));
}

#[test]
fn a_file_that_is_named_from_the_working_directory_is_found_in_the_current_one() {
    let advice = Cause::File("/app/conf/app.conf".into()).advice(&Machine);
    assert!(
        advice.contains("--include conf/app.conf:/app/conf/app.conf,"),
        "{advice}"
    );
}

#[test]
fn nobody_is_told_to_mount_a_volume_over_what_the_runtime_mounts() {
    for path in ["/dev/log", "/proc/sys/vm/swappiness", "/sys/fs/x"] {
        let advice = Cause::ReadOnly(path.into()).advice(&Machine);
        assert!(advice.contains("write elsewhere"), "{advice}");
        assert!(!advice.contains("--smoke-writable"), "{advice}");
    }
    let advice = Cause::ReadOnly("/device/x".into()).advice(&Machine);
    assert!(advice.contains("--smoke-writable /device,"), "{advice}");
}

#[test]
fn a_shell_that_is_missing_is_explained() {
    let shell = Cause::File("/bin/sh".into());
    assert!(shell.to_string().contains("runs a command in a shell"));
    assert!(shell.advice(&Machine).contains("--include /bin/sh"));
}

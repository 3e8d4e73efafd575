#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::OnceLock;

use super::*;
use crate::sysroot::Directory;

/// A small static program and a shared library, compiled once.
fn elf(library: bool) -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    static LIBRARY: OnceLock<Vec<u8>> = OnceLock::new();
    let (once, arguments): (_, &[&str]) = if library {
        (&LIBRARY, &["-shared", "-fPIC", "-nostdlib"])
    } else {
        (&PROGRAM, &["-static", "-nostdlib"])
    };
    once.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("x.c");
        let output = directory.path().join("x");
        std::fs::write(&source, "void _start(void) { for (;;); }").unwrap();
        let status = Command::new("cc")
            .args([&source, Path::new("-o"), &output])
            .args(arguments)
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::read(output).unwrap()
    })
}

/// A system with `/usr/bin/env`, `/usr/bin/python3` and `/bin/sh`.
struct System {
    root: tempfile::TempDir,
    sysroot: Directory,
}

impl System {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let sysroot = Directory::new(root.path()).unwrap();
        let system = Self { root, sysroot };
        for program in ["/usr/bin/env", "/usr/bin/python3", "/bin/sh"] {
            system.file(program, elf(false));
        }
        system
    }

    fn file(&self, path: &str, content: &[u8]) {
        self.file_with_mode(path, content, 0o755);
    }

    fn file_with_mode(&self, path: &str, content: &[u8], mode: u32) {
        let path = self.root.path().join(&path[1..]);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn recognise(&self, path: &str) -> Result<App, AppError> {
        self.recognise_with(path, true)
    }

    fn recognise_with(&self, path: &str, shell: bool) -> Result<App, AppError> {
        let search = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
        let scene = Scene {
            sysroot: &self.sysroot,
            search: &search,
            runtime: RuntimeChoice::None,
            shell,
            host: None,
            ground: None,
        };
        recognise(&scene, Path::new(path))
    }

    /// Why a script is refused, when no shell is allowed.
    fn refusal(&self, text: &str) -> Option<String> {
        self.file("/app", text.as_bytes());
        let error = self.recognise_with("/app", false).err()?;
        let message = error.to_string();
        Some(message.replace(self.sysroot.path().to_str().unwrap(), ""))
    }

    /// The message, with the sysroot's own directory left out.
    fn message(&self, path: &str) -> String {
        let message = self.recognise(path).unwrap_err().to_string();
        message.replace(self.sysroot.path().to_str().unwrap(), "")
    }

    /// The message for a file of this content.
    fn message_for(&self, content: &[u8]) -> String {
        self.file("/app", content);
        self.message("/app")
    }

    fn script(&self, line: &str) -> App {
        self.file("/app", format!("{line}\nbody\n").as_bytes());
        self.recognise("/app").unwrap()
    }
}

fn roots(app: &App) -> Vec<&str> {
    app.roots
        .iter()
        .filter_map(|root| match root {
            Root::Program { path } => path.to_str(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn an_elf_executable_is_its_own_root() {
    let system = System::new();
    system.file("/app", elf(false));
    let app = system.recognise("/app").unwrap();
    assert_eq!(app.kind, AppKind::Elf);
    assert_eq!(roots(&app), ["/app"]);
}

#[test]
fn a_link_is_kept_as_it_was_given() {
    let system = System::new();
    std::os::unix::fs::symlink("usr/bin/python3", system.root.path().join("link")).unwrap();
    let app = system.recognise("/link").unwrap();
    assert_eq!(app.path, Path::new("/link"));
    assert_eq!(app.trace.target.to_string(), "/usr/bin/python3");
    assert_eq!(roots(&app), ["/link"]);
}

#[test]
fn a_script_starts_its_interpreter_with_one_argument() {
    let app = System::new().script("#! \t/bin/sh  -e -u \t");
    assert_eq!(roots(&app), ["/bin/sh"]);
    let AppKind::Script { interpreters } = app.kind else {
        panic!("{:?}", app.kind);
    };
    assert_eq!(
        interpreters,
        [Interpreter {
            path: "/bin/sh".into(),
            argument: Some("-e -u".into()),
        }]
    );
}

#[test]
fn an_interpreter_may_be_a_script_itself() {
    let system = System::new();
    system.file("/wrapper", b"#!/bin/sh\n");
    let app = system.script("#!/wrapper");
    assert_eq!(roots(&app), ["/bin/sh"]);
    let AppKind::Script { interpreters } = app.kind else {
        panic!("{:?}", app.kind);
    };
    assert_eq!(interpreters[0].path, Path::new("/wrapper"));
    assert_eq!(interpreters[1].path, Path::new("/bin/sh"));
}

#[test]
fn four_interpreters_in_a_row_may_be_scripts_and_no_fifth() {
    let system = System::new();
    for level in 1..=5 {
        let next = match level {
            1 => "/bin/sh".to_string(),
            level => format!("/level{}", level - 1),
        };
        system.file(&format!("/level{level}"), format!("#!{next}\n").as_bytes());
    }
    assert_eq!(roots(&system.script("#!/level4")), ["/bin/sh"]);
    assert_eq!(
        system.message_for(b"#!/level5\n"),
        "/app: its interpreter is a script, whose interpreter is a script, and so on for more than \
         4 levels, which the kernel refuses (execve(2)); name a program as interpreter"
    );
}

#[test]
fn env_and_what_it_finds_are_both_roots() {
    let system = System::new();
    for line in [
        "#!/usr/bin/env python3",
        "#!/usr/bin/env -S python3 -u",
        "#!/usr/bin/env -Spython3 -u",
        "#!/usr/bin/env -iS python3",
        "#!/usr/bin/env --split-string=python3 -u",
        "#!/usr/bin/env -S -i -u HOME LANG=C X='a b' python3 -u",
        "#!/usr/bin/env -S \"python3\"",
        "#!/usr/bin/env /usr/bin/python3",
        "#!/usr/bin/env -S PATH=/nowhere:/usr/bin python3",
    ] {
        assert_eq!(
            roots(&system.script(line)),
            ["/usr/bin/env", "/usr/bin/python3"],
            "{line}"
        );
    }
}

#[test]
fn env_may_find_a_script() {
    let system = System::new();
    system.file("/usr/local/bin/tool", b"#!/bin/sh\n");
    let app = system.script("#!/usr/bin/env tool");
    assert_eq!(roots(&app), ["/usr/bin/env", "/bin/sh"]);
}

#[test]
fn env_passes_over_a_file_that_is_not_executable() {
    let system = System::new();
    system.file_with_mode("/usr/local/bin/python3", b"", 0o644);
    let app = system.script("#!/usr/bin/env python3");
    assert_eq!(roots(&app), ["/usr/bin/env", "/usr/bin/python3"]);
}

#[test]
fn scripts_that_start_each_other_by_env_end() {
    let system = System::new();
    system.file("/usr/local/bin/loop", b"#!/usr/bin/env loop\n");
    assert!(
        system
            .message_for(b"#!/usr/bin/env loop\n")
            .contains("and so on")
    );
}

#[test]
fn a_missing_file_is_told_with_what_may_have_been_meant() {
    let system = System::new();
    system.file("/opt/server", elf(false));
    assert_eq!(
        system.message("/opt/sevrer"),
        "/opt/sevrer: no such file; did you mean /opt/server?"
    );
    assert_eq!(
        system.message("/opt/python3"),
        "/opt/python3: no such file; did you mean /usr/bin/python3?"
    );
    assert_eq!(
        system.message("/opt/else"),
        "/opt/else: no such file; give the path of a program, such as ./app"
    );
    assert_eq!(
        system.message("/opt/server/x"),
        "/opt/server/x: no such file, because /opt/server is not a directory; give the path of the \
         program itself"
    );
}

#[test]
fn a_loop_of_links_is_told() {
    let system = System::new();
    std::os::unix::fs::symlink("loop", system.root.path().join("loop")).unwrap();
    assert_eq!(
        system.message("/loop"),
        "/loop: its symbolic links lead in a circle; `namei -l` shows them"
    );
}

#[test]
fn a_link_to_nothing_is_told() {
    let system = System::new();
    std::os::unix::fs::symlink("../build/app", system.root.path().join("app")).unwrap();
    assert_eq!(
        system.message("/app"),
        "/app: is a symbolic link to ../build/app, which does not exist; correct the link, or \
         build what it leads to"
    );
}

#[test]
fn what_is_no_file_is_told() {
    let system = System::new();
    assert_eq!(
        system.message("/usr/bin"),
        "/usr/bin: is a directory that is no app: it has no package.json (Node.js), no __main__.py \
         (Python) and no lib/*.jar (Java); give the program in it, and the rest with `--include \
         /usr/bin`"
    );
    let _socket =
        std::os::unix::net::UnixListener::bind(system.root.path().join("socket")).unwrap();
    assert_eq!(
        system.message("/socket"),
        "/socket: is a device, socket or pipe; give the path of a program"
    );
}

#[test]
fn an_elf_file_that_is_no_program_is_told() {
    let system = System::new();
    system.file("/libx.so", elf(true));
    assert_eq!(
        system.message("/libx.so"),
        "/libx.so: is a shared library, not a program; give the program that uses it, and add the \
         library with `--include /libx.so` if it is opened at run time"
    );
    let mut object = elf(false).to_vec();
    object[16] = 1;
    assert_eq!(
        system.message_for(&object),
        "/app: is an ELF file that cannot be run, such as an object file (.o) or a core dump; link \
         it to a program first"
    );
    assert_eq!(
        system.message_for(&elf(false)[..40]),
        "/app: cannot be run: it is cut short: it has 40 bytes, its ELF header alone takes 64; \
         build or copy it again"
    );
}

#[test]
fn a_file_without_execute_permission_is_told() {
    let system = System::new();
    system.file_with_mode("/app", elf(false), 0o644);
    let message = "/app: is not executable (mode 0644), and the image would get it so; \
                   `chmod +x /app`";
    assert_eq!(system.message("/app"), message);
    system.file_with_mode("/app", b"#!/bin/sh\n", 0o644);
    assert_eq!(system.message("/app"), message);
}

#[test]
fn what_is_no_linux_program_is_told_with_what_to_do() {
    let system = System::new();
    assert_eq!(
        system.message_for(b""),
        "/app: is empty; was it built? Build or copy it again"
    );
    assert_eq!(
        system.message_for(b"\xcf\xfa\xed\xfe"),
        "/app: is not a Linux program but a Mach-O file, a program for macOS; build it for Linux, \
         for example with `GOOS=linux go build` or `cargo build --target x86_64-unknown-linux-musl`"
    );
    for (content, advice) in [
        (
            &b"MZ"[..],
            "a PE file, a program for Windows; build it for Linux",
        ),
        (
            b"!<arch>\n",
            "an ar archive, such as a static library (.a); link it to a program, and give that",
        ),
        (
            b"\0asm",
            "a WebAssembly module; give the program that runs it (such as wasmtime), and add it \
             with `--include`",
        ),
        (
            b"\xca\xfe\xba\xbe\0\0\0\x41",
            "a compiled Java class; name it NAME.class and leave `--runtime` out, for Java to run \
             it; or pack a jar",
        ),
        (
            b"\x1f\x8b",
            "a file compressed with gzip; unpack it, and give the program in it",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a pointer of Git LFS, not the file itself; fetch the file: `git lfs pull`",
        ),
        (
            b"\x01\x02",
            "of an unknown kind (first bytes: 01 02); give an ELF executable or a script that \
             starts with `#!`",
        ),
    ] {
        assert_eq!(
            system.message_for(content),
            format!("/app: is not a Linux program but {advice}")
        );
    }
    system.file("/x.jar", b"PK\x03\x04");
    assert!(
        system
            .message("/x.jar")
            .ends_with("a ZIP archive, such as a .jar; leave `--runtime` out, for Java to run it")
    );
    system.file("/x.py", b"print(1)\n");
    assert_eq!(
        system.message("/x.py"),
        "/x.py: is not a Linux program but a text; if it is a script, name its interpreter in its \
         first line, such as `#!/usr/bin/env python3`, and `chmod +x /x.py`"
    );
}

#[test]
fn mistakes_in_the_first_line_of_a_script_are_told() {
    let system = System::new();
    let long = format!("#!/{}", "x".repeat(300));
    for (line, message) in [
        (
            "#!/bin/sh\r",
            "its `#!` line ends in a carriage return (CRLF, as Windows writes it), so the kernel \
             looks for `/bin/sh\\r`; convert the file: `sed -i 's/\\r$//' /app`",
        ),
        (
            "#!/usr/bin/env python3\r",
            "its `#!` line ends in a carriage return (CRLF, as Windows writes it), so the kernel \
             looks for `python3\\r`; convert the file: `sed -i 's/\\r$//' /app`",
        ),
        (
            "#!",
            "its `#!` line names no interpreter; write one, such as `#!/bin/sh`",
        ),
        (
            "#!  \r",
            "its `#!` line names no interpreter; write one, such as `#!/bin/sh`",
        ),
        (
            "#!/usr/bin/pyhton3",
            "its interpreter /usr/bin/pyhton3 does not exist; did you mean /usr/bin/python3? \
             Correct the `#!` line, or install it",
        ),
        (
            "#!/opt/none",
            "its interpreter /opt/none does not exist; install it, or correct the `#!` line",
        ),
        (
            "#!bin/sh",
            "its interpreter `bin/sh` is a relative path, which depends on the directory it is \
             started in; write an absolute path, or let `env` find it: `#!/usr/bin/env NAME`",
        ),
        (
            "#!/usr/bin",
            "its interpreter /usr/bin is a directory; name a program in the `#!` line, such as \
             `#!/usr/bin/env NAME`",
        ),
        (
            "#!/usr/bin/env",
            "its `#!` line starts `env` without a program to run; write `#!/usr/bin/env NAME`, \
             with options or variables `#!/usr/bin/env -S VAR=value NAME`",
        ),
        (
            "#!/usr/bin/env python3 -u",
            "the kernel gives `env` all of `python3 -u` as one word; write `#!/usr/bin/env -S \
             python3 -u`",
        ),
        (
            "#!/usr/bin/env ruby",
            "`env` finds no program `ruby` in /usr/local/bin:/usr/bin:/bin; install it, name its \
             absolute path in the `#!` line, or set the image's PATH with `--env PATH=...`",
        ),
        (
            long.as_str(),
            "its `#!` line is too long: the kernel reads 256 bytes of it (execve(2)), and they end \
             within the interpreter's path; use a shorter path",
        ),
    ] {
        let content = format!("{line}\nbody\n");
        assert_eq!(
            system.message_for(content.as_bytes()),
            format!("/app: {message}"),
            "{line}"
        );
    }
}

#[test]
fn an_interpreter_that_is_no_program_is_told() {
    let system = System::new();
    system.file("/text", b"just words\n");
    system.file("/empty", b"");
    system.file("/lib.so", elf(true));
    system.file("/windows", b"MZ");
    for (interpreter, what) in [
        ("/text", "is a text that has no `#!` line itself"),
        ("/empty", "is empty"),
        ("/lib.so", "is a shared library"),
        (
            "/windows",
            "is not a Linux program but a PE file, a program for Windows",
        ),
    ] {
        assert_eq!(
            system.message_for(format!("#!{interpreter}\n").as_bytes()),
            format!(
                "/app: its interpreter {interpreter} {what}; name a program in the `#!` line, such \
                 as `#!/usr/bin/env NAME`"
            )
        );
    }
    system.file_with_mode("/plain", elf(false), 0o644);
    assert_eq!(
        system.message_for(b"#!/plain\n"),
        "/app: its interpreter is of no use: /plain: is not executable (mode 0644), and the image \
         would get it so; `chmod +x /plain`"
    );
}

#[test]
fn a_shell_script_is_refused_with_the_program_to_build_instead() {
    let system = System::new();
    assert_eq!(
        system.refusal("#!/bin/sh\nls | wc -l\n").unwrap(),
        "/app: is a shell script, run by /bin/sh, and a distroless image has no shell, nor the \
         programs that a shell starts; build the program that it starts, with what it sets as \
         `--env`; `--allow-shell` builds it all the same, then `--include` adds those programs"
    );
    assert!(
        system
            .refusal("#!/bin/sh\nexport LANG=C\nexec python3 -m x \"$@\"\n")
            .unwrap()
            .contains(
                "all that it does is to start /usr/bin/python3: build /usr/bin/python3 itself"
            )
    );
    assert!(
        system
            .refusal("#!/bin/sh\nexec /opt/x/server\n")
            .unwrap()
            .contains("to start /opt/x/server:")
    );
}

#[test]
fn what_a_script_of_another_language_starts_is_not_guessed() {
    let system = System::new();
    system.file("/wrapper", b"#!/bin/sh\n");
    let refusal = system.refusal("#!/wrapper\nexec /opt/x\n").unwrap();
    assert!(!refusal.contains("/opt/x"), "{refusal}");
}

#[test]
fn a_shell_is_known_by_any_of_its_names() {
    let system = System::new();
    for program in ["/bin/bash", "/bin/busybox", "/usr/local/bin/fish"] {
        system.file(program, elf(false));
    }
    let link = |target: &str, path: &str| {
        std::os::unix::fs::symlink(target, system.root.path().join(path)).unwrap();
    };
    link("bash", "bin/my-shell");
    link("busybox", "bin/ash");
    link("busybox", "bin/awk");
    system.file("/wrapper", b"#!/bin/sh\n");
    for line in [
        "#!/bin/bash -e",
        "#!/bin/my-shell",
        "#!/bin/ash",
        "#!/bin/busybox sh",
        "#!/bin/busybox",
        "#!/usr/bin/env bash",
        "#!/usr/bin/env -S fish --no-config",
        "#!/wrapper",
    ] {
        assert!(system.refusal(&format!("{line}\n")).is_some(), "{line}");
        assert!(system.recognise("/app").is_ok(), "{line}");
    }
    for line in [
        "#!/bin/awk -f",
        "#!/bin/busybox awk",
        "#!/usr/bin/env python3",
    ] {
        assert_eq!(system.refusal(&format!("{line}\n")), None, "{line}");
    }
}

#[test]
fn a_shell_that_is_named_itself_is_no_script() {
    let app = System::new().recognise_with("/bin/sh", false).unwrap();
    assert_eq!(app.kind, AppKind::Elf);
}

#[test]
fn an_argument_that_the_kernel_cuts_off_is_no_mistake() {
    let line = format!("#!/bin/sh {}", "x".repeat(400));
    let AppKind::Script { interpreters } = System::new().script(&line).kind else {
        panic!("no script");
    };
    let argument = interpreters[0].argument.as_ref().unwrap();
    assert!(argument.len() < script::LINE_LIMIT);
}

#[test]
fn a_file_that_may_not_be_read_is_told() {
    let path = PathBuf::from("/opt/app");
    let error = AppError::Unreadable {
        path: path.clone(),
        at: "/opt".into(),
    };
    assert_eq!(
        error.to_string(),
        "/opt/app: permission denied at /opt; the file is read to find its libraries: `chmod a+r` \
         it, or run distrobuild as a user who may read it"
    );
}

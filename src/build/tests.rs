#![allow(clippy::unwrap_used)]

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

/// A build of this test program under another name.
fn named(name: &[u8]) -> (tempfile::TempDir, Builder) {
    let directory = tempfile::tempdir().unwrap();
    let app = directory.path().join(OsStr::from_bytes(name));
    symlink(std::env::current_exe().unwrap(), &app).unwrap();
    (directory, Builder::new(app, Base::none()))
}

#[test]
fn a_name_that_the_config_cannot_hold_is_no_command() {
    let (_directory, mut builder) = named(b"app\xff");
    let message = builder.plan().unwrap_err().to_string();
    assert!(message.contains("its name is not UTF-8"), "{message}");
    builder.entrypoint = Some(vec!["/app/other".into()]);
    assert!(builder.plan().is_ok());
}

#[test]
fn a_library_path_that_is_no_directory_is_told() {
    let (_directory, mut builder) = named(b"app");
    builder.library_path.push("/no/such/directory".into());
    let closure = builder.resolve().unwrap().closure;
    assert!(closure.notices.contains(&Notice::Warning(
        "--library-path /no/such/directory: there is no such directory, so nothing was found in it"
            .into()
    )));
}

#[test]
fn a_program_that_is_nowhere_is_looked_for_in_the_sysroot() {
    let sysroot = tempfile::tempdir().unwrap();
    let root = sysroot.path().canonicalize().unwrap();
    let mut builder = Builder::new("/usr/bin/no-such-program", Base::none());
    builder.sysroot = Some(root.clone());
    let message = |builder: &Builder| builder.resolve().unwrap_err().to_string();
    let wanted = root.join("usr/bin/no-such-program");
    let text = message(&builder);
    assert!(
        text.starts_with(&format!("{}: no such file", wanted.display())),
        "{text}"
    );
    builder.app = "no-such-program".into();
    let here = std::path::absolute("no-such-program").unwrap();
    let text = message(&builder);
    assert!(
        text.starts_with(&format!("{}: no such file", here.display())),
        "{text}"
    );
    builder.app = Path::new("/usr").into();
    assert!(message(&builder).starts_with("/usr: is a directory"));
}

#[test]
fn a_bare_name_that_is_no_file_here_is_found_as_a_shell_finds_it() {
    let (directory, _) = named(b"only-on-the-path");
    let mut builder = Builder::new("only-on-the-path", Base::none());
    let path = std::env::join_paths([directory.path()]).unwrap();
    builder.variables = BTreeMap::from([("PATH".into(), path)]);
    let app = builder.resolve().unwrap().app;
    assert_eq!(app.path, directory.path().join("only-on-the-path"));
    builder.variables.clear();
    let message = builder.resolve().unwrap_err().to_string();
    assert!(message.contains("no such file"), "{message}");
}

#[test]
fn an_image_is_named_after_its_app_whatever_runs_it() {
    let title = |app: &str| Builder::new(app, Base::none()).title();
    assert_eq!(title("./dist/server.js"), "server");
    assert_eq!(title("app-1.2.jar"), "app-1.2");
    assert_eq!(title("/usr/bin/python3.11"), "python3.11");
    assert_eq!(title("./.py"), ".py");
    let here = std::env::current_dir().unwrap();
    assert_eq!(title("."), here.file_name().unwrap().to_str().unwrap());
}

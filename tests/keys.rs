//! `keygen`, `import-key-pair` and `public-key` as a user meets them.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use distrobuild::sign::key::{Algorithm, Password, PrivateKey, PublicKey};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

fn distrobuild(room: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distrobuild"));
    command
        .args(arguments)
        .current_dir(room)
        .env("HOME", room)
        .env_remove("COSIGN_PASSWORD")
        .stdin(Stdio::null());
    command
}

fn run(room: &Path, arguments: &[&str], password: &str) -> Output {
    distrobuild(room, arguments)
        .env("COSIGN_PASSWORD", password)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn open(path: &Path, password: &[u8]) -> PrivateKey {
    let password = Password::new(password.to_vec().into());
    PrivateKey::open(&fs::read(path).unwrap(), "it", &password).unwrap()
}

#[test]
fn a_pair_is_made_and_its_public_half_is_the_result() {
    let room = tempfile::tempdir().unwrap();
    let output = run(room.path(), &["keygen"], "hunter2");
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(output.stdout, b"cosign.pub\n");
    assert!(said.contains("cosign.key"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let private = room.path().join("cosign.key");
    let mode = private.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let key = open(&private, b"hunter2");
    let public = fs::read(room.path().join("cosign.pub")).unwrap();
    assert_eq!(PublicKey::read(&public, "it").unwrap(), key.public());
    let output = run(
        room.path(),
        &["public-key", "--key", "cosign.key"],
        "hunter2",
    );
    assert_eq!(output.stdout, public, "{}", stderr(&output));
}

#[test]
fn each_algorithm_is_made() {
    let room = tempfile::tempdir().unwrap();
    for algorithm in Algorithm::ALL {
        let name = algorithm.to_string();
        let arguments = ["keygen", "--algorithm", &name, "--output-key-prefix", &name];
        let output = run(room.path(), &arguments, "");
        assert!(output.status.success(), "{}", stderr(&output));
        let key = open(&room.path().join(format!("{name}.key")), b"");
        assert_eq!(key.algorithm(), algorithm);
    }
    let output = run(room.path(), &["keygen", "--algorithm", "rsa"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("choose ecdsa-p256"));
}

#[test]
fn a_key_that_is_there_is_left_before_anyone_is_asked() {
    let room = tempfile::tempdir().unwrap();
    for name in ["cosign.pub", "cosign.key"] {
        fs::write(room.path().join(name), "mine").unwrap();
        let output = distrobuild(room.path(), &["keygen"]).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("never overwritten"), "{said}");
        assert_eq!(fs::read(room.path().join(name)).unwrap(), b"mine");
        fs::remove_file(room.path().join(name)).unwrap();
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
    }
}

#[test]
fn without_a_terminal_the_variable_is_named() {
    let room = tempfile::tempdir().unwrap();
    let output = distrobuild(room.path(), &["keygen"]).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("`COSIGN_PASSWORD=`"), "{said}");
    assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
}

#[test]
fn a_password_may_be_any_bytes() {
    let room = tempfile::tempdir().unwrap();
    let bytes = b"\xff\xfe\x01";
    let output = distrobuild(room.path(), &["keygen"])
        .env("COSIGN_PASSWORD", std::ffi::OsStr::from_bytes(bytes))
        .output();
    assert!(output.unwrap().status.success());
    open(&room.path().join("cosign.key"), bytes);
}

#[test]
fn a_key_of_openssl_is_imported() {
    let room = tempfile::tempdir().unwrap();
    for (name, prefix) in [("p384.pem", "plain"), ("p256-pbkdf2.pem", "encrypted")] {
        let file = format!("{DATA}/openssl/{name}");
        let arguments = [
            "import-key-pair",
            "--key",
            &file,
            "--output-key-prefix",
            prefix,
        ];
        let output = run(room.path(), &arguments, "secret");
        assert!(output.status.success(), "{}", stderr(&output));
        open(&room.path().join(format!("{prefix}.key")), b"secret");
    }
    let file = format!("{DATA}/cosign/v3-p256.key");
    let output = run(room.path(), &["import-key-pair", "--key", &file], "secret");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("nothing to import"));
    assert!(!room.path().join("import-cosign.key").exists());
}

#[test]
fn a_key_in_a_variable_is_read_and_a_wrong_password_is_not_shown() {
    let room = tempfile::tempdir().unwrap();
    let key = fs::read(format!("{DATA}/cosign/v3-ed25519.key")).unwrap();
    let public = |password: &str| {
        distrobuild(room.path(), &["public-key", "--key", "env://KEY"])
            .env("KEY", std::ffi::OsStr::from_bytes(&key))
            .env("COSIGN_PASSWORD", password)
            .output()
            .unwrap()
    };
    let output = public("secret");
    let wanted = fs::read(format!("{DATA}/cosign/v3-ed25519.pub")).unwrap();
    assert_eq!(output.stdout, wanted, "{}", stderr(&output));
    let output = public("hunter2");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("env://KEY does not open with this password"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_private_key_that_anyone_can_read_is_warned_of() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("cosign.key");
    fs::copy(format!("{DATA}/cosign/v3-p256.key"), &path).unwrap();
    for (mode, is_warned) in [(0o644, true), (0o640, false), (0o600, false)] {
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let output = run(
            room.path(),
            &["public-key", "--key", "cosign.key"],
            "secret",
        );
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("chmod 600 cosign.key"), is_warned, "{said}");
    }
}

/// A command with a terminal, and the person's side of it.
fn on_terminal(room: &Path, arguments: &[&str]) -> (Child, File) {
    let pair = nix::pty::openpty(None, None).unwrap();
    let child = distrobuild(room, arguments)
        .stdin(pair.slave)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child, File::from(pair.master))
}

/// Answers when `question` is asked.
fn answer(child: &mut Child, person: &mut File, question: &str, with: &str) {
    let mut said = String::new();
    let mut byte = [0];
    while !said.ends_with(question) {
        let read = child.stderr.as_mut().unwrap().read(&mut byte).unwrap();
        assert_eq!(read, 1, "it asks: {said}");
        said.push(char::from(byte[0]));
    }
    writeln!(person, "{with}").unwrap();
}

fn rest(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), stderr(&output))
}

#[test]
fn a_new_password_is_typed_twice_and_the_key_opens_with_it() {
    let room = tempfile::tempdir().unwrap();
    let (mut child, mut person) = on_terminal(room.path(), &["keygen"]);
    answer(
        &mut child,
        &mut person,
        "new password for cosign.key:",
        "hunter2",
    );
    answer(&mut child, &mut person, "the same again:", "hunter2");
    let (code, said) = rest(child);
    assert_eq!(code, Some(0), "{said}");
    open(&room.path().join("cosign.key"), b"hunter2");
    let (mut child, mut person) = on_terminal(room.path(), &["public-key", "--key", "cosign.key"]);
    answer(
        &mut child,
        &mut person,
        "password of cosign.key:",
        "hunter2",
    );
    let output = child.wait_with_output().unwrap();
    let public = fs::read(room.path().join("cosign.pub")).unwrap();
    assert_eq!(output.stdout, public, "{}", stderr(&output));
    // Neither question nor answer is left on the terminal.
    let mut shown = [0; 100];
    let length = person.read(&mut shown).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&shown[..length]).contains("hunter2"));
}

#[test]
fn two_passwords_make_no_key() {
    let room = tempfile::tempdir().unwrap();
    let (mut child, mut person) = on_terminal(room.path(), &["keygen"]);
    answer(
        &mut child,
        &mut person,
        "new password for cosign.key:",
        "hunter2",
    );
    answer(&mut child, &mut person, "the same again:", "hunter3");
    let (code, said) = rest(child);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not the same"), "{said}");
    assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
}

#[test]
fn what_is_no_key_is_said_before_a_password_is_asked_for() {
    let room = tempfile::tempdir().unwrap();
    let file = format!("{DATA}/cosign/v3-p256.pub");
    let (child, _person) = on_terminal(room.path(), &["public-key", "--key", &file]);
    let (code, said) = rest(child);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is a public key"), "{said}");
}

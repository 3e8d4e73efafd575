//! Credential helpers.

use std::time::Duration;

use super::*;

const FILE: &str = ".docker/config.json";

/// A helper that answers with `answer`, whatever it is asked for.
fn answering(home: &Home, answer: &str) {
    home.write(FILE, r#"{"credsStore":"test"}"#);
    home.helper("test", &format!("cat <<'END'\n{answer}\nEND"));
}

#[test]
fn a_helper_is_asked_for_the_registry() {
    for (repository, server) in [
        ("ghcr.io/me/app", "ghcr.io"),
        ("localhost:5000/app", "localhost:5000"),
        ("python", "https://index.docker.io/v1/"),
    ] {
        let home = Home::new();
        home.write(FILE, r#"{"credsStore":"test"}"#);
        home.helper(
            "test",
            "echo \"$@\" $(cat) >\"$HOME/asked\"\necho '{\"ServerURL\":\"x\",\"Username\":\"me\",\"Secret\":\"hunter2\"}'",
        );
        assert_eq!(home.found(repository), password("me", "hunter2"));
        assert_eq!(home.read("asked"), format!("get {server}\n"));
    }
}

#[test]
fn the_user_name_of_a_token_says_what_it_is() {
    let home = Home::new();
    answering(&home, r#"{"Username":"<token>","Secret":"t0ken"}"#);
    assert_eq!(
        home.found("ghcr.io/me/app"),
        Some(Login::IdentityToken(secret("t0ken")))
    );
}

#[test]
fn a_helper_without_the_login_leaves_it_to_the_file() {
    let home = Home::new();
    home.write(
        FILE,
        r#"{"credsStore":"test","auths":{"ghcr.io":{"auth":"bWU6aHVudGVyMg=="}}}"#,
    );
    for script in [
        "echo credentials not found in native keychain; exit 1",
        "echo Credentials Not Found; exit 2",
        "exit 0",
        r#"echo '{"Username":"","Secret":""}'"#,
    ] {
        home.helper("test", script);
        assert_eq!(home.found("ghcr.io/me/app"), password("me", "hunter2"));
        assert_eq!(home.found("quay.io/me/app"), None);
    }
}

#[test]
fn the_helper_of_a_registry_comes_before_the_one_for_all() {
    let home = Home::new();
    home.helper("all", r#"echo '{"Username":"all","Secret":"x"}'"#);
    home.helper(
        "one",
        r#"read -r server; echo "{\"Username\":\"one\",\"Secret\":\"$server\"}""#,
    );
    home.write(
        FILE,
        r#"{"credsStore":"all","credHelpers":{"ghcr.io":"one","quay.io/me":"one","docker.io":"one","plain.example":""},
            "auths":{"plain.example":{"auth":"bWU6aHVudGVyMg=="}}}"#,
    );
    assert_eq!(home.found("ghcr.io/me/app"), password("one", "ghcr.io"));
    assert_eq!(home.found("quay.io/me/app"), password("one", "quay.io/me"));
    assert_eq!(home.found("quay.io/you/app"), password("all", "x"));
    assert_eq!(
        home.found("python"),
        password("one", "https://index.docker.io/v1/")
    );
    // Docker's way to say that this one is in the file.
    assert_eq!(home.found("plain.example/x"), password("me", "hunter2"));
}

#[test]
fn a_helper_that_is_not_there_is_an_error_with_what_to_do() {
    let mut home = Home::new();
    home.write(FILE, r#"{"credsStore":"absent"}"#);
    let error = home.error("ghcr.io/me/app");
    assert!(error.contains("docker-credential-absent"), "{error}");
    assert!(error.contains(".docker/config.json"), "{error}");
    assert!(error.contains("install it"), "{error}");
    // The working directory is no place for programs.
    home.set("PATH", ":.:bin");
    assert!(home.error("ghcr.io/me/app").contains("not on PATH"));
}

#[test]
fn a_failing_helper_is_named_and_what_it_says_is_not() {
    let home = Home::new();
    home.write(FILE, r#"{"credsStore":"test"}"#);
    for (script, said) in [
        (
            "echo hunter2; echo hunter2 >&2; exit 3",
            "failed (exit status: 3)",
        ),
        ("echo hunter2; kill -9 $$", "failed (signal: 9"),
        ("echo hunter2", "no JSON object"),
        ("echo '[\"hunter2\"]'", "no JSON object"),
        ("echo '{\"Username\":[\"hunter2\"]}'", "are no texts"),
        ("printf '\\377hunter2'; exit 1", "failed (exit status: 1)"),
        (
            "while :; do echo hunter2hunter2hunter2hunter2; done",
            "more than 65536 bytes",
        ),
    ] {
        home.helper("test", script);
        let error = home.find("ghcr.io/me/app").unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(said), "{script}: {shown}");
        assert!(shown.contains("docker-credential-test"), "{shown}");
        assert!(shown.contains("echo ghcr.io | docker-credential-test get"));
        assert!(!shown.contains("hunter2"), "{script}: {shown}");
    }
}

#[test]
fn the_name_of_a_helper_is_no_path() {
    let home = Home::new();
    home.helper("test", r#"echo '{"Username":"me","Secret":"x"}'"#);
    for name in ["../x", "/bin/sh", "a b", "-x", ".", "a\\u0000", "x/../test"] {
        home.write(FILE, &format!(r#"{{"credsStore":"{name}"}}"#));
        let error = home.error("ghcr.io/me/app");
        assert!(error.contains("a word such as pass"), "{name}: {error}");
    }
}

#[test]
fn a_helper_without_end_is_ended() {
    let home = Home::new();
    home.write(FILE, r#"{"credsStore":"test"}"#);
    home.helper("test", "echo $$ >\"$HOME/process\"; exec sleep 1000");
    let mut keychain = home.keychain();
    keychain.environment.patience = Duration::from_millis(500);
    let wanted = "ghcr.io/me/app".parse().unwrap();
    let error = loop {
        let error = keychain.find(&wanted).unwrap_err().to_string();
        // On a busy machine it may not have come to its first line.
        if home.path("process").exists() {
            break error;
        }
        keychain.environment.patience *= 2;
    };
    assert!(error.contains("gave no answer in"), "{error}");
    let process = home.read("process");
    assert!(!Path::new("/proc").join(process.trim()).exists());
}

#[test]
fn what_a_helper_leaves_running_is_not_waited_for() {
    let home = Home::new();
    home.write(FILE, r#"{"credsStore":"test"}"#);
    // The one in the background keeps stdout open until it is told to end.
    home.helper(
        "test",
        "(while [ -d \"$HOME\" ] && [ ! -e \"$HOME/end\" ]; do sleep 0.01; done) &\n\
         echo '{\"Username\":\"me\",\"Secret\":\"x\"}'",
    );
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "x"));
    home.write("end", "");
}

#[test]
fn a_helper_need_not_read_what_it_is_told() {
    let home = Home::new();
    home.write(FILE, r#"{"credsStore":"test"}"#);
    home.helper("test", "exec <&-; exit 0");
    let long = "x".repeat(300_000);
    let stored = home
        .keychain()
        .store(&host("ghcr.io"), "me", &secret(&long))
        .unwrap();
    assert!(!stored.is_plain);
}

#[test]
fn a_helper_sees_the_given_variables() {
    let mut home = Home::new();
    home.set("WHO", "variable");
    home.write(FILE, r#"{"credsStore":"test"}"#);
    home.helper(
        "test",
        r#"echo "{\"Username\":\"me\",\"Secret\":\"$WHO${CARGO_MANIFEST_DIR-}\"}""#,
    );
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "variable"));
}

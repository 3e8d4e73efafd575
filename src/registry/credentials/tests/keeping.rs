//! Login and logout.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

const RUNTIME: &str = "run/containers/auth.json";
const FILE: &str = ".docker/config.json";

/// A helper that keeps logins in a file.
const KEEPER: &str = r#"echo "$1" >>"$HOME/asked"
case $1 in
store) cat >"$HOME/kept" ;;
get) cat "$HOME/kept" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;
erase) cat >"$HOME/erased"; rm "$HOME/kept" ;;
esac"#;

fn store(home: &Home, registry: &str, word: &str) -> Stored {
    home.keychain()
        .store(&host(registry), "me", &secret(word))
        .unwrap()
}

#[test]
fn the_first_login_makes_dockers_config_for_the_user_alone() {
    let home = Home::new();
    let stored = store(&home, "ghcr.io", "hunter2");
    assert_eq!(stored.place, "~/.docker/config.json");
    assert!(stored.is_plain);
    assert_eq!(mode(&home.path(FILE)), 0o600);
    assert_eq!(mode(&home.path(".docker")), 0o700);
    assert_eq!(
        home.read(FILE),
        "{\n\t\"auths\": {\n\t\t\"ghcr.io\": {\n\t\t\t\"auth\": \"bWU6aHVudGVyMg==\"\n\t\t}\n\t}\n}\n"
    );
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "hunter2"));
    let left = fs::read_dir(home.path(".docker")).unwrap().count();
    assert_eq!(left, 1, "nothing stays aside");
}

#[test]
fn the_hub_gets_the_key_that_docker_looks_for() {
    let home = Home::new();
    store(&home, "docker.io", "x");
    let key = "https://index.docker.io/v1/";
    assert!(home.json(FILE)["auths"][key]["auth"].is_string());
}

#[test]
fn a_login_goes_where_it_is_found_first() {
    let mut home = Home::new();
    home.write(FILE, "{}");
    home.write(RUNTIME, "{}");
    assert_eq!(
        store(&home, "ghcr.io", "x").place,
        "~/run/containers/auth.json"
    );
    home.set("DOCKER_CONFIG", home.path("new/directory"));
    store(&home, "ghcr.io", "x");
    assert!(home.path("new/directory/config.json").exists());
    home.set("REGISTRY_AUTH_FILE", home.path("auth.json"));
    store(&home, "ghcr.io", "x");
    assert!(home.path("auth.json").exists());
    assert_eq!(home.read(FILE), "{}");
}

#[test]
fn what_else_a_config_holds_stays_in_its_order() {
    let home = Home::new();
    let before = r#"{"zeta":[1,-2,1.5,18446744073709551615,null,true],"auths":{"quay.io":{"auth":"eDp5"},
        "https://ghcr.io/v1/":{"email":"a@b","auth":"b2xkOm9sZA==","identitytoken":"old"},
        "http://ghcr.io":{"auth":"b2xkOm9sZA=="},"ghcr.io/me":{"auth":"b2xkOm9sZA=="}},
        "alpha":{"b":{"c":"\u00e4\n"},"a":[]}}"#;
    home.write(FILE, before);
    store(&home, "ghcr.io", "hunter2");
    let expected = r#"{"zeta":[1,-2,1.5,18446744073709551615,null,true],"auths":{"quay.io":{"auth":"eDp5"},
        "ghcr.io/me":{"auth":"b2xkOm9sZA=="},
        "ghcr.io":{"email":"a@b","auth":"bWU6aHVudGVyMg=="}},
        "alpha":{"b":{"c":"ä\n"},"a":[]}}"#;
    let compact = |text: &str| {
        let document: json::Json = serde_json::from_str(text).unwrap();
        serde_json::to_string(&document).unwrap()
    };
    assert_eq!(compact(&home.read(FILE)), compact(expected));
}

#[test]
fn a_config_that_others_could_read_is_closed() {
    let home = Home::new();
    let path = home.write(FILE, "{}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    store(&home, "ghcr.io", "x");
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_symlink_stays_and_its_target_is_written() {
    let home = Home::new();
    home.write("dotfiles/docker.json", r#"{"x":1}"#);
    fs::create_dir(home.path(".docker")).unwrap();
    symlink("../dotfiles/link", home.path(FILE)).unwrap();
    symlink("docker.json", home.path("dotfiles/link")).unwrap();
    store(&home, "ghcr.io", "x");
    assert!(home.path(FILE).is_symlink() && home.path("dotfiles/link").is_symlink());
    assert_eq!(home.json("dotfiles/docker.json")["x"], 1);
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "x"));
    // One that leads to nothing yet is followed, too.
    fs::remove_file(home.path("dotfiles/docker.json")).unwrap();
    store(&home, "ghcr.io", "y");
    assert!(home.path(FILE).is_symlink());
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "y"));
}

#[test]
fn a_damaged_config_is_left_alone() {
    let home = Home::new();
    for text in ["{", "[]", r#"{"auths":[]}"#] {
        home.write(FILE, text);
        let result = home.keychain().store(&host("ghcr.io"), "me", &secret("x"));
        assert!(result.is_err(), "{text}");
        assert_eq!(home.read(FILE), text);
    }
}

#[test]
fn a_device_is_not_replaced() {
    let mut home = Home::new();
    let null = home.path("null");
    symlink("/dev/null", &null).unwrap();
    home.set("REGISTRY_AUTH_FILE", null);
    let error = home
        .keychain()
        .store(&host("ghcr.io"), "me", &secret("x"))
        .unwrap_err();
    assert!(matches!(error, CredentialError::NotAFile(_)), "{error}");
    assert!(home.keychain().erase(&host("ghcr.io")).unwrap().is_empty());
}

#[test]
fn a_user_name_that_would_be_read_as_another_is_refused() {
    let home = Home::new();
    for (name, said) in [("a:b", "a colon"), ("", "be empty")] {
        let result = home.keychain().store(&host("ghcr.io"), name, &secret("x"));
        let error = result.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(!home.path(FILE).exists());
}

#[test]
fn without_a_home_there_is_no_place() {
    let home = Home::new();
    let variables = [("XDG_RUNTIME_DIR".into(), home.path("run").into())];
    let result = Keychain::of(variables).store(&host("ghcr.io"), "me", &secret("x"));
    assert!(matches!(result, Err(CredentialError::NoPlace)));
}

#[test]
fn a_helper_keeps_the_login_and_the_file_none() {
    let home = Home::new();
    home.helper("keeper", KEEPER);
    home.write(
        FILE,
        r#"{"credsStore":"keeper","auths":{"ghcr.io":{"auth":"b2xkOm9sZA=="},"quay.io":{}}}"#,
    );
    let stored = store(&home, "ghcr.io", "hunter2");
    assert_eq!(
        stored.place,
        "the credential helper docker-credential-keeper"
    );
    assert!(!stored.is_plain);
    let kept = home.json("kept");
    assert_eq!(kept["ServerURL"], "ghcr.io");
    assert_eq!(kept["Username"], "me");
    assert_eq!(kept["Secret"], "hunter2");
    let left = home.json(FILE);
    assert_eq!(left["auths"], serde_json::json!({"quay.io": {}}));
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "hunter2"));

    assert_eq!(
        home.keychain().erase(&host("ghcr.io")).unwrap(),
        ["the credential helper docker-credential-keeper"]
    );
    assert_eq!(home.read("erased"), "ghcr.io");
    assert_eq!(home.found("ghcr.io/me/app"), None);
    // It is not told to forget what it does not have.
    fs::remove_file(home.path("asked")).unwrap();
    assert!(home.keychain().erase(&host("ghcr.io")).unwrap().is_empty());
    assert_eq!(home.read("asked"), "get\n");
}

#[test]
fn a_helper_that_refuses_is_an_error_without_the_password() {
    let home = Home::new();
    home.helper("keeper", "cat; exit 1");
    home.write(FILE, r#"{"credHelpers":{"ghcr.io":"keeper"}}"#);
    let error = home
        .keychain()
        .store(&host("ghcr.io"), "me", &secret("hunter2"))
        .unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("asked to store the login for ghcr.io"));
    assert!(!shown.contains("hunter2"), "{shown}");
    // Other registries are none of its business.
    assert!(store(&home, "quay.io", "x").is_plain);
}

#[test]
fn a_login_is_forgotten_in_every_place_and_every_spelling() {
    let home = Home::new();
    home.write(RUNTIME, &config("ghcr.io", "a"));
    home.write(".config/containers/auth.json", &config("quay.io", "b"));
    home.write(
        FILE,
        r#"{"auths":{"https://ghcr.io/v1/":{"auth":"eDp5"},"ghcr.io":{},"ghcr.io/me":{"auth":"eDp5"}}}"#,
    );
    let untouched = home.read(".config/containers/auth.json");
    assert_eq!(
        home.keychain().erase(&host("ghcr.io")).unwrap(),
        ["~/run/containers/auth.json", "~/.docker/config.json"]
    );
    assert_eq!(home.found("ghcr.io/you/app"), None);
    assert_eq!(home.found("ghcr.io/me/app"), password("x", "y"));
    assert_eq!(home.read(".config/containers/auth.json"), untouched);
}

#[test]
fn a_place_that_fails_does_not_protect_the_others() {
    let home = Home::new();
    home.write(RUNTIME, "{");
    home.write(FILE, &config("ghcr.io", "x"));
    assert!(home.keychain().erase(&host("ghcr.io")).is_err());
    assert_eq!(home.json(FILE)["auths"], serde_json::json!({}));
}

#[test]
fn a_file_without_the_login_is_not_written() {
    let home = Home::new();
    let text = r#"{"auths":{"quay.io":{"auth":"eDp5"}}}"#;
    home.write(FILE, text);
    assert!(home.keychain().erase(&host("ghcr.io")).unwrap().is_empty());
    assert_eq!(home.read(FILE), text);
}

#[test]
fn logging_out_makes_no_file() {
    let home = Home::new();
    assert!(home.keychain().erase(&host("ghcr.io")).unwrap().is_empty());
    assert!(!home.path(".docker").exists());
}

#[test]
fn logins_at_the_same_time_all_stay() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let home = &home;
            scope.spawn(move || store(home, &format!("r{number}.example"), "x"));
        }
    });
    let kept = home.json(FILE);
    assert_eq!(kept["auths"].as_object().unwrap().len(), 8);
}

#[test]
fn a_config_that_would_become_too_large_to_read_is_not_written() {
    let home = Home::new();
    let filler = "x".repeat(usize::try_from(config::LIMIT).unwrap() - 100);
    home.write(FILE, &format!(r#"{{"x":"{filler}"}}"#));
    let before = home.read(FILE);
    let result = home
        .keychain()
        .store(&host("ghcr.io"), "me", &secret(&"y".repeat(200)));
    assert!(matches!(result, Err(CredentialError::TooLarge { .. })));
    assert_eq!(home.read(FILE), before);
}

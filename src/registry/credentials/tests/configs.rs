//! What may be in a config, and what is said about one that is wrong.

use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;

const FILE: &str = ".docker/config.json";

fn entry(home: &Home, entry: &str) {
    home.write(FILE, &format!(r#"{{"auths":{{"ghcr.io":{entry}}}}}"#));
}

#[test]
fn every_kind_of_login_is_read() {
    let home = Home::new();
    for (text, login) in [
        (r#"{"auth":"bWU6aHVudGVyMg=="}"#, password("me", "hunter2")),
        (r#"{"auth":"bWU6aHVudGVyMg"}"#, password("me", "hunter2")),
        (
            r#"{"auth":"bWU6\naHVudGVyMg==\r\n"}"#,
            password("me", "hunter2"),
        ),
        (r#"{"auth":"bWU6YTpiAAA="}"#, password("me", "a:b")),
        (
            r#"{"username":"me","password":"p\u00e4ss"}"#,
            password("me", "p\u{e4}ss"),
        ),
        (
            r#"{"auth":"bWU6aHVudGVyMg==","username":"you","password":"other","email":"x"}"#,
            password("me", "hunter2"),
        ),
        (
            r#"{"auth":"MDAwMDo=","identitytoken":"t0ken"}"#,
            Some(Login::IdentityToken(secret("t0ken"))),
        ),
        (
            r#"{"registrytoken":"t0ken","identitytoken":"other"}"#,
            Some(Login::RegistryToken(secret("t0ken"))),
        ),
        (r#"{"auth":"","identitytoken":null}"#, None),
        (r#"{"username":"me"}"#, None),
    ] {
        entry(&home, text);
        assert_eq!(home.found("ghcr.io/me/app"), login, "{text}");
    }
}

#[test]
fn an_empty_config_is_none() {
    let home = Home::new();
    for text in ["", "\n", "{}", r#"{"auths":null}"#, r#"{"credsStore":""}"#] {
        home.write(FILE, text);
        assert_eq!(home.found("ghcr.io/me/app"), None, "{text}");
    }
}

#[test]
fn a_wrong_config_is_named_and_its_secrets_are_not() {
    let home = Home::new();
    for (text, said) in [
        (
            r#"{"auths":{"ghcr.io":{"auth":"hunter2"#,
            "is no JSON (line 1, column 36)",
        ),
        ("{\n\"auth\" hunter2", "is no JSON (line 2, column 8)"),
        (r#""hunter2""#, "the document is no JSON object"),
        (r#"{"auths":"hunter2"}"#, "`auths` is no JSON object"),
        (
            r#"{"auths":{"ghcr.io":"hunter2"}}"#,
            "the login for ghcr.io in `auths` is no JSON object",
        ),
        (
            r#"{"auths":{"ghcr.io":{"auth":["hunter2"]}}}"#,
            "holds something that is no text",
        ),
        (
            r#"{"auths":{"ghcr.io":{"auth":"hunter2!"}}}"#,
            "an `auth` that is no Base64",
        ),
        (
            r#"{"auths":{"ghcr.io":{"auth":"aHVudGVyMg=="}}}"#,
            "without USER:PASSWORD",
        ),
        (
            r#"{"auths":{"ghcr.io":{"auth":"Omh1bnRlcjI="}}}"#,
            "without USER:PASSWORD",
        ),
        (r#"{"auths":{"ghcr.io":{"auth":"bWU6/w=="}}}"#, "no UTF-8"),
        (
            r#"{"credHelpers":"hunter2"}"#,
            "`credHelpers` is no JSON object",
        ),
        (
            r#"{"credHelpers":{"ghcr.io":7}}"#,
            "does not hold the names",
        ),
        (r#"{"credsStore":["hunter2"]}"#, "does not hold the names"),
    ] {
        home.write(FILE, text);
        let error = home.find("ghcr.io/me/app").unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(error.to_string().contains(said), "{text}: {error}");
        assert!(shown.contains(".docker/config.json"), "{text}: {error}");
        for hidden in ["hunter2", "aHVudGVyMg", "Omh1"] {
            assert!(!shown.contains(hidden), "{text}: {shown}");
        }
    }
}

#[test]
fn a_wrong_entry_of_another_registry_is_in_nobodys_way() {
    let home = Home::new();
    home.write(FILE, r#"{"auths":{"quay.io":{"auth":"!"}}}"#);
    assert_eq!(home.found("ghcr.io/me/app"), None);
}

#[test]
fn nesting_without_end_is_refused() {
    let home = Home::new();
    home.write(FILE, &format!(r#"{{"x":{}"#, "[".repeat(100_000)));
    assert!(home.error("ghcr.io/me/app").contains("is no JSON"));
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let home = Home::new();
    fs::create_dir_all(home.path(FILE)).unwrap();
    assert!(home.error("ghcr.io/me/app").contains("no regular file"));
    fs::remove_dir(home.path(FILE)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        home.path(FILE),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(home.error("ghcr.io/me/app").contains("no regular file"));
}

#[test]
fn a_config_without_end_is_refused() {
    let home = Home::new();
    let size = usize::try_from(config::LIMIT).unwrap() + 1;
    home.write(FILE, &" ".repeat(size));
    assert!(home.error("ghcr.io/me/app").contains("more than 1048576"));
    home.write(FILE, &" ".repeat(size - 1));
    assert_eq!(home.found("ghcr.io/me/app"), None);
    let mut home = home;
    home.set("REGISTRY_AUTH_FILE", "/dev/zero");
    assert!(home.error("ghcr.io/me/app").contains("more than 1048576"));
}

#[test]
fn a_config_that_may_not_be_read_is_an_error() {
    let home = Home::new();
    let path = home.write("loop", "");
    fs::remove_file(&path).unwrap();
    // As root every file may be read, but no loop of symlinks.
    symlink(&path, &path).unwrap();
    fs::create_dir(home.path(".docker")).unwrap();
    symlink(&path, home.path(FILE)).unwrap();
    let error = home.error("ghcr.io/me/app");
    assert!(error.contains("config.json cannot be read"), "{error}");
}

#[test]
fn a_file_in_the_place_of_a_directory_is_no_config() {
    let home = Home::new();
    home.write(".docker", "");
    assert_eq!(home.found("ghcr.io/me/app"), None);
}

proptest! {
    // Each case has a home of its own.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_config_makes_the_keychain_panic(
        text in "(\\{\"(auths|credHelpers|credsStore)\":)?[\\[\\]{}\":,a-z0-9.\\\\ ]{0,40}\\}?",
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let home = Home::new();
        for content in [text.as_bytes(), &bytes] {
            home.write(FILE, "");
            fs::write(home.path(FILE), content).unwrap();
            let _ = home.find("ghcr.io/me/app");
            let _ = home.keychain().places();
            let _ = home.keychain().erase(&host("ghcr.io"));
        }
    }

    #[test]
    fn what_is_kept_is_found_again_and_forgotten(
        username in "[^:\0]{1,12}",
        word in "[^\0]{1,12}",
        key in "(https://)?(ghcr|quay)\\.io(/v1/|/me)?",
        other in ".{0,12}",
    ) {
        let home = Home::new();
        let document = serde_json::json!({"auths": {key: {"auth": "eDp5", "x": other}}, "other": other});
        home.write(FILE, &document.to_string());
        let keychain = home.keychain();
        let stored = keychain.store(&host("ghcr.io"), &username, &secret(&word)).unwrap();
        prop_assert!(stored.is_plain);
        prop_assert_eq!(home.found("ghcr.io/you/app"), password(&username, &word));
        let left = home.json(FILE);
        prop_assert_eq!(left["other"].as_str(), Some(other.as_str()));
        prop_assert_eq!(keychain.erase(&host("ghcr.io")).unwrap(), ["~/.docker/config.json"]);
        prop_assert_eq!(home.found("ghcr.io/you/app"), None);
        prop_assert!(keychain.erase(&host("ghcr.io")).unwrap().is_empty());
    }
}

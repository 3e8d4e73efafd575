//! In which files logins are looked for, and by which keys.

use super::*;

const RUNTIME: &str = "run/containers/auth.json";
const PODMAN: &str = ".config/containers/auth.json";
const DOCKER: &str = ".docker/config.json";

#[test]
fn the_first_file_that_knows_the_registry_counts() {
    let home = Home::new();
    assert_eq!(home.found("ghcr.io/me/app"), None);
    home.write(DOCKER, &config("ghcr.io", "docker"));
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "docker"));
    home.write(PODMAN, &config("ghcr.io", "podman"));
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "podman"));
    home.write(RUNTIME, &config("quay.io", "runtime"));
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "podman"));
    assert_eq!(home.found("quay.io/me/app"), password("me", "runtime"));
}

#[test]
fn a_variable_that_names_the_file_leaves_no_other() {
    let mut home = Home::new();
    home.write(DOCKER, &config("ghcr.io", "docker"));
    home.write("other/config.json", &config("quay.io", "other"));
    home.set("DOCKER_CONFIG", home.path("other"));
    assert_eq!(home.found("ghcr.io/me/app"), None);
    assert_eq!(home.found("quay.io/me/app"), password("me", "other"));
    home.set("REGISTRY_AUTH_FILE", home.path("auth.json"));
    assert_eq!(home.found("quay.io/me/app"), None);
    home.write("auth.json", &config("quay.io", "named"));
    assert_eq!(home.found("quay.io/me/app"), password("me", "named"));
    home.set("REGISTRY_AUTH_FILE", "/dev/null");
    assert_eq!(home.found("quay.io/me/app"), None);
}

#[test]
fn an_empty_variable_is_none() {
    let mut home = Home::new();
    home.write(DOCKER, &config("ghcr.io", "docker"));
    home.set("REGISTRY_AUTH_FILE", "");
    home.set("DOCKER_CONFIG", "");
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "docker"));
}

#[test]
fn the_config_directory_may_be_elsewhere() {
    let mut home = Home::new();
    home.set("XDG_CONFIG_HOME", home.path("elsewhere"));
    home.write(PODMAN, &config("ghcr.io", "usual"));
    assert_eq!(home.found("ghcr.io/me/app"), None);
    let place = "elsewhere/containers/auth.json";
    home.write(place, &config("ghcr.io", "elsewhere"));
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "elsewhere"));
}

#[test]
fn a_registry_has_several_spellings() {
    for (key, repository) in [
        ("ghcr.io", "ghcr.io/me/app"),
        ("GHCR.io", "ghcr.io/me/app"),
        ("https://ghcr.io", "ghcr.io/me/app"),
        ("https://ghcr.io/", "ghcr.io/me/app"),
        ("https://ghcr.io/v1/", "ghcr.io/me/app"),
        ("http://ghcr.io/any/path", "ghcr.io/me/app"),
        ("ghcr.io/v2/", "ghcr.io/me/app"),
        ("https://index.docker.io/v1/", "python"),
        ("index.docker.io", "python"),
        ("docker.io", "me/app"),
        ("docker.io/me", "me/app"),
        ("localhost:5000", "localhost:5000/app"),
    ] {
        let home = Home::new();
        home.write(DOCKER, &config(key, "x"));
        assert_eq!(home.found(repository), password("me", "x"), "{key}");
        assert_eq!(home.found("quay.io/me/app"), None, "{key}");
    }
}

#[test]
fn a_login_is_not_for_another_port_or_the_host_of_a_like_name() {
    let home = Home::new();
    home.write(DOCKER, &config("localhost:5000", "x"));
    for other in [
        "localhost:5001/app",
        "localhost/app",
        "localhost.example/app",
        "x.localhost:5000/app",
    ] {
        assert_eq!(home.found(other), None, "{other}");
    }
    home.write(DOCKER, &config("ghcr.io/me", "x"));
    assert_eq!(home.found("ghcr.io/me2/app"), None);
    assert_eq!(home.found("ghcr.io/x/me"), None);
}

#[test]
fn the_longest_part_of_a_repository_counts() {
    let home = Home::new();
    let auth = |name| config::encoded("me", &secret(name)).to_string();
    home.write(
        DOCKER,
        &format!(
            r#"{{"auths":{{
                "ghcr.io":{{"auth":"{}"}},
                "ghcr.io/me/app":{{"auth":"{}"}},
                "ghcr.io/me":{{"auth":"{}"}}
            }}}}"#,
            auth("host"),
            auth("app"),
            auth("team"),
        ),
    );
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "app"));
    assert_eq!(home.found("ghcr.io/me/app/sub"), password("me", "app"));
    assert_eq!(home.found("ghcr.io/me/other"), password("me", "team"));
    assert_eq!(home.found("ghcr.io/you/app"), password("me", "host"));
}

#[test]
fn todays_spelling_of_a_registry_comes_before_older_ones() {
    let home = Home::new();
    let auth = |name| config::encoded("me", &secret(name)).to_string();
    for (old, new, repository) in [
        ("https://ghcr.io/v1/", "ghcr.io", "ghcr.io/me/app"),
        ("docker.io", "https://index.docker.io/v1/", "python"),
    ] {
        home.write(
            DOCKER,
            &format!(
                r#"{{"auths":{{"{old}":{{"auth":"{}"}},"{new}":{{"auth":"{}"}},"{old}":{{"auth":"{}"}}}}}}"#,
                auth("old"),
                auth("new"),
                auth("old"),
            ),
        );
        assert_eq!(home.found(repository), password("me", "new"));
    }
}

#[test]
fn an_empty_entry_is_no_login() {
    let home = Home::new();
    home.write(RUNTIME, r#"{"auths":{"ghcr.io":{}, "quay.io":null}}"#);
    assert_eq!(home.found("ghcr.io/me/app"), None);
    assert_eq!(home.found("quay.io/me/app"), None);
    home.write(PODMAN, &config("ghcr.io", "next"));
    assert_eq!(home.found("ghcr.io/me/app"), password("me", "next"));
}

#[test]
fn places_are_told_with_what_is_there() {
    let mut home = Home::new();
    home.write(PODMAN, "{");
    home.write(
        DOCKER,
        r#"{"credsStore":"pass","credHelpers":{"x.example":"gcloud","y.example":"gcloud","z.example":"../x"}}"#,
    );
    assert_eq!(
        home.keychain().places(),
        [
            "~/run/containers/auth.json (not there)",
            "~/.config/containers/auth.json (cannot be read)",
            "credential helper docker-credential-gcloud (`credHelpers` of ~/.docker/config.json)",
            "credential helper docker-credential-pass (`credsStore` of ~/.docker/config.json)",
            "~/.docker/config.json",
        ]
    );
    home.set("REGISTRY_AUTH_FILE", "/nowhere/auth.json");
    assert_eq!(home.keychain().places(), ["/nowhere/auth.json (not there)"]);
}

#[test]
fn without_a_runtime_directory_podmans_place_is_looked_at() {
    let home = Home::new();
    let variables = [("HOME".into(), home.path("").into())];
    let places = Keychain::of(variables).places();
    assert!(places[0].starts_with("/run/containers/"), "{places:?}");
    assert_eq!(places.len(), 3);
}

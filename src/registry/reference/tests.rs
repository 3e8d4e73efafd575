#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

const SHA256: &str = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b";

fn sha512() -> String {
    format!("sha512:{}", "0a".repeat(64))
}

fn parse(text: &str) -> Reference {
    text.parse().unwrap()
}

fn problem(text: &str) -> String {
    text.parse::<Reference>().unwrap_err().problem
}

#[test]
fn names_are_completed_as_docker_completes_them() {
    for (text, full) in [
        ("python", "docker.io/library/python"),
        ("python:3.12-slim", "docker.io/library/python:3.12-slim"),
        ("me/app", "docker.io/me/app"),
        ("docker.io/python", "docker.io/library/python"),
        ("index.docker.io/python", "docker.io/library/python"),
        ("registry-1.docker.io/me/app", "docker.io/me/app"),
        ("docker://ghcr.io/me/app:v1", "ghcr.io/me/app:v1"),
        ("GHCR.io/me/app", "ghcr.io/me/app"),
        ("localhost/app", "localhost/app"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        // As docker has it: no slash, so it is a name with a tag.
        ("localhost:5000", "docker.io/library/localhost:5000"),
        ("ghcr.io", "docker.io/library/ghcr.io"),
        ("[::1]:5000/app", "[::1]:5000/app"),
        ("[0:0:0:0:0:0:0:1]/app", "[::1]/app"),
        ("127.0.0.1:05000/app", "127.0.0.1:5000/app"),
        ("x.example/a--b/c__d/e.f_g/h", "x.example/a--b/c__d/e.f_g/h"),
        ("app:_", "docker.io/library/app:_"),
        ("app:V1.0-RC.1", "docker.io/library/app:V1.0-RC.1"),
    ] {
        assert_eq!(parse(text).to_string(), full, "{text}");
    }
}

#[test]
fn a_digest_of_sha256_or_sha512_may_follow() {
    let text = format!("ghcr.io/me/app:v1@{SHA256}");
    let reference = parse(&text);
    assert_eq!(reference.to_string(), text);
    assert_eq!(reference.tag.as_deref(), Some("v1"));
    assert_eq!(reference.wanted(), SHA256);
    let text = format!("app@{}", sha512());
    assert_eq!(parse(&text).wanted(), sha512());
    assert_eq!(parse("app:v1").wanted(), "v1");
    assert_eq!(parse("app").wanted(), "latest");
}

#[test]
fn what_is_wrong_is_said_and_what_is_right() {
    let long_tag = format!("app:{}", "a".repeat(129));
    let long_name = format!("ghcr.io/{}", "a".repeat(250));
    let short_digest = &SHA256[..SHA256.len() - 1];
    for (text, said) in [
        ("", "it is empty"),
        ("docker://", "it is empty"),
        ("App", "lower case: app, not App"),
        ("ghcr.io/Me/app", "lower case: me/app, not Me/app"),
        ("Me/app:V1", "me/app:V1 is right, or me:443/app:V1"),
        ("app:", "no tag after the colon"),
        ("app:1:2", "two tags (1:2)"),
        ("ghcr.io/me:1/app", "a tag stands at the end"),
        ("app:.1", "no . or - at its start"),
        ("app:a+b", "\"a+b\" is no tag"),
        (&long_tag, "129 characters, and 128"),
        (&long_name, "258 characters, and 255"),
        (&"a".repeat(5000), "5000 bytes"),
        ("my app", "a blank"),
        (" app", "a blank"),
        ("app\n", "a blank or control character in it ('\\n')"),
        ("app\u{e9}", "'é' may not be"),
        ("ghcr.io/me/", "ends with a slash"),
        ("ghcr.io/", "names no repository"),
        ("ghcr.io//app", "between two slashes"),
        ("ghcr.io/-app", "\"-app\" is no part"),
        ("ghcr.io/a._b", "\"a._b\" is no part"),
        ("ghcr.io/a___b", "\"a___b\" is no part"),
        ("/app", "a path on disk"),
        ("./app", "a path on disk"),
        (":5000/app", "no host before the colon"),
        ("ghcr.io:/app", "no port after the colon"),
        ("ghcr.io:0/app", "1 to 65535"),
        ("ghcr.io:65536/app", "1 to 65535"),
        ("ghcr.io:+5/app", "1 to 65535"),
        ("ghcr..io/app", "\"ghcr..io\" is no registry's name"),
        ("-ghcr.io/app", "no registry's name"),
        ("gh_cr.io/app", "no registry's name"),
        ("1.2.3.999/app", "no address of a machine"),
        ("127.1/app", "the address 127.0.0.1: write that"),
        ("[::1/app", "is no port"),
        ("[::zz]/app", "no address of a machine"),
        ("[::1]5000/app", "may not follow the ]"),
        ("[::1]:5000", "no repository of it"),
        ("app@latest", "a digest is expected after the @"),
        ("app@sha1:00", "no digest of sha256 or sha512"),
        ("app@md5:00", "no digest of sha256 or sha512"),
        (
            &format!("app@{short_digest}"),
            "64 hexadecimal digits, and here are 63",
        ),
        (
            &format!("app@{}", SHA256.to_uppercase().replace("SHA", "sha")),
            "lower case",
        ),
        (&format!("app@{SHA256}@{SHA256}"), "not '@'"),
        (&format!("@{SHA256}"), "no name before the @"),
        (&SHA256[7..], "an image's ID"),
        ("https://ghcr.io/me/app:v1", "ghcr.io/me/app:v1 is right"),
        ("HTTPS://ghcr.io/me/app/", "ghcr.io/me/app is right"),
        (
            "http://localhost:5000/app",
            "localhost:5000/app is right, with --insecure localhost:5000",
        ),
        ("https://", "named without a scheme"),
        ("ftp://x.example/a", "docker:// or nothing"),
    ] {
        let problem = problem(text);
        assert!(problem.contains(said), "{text:?}: {problem}");
    }
}

#[test]
fn a_password_in_a_name_is_not_repeated() {
    for text in [
        "https://me:hunter2@ghcr.io/me/app",
        "https://me:hun/hunter2@ghcr.io/me/app",
        "me:hunter2@ghcr.io/me/app",
        "me:hunter2@localhost:5000/app",
        "me:hunter2@localhost:5000",
        "me:p@hunter2@ghcr.io",
        "ftp://me:hunter2@ghcr.io/me/app",
        "https://ghcr.io/me/app?token=hunter2",
        &format!("me:hunter2@ghcr.io/me/app@{SHA256}"),
        &format!("https://me:hunter2@ghcr.io/me/app@{SHA256}"),
    ] {
        for error in [
            text.parse::<Reference>().unwrap_err(),
            text.parse::<Repository>().unwrap_err(),
            text.parse::<Host>().unwrap_err(),
        ] {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2"), "{text}: {shown}");
        }
    }
    let error = "me:hunter2@ghcr.io/app".parse::<Reference>().unwrap_err();
    assert!(error.to_string().contains("distrobuild login"), "{error}");
    let error = "https://me:hunter2@ghcr.io/app"
        .parse::<Reference>()
        .unwrap_err();
    assert!(error.problem.contains(": ghcr.io/app is right"), "{error}");
}

#[test]
fn a_long_text_is_shortened_in_the_error() {
    let error = "é".repeat(10_000).parse::<Reference>().unwrap_err();
    assert_eq!(error.reference.chars().count(), SHOWN + 1);
}

#[test]
fn the_familiar_name_is_what_docker_shows() {
    let id = &SHA256[7..];
    for (text, familiar) in [
        ("docker.io/library/python:3", "python:3"),
        ("docker.io/me/app", "me/app"),
        ("docker.io/library/a/b", "library/a/b"),
        ("ghcr.io/library/app:1", "ghcr.io/library/app:1"),
        ("docker.io/a.b/c", "docker.io/a.b/c"),
        ("docker.io/localhost/c", "docker.io/localhost/c"),
        (&format!("docker.io/library/{id}"), &format!("library/{id}")),
        (&format!("python@{SHA256}"), &format!("python@{SHA256}")),
    ] {
        assert_eq!(parse(text).familiar(), familiar, "{text}");
    }
}

#[test]
fn a_host_is_named_alone() {
    for (text, host) in [
        ("ghcr.io", "ghcr.io"),
        ("GHCR.IO:443", "ghcr.io:443"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("localhost", "localhost"),
        ("registry:5000", "registry:5000"),
        ("[FE80::1]:5000", "[fe80::1]:5000"),
    ] {
        assert_eq!(text.parse::<Host>().unwrap().as_str(), host, "{text}");
    }
    for (text, said) in [
        ("", "it is empty"),
        (
            "https://ghcr.io/v2/",
            "without a scheme and a path: ghcr.io",
        ),
        ("ghcr.io/me", "without a path: ghcr.io, not ghcr.io/me"),
        ("registry", "registry:443 is the registry"),
        ("me@ghcr.io", "without a user"),
        ("ghcr.io ", "a blank"),
    ] {
        let error = text.parse::<Host>().unwrap_err().problem;
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn the_api_of_the_hub_is_at_another_host() {
    let host: Host = "docker.io".parse().unwrap();
    assert_eq!(host.address(), "registry-1.docker.io");
    let host: Host = "ghcr.io".parse().unwrap();
    assert_eq!(host.address(), "ghcr.io");
}

#[test]
fn this_machine_is_known_by_its_names() {
    for local in [
        "localhost",
        "localhost:5000",
        "a.localhost:5000",
        "127.0.0.1",
        "127.8.9.1:80",
        "[::1]",
        "[::1]:5000",
    ] {
        assert!(local.parse::<Host>().unwrap().is_local(), "{local}");
    }
    for other in [
        "localhost.example",
        "notlocalhost:1",
        "128.0.0.1",
        "127.0.0.1.example",
        "[::2]:5000",
        "ghcr.io",
    ] {
        assert!(!other.parse::<Host>().unwrap().is_local(), "{other}");
    }
}

#[test]
fn a_repository_has_no_tag_and_no_digest() {
    let repository: Repository = "python".parse().unwrap();
    assert_eq!(repository.to_string(), "docker.io/library/python");
    let error = "python:3".parse::<Repository>().unwrap_err();
    assert!(error.problem.ends_with("without a tag: python"), "{error}");
    let error = format!("python@{SHA256}")
        .parse::<Repository>()
        .unwrap_err();
    assert!(error.problem.contains("without a digest"), "{error}");
}

proptest! {
    #[test]
    fn what_is_shown_is_read_as_the_same_image(
        host in "(([a-z]([a-z0-9-]{0,5}[a-z0-9])?\\.){1,2}[a-z]{2,4}|localhost|Reg|docker\\.io|\\[::[a-f0-9]{1,4}\\])?",
        port in proptest::option::of(1u16..),
        path in "[a-z0-9]{1,4}((\\.|_|__|-{1,3}|/)[a-z0-9]{1,4}){0,4}",
        tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}"),
        digest in "(sha256:[a-f0-9]{64})?",
    ) {
        let mut text = host.clone();
        if let (Some(port), false) = (port, host.is_empty()) {
            text.push_str(&format!(":{port}"));
        }
        if !host.is_empty() {
            text.push('/');
        }
        text.push_str(&path);
        if let Some(tag) = &tag {
            text.push_str(&format!(":{tag}"));
        }
        if !digest.is_empty() {
            text.push_str(&format!("@{digest}"));
        }
        match text.parse::<Reference>() {
            Ok(read) => {
                prop_assert_eq!(read.to_string().parse::<Reference>(), Ok(read.clone()));
                prop_assert_eq!(read.familiar().parse::<Reference>(), Ok(read.clone()));
                let host = read.repository.host.clone();
                prop_assert_eq!(host.as_str().parse::<Host>(), Ok(host.clone()));
                let repository = read.repository.to_string();
                prop_assert_eq!(repository.parse::<Repository>(), Ok(read.repository.clone()));
                let url = reqwest::Url::parse(&format!("https://{}/", host.address()));
                prop_assert!(url.is_ok());
            }
            // What is made here is wrong only where a host is one word in upper case, where a path
            // begins like a host, and where a label is bad punycode.
            Err(error) => prop_assert!(
                host == "Reg" || host.is_empty() && path.contains('.') || host.contains("xn--"),
                "{}", error
            ),
        }
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in ".{0,60}", near in "[a-zA-Z0-9:/@.\\[\\]_-]{0,40}", scheme in "((docker|https?)://)?") {
        for text in [&text, &near, &format!("{scheme}{text}"), &format!("{scheme}{near}")] {
            if let Ok(read) = text.parse::<Reference>() {
                prop_assert_eq!(read.to_string().parse::<Reference>(), Ok(read.clone()));
                prop_assert_eq!(read.familiar().parse::<Reference>(), Ok(read));
            }
            let _ = text.parse::<Repository>();
            if let Ok(host) = text.parse::<Host>() {
                prop_assert_eq!(host.as_str().parse::<Host>(), Ok(host.clone()));
            }
        }
    }
}

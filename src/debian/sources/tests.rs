#![allow(clippy::unwrap_used)]

use std::fs;

use proptest::prelude::*;

use super::*;

fn written(files: &[(&str, &str)]) -> (Vec<AptSource>, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("sources.list.d")).unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let (sources, notices) = apt_sources(directory.path());
    let root = format!("{}/", directory.path().display());
    (
        sources,
        notices.iter().map(|it| it.replace(&root, "")).collect(),
    )
}

fn source(uri: &str, suite: &str, components: &[&str]) -> AptSource {
    AptSource {
        uris: vec![uri.into()],
        suites: vec![suite.into()],
        components: components.iter().map(|&it| it.into()).collect(),
        architectures: Vec::new(),
        signed_by: None,
    }
}

#[test]
fn lines_of_sources_list_are_read() {
    let (sources, notices) = written(&[(
        "sources.list",
        "# a comment\n\
         deb http://deb.debian.org/debian bookworm main contrib # more\n\
         deb-src http://deb.debian.org/debian bookworm main\n\
         \n\
         \tdeb  [ arch=amd64,arm64 signed-by=/usr/share/keyrings/a.gpg lang=# ]  \
         https://example.org/x  stable\tmain\n\
         deb [trusted=yes] file:/srv/mirror ./\n",
    )]);
    let mut second = source("https://example.org/x", "stable", &["main"]);
    second.architectures = vec!["amd64".into(), "arm64".into()];
    second.signed_by = Some("/usr/share/keyrings/a.gpg".into());
    let first = source(
        "http://deb.debian.org/debian",
        "bookworm",
        &["main", "contrib"],
    );
    let third = source("file:///srv/mirror", "./", &[]);
    assert_eq!(sources, [first, second, third]);
    assert_eq!(notices, [""; 0]);
}

#[test]
fn paragraphs_of_sources_files_are_read() {
    let (sources, notices) = written(&[(
        "sources.list.d/debian.sources",
        "# Debian\n\
         Types: deb deb-src\n\
         URIs: http://a.example/debian\n\
         # in the middle of a field\n \
         http://b.example/debian\n\
         Suites: bookworm bookworm-updates\n\
         Components: main\n\
         Architectures: amd64\n\
         signed-by: /usr/share/keyrings/debian.gpg\n\
         \n\
         Types: deb\nEnabled: No\nURIs: http://c.example/\nSuites: x\nComponents: main\n\
         \n\
         Types: deb-src\nURIs: http://d.example/\nSuites: x\nComponents: main\n\
         \n\
         Types: deb\nURIs: http://e.example/\nSuites: x\nComponents: main\n\
         Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n /bm8=\n -----END PGP PUBLIC KEY BLOCK-----\n",
    )]);
    assert_eq!(sources.len(), 2);
    assert_eq!(
        sources[0].uris,
        ["http://a.example/debian", "http://b.example/debian"]
    );
    assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
    assert_eq!(sources[0].architectures, ["amd64"]);
    assert_eq!(
        sources[0].signed_by,
        Some("/usr/share/keyrings/debian.gpg".into())
    );
    assert_eq!(sources[1].uris, ["http://e.example/"]);
    assert_eq!(sources[1].signed_by, None);
    assert_eq!(notices, [""; 0]);
}

#[test]
fn files_come_in_apts_order_and_only_those_that_apt_reads() {
    let line = |host: &str| format!("deb http://{host}/ s main\n");
    let sources =
        |host: &str| format!("Types: deb\nURIs: http://{host}/\nSuites: s\nComponents: c");
    let (found, notices) = written(&[
        ("sources.list.d/b.list", &line("b")),
        ("sources.list.d/a.sources", &sources("a")),
        ("sources.list.d/c.list.save", &line("no")),
        ("sources.list.d/c d.list", &line("no")),
        ("sources.list.d/.hidden.list", &line("no")),
        ("sources.list", &line("z")),
    ]);
    let uris: Vec<_> = found.iter().map(|it| it.uris[0].as_str()).collect();
    assert_eq!(uris, ["http://z/", "http://a/", "http://b/"]);
    assert_eq!(notices, [""; 0]);
}

#[test]
fn what_cannot_be_used_is_told_with_its_place_and_the_rest_is_used() {
    let (sources, notices) = written(&[
        (
            "sources.list",
            "deb cdrom:[Debian]/ bookworm main\n\
             deb mirror+file:/etc/mirrors bookworm main\n\
             deb http://a.example/ bookworm\n\
             deb [arch=amd64 http://a.example/ bookworm main\n\
             rpm http://a.example/ x y\n\
             deb http://a.example/$(ARCH) bookworm main\n\
             deb http:///x bookworm main\n\
             deb http://good.example/ bookworm main\n",
        ),
        (
            "sources.list.d/x.sources",
            "Types: deb\nURIs: http://a.example\n\nnonsense\n\nURIs: http://a.example\n",
        ),
    ]);
    assert_eq!(
        sources,
        [source("http://good.example/", "bookworm", &["main"])]
    );
    let places: Vec<_> = notices
        .iter()
        .map(|it| it.split(": ").next().unwrap())
        .collect();
    let expected = (1..=7).map(|line| format!("sources.list:{line}"));
    let more = [1, 4, 6].map(|line| format!("sources.list.d/x.sources:{line}"));
    assert_eq!(
        places,
        expected.chain(more).collect::<Vec<_>>(),
        "{notices:#?}"
    );
}

#[test]
fn a_password_is_neither_used_nor_told() {
    let (sources, notices) = written(&[(
        "sources.list",
        "deb https://user:secret@example.org/debian bookworm main\n",
    )]);
    assert_eq!(sources, []);
    assert_eq!(notices.len(), 1);
    assert!(!notices[0].contains("secret"), "{notices:?}");
}

#[test]
fn a_machine_without_apt_has_no_sources_and_no_notices() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent");
    assert_eq!(apt_sources(&absent), (Vec::new(), Vec::new()));
}

#[test]
fn a_file_that_is_none_is_told_and_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sources.list");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let (sources, notices) = apt_sources(directory.path());
    assert_eq!(sources, []);
    assert_eq!(notices.len(), 1);
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(lines in "(deb |\\[|\\]|#|=|Types: deb|[ a-z:/\n\t]){0,60}") {
        written(&[("sources.list", &lines), ("sources.list.d/a.sources", &lines)]);
    }
}

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::EntryKind;
use super::*;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("conf/sub")).unwrap();
    for name in [
        "conf/b.toml",
        "conf/a.toml",
        "conf/sub/c.toml",
        "conf/sub/d.txt",
    ] {
        std::fs::write(root.join(name), name).unwrap();
    }
    folder
}

fn expand(text: &str) -> Result<Vec<Included>, IncludeError> {
    Include::parse(text)?.expand()
}

fn paths(text: &str) -> Vec<String> {
    expand(text)
        .unwrap()
        .iter()
        .map(|found| found.path.to_string())
        .collect()
}

fn shown(folder: &tempfile::TempDir, rest: &str) -> String {
    format!("{}/{rest}", folder.path().display())
}

#[test]
fn an_absolute_source_lands_at_its_own_path_and_a_relative_one_below_app() {
    let folder = folder();
    let source = shown(&folder, "conf/a.toml");
    assert_eq!(paths(&source), [source.as_str()]);
    assert_eq!(paths("Cargo.toml"), ["/app/Cargo.toml"]);
    assert_eq!(paths("./src/lib.rs"), ["/app/src/lib.rs"]);
}

#[test]
fn a_destination_is_the_path_itself_or_with_a_slash_the_directory() {
    let folder = folder();
    let file = shown(&folder, "conf/a.toml");
    assert_eq!(paths(&format!("{file}:/etc/x")), ["/etc/x"]);
    assert_eq!(paths(&format!("{file}:/etc/")), ["/etc/a.toml"]);
    let directory = shown(&folder, "conf/sub");
    assert_eq!(
        paths(&format!("{directory}:/d")),
        ["/d", "/d/c.toml", "/d/d.txt"]
    );
    assert_eq!(
        paths(&format!("{directory}:/d/")),
        ["/d/sub", "/d/sub/c.toml", "/d/sub/d.txt"]
    );
}

#[test]
fn matches_keep_their_path_below_the_fixed_part_of_the_pattern() {
    let folder = folder();
    let conf = |pattern: &str| paths(&format!("{}:/e", shown(&folder, pattern)));
    assert_eq!(conf("conf/*.toml"), ["/e/a.toml", "/e/b.toml"]);
    assert_eq!(
        conf("conf/**/*.toml"),
        ["/e/a.toml", "/e/b.toml", "/e/sub/c.toml"]
    );
    assert_eq!(conf("conf/[a]?toml"), ["/e/a.toml"]);
    assert_eq!(
        conf("c*/sub"),
        ["/e/conf/sub", "/e/conf/sub/c.toml", "/e/conf/sub/d.txt"]
    );
    assert_eq!(paths("src/rootfs/inc*.rs"), ["/app/src/rootfs/include.rs"]);
}

#[test]
fn a_file_that_exists_is_no_pattern() {
    let folder = folder();
    std::fs::write(folder.path().join("[id].js"), "").unwrap();
    std::fs::write(folder.path().join("i.js"), "").unwrap();
    assert_eq!(
        paths(&format!("{}:/d/", shown(&folder, "[id].js"))),
        ["/d/[id].js"]
    );
}

#[test]
fn a_place_that_is_not_clear_is_asked_for() {
    for text in ["../x", "/a/../x", "a/..", "../*.rs", "..:/d/"] {
        let error = expand(text).unwrap_err();
        let good = matches!(error, IncludeError::NeedsDestination(_));
        assert!(
            good && error.to_string().contains(":/DST"),
            "{text}: {error}"
        );
    }
    assert!(matches!(
        Include::parse("a:/b/../c"),
        Err(IncludeError::Destination { .. })
    ));
    assert!(matches!(
        Include::parse("a:b"),
        Err(IncludeError::RelativeDestination { .. })
    ));
    assert!(matches!(Include::parse(""), Err(IncludeError::Empty(_))));
    assert!(matches!(Include::parse(":/x"), Err(IncludeError::Empty(_))));
    assert!(Include::parse("a:b:/c").is_ok());
}

#[test]
fn each_thing_that_is_wrong_with_the_source_has_its_message() {
    let folder = folder();
    symlink("loop", folder.path().join("loop")).unwrap();
    let error = |rest: &str| expand(&shown(&folder, rest)).unwrap_err();
    assert!(matches!(error("none"), IncludeError::Missing(_)));
    assert!(matches!(error("conf/a.toml/x"), IncludeError::Missing(_)));
    assert!(matches!(error("*.none"), IncludeError::NoMatch { .. }));
    assert!(matches!(error("conf/[a"), IncludeError::Pattern { .. }));
    assert!(matches!(error("loop"), IncludeError::Loop(_)));
    assert!(matches!(
        expand("/dev/null"),
        Err(IncludeError::Special { what: "device", .. })
    ));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path().join("conf/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(matches!(
        error("conf"),
        IncludeError::Special {
            what: "named pipe",
            ..
        }
    ));
}

#[test]
fn an_unreadable_file_is_named() {
    let folder = folder();
    let file = folder.path().join("conf/a.toml");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o000)).unwrap();
    // The superuser reads everything.
    if File::open(&file).is_err() {
        let error = expand(&shown(&folder, "conf")).unwrap_err();
        assert!(matches!(error, IncludeError::Unreadable { path, .. } if path == file));
    }
}

#[test]
fn a_source_that_is_a_link_is_followed_and_links_inside_stay() {
    let folder = folder();
    symlink("sub/c.toml", folder.path().join("conf/inner")).unwrap();
    symlink("conf", folder.path().join("outer")).unwrap();
    let found = expand(&format!("{}:/d", shown(&folder, "outer"))).unwrap();
    assert_eq!(
        found[0].entry,
        Entry::directory(found[0].entry.mode, Origin::Include)
    );
    let inner = found
        .iter()
        .find(|f| f.path.to_string() == "/d/inner")
        .unwrap();
    assert_eq!(inner.entry.kind, EntryKind::Symlink("sub/c.toml".into()));
}

#[test]
fn setuid_and_setgid_bits_are_dropped_with_a_notice() {
    let folder = folder();
    let file = folder.path().join("conf/a.toml");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o6755)).unwrap();
    let found = expand(&shown(&folder, "conf/a.toml")).unwrap();
    assert_eq!(found[0].entry.mode, 0o755);
    assert!(found[0].notice.as_ref().unwrap().contains("setuid"));
    let other = expand(&shown(&folder, "conf/b.toml")).unwrap();
    assert_eq!(other[0].notice, None);
}

#[test]
fn a_directory_that_only_root_can_enter_is_told_of() {
    let folder = folder();
    let closed = folder.path().join("conf/sub");
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o750)).unwrap();
    let found = expand(&shown(&folder, "conf/sub")).unwrap();
    assert!(found[0].notice.as_ref().unwrap().contains("0750"));
    assert_eq!(found[1].notice, None);
}

#[test]
fn a_pattern_looks_only_into_directories_that_it_leads_to() {
    let way =
        |pattern: &str, directory: &str| Way::of(Path::new(pattern)).leads_into(directory.as_ref());
    for (pattern, directory, is) in [
        ("*.conf", "ssl", false),
        ("*/*.conf", "ssl", true),
        ("*/*.conf", "ssl/private", false),
        ("s?l/x/*.conf", "ssl/x", true),
        ("s?l/x/*.conf", "ssl/y", false),
        ("**/*.conf", "ssl/private/deep", true),
        ("a*/**/*.conf", "ssl", false),
        ("a*/**", "ab/c/d", true),
        ("[a/b]*", "x", true),
    ] {
        assert_eq!(way(pattern, directory), is, "{pattern} {directory}");
    }
}

#[test]
fn a_directory_that_the_pattern_does_not_name_may_be_closed() {
    let folder = folder();
    let closed = folder.path().join("conf/sub");
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).unwrap();
    let found = expand(&shown(&folder, "conf/*.toml"));
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(found.unwrap().len(), 2);
}

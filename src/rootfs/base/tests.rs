#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::ImagePath;
use crate::rootfs::{Content, EntryKind, Origin};

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn text<'a>(base: &'a Base, at: &str) -> &'a str {
    match &base.rootfs().get(&path(at)).unwrap().kind {
        EntryKind::File(Content::Bytes(bytes)) => str::from_utf8(bytes).unwrap(),
        other => panic!("{at}: {other:?}"),
    }
}

fn from_text(text: &str) -> Result<Base, BaseError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mine.toml");
    std::fs::write(&file, text).unwrap();
    Base::load(&file)
}

/// The message, without the directory.
fn message(text: &str) -> String {
    let message = from_text(text).unwrap_err().to_string();
    message[message.find("mine.toml").unwrap()..].to_owned()
}

const HEAD: &str = "schema = 1\nname = \"mine\"\n";

#[test]
fn every_base_in_the_folder_is_embedded_and_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bases");
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        // The rules beside the bases have a loader of their own.
        let is_rules = file.file_name().is_some_and(|name| name == "plugins.toml");
        if !is_rules
            && file
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            assert_eq!(Base::load(&file).unwrap().name, name);
            assert_eq!(Base::named(&name).unwrap().name, name);
            names.push(name);
        }
    }
    names.push("none".to_owned());
    let available: Vec<String> = Base::available()
        .into_iter()
        .map(|base| base.name)
        .collect();
    assert_eq!(available, names);
}

#[test]
fn the_static_base_has_what_a_program_expects() {
    let base = Base::named("static").unwrap();
    assert_eq!(
        text(&base, "/etc/passwd"),
        "root:x:0:0:root:/root:/sbin/nologin\n\
         nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n\
         nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
    );
    assert!(text(&base, "/etc/nsswitch.conf").contains("\nhosts: files dns\n"));
    assert!(text(&base, "/etc/os-release").contains("\nID=distrobuild\n"));
    assert!(text(&base, "/etc/services").contains("\nhttps 443/tcp\n"));
    assert!(text(&base, "/etc/protocols").contains("\ntcp 6 TCP\n"));
    let zone = base.rootfs().follow(Path::new("/etc/localtime"));
    assert_eq!(zone, Some(path("/usr/share/zoneinfo/Etc/UTC")));
    let tmp = base.rootfs().get(&path("/tmp")).unwrap();
    assert_eq!(tmp.mode, 0o1777);
    let home = base.rootfs().get(&path("/home/nonroot")).unwrap();
    assert_eq!((home.uid, home.gid, home.mode), (65532, 65532, 0o700));
    assert_eq!(base.config.user, "65532:65532");
    assert_eq!(base.config.env[1].1, "/etc/ssl/certs/ca-certificates.crt");
    assert!(
        base.rootfs()
            .follow(Path::new(&base.config.env[1].1))
            .is_some()
    );
}

#[test]
fn the_static_base_leaves_the_merged_directories_to_the_system_of_the_libraries() {
    let base = Base::named("static").unwrap();
    for name in ["/bin", "/sbin", "/lib", "/lib64"] {
        assert_eq!(base.rootfs().get(&path(name)), None);
    }
    assert!(
        message(&format!("{HEAD}[[directories]]\npath = \"/lib64/x\"\n"))
            .contains("mine.toml:4: /lib64/x")
    );
}

#[test]
fn a_base_is_the_same_tree_each_time() {
    let trees: Vec<_> = (0..2)
        .map(|_| {
            let base = Base::named("static").unwrap();
            base.rootfs()
                .iter()
                .map(|(p, e)| (p.clone(), e.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(trees[0], trees[1]);
    assert!(
        trees[0]
            .iter()
            .all(|(_, entry)| entry.origin == Origin::Base)
    );
}

#[test]
fn a_user_can_extend_a_base_and_the_nearer_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("motd"), "hello\n").unwrap();
    std::fs::write(
        directory.path().join("middle.toml"),
        "schema = 1\nname = \"middle\"\nextends = \"static\"\nzones = [\"europe/berlin\"]\n\
         [config]\nenv = [\"PATH=/bin\", \"A=1\"]\n\
         [[files]]\npath = \"/etc/motd\"\nsource = \"motd\"\n",
    )
    .unwrap();
    let file = directory.path().join("mine.toml");
    std::fs::write(
        &file,
        "schema = 1\nname = \"mine\"\nextends = \"./middle.toml\"\ncertificates = \"none\"\n\
         [config]\nuser = \"app\"\nenv = [\"A=2\"]\n\
         [[users]]\nname = \"app\"\nuid = 7\ngid = 8\nhome = \"/\"\n\
         [[directories]]\npath = \"/data\"\nowner = \"app\"\nmode = 0o750\n\
         [[symlinks]]\npath = \"/etc/localtime\"\ntarget = \"/usr/share/zoneinfo/Europe/Berlin\"\n",
    )
    .unwrap();
    let base = Base::load(&file).unwrap();
    assert_eq!(base.name, "mine");
    assert_eq!(base.config.user, "app");
    let env: Vec<String> = base
        .config
        .env
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    assert_eq!(
        env,
        [
            "PATH=/bin",
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            "A=2"
        ]
    );
    assert_eq!(text(&base, "/etc/motd"), "hello\n");
    assert!(text(&base, "/etc/passwd").contains("app:x:7:8::/:/sbin/nologin\n"));
    let data = base.rootfs().get(&path("/data")).unwrap();
    assert_eq!((data.uid, data.gid, data.mode), (7, 8, 0o750));
    assert_eq!(
        base.rootfs()
            .get(&path("/etc/ssl/certs/ca-certificates.crt")),
        None
    );
    let zone = base.rootfs().follow(Path::new("/etc/localtime")).unwrap();
    assert_eq!(zone, path("/usr/share/zoneinfo/Europe/Berlin"));
    assert_eq!(
        base.rootfs().get(&path("/usr/share/zoneinfo/Europe/Paris")),
        None
    );
}

#[test]
fn a_fault_is_told_with_its_line_and_with_what_was_possible() {
    let with = |rest: &str| message(&format!("{HEAD}{rest}"));
    for (message, parts) in [
        (
            message("schema = 2\nname = \"mine\"\n"),
            &["mine.toml:1", "schema 1"][..],
        ),
        (message("schema = 1\n"), &["missing field `name`"]),
        (with("colour = 1\n"), &["mine.toml:3", "colour", "extends"]),
        (
            with("extends = \"debian\"\n"),
            &["mine.toml:3", "debian", "static", "none"],
        ),
        (with("extends = \"none\"\n"), &["mine.toml:3", "leave"]),
        (with("certificates = \"x\"\n"), &["mine.toml:3", "mozilla"]),
        (with("zones = \"x\"\n"), &["mine.toml:3", "all"]),
        (with("zones = [\"Berlin\"]\n"), &["Berlin", "Europe/Berlin"]),
        (
            with("[config]\nenv = [\"A\"]\n"),
            &["mine.toml:4", "NAME=VALUE"],
        ),
        (
            with("[config]\nuser = \"x\"\n"),
            &["mine.toml:4", "user \"x\""],
        ),
        (
            with("[[files]]\npath = \"/a\"\n"),
            &["mine.toml:4", "`content` or `source`"],
        ),
        (
            with("[[files]]\npath = \"a\"\n"),
            &["mine.toml:4", "not absolute"],
        ),
        (
            with("[[directories]]\npath = \"/a\"\nmode = 10000\n"),
            &["mine.toml:5", "0o755"],
        ),
        (
            with("[[directories]]\npath = \"/a\"\n[[symlinks]]\npath = \"/a\"\ntarget = \"b\"\n"),
            &["mine.toml:6", "twice"],
        ),
        (
            with("[[directories]]\npath = \"/a\"\nmode = 755\n"),
            &["mine.toml:5", "decimal", "0o755"],
        ),
        (
            with(
                "[[users]]\nname = \"a\"\nuid = 1\ngid = 1\nhome = \"/\"\n[[users]]\nname = \"a\"\nuid = 2\ngid = 2\nhome = \"/\"\n",
            ),
            &["mine.toml:8", "user a", "twice"],
        ),
        (
            with("[[users]]\nname = \"a:b\"\nuid = 1\ngid = 1\nhome = \"/\"\n"),
            &["a:b"],
        ),
        (
            with(
                "[[users]]\nname = \"a\"\nuid = 1\ngid = 1\nhome = \"/\"\n[[files]]\npath = \"/etc/passwd\"\ncontent = \"\"\n",
            ),
            &["/etc/passwd"],
        ),
    ] {
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
}

#[test]
fn a_base_that_extends_itself_is_no_endless_loop() {
    assert!(message(&format!("{HEAD}extends = \"./mine.toml\"\n")).contains("extend each other"));
}

#[test]
fn a_base_that_cannot_be_read_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("x.toml");
    for path in [missing.as_path(), directory.path()] {
        let message = Base::load(path).unwrap_err().to_string();
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    }
    assert!(
        Base::named("x")
            .unwrap_err()
            .to_string()
            .contains("static, none")
    );
    std::fs::write(&missing, b"schema = 1\n\xff").unwrap();
    assert!(
        Base::load(&missing)
            .unwrap_err()
            .to_string()
            .contains("x.toml:2: not UTF-8")
    );
}

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::ImagePath;
use crate::elf::{
    Closure, LoadedObject, MissingLibrary, Notice, Object, Rejected, Request, UnmetVersion,
};
use crate::sysroot::{Node, OpenFile, Trace};

fn object(needed: &[&str]) -> Object {
    // The smallest header that can be read: x86-64, ET_DYN, no program headers.
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16] = 3;
    bytes[18] = 62;
    bytes[20] = 1;
    let file = OpenFile::from_memory(Arc::from(bytes), 0o755, 1);
    Object {
        needed: needed.iter().map(OsString::from).collect(),
        ..Object::read(&file).unwrap()
    }
}

fn loaded(path: &str, needed: &[&str], requests: Vec<Request>) -> LoadedObject {
    LoadedObject {
        path: path.into(),
        trace: Trace {
            directories: Vec::new(),
            links: Vec::new(),
            target: ImagePath::new(path).unwrap(),
            node: Node::File(crate::sysroot::FileFacts {
                size: 1_250_000,
                mode: 0o755,
                identity: OpenFile::from_memory(Arc::from([]), 0, 1).identity,
            }),
        },
        aliases: Vec::new(),
        object: object(needed),
        requests,
    }
}

fn request(by: Option<usize>, name: &str, finding: Finding, rule: Rule) -> Request {
    Request {
        by,
        name: name.into(),
        finding,
        rule,
    }
}

fn closure() -> Closure {
    Closure {
        objects: vec![
            loaded(
                "/app",
                &["libz.so.1", "libgone.so.2", "liba.so"],
                vec![request(None, "/app", Finding::Root, Rule::Path)],
            ),
            loaded(
                "/opt/liba.so",
                &["libz.so.1"],
                vec![request(
                    Some(0),
                    "liba.so",
                    Finding::Needed,
                    Rule::Runpath {
                        of: 0,
                        element: "$ORIGIN/opt".into(),
                    },
                )],
            ),
            loaded(
                "/lib/libz.so.1",
                &[],
                vec![
                    request(Some(0), "libz.so.1", Finding::Needed, Rule::Cache),
                    request(Some(1), "libz.so.1", Finding::Needed, Rule::AlreadyLoaded),
                ],
            ),
            loaded(
                "/lib/ld.so",
                &[],
                vec![request(
                    Some(0),
                    "/lib/ld.so",
                    Finding::Interpreter,
                    Rule::Path,
                )],
            ),
        ],
        missing: vec![MissingLibrary {
            name: "libgone.so.2".into(),
            needed_by: vec![0],
            searched: vec!["/opt".into(), "/etc/ld.so.cache".into()],
            unsuitable: vec![("/lib32/libgone.so.2".into(), "it is for i386".into())],
            finding: Finding::Needed,
            note: None,
        }],
        rejected: vec![Rejected {
            name: "libbad.so".into(),
            path: "/lib/libbad.so".into(),
            needed_by: Some(1),
            reason: "it is empty".into(),
        }],
        unmet_versions: vec![UnmetVersion {
            version: "Z_9".into(),
            provider: 2,
            required_by: 0,
        }],
        notices: vec![
            Notice::Warning("careful".into()),
            Notice::Hint {
                name: "libp.so.3".into(),
                path: "/lib/libp.so.3".into(),
                by: 0,
            },
            Notice::Suggested {
                sonames: vec!["libq.so.2".into(), "libq.so.1".into()],
                feature: Some("quick".into()),
                by: 1,
            },
        ],
        ..Closure::default()
    }
}

fn plain(closure: &Closure) -> String {
    anstream::adapter::strip_str(&tree(closure)).to_string()
}

#[test]
fn the_tree_shows_each_object_once_and_then_what_is_wrong() {
    let expected = "\
/app (x86-64)
├── libz.so.1 → /lib/libz.so.1 (ld.so.cache)
├── libgone.so.2 → not found
├── liba.so → /opt/liba.so (runpath $ORIGIN/opt)
│   ├── libz.so.1 ↑
│   └── libbad.so → refused /lib/libbad.so
└── /lib/ld.so (interpreter)

missing libgone.so.2
  needed by /app
  looked for in /opt, /etc/ld.so.cache
  passed over /lib32/libgone.so.2: it is for i386
  install it, or give its directory with --library-path DIR

refused /lib/libbad.so
  needed by /opt/liba.so
  it is empty
  replace this file, or name another directory with --library-path DIR

version Z_9 not found in /lib/libz.so.1
  required by /app
  build it on this system, or give a system that is new enough with --sysroot DIR

warning careful
hint /app names libp.so.3, which exists (/lib/libp.so.3); to pack it, give --dlopen libp.so.3
hint /opt/liba.so may open libq.so.2 or libq.so.1 for quick; to pack it, give --dlopen libq.so.2

4 files, 5.0 MB, 3 problems
";
    assert_eq!(plain(&closure()), expected);
}

#[test]
fn what_is_missing_is_red() {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    assert!(tree(&closure()).contains(&format!("{red}libgone.so.2 → not found{red:#}")));
}

#[test]
fn a_name_cannot_write_to_the_terminal() {
    let mut closure = Closure::default();
    closure.objects.push(loaded(
        "/app",
        &[],
        vec![request(None, "/app", Finding::Root, Rule::Path)],
    ));
    closure.objects[0].path = PathBuf::from("/a\x1b[2Jb\n");
    let text = plain(&closure);
    assert!(text.starts_with("/a\\u{1b}[2Jb\\n (x86-64)\n"), "{text}");
}

#[test]
fn objects_that_need_each_other_end() {
    let mut closure = closure();
    closure.objects[2].object.needed.push("liba.so".into());
    closure.objects[1].requests.push(request(
        Some(2),
        "liba.so",
        Finding::Needed,
        Rule::AlreadyLoaded,
    ));
    let text = plain(&closure);
    assert_eq!(text.matches("→ /opt/liba.so").count(), 1);
    assert_eq!(text.matches("liba.so ↑").count(), 1);
}

#[test]
fn an_empty_closure_has_no_tree() {
    assert_eq!(plain(&Closure::default()), "\n0 files, 0 B\n");
}

#[test]
fn the_json_has_its_schema_and_every_part() {
    let document: serde_json::Value =
        serde_json::from_str(&json(&closure(), &[]).unwrap()).unwrap();
    assert_eq!(document["schema"], "distrobuild.deps/1");
    assert_eq!(
        document["objects"][1],
        serde_json::json!({
            "path": "/opt/liba.so", "file": "/opt/liba.so", "aliases": [], "size": 1_250_000,
            "kind": "library", "machine": "x86-64", "platform": "linux/amd64",
            "soname": null, "interpreter": null, "needed": ["libz.so.1"],
            "requests": [{
                "by": 0, "name": "liba.so", "finding": "needed", "rule": "runpath",
                "of": 0, "element": "$ORIGIN/opt"
            }]
        })
    );
    assert_eq!(
        document["missing"][0],
        serde_json::json!({
            "name": "libgone.so.2", "needed_by": [0], "finding": "needed",
            "searched": ["/opt", "/etc/ld.so.cache"],
            "unsuitable": [{"path": "/lib32/libgone.so.2", "reason": "it is for i386"}],
            "note": null
        })
    );
    assert_eq!(document["rejected"][0]["reason"], "it is empty");
    assert_eq!(
        document["unmet_versions"][0],
        serde_json::json!({"version": "Z_9", "provider": 2, "required_by": 0})
    );
    assert_eq!(document["notices"][0]["kind"], "warning");
    assert_eq!(document["notices"][1]["name"], "libp.so.3");
    assert_eq!(document["notices"][2]["sonames"][1], "libq.so.1");
}

#[test]
fn where_a_library_is_met_first_stands_the_rule_that_found_it() {
    let mut closure = closure();
    // The tree goes down into liba before it comes to the app's own request of libz.
    closure.objects[0].object.needed.reverse();
    let text = tree(&closure);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("libz.so.1"))
        .collect();
    assert!(lines[0].contains("ld.so.cache"), "{text}");
    assert!(lines[1].contains('↑'), "{text}");
    assert!(!text.contains("already loaded"), "{text}");
}

#[test]
fn what_comes_along_is_told_with_its_reason_and_the_flag_that_leaves_it_out() {
    use crate::app::{Companion, Companions, Provenance, Role};
    use crate::rootfs::{Content, Entry, Origin};
    let content = Content::Bytes(vec![0; 2048].into());
    let group = Companions {
        by: Provenance::Rule("perl".into()),
        reason: "perl looks for its modules there".into(),
        files: vec![Companion {
            path: ImagePath::new("/usr/share/perl/strict.pm").unwrap(),
            entry: Entry::file(content, 0o644, Origin::Runtime),
            source: "/usr/share/perl/strict.pm".into(),
            role: Role::Data,
        }],
    };
    let text = companions(std::slice::from_ref(&group));
    let text = anstream::adapter::strip_str(&text).to_string();
    assert_eq!(
        text,
        "\ncomes along\n     2.0 kB  1 file: perl looks for its modules there (--without perl)\n"
    );
    assert_eq!(companions(&[]), "");
    let text = json(&Closure::default(), &[group]).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let told = &document["companions"][0];
    assert_eq!(
        (&told["by"], &told["rule"]),
        (&"rule".into(), &"perl".into())
    );
    assert_eq!(told["files"][0]["path"], "/usr/share/perl/strict.pm");
    assert_eq!(told["size"], 2048);
}

#![allow(clippy::unwrap_used)]

mod shown;

use serde_json::{Value, json};

use super::*;
use crate::report::fixture::{Entry, Memory, descriptor, file, layer, plain};
use crate::report::{Charset, Renderer, Terminal};

fn compared(before: &(Memory, Value), after: &(Memory, Value)) -> Diff {
    let (old, new) = (descriptor(&before.1), descriptor(&after.1));
    Diff::of_images(
        Subject {
            source: &before.0,
            reference: "old.oci",
            manifest: &old,
        },
        Subject {
            source: &after.0,
            reference: "new.oci",
            manifest: &new,
        },
    )
    .unwrap()
}

fn image(config: Value, layers: &[Vec<u8>]) -> (Memory, Value) {
    let mut memory = Memory::default();
    let manifest = memory.image("amd64", config, layers);
    (memory, manifest)
}

/// The paths that differ, each with what changed.
fn paths(before: &[Vec<u8>], after: &[Vec<u8>]) -> Vec<String> {
    let diff = compared(&image(json!({}), before), &image(json!({}), after));
    let paths = diff.details.unwrap().paths;
    paths
        .iter()
        .map(|path| format!("{} {}", path.path, path.words()))
        .collect()
}

#[test]
fn each_way_in_which_a_path_may_differ_is_told() {
    let before = layer(&[
        file("same", b"1"),
        file("content", b"old"),
        file("grown", b"1"),
        ("mode", Entry::File(b"x"), 0o644, 0),
        ("owner", Entry::File(b"x"), 0o644, 0),
        ("link", Entry::Symlink("a"), 0o777, 0),
        ("link-mode", Entry::Symlink("a"), 0o777, 0),
        file("kind", b"x"),
        ("directory", Entry::Directory, 0o755, 0),
        file("gone", b"x"),
    ]);
    let after = layer(&[
        file("same", b"1"),
        file("content", b"new"),
        file("grown", b"12345"),
        ("mode", Entry::File(b"x"), 0o4755, 0),
        ("owner", Entry::File(b"x"), 0o644, 7),
        ("link", Entry::Symlink("b"), 0o777, 0),
        ("link-mode", Entry::Symlink("a"), 0o755, 0),
        ("kind", Entry::Symlink("x"), 0o777, 0),
        ("directory", Entry::Directory, 0o700, 0),
        file("new", b"x"),
    ]);
    assert_eq!(
        paths(&[before], &[after]),
        [
            "/grown content",
            "/gone gone",
            "/kind file → symlink",
            "/new new",
            "/content content",
            "/directory mode 0755 → 0700",
            "/link target a → b",
            "/mode mode 0644 → 4755",
            "/owner owner 0:0 → 7:7",
        ]
    );
}

#[test]
fn it_is_the_final_file_that_counts_and_not_the_layer_that_brings_it() {
    let split = [
        layer(&[
            file("etc/a", b"lower"),
            file("etc/hidden", b"x"),
            file("var/old/x", b"x"),
            file("lib/one", b"1"),
        ]),
        layer(&[
            file("etc/a", b"upper"),
            file("etc/.wh.hidden", b""),
            file("var/old/y", b"y"),
            file("var/old/.wh..wh..opq", b""),
            ("lib/two", Entry::HardLink("lib/one"), 0o644, 0),
        ]),
    ];
    let flat = layer(&[
        file("etc/a", b"upper"),
        file("var/old/y", b"y"),
        file("lib/one", b"1"),
        file("lib/two", b"1"),
    ]);
    let diff = compared(&image(json!({}), &split), &image(json!({}), &[flat]));
    let details = diff.details.unwrap();
    assert_eq!(details.paths, []);
    assert!(details.is_empty() && !details.is_same_image());
    assert_eq!(
        details.summary(0)[0],
        "the same settings, packages and files"
    );
}

#[test]
fn a_hard_link_has_the_content_of_the_file_that_it_names() {
    let with = |content| {
        layer(&[
            ("a", Entry::File(content), 0o600, 3),
            ("b", Entry::HardLink("a"), 0o644, 0),
        ])
    };
    let whited = layer(&[file(".wh.a", b"")]);
    assert_eq!(
        paths(&[with(b"1"), whited.clone()], &[with(b"2"), whited]),
        ["/b content"]
    );
    let apart = layer(&[
        ("a", Entry::File(b"1"), 0o600, 3),
        ("b", Entry::File(b"1"), 0o600, 3),
    ]);
    assert_eq!(paths(&[with(b"1")], &[apart]), Vec::<String>::new());
}

#[test]
fn a_directory_without_an_entry_is_roots() {
    let implied = layer(&[file("a/b/c", b"")]);
    let told = |mode| {
        layer(&[
            ("./", Entry::Directory, 0o755, 0),
            ("a", Entry::Directory, 0o755, 0),
            ("a/b", Entry::Directory, mode, 0),
            file("a/b/c", b""),
        ])
    };
    assert_eq!(
        paths(std::slice::from_ref(&implied), &[told(0o755)]),
        Vec::<String>::new()
    );
    assert_eq!(paths(&[told(0o700)], &[implied]), ["/a/b mode 0700 → 0755"]);
}

#[test]
fn what_lies_below_a_directory_that_became_a_link_is_gone() {
    let before = layer(&[file("d/x", b"1")]);
    let link = layer(&[("d", Entry::Symlink("e"), 0o777, 0)]);
    assert_eq!(
        paths(std::slice::from_ref(&before), &[before.clone(), link]),
        ["/d/x gone", "/d directory → symlink"]
    );
}

#[test]
fn layers_that_both_share_at_the_bottom_are_read_once() {
    let base = layer(&[file("base", b"x")]);
    let before = image(json!({}), &[base.clone(), layer(&[file("a", b"1")])]);
    let mut after = image(json!({}), &[base.clone(), layer(&[file("a", b"2")])]);
    after
        .0
        .blobs
        .remove(&crate::layer::Digest::of(&base).to_string())
        .unwrap();
    let diff = compared(&before, &after);
    assert_eq!(diff.shared_layers, 1);
    assert_eq!(diff.details.unwrap().paths[0].words(), "content");
}

#[test]
fn an_image_is_the_same_as_itself() {
    let one = image(json!({ "User": "1" }), &[layer(&[file("a", b"1")])]);
    let diff = compared(&one, &one);
    let details = diff.details.as_ref().unwrap();
    assert!(details.is_same_image() && details.is_empty());
    let text = plain(&Terminal::new(80, Charset::Unicode).diff(&diff));
    assert!(text.contains("\nthe same image\n"), "{text}");
}

#[test]
fn a_setting_that_is_not_set_may_be_spelled_in_many_ways() {
    let spelled = json!({
        "User": "", "Cmd": null, "Env": [], "ExposedPorts": {}, "Volumes": null, "Labels": {},
        "OnBuild": null, "ArgsEscaped": false, "WorkingDir": "",
    });
    let diff = compared(&image(spelled, &[]), &image(json!({}), &[]));
    assert_eq!(diff.details.unwrap().settings, []);
}

#[test]
fn the_order_of_ports_labels_and_variables_is_no_difference() {
    let one = json!({ "Env": ["A=1", "B=2"], "ExposedPorts": { "1/tcp": {}, "2/tcp": {} } });
    let other = json!({ "Env": ["B=2", "A=1"], "ExposedPorts": { "2/tcp": {}, "1/tcp": {} } });
    let diff = compared(&image(one, &[]), &image(other, &[]));
    assert_eq!(diff.details.unwrap().settings, []);
}

#[test]
fn a_damaged_layer_of_either_image_is_an_error_that_names_it() {
    let good = image(json!({}), &[layer(&[file("a", b"1")])]);
    let bad = image(json!({}), &[b"this is no tar".repeat(100)]);
    let (old, new) = (descriptor(&good.1), descriptor(&bad.1));
    let good = Subject {
        source: &good.0,
        reference: "good",
        manifest: &old,
    };
    let bad = Subject {
        source: &bad.0,
        reference: "bad",
        manifest: &new,
    };
    for (before, after) in [(good, bad), (bad, good)] {
        let error = Diff::of_images(before, after).unwrap_err().to_string();
        assert!(error.starts_with("bad: layer sha256:"), "{error}");
    }
}

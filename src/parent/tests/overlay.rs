//! Layers over each other.

use super::*;
use crate::ImagePath;
use crate::rootfs::{Content, EntryKind, Origin};

/// One line an entry: `d0755 /usr`, `-0644 /f x`, `l /lib -> usr/lib`, `h /b -> /a`.
fn listing(base: &Base) -> Vec<String> {
    let lines = base.rootfs().iter().map(|(path, entry)| {
        assert_eq!(entry.origin, Origin::Base);
        let mode = entry.mode;
        match &entry.kind {
            EntryKind::Directory => format!("d{mode:04o} {path}"),
            EntryKind::Symlink(target) => format!("l {path} -> {}", target.display()),
            EntryKind::HardLink(first) => format!("h {path} -> {first}"),
            EntryKind::File(content) => {
                let bytes = match content {
                    Content::Bytes(bytes) => bytes.to_vec(),
                    Content::Host { path, .. } => std::fs::read(path).unwrap(),
                };
                let text = String::from_utf8_lossy(&bytes);
                format!("-{mode:04o} {path} {}", text.get(..4).unwrap_or(&text))
            }
        }
    });
    lines.collect()
}

#[track_caller]
fn check(layers: Vec<Tar>, expected: &[&str]) {
    assert_eq!(listing(&base(layers).unwrap()), expected);
}

fn tar() -> Tar {
    Tar::new()
}

#[test]
fn an_upper_file_replaces_a_lower_one_with_its_mode() {
    check(
        vec![tar().file("a", "old"), tar().program("a", "new")],
        &["-0755 /a new"],
    );
}

#[test]
fn a_whiteout_hides_a_file_and_a_tree_of_lower_layers_and_no_sibling() {
    check(
        vec![
            tar()
                .file("d/x", "1")
                .file("d/y/z", "2")
                .file("d-e", "3")
                .file("d0", "4")
                .file("f", "5"),
            tar().file(".wh.d", "").file(".wh.f", ""),
        ],
        &["-0644 /d-e 3", "-0644 /d0 4"],
    );
}

#[test]
fn a_whiteout_hides_nothing_of_its_own_layer_wherever_it_stands() {
    check(
        vec![
            tar().file("d/old", "1"),
            tar()
                .file("d/new", "2")
                .file(".wh.d", "")
                .file("d/newer", "3"),
        ],
        &["d0755 /d", "-0644 /d/new 2", "-0644 /d/newer 3"],
    );
}

#[test]
fn an_opaque_directory_hides_lower_layers_only_whatever_the_order_within_its_own() {
    let lower = || {
        tar()
            .directory("d", 0o700)
            .file("d/old", "1")
            .file("e", "2")
    };
    let expected = ["d0700 /d", "-0644 /d/a 3", "-0644 /d/b 4", "-0644 /e 2"];
    for upper in [
        tar()
            .file("d/.wh..wh..opq", "")
            .file("d/a", "3")
            .file("d/b", "4"),
        tar()
            .file("d/a", "3")
            .file("d/.wh..wh..opq", "")
            .file("d/b", "4"),
        tar()
            .file("d/a", "3")
            .file("d/b", "4")
            .file("d/.wh..wh..opq", ""),
    ] {
        check(vec![lower(), upper], &expected);
    }
    check(vec![lower(), tar().file(".wh..wh..opq", "")], &[]);
}

#[test]
fn a_file_replaces_a_directory_with_all_in_it_and_the_other_way_round() {
    check(
        vec![
            tar().file("d/x/y", "1").file("f", "2"),
            tar().file("d", "3").directory("f", 0o1777).file("f/x", "4"),
        ],
        &["-0644 /d 3", "d1777 /f", "-0644 /f/x 4"],
    );
}

#[test]
fn a_directory_of_both_has_the_upper_mode_and_what_either_has_in_it() {
    check(
        vec![
            tar().directory("d", 0o755).file("d/a", "1"),
            tar().directory("./d/", 0o2750).file("./d/b", "2"),
        ],
        &["d2750 /d", "-0644 /d/a 1", "-0644 /d/b 2"],
    );
}

#[test]
fn hard_links_are_one_file_across_layers_and_outlive_its_first_name() {
    check(
        vec![
            tar().file("b", "one"),
            tar().hard_link("a", "b").hard_link("c", "./b"),
        ],
        &["-0644 /a one", "h /b -> /a", "h /c -> /a"],
    );
    check(
        vec![
            tar().file("b", "one"),
            tar().hard_link("c", "b"),
            tar().file(".wh.b", ""),
        ],
        &["-0644 /c one"],
    );
    // A new file of the name is another file.
    check(
        vec![
            tar().file("b", "one").hard_link("c", "/b"),
            tar().file("b", "two"),
        ],
        &["-0644 /b two", "-0644 /c one"],
    );
    check(
        vec![tar().link("l", "x"), tar().hard_link("m", "l")],
        &["l /l -> x", "l /m -> x"],
    );
}

#[test]
fn an_entry_below_a_link_to_a_directory_lands_where_the_link_leads() {
    check(
        vec![
            tar()
                .directory("usr/lib", 0o755)
                .link("lib", "usr/lib")
                .file("usr/lib/old", "1"),
            tar()
                .file("lib/x", "2")
                .file("lib/.wh.old", "")
                .hard_link("lib/y", "lib/x"),
        ],
        &[
            "l /lib -> usr/lib",
            "d0755 /usr",
            "d0755 /usr/lib",
            "-0644 /usr/lib/x 2",
            "h /usr/lib/y -> /usr/lib/x",
        ],
    );
}

#[test]
fn a_link_that_leads_up_or_to_the_root_stays_in_the_image() {
    check(
        vec![
            tar().link("a/up", "../../../../b").link("abs", "/c"),
            tar().file("a/up/x", "1").file("abs/y", "2"),
        ],
        &[
            "d0755 /a",
            "l /a/up -> ../../../../b",
            "l /abs -> /c",
            "d0755 /b",
            "-0644 /b/x 1",
            "d0755 /c",
            "-0644 /c/y 2",
        ],
    );
}

#[test]
fn a_directory_that_is_named_takes_the_place_of_a_link() {
    check(
        vec![
            tar().file("usr/lib/old", "1").link("lib", "usr/lib"),
            tar().directory("lib", 0o755).file("lib/x", "2"),
        ],
        &[
            "d0755 /lib",
            "-0644 /lib/x 2",
            "d0755 /usr",
            "d0755 /usr/lib",
            "-0644 /usr/lib/old 1",
        ],
    );
}

#[test]
fn devices_and_pipes_are_left_out_and_told() {
    let tar = tar()
        .device("dev/null")
        .device("dev/zero")
        .file("dev/x", "1")
        .hard_link("dev/nul2", "dev/null");
    let base = base(vec![tar]).unwrap();
    assert_eq!(listing(&base), ["d0755 /dev", "-0644 /dev/x 1"]);
    let notices = &base.parent().unwrap().notices;
    assert_eq!(notices.len(), 1);
    assert!(
        notices[0].starts_with("/dev/nul2 and 2 more of the base the-base are devices"),
        "{notices:?}"
    );
}

#[test]
fn what_aufs_left_in_a_layer_is_no_file() {
    check(
        vec![tar().file(".wh..wh.plnk", "").file("a", "1")],
        &["-0644 /a 1"],
    );
}

#[test]
fn setuid_bits_are_kept_as_they_are_in_the_layer() {
    let tar = tar().entry("su", tar::EntryType::Regular, 0o4755, "", b"x");
    check(vec![tar], &["-4755 /su x"]);
}

#[test]
fn small_and_large_files_come_out_as_they_went_in_from_every_form_of_layer() {
    let large = "0123".repeat(5000);
    for form in [Form::Plain, Form::Gzip, Form::Zstd, Form::Docker] {
        let images = Images::new();
        let layers = vec![
            tar().file("small", "x").file("empty", ""),
            tar().file("large", &large),
        ];
        let manifest = image(&images, layers, form);
        let base = open(&images, &manifest).unwrap();
        assert_eq!(
            listing(&base),
            ["-0644 /empty ", "-0644 /large 0123", "-0644 /small x"]
        );
        let path = ImagePath::new("/large").unwrap();
        let Some(EntryKind::File(Content::Host { path, facts })) =
            base.rootfs().get(&path).map(|it| &it.kind)
        else {
            panic!("a large file is on disk");
        };
        assert_eq!(facts.size, 20_000);
        assert_eq!(std::fs::read_to_string(path).unwrap(), large);
        let types = base.parent().unwrap().layers.iter();
        for layer in types {
            assert!(
                layer
                    .descriptor
                    .media_type()
                    .to_string()
                    .starts_with("application/vnd.oci.")
            );
            assert!(layer.tar_size > 0);
        }
    }
}

#[test]
fn names_and_links_that_lead_out_of_the_image_are_refused() {
    for bad in [
        tar().file("../evil", "x"),
        tar().file("a/../../evil", "x"),
        tar().hard_link("x", "../etc/passwd"),
    ] {
        let text = refused(vec![bad]);
        assert!(text.contains("an entry that cannot be placed"), "{text}");
    }
}

#[test]
fn what_a_runtime_could_not_place_either_is_refused_with_its_path() {
    for (layers, problem) in [
        (
            vec![tar().hard_link("x", "nothing")],
            "/x is a hard link to /nothing, which is not there",
        ),
        (
            vec![tar().directory("d", 0o755).hard_link("x", "d")],
            "/x is a hard link to the directory /d",
        ),
        (
            vec![tar().file("f", "1"), tar().file("f/x", "2")],
            "/f/x lies below /f, which is a file",
        ),
        (
            vec![tar().link("a", "b").link("b", "a"), tar().file("a/x", "2")],
            "/a/x leads through too many symbolic links",
        ),
        (
            vec![tar().file("./", "2")],
            "/ is the root and no directory",
        ),
    ] {
        let text = refused(layers);
        assert!(text.contains(problem), "{text}");
        assert!(text.starts_with("the-base: its layer sha256:"), "{text}");
    }
}

#[test]
fn many_whiteouts_of_one_directory_take_no_more_time_than_one() {
    // Quadratic time would be 10^9 steps here.
    let mut lower = tar();
    let mut upper = tar();
    for number in 0..30_000 {
        lower = lower.file(&format!("d/{number}"), "");
        upper = upper.file("d/.wh..wh..opq", "");
    }
    check(vec![lower, upper], &["d0755 /d"]);
}

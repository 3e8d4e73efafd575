//! File trees of every kind come out of an image as they went in, whichever tool unpacks it.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::container::Bundle;
use crate::image::{Image, contents, sha256};
use crate::tools::{run, tool};
use crate::workshop::{Workshop, installed};

/// What tar finds hard: names too long for its header, names that are not ASCII, a path too long
/// for its prefix, empty and sparse files, hard links, links of every kind, odd modes.
fn difficult_tree(workshop: &Workshop) -> PathBuf {
    let tree = workshop.directory("tree");
    let put = |name: &str, text: &str| workshop.write(&format!("tree/{name}"), text);
    put(&"n".repeat(99), "99");
    put(&"n".repeat(100), "100");
    put(&"n".repeat(101), "101");
    put(&"n".repeat(255), "255");
    put(&format!("{0}/{0}/{0}/file", "d".repeat(120)), "deep");
    put("grüße/名前/😀", "not ASCII");
    put("space and\nnewline", "control");
    put("-dash", "dash");
    put("empty", "");
    put(".hidden/.file", "hidden");
    workshop.directory("tree/an empty directory");

    put("first", "hard links");
    for name in ["second", "under/third"] {
        fs::hard_link(tree.join("first"), workshop.path(&format!("tree/{name}"))).unwrap();
    }
    symlink("first", tree.join("link")).unwrap();
    symlink("../first", workshop.path("tree/under/link")).unwrap();
    symlink("under", tree.join("directory link")).unwrap();
    symlink("t".repeat(180), tree.join("dangling")).unwrap();

    let sparse = File::create(tree.join("sparse")).unwrap();
    sparse.set_len(5 << 20).unwrap();
    sparse.write_all_at(b"middle", 3 << 20).unwrap();

    for (name, mode) in [("private", 0o600), ("script", 0o755), ("read-only", 0o444)] {
        let path = put(name, name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    tree
}

/// Checks that `unpacked` holds what `tree` holds, modes and hard links as well.
#[track_caller]
fn assert_same(tree: &Path, unpacked: &Path) {
    let expected = contents(tree);
    assert_eq!(contents(unpacked), expected);
    assert!(unpacked.join("an empty directory").is_dir());
    for path in expected.keys() {
        let before = tree.join(path).symlink_metadata().unwrap();
        let after = unpacked.join(path).symlink_metadata().unwrap();
        if before.is_file() {
            assert_eq!(
                after.mode() & 0o7777,
                before.mode() & 0o7777,
                "mode of {}",
                path.display()
            );
        }
    }
    let inode = |name: &str| unpacked.join(name).metadata().unwrap().ino();
    assert_eq!(inode("first"), inode("second"));
    assert_eq!(inode("first"), inode("under/third"));
}

/// An image with the tree at `/tree`.
fn image(workshop: &Workshop, tree: &Path, output: &str, options: &[&str]) -> Image {
    let include = format!("{}:/tree", tree.display());
    let options = [&["--base", "none", "--include", &include], options].concat();
    workshop.build(installed("busybox"), output, &options)
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn umoci_unpacks_a_difficult_tree_as_it_was() {
    let workshop = Workshop::new();
    let tree = difficult_tree(&workshop);
    for (output, compression) in [("gzip.oci", "gzip"), ("estargz.oci", "estargz")] {
        let image = image(&workshop, &tree, output, &["--compression", compression]);
        let rootfs = Bundle::of(&image, &workshop).rootfs();
        assert_same(&tree, &rootfs.join("tree"));
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn tar_unpacks_a_difficult_tree_as_it_was() {
    let workshop = Workshop::new();
    let tree = difficult_tree(&workshop);
    for compression in ["gzip", "zstd", "none"] {
        let image = image(
            &workshop,
            &tree,
            &format!("{compression}.oci"),
            &["--compression", compression],
        );
        let unpacked = workshop.directory(compression);
        for layer in image.layers() {
            run(tool("tar")
                .args(["--same-permissions", "-C"])
                .arg(&unpacked)
                .arg("-xf")
                .arg(image.blob(&layer)))
            .output();
        }
        assert_same(&tree, &unpacked.join("tree"));
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn buildah_reads_a_difficult_tree_as_it_was() {
    let workshop = Workshop::new();
    let tree = difficult_tree(&workshop);
    let image = image(&workshop, &tree, "image.oci", &[]);
    let buildah = crate::exchange::Buildah::new(&workshop);
    let container = buildah.from(&image, "localhost/tree:v1");
    let mounted = buildah.run(&["mount", &container]);
    assert_same(&tree, &Path::new(mounted.trim()).join("tree"));
    buildah.run(&["umount", &container]);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_container_reads_a_difficult_tree() {
    let workshop = Workshop::new();
    let tree = difficult_tree(&workshop);
    let image = image(&workshop, &tree, "image.oci", &[]);
    let output = Bundle::of(&image, &workshop)
        .with(&["sha256sum", "/tree/sparse", "/tree/grüße/名前/😀"])
        .run()
        .output();
    let digests: Vec<String> = output
        .lines()
        .map(|line| format!("sha256:{}", line.split(' ').next().unwrap()))
        .collect();
    assert_eq!(
        digests,
        [
            sha256(&tree.join("sparse")),
            sha256(&tree.join("grüße/名前/😀"))
        ]
    );
}

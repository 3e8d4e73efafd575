//! The real loader, asked inside the container, maps the files that `distrobuild deps` lists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::container::Bundle;
use crate::tools::{run, tool};
use crate::workshop::{Workshop, installed};

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn the_loader_in_the_image_maps_what_deps_lists() {
    for program in ["jq", "sqlite3", "curl", "nginx", "node", "ffmpeg"] {
        let workshop = Workshop::new();
        let app = installed(program);
        let image = workshop.build(&app, "app.oci", &["--base", "none"]);
        let bundle = Bundle::of(&image, &workshop).env("LD_TRACE_LOADED_OBJECTS=1");
        let trace = bundle.run().output();
        assert!(!trace.contains("not found"), "{program}: {trace}");

        let rootfs = bundle.rootfs();
        let mapped: BTreeSet<PathBuf> = traced(&trace)
            .into_iter()
            .map(|path| inside(&rootfs, &path))
            .collect();
        assert!(!mapped.is_empty(), "{program}: {trace}");
        let listed: BTreeSet<PathBuf> = workshop
            .closure(&app)
            .iter()
            .skip(1)
            .filter(|object| object.at_start)
            .map(|object| inside(&rootfs, &object.path))
            .collect();
        assert_eq!(mapped, listed, "{program}");
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn lddtree_agrees_for_a_program_in_its_image() {
    let workshop = Workshop::new();
    let app = installed("jq");
    let image = workshop.build(&app, "jq.oci", &["--base", "none"]);
    let rootfs = Bundle::of(&image, &workshop).rootfs();
    let found: BTreeSet<PathBuf> = run(tool("lddtree").args(["-l", "-R"]).arg(&rootfs).arg(&app))
        .output()
        .lines()
        .map(|line| match Path::new(line).strip_prefix(&rootfs) {
            Ok(path) => inside(&rootfs, &Path::new("/").join(path)),
            Err(_) => inside(&rootfs, Path::new(line)),
        })
        .collect();
    let listed: BTreeSet<PathBuf> = workshop
        .closure(&app)
        .iter()
        .filter(|object| object.at_start)
        .map(|object| inside(&rootfs, &object.path))
        .collect();
    assert_eq!(found, listed);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_image_of_its_closure_alone_holds_nothing_else() {
    let workshop = Workshop::new();
    let app = installed("jq");
    let alone = ["--base", "none", "--no-package-records"];
    let image = workshop.build(&app, "jq.oci", &alone);
    let rootfs = Bundle::of(&image, &workshop).rootfs();
    let listed: BTreeSet<PathBuf> = workshop
        .closure(&app)
        .iter()
        .map(|object| inside(&rootfs, &object.path))
        .collect();
    let files: BTreeSet<PathBuf> = crate::image::contents(&rootfs)
        .into_keys()
        .map(|path| rootfs.join(path))
        .filter(|path| path.symlink_metadata().unwrap().is_file())
        .collect();
    assert_eq!(files, listed);
}

/// The paths in the loader's own listing: `name => /path (0x…)` or `/path (0x…)`.
fn traced(listing: &str) -> Vec<PathBuf> {
    listing
        .lines()
        .filter_map(|line| {
            let line = line.trim();
            let line = line.split_once(" => ").map_or(line, |(_, path)| path);
            let path = line.split_once(" (0x").map_or(line, |(path, _)| path);
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect()
}

/// The real file, below `rootfs`, at `path` in it: links are followed as the container would.
fn inside(rootfs: &Path, path: &Path) -> PathBuf {
    let mut real = PathBuf::new();
    let mut pending: Vec<String> = parts(path).rev().collect();
    let mut links = 0;
    while let Some(part) = pending.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&part);
        match fs::read_link(rootfs.join(&next)) {
            Ok(target) => {
                links += 1;
                assert!(links < 40, "a loop of links at {}", path.display());
                if target.is_absolute() {
                    real = PathBuf::new();
                }
                pending.extend(parts(&target).rev());
            }
            Err(_) => real = next,
        }
    }
    let found = rootfs.join(&real);
    assert!(
        found.exists(),
        "{} is not in the image at {}",
        path.display(),
        rootfs.display()
    );
    found
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = String> {
    path.to_str()
        .unwrap()
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

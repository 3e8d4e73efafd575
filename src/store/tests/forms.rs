//! Writing and reading back: the three forms, tags, platforms.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

fn destinations(directory: &Path) -> [Destination; 3] {
    [
        Destination::Layout(directory.join("app.oci")),
        Destination::OciArchive(directory.join("app.oci.tar")),
        Destination::DockerArchive(directory.join("app.docker.tar")),
    ]
}

#[test]
fn an_image_of_any_codec_is_valid_in_every_form() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let directory = tempfile::tempdir().unwrap();
        let image = made(&["libraries", "app", "libraries"], "linux/arm/v7", codec);
        for to in destinations(directory.path()) {
            let committed = write(&to, &image, "app:1.0").unwrap();
            assert_eq!(committed.path, to.path().canonicalize().unwrap());
            assert_valid(to.path());
            let source = source(to.path());
            let selected = select(source.as_ref(), Some("app:1.0"), None).unwrap();
            let manifest = read_manifest(source.as_ref(), &selected).unwrap();
            // The config, and so the image id, is the same in all of them.
            let config = read_document(source.as_ref(), manifest.config()).unwrap();
            assert_eq!(config, image.image.config);
            assert_eq!(manifest.layers().len(), 3);
        }
        assert_no_litter(directory.path());
    }
}

#[test]
fn the_same_image_gives_the_same_bytes_in_every_form() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for directory in [&one, &two] {
        for to in destinations(directory.path()) {
            write(&to, &amd64(&["a", "b"]), "latest").unwrap();
        }
    }
    assert_eq!(files(one.path()), files(two.path()));
    for file in files(one.path()) {
        let read = |directory: &Path| std::fs::read(directory.join(&file)).unwrap();
        assert_eq!(read(one.path()), read(two.path()), "{file:?}");
    }
}

#[test]
fn a_layout_has_just_the_files_that_the_spec_names() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.oci");
    let image = amd64(&["a"]);
    write(&Destination::Layout(path.clone()), &image, "1.0").unwrap();
    assert_eq!(
        std::fs::read_to_string(path.join("oci-layout")).unwrap(),
        r#"{"imageLayoutVersion":"1.0.0"}"#
    );
    assert_eq!(
        std::fs::read_to_string(path.join("index.json")).unwrap(),
        format!(
            concat!(
                r#"{{"manifests":[{{"annotations":{{"org.opencontainers.image.ref.name":"1.0"}},"#,
                r#""digest":"{}","mediaType":"application/vnd.oci.image.manifest.v1+json","#,
                r#""platform":{{"architecture":"amd64","os":"linux"}},"size":{}}}],"#,
                r#""mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}}"#
            ),
            digest(&image),
            image.image.manifest.len()
        )
    );
    assert_eq!(files(&path).len(), 5);
}

#[test]
fn files_and_directories_have_their_usual_modes_less_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    for to in destinations(directory.path()) {
        write(&to, &amd64(&["a"]), "1").unwrap();
    }
    // The umask by a file and a directory of the standard library.
    let (file, sub) = (directory.path().join("file"), directory.path().join("sub"));
    std::fs::write(&file, "").unwrap();
    std::fs::create_dir(&sub).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    for path in files(directory.path()) {
        assert_eq!(mode(&directory.path().join(path)), mode(&file) & 0o644);
    }
    for path in ["app.oci", "app.oci/blobs", "app.oci/blobs/sha256"] {
        assert_eq!(mode(&directory.path().join(path)), mode(&sub) & 0o755);
    }
}

#[test]
fn a_second_tag_keeps_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (amd64(&["libraries", "one"]), amd64(&["libraries", "two"]));
    for to in destinations(directory.path()) {
        write(&to, &first, "app:1").unwrap();
        write(&to, &second, "app:2").unwrap();
        assert_valid(to.path());
        assert_eq!(
            tags(source(to.path()).as_ref()).unwrap(),
            ["app:1", "app:2"]
        );
        if to.form() != Form::DockerArchive {
            assert_eq!(
                found(to.path(), "app:1", "linux/amd64").unwrap(),
                digest(&first)
            );
            assert_eq!(
                found(to.path(), "app:2", "linux/amd64").unwrap(),
                digest(&second)
            );
        }
    }
}

#[test]
fn the_same_tag_and_platform_is_replaced_and_its_own_blobs_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (amd64(&["libraries", "one"]), amd64(&["libraries", "two"]));
    for to in destinations(directory.path()) {
        write(&to, &first, "app:1").unwrap();
        write(&to, &second, "app:1").unwrap();
        let fresh = to.path().with_extension("fresh");
        let fresh = match to.form() {
            Form::Layout => Destination::Layout(fresh),
            Form::OciArchive => Destination::OciArchive(fresh),
            Form::DockerArchive => Destination::DockerArchive(fresh),
        };
        write(&fresh, &second, "app:1").unwrap();
        if to.form() == Form::Layout {
            assert_eq!(files(to.path()), files(fresh.path()));
        } else {
            assert_eq!(
                std::fs::read(to.path()).unwrap(),
                std::fs::read(fresh.path()).unwrap()
            );
        }
    }
}

#[test]
fn blobs_that_another_tag_uses_or_that_nobody_is_known_to_use_stay() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.oci");
    let to = Destination::Layout(path.clone());
    let old = amd64(&["libraries", "one"]);
    write(&to, &old, "a").unwrap();
    write(&to, &old, "b").unwrap();
    let strange = path.join("blobs/sha256").join("0".repeat(64));
    std::fs::write(&strange, "of another tool").unwrap();
    write(&to, &amd64(&["two"]), "a").unwrap();
    assert_valid(&path);
    assert_eq!(found(&path, "b", "linux/amd64").unwrap(), digest(&old));
    assert!(strange.exists());
}

#[test]
fn a_second_platform_keeps_the_first_under_the_same_tag() {
    let directory = tempfile::tempdir().unwrap();
    let arm = made(&["arm"], "linux/arm64/v8", Codec::Gzip);
    let (intel, newer) = (amd64(&["intel"]), amd64(&["newer"]));
    for to in &destinations(directory.path())[..2] {
        write(to, &intel, "1").unwrap();
        write(to, &arm, "1").unwrap();
        let other = amd64(&["other"]);
        write(to, &other, "other").unwrap();
        assert_valid(to.path());
        assert_eq!(
            found(to.path(), "1", "linux/amd64").unwrap(),
            digest(&intel)
        );
        assert_eq!(found(to.path(), "1", "linux/arm64").unwrap(), digest(&arm));
        // One entry for the tag, with the platforms in an index of its own.
        assert_eq!(source(to.path()).index().unwrap().manifests().len(), 2);

        write(to, &newer, "1").unwrap();
        assert_valid(to.path());
        assert_eq!(
            found(to.path(), "1", "linux/amd64").unwrap(),
            digest(&newer)
        );
        assert_eq!(found(to.path(), "1", "linux/arm64").unwrap(), digest(&arm));
        assert_eq!(
            found(to.path(), "other", "linux/amd64").unwrap(),
            digest(&other)
        );
    }
    let layout = directory.path().join("app.oci");
    // oci-layout, index.json; inner index; 3 × manifest, config, layer.
    assert_eq!(files(&layout).len(), 2 + 1 + 9);
}

#[test]
fn the_order_of_platforms_does_not_change_the_index_of_a_tag() {
    let directory = tempfile::tempdir().unwrap();
    let images = [amd64(&["a"]), made(&["b"], "linux/arm/v7", Codec::Gzip)];
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    for image in &images {
        write(&Destination::Layout(one.clone()), image, "1").unwrap();
    }
    for image in images.iter().rev() {
        write(&Destination::Layout(two.clone()), image, "1").unwrap();
    }
    let index = |path: &Path| std::fs::read(path.join("index.json")).unwrap();
    assert_eq!(index(&one), index(&two));
}

#[test]
fn what_an_index_says_beside_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.oci");
    let to = Destination::Layout(path.clone());
    write(&to, &amd64(&["a"]), "1").unwrap();
    let index = path.join("index.json");
    let text = std::fs::read_to_string(&index).unwrap();
    let text = text
        .replace(r#""os":"linux""#, r#""os":"linux","os.version":"6.1""#)
        .replace(
            r#""schemaVersion""#,
            r#""annotations":{"x":"y"},"future":[1],"schemaVersion""#,
        );
    std::fs::write(&index, &text).unwrap();
    write(&to, &amd64(&["b"]), "2").unwrap();
    let text = std::fs::read_to_string(&index).unwrap();
    for kept in [
        r#""os.version":"6.1""#,
        r#""annotations":{"x":"y"}"#,
        r#""future":[1]"#,
    ] {
        assert!(text.contains(kept), "{text}");
    }
}

#[test]
fn a_build_that_changes_nothing_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.oci");
    let to = Destination::Layout(path.clone());
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
    write(&to, &amd64(&["a"]), "1").unwrap();
    let before: Vec<u64> = files(&path)
        .iter()
        .map(|file| inode(&path.join(file)))
        .collect();
    let writer = Writer::open(&to).unwrap();
    let image = amd64(&["a"]);
    assert!(
        image
            .blobs
            .iter()
            .all(|(d, bytes)| writer.contains(d, bytes.len() as u64))
    );
    assert!(!writer.contains(&Digest::of(b"else"), 4));
    write_with(&writer, &image, Some("1")).unwrap();
    let after: Vec<u64> = files(&path)
        .iter()
        .map(|file| inode(&path.join(file)))
        .collect();
    assert_eq!(before, after);
}

#[test]
fn an_image_without_a_tag_is_added_once() {
    let directory = tempfile::tempdir().unwrap();
    for to in destinations(directory.path()) {
        for _ in 0..2 {
            write_with(&Writer::open(&to).unwrap(), &amd64(&["a"]), None).unwrap();
        }
        let source = source(to.path());
        assert_eq!(source.index().unwrap().manifests().len(), 1);
        select(source.as_ref(), None, None).unwrap();
        assert_valid(to.path());
    }
}

#[test]
fn a_layout_as_umoci_makes_it_takes_an_image() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l");
    std::fs::create_dir_all(path.join("blobs/sha256")).unwrap();
    std::fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(
        path.join("index.json"),
        r#"{"schemaVersion":2,"manifests":null}"#,
    )
    .unwrap();
    write(&Destination::Layout(path.clone()), &amd64(&["a"]), "1").unwrap();
    assert_valid(&path);
    assert_eq!(tags(source(&path).as_ref()).unwrap(), ["1"]);
}

#[test]
fn the_layers_of_a_docker_archive_are_tars_named_by_their_diff_ids() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.tar");
    let image = made(&["a", "b"], "linux/amd64", Codec::Zstd);
    write(&Destination::DockerArchive(path.clone()), &image, "latest").unwrap();
    let mut names = Vec::new();
    let mut archive = tar::Archive::new(std::fs::File::open(&path).unwrap());
    for entry in archive.entries().unwrap() {
        names.push(entry.unwrap().path().unwrap().display().to_string());
    }
    assert_eq!(names[0], "manifest.json");
    for layer in &image.image.layers {
        assert!(names.contains(&format!("{}.tar", layer.diff_id.hex())));
    }
    assert_eq!(tags(source(&path).as_ref()).unwrap(), ["app:latest"]);
    // By its whole name or by its tag.
    for tag in ["app:latest", "latest"] {
        select(source(&path).as_ref(), Some(tag), None).unwrap();
    }
}

#[test]
fn select_lists_what_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l");
    let to = Destination::Layout(path.clone());
    write(&to, &made(&["a"], "linux/s390x", Codec::None), "1").unwrap();
    write(&to, &made(&["b"], "linux/ppc64le", Codec::None), "1").unwrap();
    write(&to, &made(&["c"], "linux/s390x", Codec::None), "2").unwrap();
    let source = source(&path);
    let source = source.as_ref();
    let name = path.display();
    assert_eq!(
        message(select(source, Some("3"), None)),
        format!("{name} has no image tagged \"3\"; tags in it: 1, 2")
    );
    assert_eq!(
        message(select(source, None, None)),
        format!("{name} has several images, choose one by its tag ({name}:TAG); tags in it: 1, 2")
    );
    assert_eq!(
        message(select(
            source,
            Some("1"),
            Some(&Platform::linux("riscv64", None))
        )),
        format!(
            "{name} has no image for linux/riscv64; platforms in it: linux/ppc64le, linux/s390x"
        )
    );
    assert_eq!(
        message(select(source, Some("1"), None)),
        format!(
            "{name} has images for several platforms, choose one with --platform; platforms in it: linux/ppc64le, linux/s390x"
        )
    );
}

#[test]
fn docker_names_are_the_same_with_and_without_their_registry() {
    let directory = tempfile::tempdir().unwrap();
    let to = Destination::DockerArchive(directory.path().join("a.tar"));
    write(&to, &amd64(&["a"]), "docker.io/library/app:1").unwrap();
    select(source(to.path()).as_ref(), Some("app:1"), None).unwrap();
    write(&to, &amd64(&["b"]), "app:1").unwrap();
    assert_eq!(tags(source(to.path()).as_ref()).unwrap(), ["app:1"]);
}

#[test]
fn staged_blobs_go_to_threads_and_writers_are_shared_by_them() {
    fn sent<T: Send>() {}
    fn shared<T: Sync>() {}
    sent::<StagedBlob>();
    shared::<Writer>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is written in whatever order, each tag has its last image of each platform,
    /// and the layout has no blob that is not needed.
    #[test]
    fn any_sequence_of_builds_gives_the_last_of_each_and_nothing_else(
        builds in proptest::collection::vec((0..3u8, 0..3usize, 0..4u8), 1..12)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Destination::Layout(directory.path().join("app.oci"));
        let archive = Destination::OciArchive(directory.path().join("app.tar"));
        let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"];
        let mut last = BTreeMap::new();
        for (tag, platform, content) in builds {
            let tag = format!("t{tag}");
            let platform = platforms[platform];
            let image = made(&["libraries", &content.to_string()], platform, Codec::None);
            write(&layout, &image, &tag).unwrap();
            write(&archive, &image, &tag).unwrap();
            last.insert((tag, platform), image);
        }
        let mut needed = BTreeSet::new();
        for ((tag, platform), image) in &last {
            for to in [&layout, &archive] {
                prop_assert_eq!(found(to.path(), tag, platform).unwrap(), digest(image));
            }
            needed.insert(Digest::of(&image.image.manifest));
            needed.insert(Digest::of(&image.image.config));
            needed.extend(image.blobs.iter().map(|(digest, _)| *digest));
        }
        let inner: BTreeSet<String> = source(layout.path())
            .index()
            .unwrap()
            .manifests()
            .iter()
            .filter(|d| is_index(d.media_type()))
            .map(|d| d.digest().to_string())
            .collect();
        assert_valid(layout.path());
        assert_valid(archive.path());
        prop_assert_eq!(files(layout.path()).len(), 2 + needed.len() + inner.len());
        let entries = tar::Archive::new(std::fs::File::open(archive.path()).unwrap())
            .entries()
            .unwrap()
            .count();
        prop_assert_eq!(entries, 2 + needed.len() + inner.len());
    }
}

//! Bad outputs, bad inputs, and what is said of them.

use std::os::unix::fs::symlink;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::image::Problem;

fn layout(directory: &Path) -> PathBuf {
    let path = directory.join("app.oci");
    write(&Destination::Layout(path.clone()), &amd64(&["a", "b"]), "1").unwrap();
    path
}

fn opened(path: &Path) -> Result<Box<dyn Source>, StoreError> {
    open(&Reference {
        form: None,
        path: path.to_path_buf(),
        tag: None,
    })
}

#[test]
fn an_output_that_cannot_be_is_refused_before_anything_is_packed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    std::fs::write(root.join("file"), "text").unwrap();
    std::fs::create_dir(root.join("sub")).unwrap();
    std::fs::write(root.join("sub/x"), "").unwrap();
    symlink("nowhere", root.join("link")).unwrap();
    std::fs::write(root.join("c.tar.gz"), b"\x1f\x8b\x08").unwrap();
    let docker = root.join("docker.tar");
    write(
        &Destination::DockerArchive(docker.clone()),
        &amd64(&["a"]),
        "1",
    )
    .unwrap();

    let shown = root.display();
    let remove = "; remove it or choose another output with -o";
    let layout = |name: &str| message(Writer::open(&Destination::Layout(root.join(name))));
    let archive = |name: &str| message(Writer::open(&Destination::OciArchive(root.join(name))));
    assert_eq!(
        layout("file"),
        format!(
            "cannot write an OCI layout to {shown}/file: it is a file, not a directory{remove}"
        )
    );
    assert_eq!(
        layout("sub"),
        format!(
            "cannot write an OCI layout to {shown}/sub: it is a directory that is no OCI layout (it has x); choose another output with -o"
        )
    );
    assert_eq!(
        layout("link"),
        format!(
            "cannot write an OCI layout to {shown}/link: it is a symbolic link that leads nowhere{remove}"
        )
    );
    assert_eq!(
        layout("a/b"),
        format!(
            "cannot write {shown}/a/b: the directory {shown}/a does not exist; make it with mkdir -p"
        )
    );
    assert!(layout("file/x").contains("file"), "{}", layout("file/x"));
    assert_eq!(
        archive("sub"),
        format!(
            "cannot write an OCI archive to {shown}/sub: it is a directory; choose another output with -o"
        )
    );
    assert_eq!(
        archive("file"),
        format!(
            "cannot write an OCI archive to {shown}/file: it is a file that is no tar archive{remove}"
        )
    );
    assert_eq!(
        archive("c.tar.gz"),
        format!(
            "cannot write an OCI archive to {shown}/c.tar.gz: it is a file compressed with gzip{remove}"
        )
    );
    assert_eq!(
        archive("docker.tar"),
        format!(
            "cannot write an OCI archive to {shown}/docker.tar: it is a tar archive without oci-layout and index.json{remove}"
        )
    );
    assert_eq!(std::fs::read_to_string(root.join("file")).unwrap(), "text");
}

#[test]
fn what_is_no_image_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let name = root.display();
    let expected = "An OCI layout (a directory with oci-layout and index.json), an OCI archive (a tar of one) or a docker archive is expected";
    std::fs::write(root.join("elf"), "\x7fELF, perhaps").unwrap();
    std::fs::write(root.join("empty"), "").unwrap();
    std::fs::write(root.join("a.tgz"), b"\x1f\x8b\x08\0").unwrap();
    let mut tar = tar::Builder::new(std::fs::File::create(root.join("a.tar")).unwrap());
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    tar.append_data(&mut header, "readme", std::io::empty())
        .unwrap();
    tar.finish().unwrap();
    let no_image = |file: &str, found: &str| {
        let text = message(opened(&PathBuf::from(format!("{name}{file}"))));
        assert_eq!(
            text,
            format!("{name}{file} is no image: it is {found}. {expected}")
        );
    };
    no_image("/elf", "a file that is no tar archive");
    no_image("/empty", "an empty file");
    no_image("", "a directory without the file oci-layout");
    no_image(
        "/a.tar",
        "a tar archive with neither index.json nor manifest.json (it has readme)",
    );
    assert!(message(opened(&root.join("a.tgz"))).ends_with("unpack it first (gunzip)"));
    assert!(message(opened(&root.join("none"))).contains("does not exist"));
    let path = layout(root);
    let reference = Reference {
        form: Some(Form::DockerArchive),
        path,
        tag: None,
    };
    assert!(message(open(&reference)).contains("is an OCI layout, not a docker archive"));
}

/// Every problem of the store, in one text.
fn problems(path: &Path) -> String {
    let problems: Vec<Problem> = validate(source(path).as_ref());
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

#[test]
fn damaged_blobs_are_found_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = layout(directory.path());
    let image = amd64(&["a", "b"]);
    let blob = |digest: &Digest| path.join("blobs/sha256").join(digest.hex());
    let (first, second) = (image.blobs[0].0, image.blobs[1].0);
    let manifest = digest(&image);

    let mut bytes = image.blobs[0].1.clone();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(blob(&first), &bytes).unwrap();
    std::fs::write(blob(&second), &image.blobs[1].1[..20]).unwrap();
    assert_eq!(
        problems(&path),
        format!(
            "manifest {manifest} layer 1: the blob {first} is damaged: its content has the digest {}\n\
             manifest {manifest} layer 2: the blob {second} is damaged: it has 20 bytes instead of {}",
            Digest::of(&bytes),
            image.blobs[1].1.len()
        )
    );
    std::fs::write(blob(&first), &image.blobs[0].1).unwrap();
    std::fs::remove_file(blob(&second)).unwrap();
    assert!(problems(&path).contains(&format!("the blob {second} is missing")));
    std::fs::write(
        blob(&second),
        [image.blobs[1].1.as_slice(), b"more"].concat(),
    )
    .unwrap();
    assert!(problems(&path).contains("it has more than"));
}

#[test]
fn an_image_that_contradicts_itself_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l");
    let mut wrong = made(&["a", "b"], "linux/amd64", Codec::Gzip);
    let layers: Vec<(Layer, String)> = wrong
        .image
        .layers
        .iter()
        .cloned()
        .zip(["x".to_owned(), "y".to_owned()])
        .collect();
    // The diff_id of a layer is that of another one, and it is called zstd.
    let mut swapped = layers.clone();
    swapped[0].0.diff_id = layers[1].0.diff_id;
    swapped[1].0.media_type = MediaType::ImageLayerZstd;
    wrong.image = describe(
        swapped,
        &Platform::linux("amd64", None),
        &Settings::default(),
    );
    write(&Destination::Layout(path.clone()), &wrong, "1").unwrap();
    let text = problems(&path);
    assert!(
        text.contains("layer 1: the uncompressed content has the digest"),
        "{text}"
    );
    assert!(text.contains("layer 2: the media type is application/vnd.oci.image.layer.v1.tar+zstd, and the content is gzip"), "{text}");
    assert_eq!(text.lines().count(), 2);

    // Another platform, and a history of three layers.
    let config = String::from_utf8(wrong.image.config.clone()).unwrap();
    let config = config
        .replace(r#""history":["#, r#""history":[{},"#)
        .replace("amd64", "arm64");
    let manifest = String::from_utf8(wrong.image.manifest.clone()).unwrap();
    let manifest = manifest
        .replace(
            &Digest::of(&wrong.image.config).hex(),
            &Digest::of(config.as_bytes()).hex(),
        )
        .replace(
            &format!(r#""size":{}}}"#, wrong.image.config.len()),
            &format!(r#""size":{}}}"#, config.len()),
        );
    wrong.image.config = config.into_bytes();
    wrong.image.manifest = manifest.into_bytes();
    let platform = wrong.image.descriptor.platform().clone();
    wrong.image.descriptor = crate::image::descriptor(
        MediaType::ImageManifest,
        &Digest::of(&wrong.image.manifest),
        wrong.image.manifest.len() as u64,
    );
    wrong.image.descriptor.set_platform(platform);
    write(&Destination::Layout(path.clone()), &wrong, "1").unwrap();
    let text = problems(&path);
    assert!(
        text.contains("the history has 3 entries with a layer for 2 layers"),
        "{text}"
    );
    assert!(
        text.contains("the descriptor is for linux/amd64, and the config for linux/arm64"),
        "{text}"
    );
}

#[test]
fn a_layer_that_is_not_its_diff_id_makes_no_docker_archive() {
    let directory = tempfile::tempdir().unwrap();
    let mut wrong = amd64(&["a"]);
    wrong.image.layers[0].diff_id = Digest::of(b"else");
    let to = Destination::DockerArchive(directory.path().join("a.tar"));
    let text = message(write(&to, &wrong, "1"));
    assert!(text.contains("does not have its diff_id"), "{text}");
    wrong = amd64(&["a"]);
    wrong.image.layers[0].tar_size -= 512;
    let text = message(write(&to, &wrong, "1"));
    assert!(text.contains("is longer than its tar_size"), "{text}");
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}

#[test]
fn missing_and_cut_blobs_are_not_committed() {
    let directory = tempfile::tempdir().unwrap();
    let image = amd64(&["a", "b"]);
    for to in [
        Destination::Layout(directory.path().join("l")),
        Destination::OciArchive(directory.path().join("o.tar")),
        Destination::DockerArchive(directory.path().join("d.tar")),
    ] {
        let writer = Writer::open(&to).unwrap();
        let text = message(writer.commit(&image.image, Vec::new(), Some("1")));
        assert!(text.contains("was not given and is not there"), "{text}");
        let blob = writer.stage().unwrap();
        let text = message(writer.commit(&image.image, vec![(image.blobs[0].0, blob)], Some("1")));
        assert!(text.contains("and has 0"), "{text}");
        let text = message(write(&to, &image, "not a tag"));
        assert!(
            text.contains("\"not a tag\" cannot be the tag of an image"),
            "{text}"
        );
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}

#[test]
fn links_out_of_a_layout_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = layout(directory.path());
    let image = amd64(&["a", "b"]);
    let blob = path.join("blobs/sha256").join(image.blobs[0].0.hex());
    let outside = directory.path().join("outside");
    std::fs::rename(&blob, &outside).unwrap();
    symlink(&outside, &blob).unwrap();
    assert!(problems(&path).contains("leads out of the layout"));
    // One that stays inside is a layout's own business.
    std::fs::remove_file(&blob).unwrap();
    std::fs::rename(&outside, path.join("elsewhere")).unwrap();
    symlink("../../elsewhere", &blob).unwrap();
    assert_valid(&path);
    // No blob is written through a link that leads out.
    let (victim, planted) = (
        directory.path().join("victim"),
        directory.path().join("planted"),
    );
    std::fs::create_dir(&victim).unwrap();
    std::fs::create_dir(&planted).unwrap();
    symlink(&victim, planted.join("blobs")).unwrap();
    let to = Destination::Layout(planted);
    assert!(write(&to, &image, "1").is_err());
    assert_eq!(victim.read_dir().unwrap().count(), 0);
}

#[test]
fn a_fifo_or_a_directory_for_a_blob_is_an_error_and_no_hang() {
    let directory = tempfile::tempdir().unwrap();
    let path = layout(directory.path());
    let blobs = amd64(&["a", "b"]).blobs;
    let names = [&blobs[0].0, &blobs[1].0].map(|d| path.join("blobs/sha256").join(d.hex()));
    names
        .iter()
        .for_each(|name| std::fs::remove_file(name).unwrap());
    std::fs::create_dir(&names[0]).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &names[1],
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let text = problems(&path);
    assert_eq!(text.matches("it is no regular file").count(), 2, "{text}");
}

#[test]
fn hostile_documents_are_errors_that_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = layout(directory.path());
    let index = path.join("index.json");
    let read = || message(source(&path).index());
    for (text, expected) in [
        ("", "index.json is damaged"),
        ("[]", "index.json is damaged"),
        (r#"{"schemaVersion":2}"#, "missing field `manifests`"),
        (&"[".repeat(100_000), "recursion limit"),
        (
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","size":1,"digest":"sha256:../../etc/passwd"}]}"#,
            "index.json is damaged",
        ),
        (
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","size":-1,"digest":"sha256:00"}]}"#,
            "index.json is damaged",
        ),
    ] {
        std::fs::write(&index, text).unwrap();
        assert!(read().contains(expected), "{}", read());
        assert!(read().contains(&path.display().to_string()));
        // And nothing is written over it.
        let again = write(&Destination::Layout(path.clone()), &amd64(&["c"]), "2");
        assert!(message(again).contains("index.json is damaged"));
    }
    std::fs::File::create(&index)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert!(read().contains("documents of more than 4194304 bytes are not read"));
    std::fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(message(opened(&path)).contains("its version is \"2.0.0\""));
}

#[test]
fn sha512_is_checked_and_other_algorithms_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = layout(directory.path());
    let source = source(&path);
    let digest = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
    let empty = Descriptor::new(
        MediaType::EmptyJSON,
        0,
        digest.parse::<oci_spec::image::Digest>().unwrap(),
    );
    std::fs::create_dir(path.join("blobs/sha512")).unwrap();
    let blob = path.join("blobs/sha512").join(&digest[7..]);
    std::fs::write(&blob, "").unwrap();
    assert!(read_document(source.as_ref(), &empty).unwrap().is_empty());
    std::fs::write(&blob, "x").unwrap();
    assert!(message(read_document(source.as_ref(), &empty)).contains("more than 0 bytes"));
    let md5 = Descriptor::new(
        MediaType::EmptyJSON,
        0,
        "md5:00".parse::<oci_spec::image::Digest>().unwrap(),
    );
    assert!(message(read_document(source.as_ref(), &md5)).contains("only sha256 and sha512"));
}

/// A tar of these entries: a file, or with `->` a symbolic link.
fn tar_of(path: &Path, entries: &[(&str, &[u8])]) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        let link = name.split_once("->");
        let name = link.map_or(*name, |(name, _)| name);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        if let Some((_, target)) = link {
            header.set_entry_type(tar::EntryType::Symlink);
            header.as_gnu_mut().unwrap().linkname[..target.len()]
                .copy_from_slice(target.as_bytes());
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.finish().unwrap();
}

#[test]
fn a_docker_archive_of_the_old_kind_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old.tar");
    let image = made(&["a", "a"], "linux/amd64", Codec::None);
    let tar = &image.blobs[0].1;
    let manifest =
        br#"[{"Config":"c.json","RepoTags":null,"Layers":["x/layer.tar","y/layer.tar"]}]"#;
    // A shared layer is a link; `./` before a name and `..` in one are met as well.
    tar_of(
        &path,
        &[
            ("../c.json", b"evil"),
            ("/c.json", b"evil"),
            ("c.json", b"overwritten below"),
            ("./c.json", &image.image.config),
            ("x/layer.tar", tar),
            ("y/layer.tar->../x/layer.tar", b""),
            ("z->z", b""),
            ("manifest.json", manifest),
        ],
    );
    assert_valid(&path);
    select(source(&path).as_ref(), None, None).unwrap();

    tar_of(
        &path,
        &[
            ("manifest.json", manifest),
            ("c.json", &image.image.config),
            ("x/layer.tar->../../out", b""),
        ],
    );
    assert!(message(opened(&path)).contains("it names x/layer.tar, which is not in the archive"));
    tar_of(
        &path,
        &[
            ("manifest.json", br#"[{"Config":"c.json","Layers":[]}]"#),
            ("c.json", &image.image.config),
        ],
    );
    assert!(message(opened(&path)).contains("0 layers are listed for a config with 2 diff_ids"));
}

#[test]
fn a_cut_archive_is_an_error_at_every_length() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("a.tar");
    write(&Destination::OciArchive(whole.clone()), &amd64(&["a"]), "1").unwrap();
    let bytes = std::fs::read(&whole).unwrap();
    let cut = directory.path().join("cut.tar");
    // The end of a tar is two blocks of zeros, which nobody misses.
    for length in (1..bytes.len() - 1024).step_by(100) {
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let broken = match opened(&cut) {
            Err(_) => true,
            Ok(source) => !validate(source.as_ref()).is_empty(),
        };
        assert!(broken || length > bytes.len() - 1024 - 512, "{length}");
    }
}

#[test]
fn an_index_that_contains_itself_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = layout(directory.path());
    // A loop by digests cannot be made, so a chain that is too long.
    let mut inner = crate::image::descriptor(MediaType::ImageIndex, &Digest::of(b""), 0);
    for _ in 0..8 {
        let mut index = ImageIndex::default();
        index.set_manifests(vec![inner]);
        let bytes = crate::image::canonical(&index);
        let digest = Digest::of(&bytes);
        std::fs::write(path.join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
        inner = crate::image::descriptor(MediaType::ImageIndex, &digest, bytes.len() as u64);
    }
    let mut index = ImageIndex::default();
    index.set_manifests(vec![inner]);
    std::fs::write(path.join("index.json"), crate::image::canonical(&index)).unwrap();
    assert!(problems(&path).contains("indexes lie deeper than"));
    assert!(message(select(source(&path).as_ref(), None, None)).contains("indexes within indexes"));
}

#[test]
fn errors_of_the_system_say_what_to_do() {
    use rustix::io::Errno;
    for (errno, expected) in [
        (
            Errno::NOSPC,
            "cannot write /out/app: the disk is full: free some room",
        ),
        (Errno::DQUOT, "the disk quota is used up"),
        (Errno::ROFS, "the file system is read-only: write elsewhere"),
        (Errno::ACCESS, "permission denied: check its owner and mode"),
        (Errno::IO, "cannot write /out/app: Input/output error"),
    ] {
        let text = StoreError::errno("/out/app", "write")(errno).to_string();
        assert!(text.contains(expected), "{text}");
    }
}

proptest! {
    #[test]
    fn no_change_to_an_archive_makes_a_reader_panic(
        changes in proptest::collection::vec((0..20_000usize, any::<u8>()), 1..6)
    ) {
        static WHOLE: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
            let directory = tempfile::tempdir().unwrap();
            [
                Destination::OciArchive(directory.path().join("o.tar")),
                Destination::DockerArchive(directory.path().join("d.tar")),
            ]
            .map(|to| {
                write(&to, &amd64(&["a"]), "1").unwrap();
                std::fs::read(to.path()).unwrap()
            })
        });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("changed.tar");
        for whole in WHOLE.iter() {
            let mut bytes = whole.clone();
            for (at, byte) in &changes {
                let length = bytes.len();
                bytes[at % length] = *byte;
            }
            std::fs::write(&path, bytes).unwrap();
            if let Ok(source) = opened(&path) {
                let _ = validate(source.as_ref());
                let _ = select(source.as_ref(), None, None);
            }
        }
    }
}

//! What becomes of what is attached when images come and go, and when a store is damaged.

use super::*;

#[test]
fn a_removed_image_takes_along_what_is_attached_to_it_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (amd64(&["libraries", "1"]), amd64(&["libraries", "2"]));
    let (a, b) = (root_of(&one), root_of(&two));
    for to in oci(directory.path()) {
        write(&to, &one, "1").unwrap();
        put(&to, &a, &[classic(a.digest(), "sig", "a")]);
        let before = (bytes_of(&to), files(directory.path()));
        write(&to, &two, "2").unwrap();
        let sbom = bundle(&b, "sbom");
        put(&to, &b, &[sbom.clone(), classic(b.digest(), "sig", "b")]);
        // A signature of what is attached.
        put(
            &to,
            &sbom.entry.root,
            &[classic(sbom.entry.root.digest(), "sig", "of sbom")],
        );
        assert_eq!(attached(&to, &sbom.entry.root).len(), 1);
        let removed = remove_tags(to.path(), &["2".to_owned()]).unwrap();
        // Its manifest, config and layer; the bundle's three, the signatures' two times three.
        assert_eq!((removed.entries, removed.blobs), (4, 12));
        assert!((bytes_of(&to), files(directory.path())) == before);
        assert_eq!(attached(&to, &a).len(), 1);
        assert_valid(to.path());
    }
}

#[test]
fn what_is_attached_stays_while_the_image_has_another_name() {
    let directory = tempfile::tempdir().unwrap();
    let made = amd64(&["a"]);
    let root = root_of(&made);
    for to in oci(directory.path()) {
        write(&to, &made, "1").unwrap();
        write(&to, &made, "latest").unwrap();
        put(&to, &root, &[classic(root.digest(), "sig", "s")]);
        let removed = remove_tags(to.path(), &["1".to_owned()]).unwrap();
        assert_eq!((removed.entries, removed.blobs), (1, 0));
        assert_eq!(attached(&to, &root).len(), 1);
        let kinds: Vec<String> = entries(&to).into_iter().map(|entry| entry.1).collect();
        assert_eq!(kinds, ["image", "sigs"]);
    }
}

#[test]
fn a_rebuild_keeps_what_is_attached_when_it_gives_the_same_image_and_drops_it_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let made = amd64(&["a"]);
    let root = root_of(&made);
    for to in oci(directory.path()) {
        write(&to, &made, "1").unwrap();
        put(
            &to,
            &root,
            &[classic(root.digest(), "sig", "s"), bundle(&root, "b")],
        );
        let before = bytes_of(&to);
        write(&to, &made, "1").unwrap();
        Whole::of(&made).commit(&to, "1", How::Replace).unwrap();
        assert!(bytes_of(&to) == before);
        let other = amd64(&["other"]);
        write(&to, &other, "1").unwrap();
        assert_eq!(
            entries(&to),
            [("1".to_owned(), String::new(), String::new())]
        );
        assert_eq!(attached(&to, &root), []);
        // As if the first one had never been there.
        let fresh = directory.path().join("fresh");
        let fresh = match to.form() {
            Form::Layout => Destination::Layout(fresh),
            _ => Destination::OciArchive(fresh.with_extension("tar")),
        };
        write(&fresh, &other, "1").unwrap();
        assert!(bytes_of(&to) == bytes_of(&fresh));
        if to.form() == Form::Layout {
            assert_eq!(files(to.path()), files(fresh.path()));
        }
    }
}

#[test]
fn an_image_that_becomes_one_of_several_platforms_keeps_its_signature() {
    let directory = tempfile::tempdir().unwrap();
    let made_here = amd64(&["a"]);
    let root = root_of(&made_here);
    let mut plain = Vec::new();
    for signed in [false, true] {
        for to in oci(&directory.path().join(signed.to_string())) {
            std::fs::create_dir_all(to.path().parent().unwrap()).unwrap();
            write(&to, &made_here, "1").unwrap();
            let sig = classic(root.digest(), "sig", "s");
            if signed {
                put(&to, &root, std::slice::from_ref(&sig));
            }
            write(&to, &made(&["b"], "linux/arm64", Codec::Gzip), "1").unwrap();
            let index = super::root(source(to.path()).as_ref(), Some("1")).unwrap();
            // That it is signed is not written into the index.
            plain.push(index.digest().to_string());
            if signed {
                assert_eq!(attached(&to, &root), expected(&[&sig]));
                // The index is signed, too, and rebuilt as it was.
                put(
                    &to,
                    &index,
                    &[classic(index.digest(), "sig", "of the index")],
                );
                let before = bytes_of(&to);
                write(&to, &made_here, "1").unwrap();
                assert!(bytes_of(&to) == before);
                // Another image takes away the signature of the index and that of the old image.
                write(&to, &amd64(&["new"]), "1").unwrap();
                assert_eq!(attached(&to, &root), []);
                assert_eq!(attached(&to, &index), []);
                assert_eq!(entries(&to).len(), 1);
            }
        }
    }
    assert!(plain.iter().all(|digest| *digest == plain[0]));
}

#[test]
fn signatures_as_cosign_save_writes_them_are_of_the_image_of_the_layout() {
    let directory = tempfile::tempdir().unwrap();
    let [to, _] = oci(directory.path());
    let made_here = amd64(&["a"]);
    let root = root_of(&made_here);
    write(&to, &made_here, "1").unwrap();
    let sig = classic(root.digest(), "sig", "s");
    put(&to, &root, std::slice::from_ref(&sig));
    rewrite(&to, |entries| {
        for entry in entries {
            let annotations = entry["annotations"].as_object_mut().unwrap();
            annotations.remove(ANNOTATION_REF_NAME).unwrap();
        }
    });
    assert_eq!(attached(&to, &root), expected(&[&sig]));
    let store = source(to.path());
    assert_eq!(
        super::root(store.as_ref(), None).unwrap().digest(),
        root.digest()
    );
    // Beside another image it is still clear what they are of.
    write(&to, &amd64(&["b"]), "2").unwrap();
    let mut new = classic(root.digest(), "sig", "new");
    new.instead = vec![sig.entry.root.digest().clone()];
    put(&to, &root, std::slice::from_ref(&new));
    assert_eq!(attached(&to, &root), expected(&[&new]));
    assert_eq!(entries(&to)[1].0, attached_tag(root.digest(), "sig"));
    assert_valid(to.path());
}

#[test]
fn other_annotations_and_unknown_members_of_the_image_stay() {
    let directory = tempfile::tempdir().unwrap();
    let [to, _] = oci(directory.path());
    let made_here = amd64(&["a"]);
    let root = root_of(&made_here);
    write(&to, &made_here, "1").unwrap();
    rewrite(&to, |entries| {
        entries[0]["annotations"]["io.example"] = json!("kept");
        entries[0]["future"] = json!("kept");
    });
    put(&to, &root, &[bundle(&root, "b")]);
    let index: Value =
        serde_json::from_slice(&std::fs::read(to.path().join("index.json")).unwrap()).unwrap();
    let entry = &index["manifests"][0];
    assert_eq!(entry["future"], "kept");
    assert_eq!(entry["annotations"]["io.example"], "kept");
    assert_eq!(entry["annotations"][ANNOTATION_REF_NAME], "1");
    assert_eq!(
        entry["annotations"]["kind"],
        "dev.cosignproject.cosign/image"
    );
}

#[test]
fn what_a_person_has_tagged_stays_though_its_subject_goes() {
    let directory = tempfile::tempdir().unwrap();
    let [to, _] = oci(directory.path());
    let made_here = amd64(&["a"]);
    let root = root_of(&made_here);
    write(&to, &made_here, "1").unwrap();
    put(&to, &root, &[bundle(&root, "b")]);
    rewrite(&to, |entries| {
        entries[1]["annotations"] = json!({ ANNOTATION_REF_NAME: "mine" });
    });
    assert_eq!(attached(&to, &root).len(), 1);
    assert_eq!(tags(source(to.path()).as_ref()).unwrap(), ["1", "mine"]);
    remove_tags(to.path(), &["1".to_owned()]).unwrap();
    assert_eq!(tags(source(to.path()).as_ref()).unwrap(), ["mine"]);
}

#[test]
fn nothing_attached_goes_while_an_index_that_stays_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let [to, _] = oci(directory.path());
    let index = attested_index(&[("linux/arm64", "arm"), ("linux/amd64", "intel")]);
    index.commit(&to, "all", How::Replace).unwrap();
    let nested = images(source(to.path()).as_ref(), Some("all")).unwrap()[0]
        .0
        .clone();
    rewrite(&to, |entries| {
        let mut again = json!(nested);
        again["annotations"] = json!({ ANNOTATION_REF_NAME: "one" });
        entries.push(again);
    });
    let sig = classic(nested.digest(), "sig", "s");
    put(&to, &nested, std::slice::from_ref(&sig));
    let blob = to
        .path()
        .join("blobs/sha256")
        .join(index.entry.root.digest().digest());
    let bytes = std::fs::read(&blob).unwrap();
    std::fs::write(&blob, "damaged").unwrap();
    let removed = remove_tags(to.path(), &["one".to_owned()]).unwrap();
    assert_eq!((removed.entries, removed.blobs), (1, 0));
    let said = source(to.path())
        .attached(nested.digest())
        .unwrap_err()
        .to_string();
    assert!(said.contains("damaged"), "{said}");
    std::fs::write(&blob, bytes).unwrap();
    assert_eq!(attached(&to, &nested), expected(&[&sig]));
}

#[test]
fn a_manifest_that_is_not_there_is_attached_to_nothing_and_hides_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let [to, _] = oci(directory.path());
    let made_here = amd64(&["a"]);
    let root = root_of(&made_here);
    write(&to, &made_here, "1").unwrap();
    let (one, missing) = (bundle(&root, "b"), bundle(&root, "missing"));
    put(&to, &root, &[one.clone(), missing.clone()]);
    let blobs = to.path().join("blobs/sha256");
    std::fs::remove_file(blobs.join(missing.entry.root.digest().digest())).unwrap();
    assert_eq!(attached(&to, &root), expected(&[&one]));
}

#[test]
fn circles_and_crowds_end() {
    let directory = tempfile::tempdir().unwrap();
    let [to, _] = oci(directory.path());
    let made_here = amd64(&["a"]);
    let root = root_of(&made_here);
    write(&to, &made_here, "1").unwrap();
    let (a, b) = (root_of(&amd64(&["x"])), root_of(&amd64(&["y"])));
    let manifest = |of: &Descriptor, tag: String| {
        json!({
            "mediaType": MANIFEST, "digest": of.digest().to_string(), "size": of.size(),
            "annotations": { ANNOTATION_REF_NAME: tag },
        })
    };
    rewrite(&to, |entries| {
        // Each is attached to the other, and one to itself.
        entries.push(manifest(&a, attached_tag(b.digest(), "sig")));
        entries.push(manifest(&b, attached_tag(a.digest(), "sig")));
        entries.push(manifest(&a, attached_tag(a.digest(), "att")));
        for _ in 0..3000 {
            entries.push(manifest(&b, attached_tag(root.digest(), "sig")));
        }
    });
    assert_eq!(attached(&to, &root).len(), 1);
    assert_eq!(attached(&to, &a).len(), 1);
    let mut sig = classic(root.digest(), "sig", "s");
    sig.instead = vec![b.digest().clone()];
    put(&to, &root, std::slice::from_ref(&sig));
    assert_eq!(attached(&to, &root), expected(&[&sig]));
    assert_eq!(entries(&to).len(), 5);
    let before = bytes_of(&to);
    put(&to, &root, &[sig]);
    assert!(bytes_of(&to) == before);
    remove_tags(to.path(), &["1".to_owned()]).unwrap();
    assert_eq!(entries(&to).len(), 3);

    rewrite(&to, |entries| {
        *entries = vec![manifest(&root, "1".to_owned()); 10_001];
    });
    std::fs::write(
        to.path().join("blobs/sha256").join(root.digest().digest()),
        &made_here.image.manifest,
    )
    .unwrap();
    let said = message(source(to.path()).attached(root.digest()));
    assert!(said.contains("too many manifests"), "{said}");
}

#[test]
fn many_threads_attach_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let made = amd64(&["a"]);
    let root = root_of(&made);
    for to in oci(directory.path()) {
        write(&to, &made, "1").unwrap();
        std::thread::scope(|scope| {
            for number in 0..6 {
                let (to, root) = (&to, &root);
                scope.spawn(move || put(to, root, &[bundle(root, &number.to_string())]));
            }
        });
        assert_eq!(attached(&to, &root).len(), 6);
        assert_valid(to.path());
    }
    assert_no_litter(directory.path());
}

#[test]
fn an_attachment_is_written_whole_or_not_at_all() {
    use crate::store::steps::fail_at;
    let directory = tempfile::tempdir().unwrap();
    let made = amd64(&["a"]);
    let root = root_of(&made);
    for to in oci(directory.path()) {
        write(&to, &made, "1").unwrap();
        let before = (bytes_of(&to), files(directory.path()));
        let point = match to.form() {
            Form::Layout => "blobs",
            _ => "written",
        };
        let all = [classic(root.digest(), "sig", "s")];
        fail_at(Some(point));
        let result = attach(to.path(), root.digest(), &all, &[]);
        fail_at(None);
        assert!(message(result).contains("disk is full"));
        assert!((bytes_of(&to), files(directory.path())) == before);
        put(&to, &root, &all);
        assert_valid(to.path());
        std::fs::remove_dir_all(to.path())
            .or_else(|_| std::fs::remove_file(to.path()))
            .unwrap();
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    /// Whatever is built, signed and removed in whatever order: what is attached is what was
    /// attached to the images that are there.
    #[test]
    fn what_is_attached_follows_its_image(steps in proptest::collection::vec((0..4_u8, 0..3_usize, 0..2_usize), 1..16)) {
        let directory = tempfile::tempdir().unwrap();
        let images = [amd64(&["a"]), amd64(&["b"]), made(&["c"], "linux/arm64", Codec::Gzip)];
        let roots = [0, 1, 2].map(|at| root_of(&images[at]));
        for to in oci(directory.path()) {
            write(&to, &amd64(&["stays"]), "stays").unwrap();
            let mut there: BTreeMap<String, usize> = BTreeMap::new();
            let mut signed: BTreeMap<usize, BTreeSet<(Link, String)>> = BTreeMap::new();
            for (step, image, tag) in &steps {
                let (tag, root) = (["1", "2"][*tag].to_owned(), &roots[*image]);
                let is_there = there.values().any(|there| there == image);
                match step {
                    0 => {
                        Whole::of(&images[*image]).commit(&to, &tag, How::Replace).unwrap();
                        there.insert(tag, *image);
                    }
                    1 if there.remove(&tag).is_some() => {
                        remove_tags(to.path(), &[tag]).unwrap();
                    }
                    2 | 3 if is_there => {
                        let one = match step {
                            2 => classic(root.digest(), "sig", "s"),
                            _ => bundle(root, "b"),
                        };
                        put(&to, root, std::slice::from_ref(&one));
                        let digest = one.entry.root.digest().to_string();
                        signed.entry(*image).or_default().insert((one.link, digest));
                    }
                    _ => {}
                }
                signed.retain(|image, _| there.values().any(|there| there == image));
                for (at, root) in roots.iter().enumerate() {
                    let expected = signed.get(&at).cloned().unwrap_or_default();
                    let found: BTreeSet<_> =
                        attached(&to, root).into_iter().map(|(digest, link)| (link, digest)).collect();
                    proptest::prop_assert_eq!(found, expected);
                }
            }
            assert_valid(to.path());
            let entries = entries(&to).len();
            proptest::prop_assert_eq!(entries, 1 + there.len() + signed.values().map(BTreeSet::len).sum::<usize>());
        }
    }
}

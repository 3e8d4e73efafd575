//! Tags that go.

use super::*;

fn stores(directory: &Path) -> [Destination; 2] {
    [
        Destination::Layout(directory.join("app.oci")),
        Destination::OciArchive(directory.join("app.tar")),
    ]
}

fn remove(to: &Destination, tags: &[&str]) -> Result<Removed, StoreError> {
    let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    remove_tags(to.path(), &tags)
}

#[test]
fn a_tag_goes_with_the_blobs_that_only_it_used() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (amd64(&["libraries", "one"]), amd64(&["libraries", "two"]));
    for to in stores(directory.path()) {
        write(&to, &one, "1").unwrap();
        let before = match to.form() {
            Form::Layout => None,
            _ => Some(std::fs::read(to.path()).unwrap()),
        };
        let files_before = files(directory.path());
        write(&to, &two, "2").unwrap();
        let removed = remove(&to, &["2"]).unwrap();
        let gone = two.image.config.len() + two.image.manifest.len() + two.blobs[1].1.len();
        assert_eq!(
            removed,
            Removed {
                entries: 1,
                blobs: 3,
                bytes: gone as u64
            }
        );
        assert_valid(to.path());
        assert_eq!(tags(source(to.path()).as_ref()).unwrap(), ["1"]);
        // As if it had never been there.
        assert_eq!(files(directory.path()), files_before);
        if let Some(before) = before {
            assert_eq!(std::fs::read(to.path()).unwrap(), before);
        }
    }
    assert_no_litter(directory.path());
}

#[test]
fn a_second_name_of_an_image_goes_alone() {
    let directory = tempfile::tempdir().unwrap();
    for to in stores(directory.path()) {
        write(&to, &amd64(&["a"]), "1").unwrap();
        write(&to, &amd64(&["a"]), "latest").unwrap();
        let removed = remove(&to, &["latest"]).unwrap();
        assert_eq!((removed.entries, removed.blobs, removed.bytes), (1, 0, 0));
        assert_valid(to.path());
        found(to.path(), "1", "linux/amd64").unwrap();
    }
}

#[test]
fn all_platforms_of_a_tag_go_with_it() {
    let directory = tempfile::tempdir().unwrap();
    for to in stores(directory.path()) {
        write(&to, &amd64(&["a"]), "1").unwrap();
        write(&to, &made(&["b"], "linux/arm64", Codec::Gzip), "1").unwrap();
        // The inner index; two manifests, configs, layers.
        assert_eq!(remove(&to, &["1"]).unwrap().blobs, 7);
        assert!(tags(source(to.path()).as_ref()).unwrap().is_empty());
        // And the store takes images again.
        write(&to, &amd64(&["c"]), "2").unwrap();
        assert_valid(to.path());
    }
}

#[test]
fn a_tag_that_is_not_there_is_an_error_and_the_others_stay() {
    let directory = tempfile::tempdir().unwrap();
    for to in stores(directory.path()) {
        write(&to, &amd64(&["a"]), "1").unwrap();
        write(&to, &amd64(&["b"]), "2").unwrap();
        let said = message(remove(&to, &["1", "3"]));
        assert!(
            said.contains("no image tagged \"3\"; tags in it: 1, 2"),
            "{said}"
        );
        assert_eq!(tags(source(to.path()).as_ref()).unwrap(), ["1", "2"]);
        assert_valid(to.path());
    }
}

#[test]
fn nothing_is_garbage_while_an_image_that_stays_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.oci");
    let to = Destination::Layout(path.clone());
    let stays = amd64(&["libraries", "stays"]);
    write(&to, &stays, "1").unwrap();
    write(&to, &amd64(&["libraries", "goes"]), "2").unwrap();
    let manifest = Digest::of(&stays.image.manifest).hex();
    let manifest = path.join("blobs/sha256").join(manifest);
    let bytes = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, "damaged").unwrap();
    let removed = remove(&to, &["2"]).unwrap();
    assert_eq!((removed.entries, removed.blobs), (1, 0));
    std::fs::write(&manifest, bytes).unwrap();
    assert_valid(&path);
}

#[test]
fn what_has_no_tags_to_remove_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("docker.tar");
    write(
        &Destination::DockerArchive(archive.clone()),
        &amd64(&["a"]),
        "a:1",
    )
    .unwrap();
    let said = message(remove_tags(&archive, &["a:1".to_owned()]));
    assert!(said.contains("it is a docker archive"), "{said}");
    let empty = directory.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(message(remove_tags(&empty, &["1".to_owned()])).contains("is no image"));
    let text = directory.path().join("text");
    std::fs::write(&text, "no tar").unwrap();
    assert!(message(remove_tags(&text, &["1".to_owned()])).contains("is no image"));
    let none = directory.path().join("none");
    assert!(message(remove_tags(&none, &["1".to_owned()])).contains("does not exist"));
}

#[test]
fn tags_go_and_come_in_many_threads_and_the_store_stays_whole() {
    let directory = tempfile::tempdir().unwrap();
    for to in stores(directory.path()) {
        for number in 0..6 {
            let image = amd64(&["libraries", &number.to_string()]);
            write(&to, &image, &format!("old{number}")).unwrap();
        }
        std::thread::scope(|scope| {
            for number in 0..6 {
                let to = &to;
                scope.spawn(move || remove(to, &[&format!("old{number}")]).unwrap());
                scope.spawn(move || {
                    let image = amd64(&["libraries", &number.to_string()]);
                    write(to, &image, &format!("new{number}")).unwrap();
                });
            }
        });
        assert_valid(to.path());
        let left = tags(source(to.path()).as_ref()).unwrap();
        assert_eq!(left.len(), 6);
        assert!(left.iter().all(|tag| tag.starts_with("new")));
        assert_no_litter(directory.path());
    }
}

//! What the one refuses the other refuses too, and we say why.

use std::fs;
use std::path::{Path, PathBuf};

use crate::image::sha256;
use crate::tools::{Outcome, optional, run};
use crate::workshop::assert_tells;

use super::bench::{Bench, Form, Key, Line, copy_directory};

/// Checks that both lines of cosign refuse `image`.
#[track_caller]
fn assert_refused_by_cosign(bench: &Bench, key: &Key, form: Form, image: &str, more: &[&str]) {
    for line in Line::ALL {
        // cosign 2 reads no bundle from a layout.
        if form == Form::Bundle && line == Line::Two && !more.is_empty() {
            continue;
        }
        let outcome = bench.cosign_verify(line, key, form, image, more);
        assert!(!outcome.status.success(), "{outcome}");
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn an_unsigned_image_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let name = bench.push("unsigned");
    for form in Form::ALL {
        assert_refused_by_cosign(&bench, &key, form, &name, &[]);
    }
    for image in [&name[..], "app.oci"] {
        let message = bench.verify(&key, image, &[]).exited_with(1);
        assert_tells(&message, &["distrobuild sign"]);
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_signature_by_another_key_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let others = [
        bench.cosign_key(Line::Three, "ecdsa-p256"),
        bench.key("ecdsa-p384"),
        bench.key("ed25519"),
    ];
    for form in Form::ALL {
        let name = bench.push(&format!("other-key-{}", form.name()));
        bench.sign(&key, form, &name, &[]);
        for other in &others {
            bench.verify(other, &name, &[]).exited_with(1);
            assert_refused_by_cosign(&bench, other, form, &name, &[]);
        }
        // A private key where the public one is wanted is told of.
        let message = bench.ours(&["verify", "--key", &key.private, &name]);
        assert_tells(&message.exited_with(1), &["public-key"]);
    }
}

/// A signature lies beside another image: it is by the key, and says another digest.
#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_signature_of_another_image_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let signed = bench.push("moved");
    bench
        .ours(&["sign", "--key", &key.private, &signed])
        .output();
    let source = "int main(void) { return 7; }\n";
    let app = bench.workshop.compile("gcc", source, "other", &["-static"]);
    let other = bench.workshop.build(app, "other.oci", &[]);
    let name = bench.registry.name("moved");
    bench
        .ours(&["push", &other.reference(), &format!("{name}:2")])
        .output();
    let unsigned = format!("{name}@{}", other.digest());
    // The registry has no referrers API: both forms are found by tags, which anyone may set.
    for suffix in [".sig", ""] {
        let tag = |digest: String| format!("{name}:{}{suffix}", digest.replace(':', "-"));
        let Some(mut crane) = optional("crane") else {
            return;
        };
        bench.registry.known_to(&mut crane, &bench.workshop);
        let (from, to) = (tag(bench.image.digest()), tag(other.digest()));
        run(crane.args(["copy", &from, &to])).output();
        let message = bench.verify(&key, &unsigned, &[]).exited_with(1);
        assert_tells(&message, &[&bench.image.digest()]);
        let form = match suffix {
            "" => Form::Bundle,
            _ => Form::Classic,
        };
        assert_refused_by_cosign(&bench, &key, form, &unsigned, &[]);
    }
}

/// A layout that was signed, of which a test spoils copies.
struct Spoiled<'a> {
    bench: &'a Bench,
    key: Key,
    layout: PathBuf,
}

impl<'a> Spoiled<'a> {
    fn new(bench: &'a Bench, form: Form) -> Self {
        let key = bench.key("ecdsa-p256");
        let layout = bench.workshop.path("app.oci");
        bench.sign(&key, form, "app.oci", &[]);
        bench.verify(&key, "app.oci", &[]).output();
        Self { bench, key, layout }
    }

    /// A fresh copy.
    fn copy(&self) -> PathBuf {
        let copy = self.bench.workshop.path("spoiled.oci");
        if copy.exists() {
            fs::remove_dir_all(&copy).unwrap();
        }
        copy_directory(&self.layout, &copy);
        copy
    }

    /// The blobs that hold `text`.
    fn blobs(&self, text: &str) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = fs::read_dir(self.layout.join("blobs/sha256"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| holds(&fs::read(path).unwrap(), text.as_bytes()))
            .collect();
        found.sort();
        found
    }

    #[track_caller]
    fn verify(&self) -> Outcome {
        self.bench.verify(&self.key, "spoiled.oci", &[])
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// Gives every changed blob its digest as its name and puts that where it is named, up to the
/// index: what an attacker does who can write the store.
fn address_anew(layout: &Path) {
    let directory = layout.join("blobs/sha256");
    loop {
        let names: Vec<String> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let changed = names.iter().find_map(|name| {
            let now = sha256(&directory.join(name)).replace("sha256:", "");
            (now != *name).then_some((name, now))
        });
        let Some((old, new)) = changed else { return };
        fs::rename(directory.join(old), directory.join(&new)).unwrap();
        let mut documents = vec![layout.join("index.json")];
        documents.extend(
            fs::read_dir(&directory)
                .unwrap()
                .map(|entry| entry.unwrap().path()),
        );
        for path in documents {
            // What is no text is a layer.
            let Ok(text) = String::from_utf8(fs::read(&path).unwrap()) else {
                continue;
            };
            // Not in what is signed: that would be a signature of the new digest.
            if text.contains("\"critical\"") || !text.contains(old.as_str()) {
                continue;
            }
            fs::write(
                &path,
                text.replace(&format!("sha256:{old}"), &format!("sha256:{new}")),
            )
            .unwrap();
        }
    }
}

/// One bit of the byte that is `offset` behind the first place of `text` in the file.
fn flip(path: &Path, text: &str, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes())
        .unwrap();
    bytes[at + offset] ^= 0x02;
    fs::write(path, bytes).unwrap();
}

/// Flips a bit at each of these places in a layout that is signed in one form: with digests as
/// they were nobody may believe the blob, with digests that fit the signature does not.
#[track_caller]
fn assert_flips_are_refused(bench: &Bench, form: Form, places: &[(&str, usize)]) {
    let spoiled = Spoiled::new(bench, form);
    for &(text, offset) in places {
        let blobs = spoiled.blobs(text);
        assert!(!blobs.is_empty(), "nothing has {text}");
        for blob in blobs {
            for is_addressed_anew in [false, true] {
                let copy = spoiled.copy();
                let name = blob.file_name().unwrap();
                flip(&copy.join("blobs/sha256").join(name), text, offset);
                if is_addressed_anew {
                    address_anew(&copy);
                }
                spoiled.verify().exited_with(1);
                if is_addressed_anew {
                    let more = ["--local-image"];
                    assert_refused_by_cosign(bench, &spoiled.key, form, "spoiled.oci", &more);
                }
            }
        }
    }
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_changed_bit_in_a_classic_signature_is_refused_by_both() {
    let Some(bench) = Bench::new() else { return };
    let digest = bench.image.digest();
    let places = [
        // The payload, at its type and at the digest.
        ("cosign container image signature", 8),
        (digest.trim_start_matches("sha256:"), 20),
        // The signature.
        ("cosign/signature\":\"ME", 40),
        // The image's manifest, and its config.
        ("application/vnd.oci.image.layer", 20),
        ("65532", 2),
    ];
    assert_flips_are_refused(&bench, Form::Classic, &places);
}

#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_changed_bit_in_a_bundle_is_refused_by_both() {
    let Some(bench) = Bench::new() else { return };
    let places = [
        // The bundle: what is signed, its type, the signature.
        ("\"payload\":\"eyJ", 100),
        ("\"payloadType\":\"application", 25),
        ("\"sig\":\"ME", 30),
        // What it is, in itself and in the manifest that has it.
        ("{\"mediaType\":\"application/vnd.dev.sigstore.bundle", 40),
        // The image's manifest, and its config.
        ("application/vnd.oci.image.layer", 20),
        ("65532", 2),
    ];
    assert_flips_are_refused(&bench, Form::Bundle, &places);
}

/// cosign does not look at the layers of a layout.
#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_changed_layer_is_refused_by_distrobuild_alone() {
    let Some(bench) = Bench::new() else { return };
    for form in Form::ALL {
        let layout = format!("layer-{}.oci", form.name());
        copy_directory(&bench.image.layout, &bench.workshop.path(&layout));
        let key = match form {
            Form::Classic => bench.key("ecdsa-p256"),
            Form::Bundle => bench.key("ed25519"),
        };
        bench.sign(&key, form, &layout, &[]);
        let layers = bench.image.layers();
        let layer = layers[0].replace(':', "/");
        let layer = bench.workshop.path(&layout).join("blobs").join(layer);
        let mut bytes = fs::read(&layer).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&layer, bytes).unwrap();
        let message = bench.verify(&key, &layout, &[]).exited_with(1);
        assert_tells(&message, &[&layers[0]]);
        bench
            .cosign_verify(Line::Three, &key, form, &layout, &["--local-image"])
            .output();
    }
}

/// What a registry serves is compared with the digests too.
#[test]
#[ignore = "needs the tools that .ci/install brings"]
fn a_layer_that_a_registry_changed_is_told_unless_layers_are_left_out() {
    let Some(bench) = Bench::new() else { return };
    let key = bench.key("ecdsa-p256");
    let name = bench.push("changed");
    bench.ours(&["sign", "--key", &key.private, &name]).output();
    bench.verify(&key, &name, &[]).output();
    let layer = bench.image.layers()[0].replace("sha256:", "");
    let (prefix, _) = layer.split_at(2);
    let data = bench
        .workshop
        .path("registry/data/docker/registry/v2/blobs/sha256");
    let data = data.join(prefix).join(&layer).join("data");
    let mut bytes = fs::read(&data).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&data, bytes).unwrap();
    let message = bench.verify(&key, &name, &[]).exited_with(1);
    assert_tells(&message, &[&layer]);
    bench.verify(&key, &name, &["--no-layers"]).output();
}

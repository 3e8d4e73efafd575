//! `distrobuild verify` and `verify-attestation`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use oci_spec::image::Descriptor;
use serde_json::Value;

use super::args::{VerifyArguments, VerifyAttestationArguments};
use super::images::{Images, Opened};
use super::terminal::Terminal;
use super::{keys, sign as signing, transfers};
use crate::sign::key::PublicKey;
use crate::sign::{self, Check, Checked, Reach, SignError};
use crate::store::{self, Location, StoreError};
use crate::transfer::Quiet;

/// Verifies an image's signatures, and prints what they say.
pub(super) fn run(arguments: &VerifyArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let verifying = &arguments.verifying;
    let key = keys::of_verifier(&verifying.key)?;
    let images = Images::new(&verifying.registry, &[&verifying.image])?;
    let opened = images.open(&verifying.image)?;
    let root = transfers::chosen(&opened, verifying.platform.as_ref())?.root;
    has_room(&opened)?;
    let annotations = signing::annotations(&arguments.annotations)?;
    let check = Check {
        key: &key,
        annotations: &annotations,
        predicate_type: None,
        now: now(),
    };
    let name = signing::called(&opened, &root);
    let checked = sign::signatures(&*opened.source, &root, &name, &check)?;
    let content = content(&opened, &root, verifying.no_layers, terminal)?;
    let count = checked.verified.len();
    tell("signature", count, &checked, &key, &root, content, terminal);
    let claims: Vec<&Value> = checked.verified.iter().map(|it| &it.claims).collect();
    terminal.result(&format!("{}\n", serde_json::to_string(&claims)?))?;
    Ok(ExitCode::SUCCESS)
}

/// Verifies what is attested of an image, and prints it: an envelope a line, as cosign does.
pub(super) fn attestation(
    arguments: &VerifyAttestationArguments,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    let verifying = &arguments.verifying;
    let key = keys::of_verifier(&verifying.key)?;
    let images = Images::new(&verifying.registry, &[&verifying.image])?;
    let opened = images.open(&verifying.image)?;
    let root = transfers::chosen(&opened, verifying.platform.as_ref())?.root;
    has_room(&opened)?;
    let none = BTreeMap::new();
    let check = Check {
        key: &key,
        annotations: &none,
        predicate_type: Some(arguments.kind.uri()),
        now: now(),
    };
    let checked = sign::attestations(&*opened.source, &root, &check)?;
    let content = content(&opened, &root, verifying.no_layers, terminal)?;
    // Both forms of one attestation hold the same envelope.
    let mut lines: Vec<String> = Vec::new();
    for verified in &checked.verified {
        let envelope = verified.envelope.iter();
        for line in envelope.map(|it| String::from_utf8_lossy(&it.to_json()).into_owned()) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    let count = lines.len();
    tell(
        "attestation",
        count,
        &checked,
        &key,
        &root,
        content,
        terminal,
    );
    terminal.result(
        &lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses a store that has no room for what is looked for: to sign the image there is no advice.
fn has_room(opened: &Opened) -> anyhow::Result<()> {
    if let Location::Disk(reference) = &opened.location {
        store::has_room(&reference.path)?;
    }
    Ok(())
}

/// Checks the image itself down to the last layer, for a signature covers its digest alone, and on
/// disk all that is attached to it. Says what was checked.
fn content(
    opened: &Opened,
    root: &Descriptor,
    no_layers: bool,
    terminal: &Terminal,
) -> anyhow::Result<&'static str> {
    let is_on_disk = matches!(opened.location, Location::Disk(_));
    let reach = match no_layers && !is_on_disk {
        true => Reach::Documents,
        false => Reach::Layers,
    };
    let source = &*opened.source;
    let moving = transfers::Moving::new("check", terminal);
    terminal.timed("content", || -> anyhow::Result<()> {
        sign::intact(source, root, reach, &moving)?;
        // What refers to an image of a registry may be anybody's, and of any size.
        if is_on_disk {
            for attached in source.attached(root.digest())? {
                let manifest = &attached.manifest;
                if !store::is_manifest(manifest.media_type()) {
                    continue;
                }
                match sign::intact(source, manifest, reach, &Quiet) {
                    // A list of referrers may name what was removed meanwhile.
                    Err(SignError::Store(StoreError::MissingBlob { digest, .. }))
                        if digest == manifest.digest().to_string() => {}
                    done => done?,
                }
            }
        }
        Ok(())
    })?;
    Ok(match reach {
        Reach::Layers => "every blob has its digest",
        Reach::Documents => {
            "manifests and configs have their digests; layers are checked by whoever pulls them"
        }
    })
}

/// Says what holds, and what does not.
fn tell(
    what: &str,
    count: usize,
    checked: &Checked,
    key: &PublicKey,
    root: &Descriptor,
    content: &str,
    terminal: &Terminal,
) {
    let plural = if count == 1 { "" } else { "s" };
    let by = format!("{} key {}", key.algorithm(), key.hint());
    terminal.fact(
        "verified",
        &format!("{count} {what}{plural} of {} by {by}", root.digest()),
    );
    terminal.fact("content", content);
    let has_entries = checked.verified.iter().any(|it| it.has_log_entries);
    terminal.fact(
        "log",
        match has_entries {
            true => "not looked at: there are entries of a transparency log, and the key alone was checked",
            false => "none: the key alone vouches",
        },
    );
    for refused in &checked.refused {
        terminal.detail(&format!("passed over {}: {}", refused.found, refused.why));
    }
}

fn now() -> i64 {
    i64::try_from(signing::now()).unwrap_or(i64::MAX)
}

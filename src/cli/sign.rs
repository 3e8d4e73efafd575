//! `distrobuild sign` and `attest`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use oci_spec::image::Descriptor;

use super::args::{AttestArguments, SignArguments, SignatureForm};
use super::images::{Images, Opened};
use super::terminal::Terminal;
use super::{Usage, keys, transfers};
use crate::image::rfc3339;
use crate::registry::Reference;
use crate::sign::key::PrivateKey;
use crate::sign::{self, Attest, Form, Forms, Made, Sign};
use crate::store::{self, Location, Source};
use crate::transfer::{self, Home};

/// The largest predicate that is attested, in bytes.
const LARGEST_PREDICATE: u64 = 16 << 20;

/// Signs an image, and prints the name by which it is signed.
pub(super) fn run(arguments: &SignArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let images = Images::new(&arguments.registry, &[&arguments.image])?;
    let opened = images.open(&arguments.image)?;
    let home = home(&opened, &images)?;
    let root = transfers::chosen(&opened, arguments.platform.as_ref())?.root;
    let mut subjects = vec![root.clone()];
    if arguments.recursive && store::is_index(root.media_type()) {
        let manifests = store::manifests(&*opened.source, &root)?;
        subjects.extend(manifests.into_iter().map(|(manifest, _)| manifest));
    }
    let key = keys::private(&arguments.key, terminal)?;
    handle_signals(terminal);
    let annotations: BTreeMap<String, String> = arguments.annotations.iter().cloned().collect();
    let identity = match &arguments.identity {
        Some(identity) => identity.clone(),
        None => identity(&opened.location),
    };
    let signer = Signer {
        key: &key,
        identities: vec![identity],
        annotations: &annotations,
        forms: forms(arguments.form),
    };
    for subject in &subjects {
        let name = pinned(&opened, subject);
        signer.sign(&*opened.source, subject, home, &name, terminal)?;
    }
    tell_log(terminal);
    terminal.result(&format!("{}\n", pinned(&opened, &root)))?;
    Ok(ExitCode::SUCCESS)
}

/// Attests something of an image, and prints the name of the image that it is attested of.
pub(super) fn attest(arguments: &AttestArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let images = Images::new(&arguments.registry, &[&arguments.image])?;
    let opened = images.open(&arguments.image)?;
    let home = home(&opened, &images)?;
    let root = transfers::chosen(&opened, arguments.platform.as_ref())?.root;
    let file = predicate(&arguments.predicate)?;
    let created = rfc3339(now());
    let kind = &arguments.kind;
    let predicate = kind
        .predicate(&file, &created)
        .with_context(|| format!("{} cannot be attested", arguments.predicate.display()))?;
    let key = keys::private(&arguments.key, terminal)?;
    handle_signals(terminal);
    let identity = identity(&opened.location);
    let says = Attest {
        identity: &identity,
        predicate_type: kind.uri(),
        predicate: &predicate,
        replace: arguments.replace,
    };
    let forms = forms(arguments.form);
    let turn = turn(home)?;
    let source = turn.as_ref().map_or(&*opened.source, |turn| &*turn.source);
    let made = sign::attestation(source, &root, &key, &says, forms)?;
    let left = transfer::attach(home, &root, &made.attachments, &made.replaced)?;
    drop(turn);
    for left in left {
        let why = crate::registry::harmless(&left.why.to_string());
        terminal.warn(&format!(
            "the former attestation {} could not be removed, and is still verified: {why}",
            left.digest
        ));
    }
    let name = pinned(&opened, &root);
    tell("attested", &made, &key, &name, terminal);
    terminal.fact("type", kind.uri());
    tell_log(terminal);
    terminal.result(&format!("{name}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// After a password was asked for, which handles signals by itself.
fn handle_signals(terminal: &Terminal) {
    if let Err(error) = store::install() {
        terminal.warn(&format!(
            "signals cannot be handled ({error}): stopping this may leave temporary files"
        ));
    }
}

/// How images are signed.
pub(super) struct Signer<'a> {
    /// Who signs.
    pub(super) key: &'a PrivateKey,
    /// What the image is called; each is signed.
    pub(super) identities: Vec<String>,
    /// What is said beside.
    pub(super) annotations: &'a BTreeMap<String, String>,
    /// The forms.
    pub(super) forms: Forms,
}

impl Signer<'_> {
    /// Signs one image of `source`, which is at `home` and called `name` in what is said. On disk
    /// it is opened anew for each identity, to see what others signed meanwhile.
    pub(super) fn sign(
        &self,
        source: &dyn Source,
        image: &Descriptor,
        home: Home<'_>,
        name: &str,
        terminal: &Terminal,
    ) -> anyhow::Result<()> {
        for identity in &self.identities {
            let says = Sign {
                identity,
                annotations: self.annotations,
            };
            let turn = turn(home)?;
            let source = turn.as_ref().map_or(source, |turn| &*turn.source);
            let made = sign::signature(source, image, self.key, &says, self.forms)?;
            transfer::attach(home, image, &made.attachments, &made.replaced)?;
            tell("signed", &made, self.key, name, terminal);
        }
        Ok(())
    }
}

/// The turn at an image on disk. A registry has no such thing.
fn turn(home: Home<'_>) -> anyhow::Result<Option<store::Turn>> {
    match home {
        Home::Disk(path) => Ok(Some(store::turn(path)?)),
        Home::Registry { .. } => Ok(None),
    }
}

/// Says what was made, and what was there.
fn tell(verb: &str, made: &Made, key: &PrivateKey, name: &str, terminal: &Terminal) {
    let public = key.public();
    let by = format!("{} key {}", public.algorithm(), public.hint());
    if made.attachments.is_empty() {
        terminal.fact("unchanged", &format!("{name} has it already, by {by}"));
        return;
    }
    terminal.fact(verb, &format!("{name} by {by}"));
    if !made.present.is_empty() {
        let forms: Vec<String> = made.present.iter().map(Form::to_string).collect();
        terminal.detail(&format!("was there already: {}", forms.join(", ")));
    }
}

/// Says what was not done.
pub(super) fn tell_log(terminal: &Terminal) {
    terminal.fact(
        "log",
        "none: the key alone vouches, and no transparency log was told",
    );
}

/// The forms that an option names.
pub(super) fn forms(form: SignatureForm) -> Forms {
    match form {
        SignatureForm::Both => Forms::Both,
        SignatureForm::Classic => Forms::One(Form::Classic),
        SignatureForm::Bundle => Forms::One(Form::Bundle),
    }
}

/// Where the image is, for what is attached to it.
fn home<'o>(opened: &'o Opened, images: &'o Images) -> anyhow::Result<Home<'o>> {
    match &opened.location {
        Location::Registry(reference) => Ok(Home::Registry {
            client: images.client(),
            repository: &reference.repository,
        }),
        Location::Disk(reference) => Ok(Home::Disk(&reference.path)),
    }
}

/// What the image is called in a signature: its repository, as cosign has it, or the name of the
/// file or directory that holds it.
fn identity(location: &Location) -> String {
    match location {
        Location::Registry(reference) => of_repository(reference),
        Location::Disk(reference) => of_path(&reference.path),
    }
}

/// What an image of a registry is called in a signature.
pub(super) fn of_repository(reference: &Reference) -> String {
    reference.repository.to_string()
}

/// What an image on disk is called in a signature.
pub(super) fn of_path(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    stem.to_string_lossy().into_owned()
}

/// What an image is called in claims that have no name of their own: as cosign has it, by its
/// repository and digest; on disk as in a signature.
pub(super) fn called(opened: &Opened, image: &Descriptor) -> String {
    match &opened.location {
        Location::Registry(reference) => format!("{}@{}", reference.repository, image.digest()),
        Location::Disk(reference) => of_path(&reference.path),
    }
}

/// The name of an image that stays what it is.
fn pinned(opened: &Opened, image: &Descriptor) -> String {
    match &opened.location {
        Location::Registry(reference) => {
            let pinned = Reference {
                repository: reference.repository.clone(),
                tag: None,
                digest: Some(image.digest().clone()),
            };
            pinned.familiar()
        }
        Location::Disk(_) => format!("{}@{}", opened.name, image.digest()),
    }
}

/// The file that is attested; `-` is stdin.
fn predicate(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let file = std::fs::File::open(path);
        Box::new(file.with_context(|| format!("cannot open the predicate {}", path.display()))?)
    };
    reader
        .by_ref()
        .take(LARGEST_PREDICATE + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read the predicate {}", path.display()))?;
    if bytes.len() as u64 > LARGEST_PREDICATE {
        return Err(Usage(format!(
            "the predicate {} has more than 16 MiB, which no verifier takes",
            path.display()
        ))
        .into());
    }
    Ok(bytes)
}

/// Now, in seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|since| since.as_secs()).unwrap_or_default()
}

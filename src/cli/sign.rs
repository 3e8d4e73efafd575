//! `distrobuild sign` and `attest`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use oci_spec::image::Descriptor;

use super::args::{AttestArguments, SignArguments, SignatureForm, Signing};
use super::images::{Images, Opened};
use super::terminal::Terminal;
use super::{Usage, handle_signals, keys, transfers};
use crate::image::rfc3339;
use crate::registry::Reference;
use crate::sign::key::PrivateKey;
use crate::sign::{self, Attest, Form, Forms, Made, PredicateType, Sign, SignError};
use crate::store::{self, Location, Source, StoreError};
use crate::transfer::{self, Home, Left, TransferError};

/// Signs an image, and prints the name by which it is signed.
pub(super) fn run(arguments: &SignArguments, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let signing = &arguments.signing;
    let annotations = annotations(&arguments.annotations)?;
    let images = Images::new(&signing.registry, &[&signing.image])?;
    let opened = images.open(&signing.image)?;
    let root = transfers::chosen(&opened, signing.platform.as_ref())?.root;
    let home = home(&opened, &images)?;
    let mut subjects = vec![root.clone()];
    if arguments.recursive && store::is_index(root.media_type()) {
        let manifests = store::manifests(&*opened.source, &root)?;
        subjects.extend(manifests.into_iter().map(|(manifest, _)| manifest));
    }
    let key = keys::private(&signing.key, terminal)?;
    // After a password was asked for, which handles signals by itself.
    handle_signals(terminal);
    let identity = identity(signing, &opened.location);
    let signer = Signer {
        key: &key,
        identities: vec![identity],
        annotations: &annotations,
        forms: forms(signing.form),
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
    let signing = &arguments.signing;
    let images = Images::new(&signing.registry, &[&signing.image])?;
    let opened = images.open(&signing.image)?;
    let root = transfers::chosen(&opened, signing.platform.as_ref())?.root;
    let home = home(&opened, &images)?;
    let file = predicate(&arguments.predicate)?;
    let created = rfc3339(now());
    let kind = &arguments.kind;
    let predicate = kind
        .predicate(&file, &created)
        .with_context(|| format!("{} cannot be attested", arguments.predicate.display()))?;
    let key = keys::private(&signing.key, terminal)?;
    handle_signals(terminal);
    let identity = identity(signing, &opened.location);
    let says = Attest {
        identity: &identity,
        predicate_type: kind.uri(),
        predicate: &predicate,
        replace: arguments.replace,
    };
    let forms = forms(signing.form);
    let (made, left) = attached(&*opened.source, &root, home, |source| {
        sign::attestation(source, &root, &key, &says, forms)
    })?;
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

/// The annotations of a command. Of two values for one name neither may be dropped: whoever asks for
/// both is not to hear that all holds.
pub(super) fn annotations(given: &[(String, String)]) -> Result<BTreeMap<String, String>, Usage> {
    let mut annotations = BTreeMap::new();
    for (name, value) in given {
        match annotations.insert(name.clone(), value.clone()) {
            Some(former) if former != *value => {
                return Err(Usage(format!(
                    "--annotation gives {name:?} two values, {former:?} and {value:?}: a signature says one; leave one out"
                )));
            }
            _ => {}
        }
    }
    Ok(annotations)
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
    /// Signs one image of `source`, which is at `home` and called `name` in what is said.
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
            let (made, _) = attached(source, image, home, |source| {
                sign::signature(source, image, self.key, &says, self.forms)
            })?;
            tell("signed", &made, self.key, name, terminal);
        }
        Ok(())
    }
}

/// How often something is made anew because others attach to the same image.
const TRIES: usize = 32;

/// Attaches to `image` of `source`, which is at `home`, what `make` makes of it beside what is
/// there. A store on disk is read anew when others change it meanwhile: an archive is another file
/// then, and of a layout what they replace is removed.
fn attached(
    source: &dyn Source,
    image: &Descriptor,
    home: Home<'_>,
    make: impl Fn(&dyn Source) -> Result<Made, SignError>,
) -> anyhow::Result<(Made, Vec<Left>)> {
    let once = |source: &dyn Source| -> anyhow::Result<(Made, Vec<Left>)> {
        let made = make(source)?;
        let left = transfer::attach(home, image, &made.attachments, &made.replaced)?;
        Ok((made, left))
    };
    let mut done = once(source);
    let Home::Disk(path) = home else {
        return done;
    };
    for _ in 1..TRIES {
        match done {
            Err(error) if is_of_others(&error) => {
                let anew = store::open(&store::Reference {
                    form: None,
                    path: path.to_path_buf(),
                    tag: None,
                })?;
                done = once(&*anew);
            }
            done => return done,
        }
    }
    done
}

/// Whether an error may come of what others attach at the same moment.
fn is_of_others(error: &anyhow::Error) -> bool {
    let replaced = error.downcast_ref::<SignError>();
    let changed = error.downcast_ref::<TransferError>();
    matches!(
        replaced,
        Some(SignError::Store(StoreError::MissingBlob { .. }))
    ) || matches!(
        changed,
        Some(TransferError::Store(StoreError::AttachedMeanwhile { .. }))
    )
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
        // Before a password is asked for.
        Location::Disk(reference) => {
            store::has_room(&reference.path)?;
            Ok(Home::Disk(&reference.path))
        }
    }
}

/// What the image is called in a signature: its repository, as cosign has it, or the name of the
/// file or directory that holds it.
fn identity(signing: &Signing, location: &Location) -> String {
    match (&signing.identity, location) {
        (Some(identity), _) => identity.clone(),
        (None, Location::Registry(reference)) => of_repository(reference),
        (None, Location::Disk(reference)) => of_path(&reference.path),
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
        .take(PredicateType::LARGEST as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read the predicate {}", path.display()))?;
    if bytes.len() > PredicateType::LARGEST {
        return Err(Usage(format!(
            "the predicate {} has more than {} MiB, and verify-attestation reads no more",
            path.display(),
            PredicateType::LARGEST >> 20
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

//! Images as commands name them: on disk or in a registry.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, Digest, ImageIndex, MediaType};

use super::Usage;
use super::args::RegistryArguments;
use crate::image::Platform;
use crate::registry::credentials::{Keychain, Login, Secret};
use crate::registry::{Client, Credentials, Host, Options, Remote};
use crate::store::{self, Attached, Location, Source, StoreError};

/// Opens images; speaks with registries for a command.
pub(super) struct Images {
    client: Arc<Client>,
    credentials: Arc<dyn Credentials>,
}

/// An image that was opened.
pub(super) struct Opened {
    /// What it is called.
    pub(super) name: String,
    /// Where it is.
    pub(super) location: Location,
    /// The store that has it.
    pub(super) source: Box<dyn Source>,
    /// Its tag there; `None` where there is but one.
    pub(super) tag: Option<String>,
}

impl Images {
    /// Reads the password when one is to come from stdin. It is for the registry of the first of
    /// `names` that is in one, and no other is told it.
    pub(super) fn new(arguments: &RegistryArguments, names: &[&str]) -> anyhow::Result<Self> {
        let mut keychain = Keychain::of_environment();
        if let Some(username) = &arguments.username {
            let mut hosts = names.iter().filter_map(|name| host_of(name));
            let host = hosts.next().ok_or_else(|| {
                Usage("--username is for a registry, and none is named".to_owned())
            })?;
            let login = Login::password(username, password_of_stdin()?).map_err(Usage::of)?;
            keychain = keychain.with(host, login);
        }
        let options = Options {
            insecure: arguments.insecure.clone(),
            ca_files: arguments.ca_file.clone(),
            mirrors: arguments.registry_mirror.clone(),
            ..Options::default()
        };
        let credentials: Arc<dyn Credentials> = Arc::new(keychain);
        Ok(Self {
            client: Arc::new(Client::new(options, Arc::clone(&credentials))),
            credentials,
        })
    }

    /// Asks registries the same way, for what is but nice to know: gives up soon.
    pub(super) fn impatient(&self) -> Arc<Client> {
        let options = Options {
            attempts: std::num::NonZeroU32::MIN.saturating_add(1),
            connect: Duration::from_secs(4),
            stall: Duration::from_secs(8),
            ..self.client.options().clone()
        };
        Arc::new(Client::new(options, Arc::clone(&self.credentials)))
    }

    /// Who speaks with registries.
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Opens the image that `name` names. On disk, too, a name may end in a digest, as `sign` prints
    /// it: `app.oci@sha256:…`, `app.oci:v1@sha256:…`.
    pub(super) fn open(&self, name: &str) -> anyhow::Result<Opened> {
        if let Some((place, digest)) = pinned_on_disk(name) {
            let opened = self.open_at(Location::parse(place).map_err(Usage::of)?)?;
            let root = opened.with_digest(&digest)?;
            return Ok(opened.pinned(root));
        }
        let location = Location::parse(name).map_err(Usage::of)?;
        let is_guess = match &location {
            Location::Registry(reference) => {
                reference.repository.host.as_str() == "docker.io" && !name.starts_with("docker")
            }
            Location::Disk(_) => false,
        };
        let full = match &location {
            Location::Registry(reference) => reference.to_string(),
            Location::Disk(_) => String::new(),
        };
        let opened = self.open_at(location);
        match is_guess {
            true => opened
                .with_context(|| format!("there is no file {name} here, so {full} was asked for")),
            false => opened,
        }
    }

    /// Opens the image at `location`.
    pub(super) fn open_at(&self, location: Location) -> anyhow::Result<Opened> {
        let name = location.to_string();
        let (source, tag): (Box<dyn Source>, _) = match &location {
            Location::Disk(reference) => (store::open(reference)?, reference.tag.clone()),
            Location::Registry(reference) => {
                let remote = Remote::open(Arc::clone(&self.client), reference.clone())?;
                (Box::new(remote), None)
            }
        };
        Ok(Opened {
            name,
            location,
            source,
            tag,
        })
    }
}

/// The place and the digest of an image on disk that is named with both.
fn pinned_on_disk(name: &str) -> Option<(&str, Digest)> {
    // Some file may have such a name.
    if let Ok(Location::Disk(reference)) = Location::parse(name)
        && reference.path.symlink_metadata().is_ok()
        && !reference.tag.is_some_and(|tag| tag.contains('@'))
    {
        return None;
    }
    let (place, digest) = name.rsplit_once('@')?;
    let digest = digest.parse().ok()?;
    match Location::parse(place).ok()? {
        Location::Disk(_) => Some((place, digest)),
        Location::Registry(_) => None,
    }
}

/// The registry that an image is in.
fn host_of(name: &str) -> Option<Host> {
    match Location::parse(name).ok()? {
        Location::Registry(reference) => Some(reference.repository.host),
        Location::Disk(_) => None,
    }
}

impl Opened {
    /// What to call it, when `given` is how it was named: a path stays as it was written.
    pub(super) fn shown<'n>(&'n self, given: &'n str) -> &'n str {
        match self.location {
            Location::Disk(_) => given,
            Location::Registry(_) => &self.name,
        }
    }

    /// The manifest or index with this digest, under the tag where one was given; it may be an
    /// image of an index.
    fn with_digest(&self, digest: &Digest) -> anyhow::Result<Descriptor> {
        let source = &*self.source;
        let entries =
            match &self.tag {
                // Some tools write the digest into the tag, too.
                Some(tag) => {
                    let with_digest = format!("{tag}@{digest}");
                    let root = store::root(source, Some(tag));
                    vec![root.or_else(|error| {
                        store::root(source, Some(&with_digest)).map_err(|_| error)
                    })?]
                }
                None => source.index()?.manifests().clone(),
            };
        if let Some(entry) = entries.iter().find(|entry| entry.digest() == digest) {
            return Ok(entry.clone());
        }
        for index in entries.iter().filter(|it| store::is_index(it.media_type())) {
            let mut manifests = store::manifests(source, index)?.into_iter();
            if let Some((manifest, _)) = manifests.find(|(it, _)| it.digest() == digest) {
                return Ok(manifest);
            }
        }
        anyhow::bail!(
            "{} has no image {digest}: `distrobuild inspect {}` shows what it has",
            self.name,
            self.name
        )
    }

    /// The same with nothing but what is at `root`.
    fn pinned(self, mut root: Descriptor) -> Self {
        let tag = self.tag.iter();
        let tag = tag.map(|tag| (ANNOTATION_REF_NAME.to_owned(), tag.clone()));
        root.set_annotations(Some(tag.collect()));
        let store = self.source;
        Self {
            source: Box::new(Pinned { store, root }),
            ..self
        }
    }

    /// The manifest of the one image for `platform`.
    pub(super) fn select(&self, platform: Option<&Platform>) -> anyhow::Result<Descriptor> {
        Ok(store::select(&*self.source, self.tag.as_deref(), platform)?)
    }
}

/// A store on disk of which one image is meant, by its digest.
struct Pinned {
    store: Box<dyn Source>,
    root: Descriptor,
}

impl Source for Pinned {
    fn index(&self) -> Result<ImageIndex, StoreError> {
        let mut index = ImageIndex::default();
        index.set_media_type(Some(MediaType::ImageIndex));
        index.set_manifests(vec![self.root.clone()]);
        Ok(index)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, StoreError> {
        self.store.blob(descriptor)
    }

    fn attached(&self, subject: &Digest) -> Result<Vec<Attached>, StoreError> {
        self.store.attached(subject)
    }

    fn name(&self) -> String {
        self.store.name()
    }
}

/// The longest password that is read, in bytes.
const LONGEST_PASSWORD: u64 = 64 << 10;

/// The first line of stdin.
pub(super) fn password_of_stdin() -> anyhow::Result<Secret> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let mut stdin = std::io::stdin().lock().take(LONGEST_PASSWORD);
    stdin
        .read_to_end(&mut bytes)
        .context("cannot read the password from stdin")?;
    let text = std::str::from_utf8(&bytes).context("the password on stdin is not UTF-8")?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        anyhow::bail!("--password-stdin: there is no password on stdin; pipe it in");
    }
    Ok(Secret::new(line.to_owned()))
}

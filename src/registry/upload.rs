//! Blobs up: those that are there are not sent, those of another repository are mounted
//! (distribution-spec 1.1, "Pushing blobs").

mod sending;
mod session;
mod tape;

use std::collections::HashSet;
use std::io::{self, Read};

use oci_spec::image::Descriptor;
use reqwest::Method;

use super::answer::encoded;
use super::blob::name;
use super::exchange::{Body, Place, Question};
use super::refusal::bad_answer;
use super::{Client, RegistryError, Repository};
use sending::Upload;
use session::Session;
use tape::Tape;

/// The most repositories that are asked for a mount of one blob: each costs a request, and few
/// blobs are in the fifth when they are not in the first four.
const MOST_MOUNTS: usize = 4;

/// How a blob came to be in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// It was there.
    Present,
    /// The registry took it from another repository of its own.
    Mounted,
    /// It was sent.
    Sent,
}

/// What came of the attempts to mount a blob.
enum Mount {
    Mounted,
    /// Not mounted, but a session was opened for it.
    Opened(Session),
    No,
}

impl Client {
    /// Puts a blob into `repository`, unless it is there. Those of `mount_from` that are of the
    /// same registry are asked for it first. `open` gives its content, from the start each time:
    /// it is called again when the connection breaks at a place from which the registry does not
    /// go on by itself, and read on another thread. `progress` is told of bytes that are sent, of
    /// each byte once, however often it is sent.
    ///
    /// # Errors
    /// When the registry refuses it or the connection breaks again and again; when `open` or
    /// what it gave fails, or has another size than the descriptor.
    pub fn upload<'a>(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        mount_from: &[Repository],
        open: &(dyn Fn() -> io::Result<Box<dyn Read + 'a>> + Sync),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Uploaded, RegistryError> {
        if self.has_blob(repository, descriptor)? {
            return Ok(Uploaded::Present);
        }
        let first = match self.mount(repository, descriptor, mount_from)? {
            Mount::Mounted => return Ok(Uploaded::Mounted),
            Mount::Opened(session) => Some(session),
            Mount::No => None,
        };
        let is_named = std::thread::scope(|scope| {
            let tape = Tape::new(scope, open, descriptor.size(), progress);
            Upload::new(self, repository, descriptor, &tape).run(first)
        })?;
        if !is_named {
            self.confirm(repository, descriptor)?;
        }
        Ok(Uploaded::Sent)
    }

    fn mount(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        mount_from: &[Repository],
    ) -> Result<Mount, RegistryError> {
        let mut asked = HashSet::from([&repository.path]);
        let candidates = mount_from
            .iter()
            .filter(|from| from.host == repository.host && asked.insert(&from.path))
            .take(MOST_MOUNTS);
        let mut opened: Option<Session> = None;
        for from in candidates {
            match self.mount_one(repository, descriptor, from) {
                Ok(Mount::No) => {}
                Ok(Mount::Mounted) => {
                    if let Some(session) = opened {
                        session.cancel(self, repository);
                    }
                    return Ok(Mount::Mounted);
                }
                Ok(Mount::Opened(session)) => match &opened {
                    Some(_) => session.cancel(self, repository),
                    None => opened = Some(session),
                },
                Err(error) => {
                    if let Some(session) = opened {
                        session.cancel(self, repository);
                    }
                    return Err(error);
                }
            }
        }
        Ok(opened.map_or(Mount::No, Mount::Opened))
    }

    fn mount_one(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        from: &Repository,
    ) -> Result<Mount, RegistryError> {
        let what = name(repository, descriptor);
        let digest = descriptor.digest();
        let path = format!(
            "blobs/uploads/?mount={}&from={}",
            encoded(digest.as_ref()),
            encoded(&from.path)
        );
        let answer = self.ask(&Question {
            also: Some(from),
            body: Body::Bytes(b""),
            ..Question::writing(Method::POST, repository, Place::Path(&path))
        });
        let answer = match answer {
            Ok(answer) => answer.heard(),
            // Who may not read there can send the blob still.
            Err(RegistryError::Denied { .. } | RegistryError::Unauthorized { .. }) => {
                return Ok(Mount::No);
            }
            Err(error) => return Err(error),
        };
        match answer.status.as_u16() {
            201 if answer.names(digest, &what)? || self.has_blob(repository, descriptor)? => {
                Ok(Mount::Mounted)
            }
            202 => Ok(Session::of(&answer, &what)?.map_or(Mount::No, Mount::Opened)),
            _ => Ok(Mount::No),
        }
    }

    /// Asks whether what was sent is there, more than once: some registries need a moment.
    fn confirm(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<(), RegistryError> {
        let attempts = self.options().attempts.get();
        for attempt in 1..=attempts {
            if self.has_blob(repository, descriptor)? {
                return Ok(());
            }
            if attempt < attempts {
                self.wait(attempt);
            }
        }
        Err(bad_answer(
            &name(repository, descriptor),
            format!(
                "the registry took it, and then does not have it with its {} bytes: try again, and ask its operator when that does not help",
                descriptor.size()
            ),
        ))
    }
}

#[cfg(test)]
mod tests;

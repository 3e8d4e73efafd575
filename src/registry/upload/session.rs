//! What is known of an upload that a registry waits for.

use oci_spec::image::Descriptor;
use reqwest::header::HeaderName;
use reqwest::{Method, Url};

use super::super::answer::{Whole, header, location};
use super::super::exchange::{Place, Question};
use super::super::{Client, RegistryError, Repository};

/// The least size of a part that a registry takes.
const MINIMUM: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// An upload that a registry waits for.
pub(super) struct Session {
    pub(super) url: Url,
    /// Bytes that the registry has.
    pub(super) at: u64,
    /// The least size of a part that the registry takes, in bytes.
    pub(super) minimum: u64,
    /// Whether it was gone on with after something broke.
    pub(super) is_resumed: bool,
    /// Whether it is with the registry itself.
    is_home: bool,
}

impl Session {
    /// The session that an answer (202) opens; `None` when it names none.
    pub(super) fn of(answer: &Whole, what: &str) -> Result<Option<Self>, RegistryError> {
        let Some(url) = location(&answer.headers, &answer.url, what)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            is_home: url.origin() == answer.url.origin(),
            url,
            at: 0,
            minimum: header(&answer.headers, MINIMUM)
                .and_then(|minimum| minimum.parse().ok())
                .unwrap_or(0),
            is_resumed: false,
        }))
    }

    /// Tells the registry not to wait any longer. Whether that worked does not matter: it would
    /// forget the session in the end.
    pub(super) fn cancel(&self, client: &Client, repository: &Repository) {
        if self.is_home {
            let _ = client.ask(&Question {
                repeatable: false,
                ..Question::writing(Method::DELETE, repository, Place::Url(&self.url))
            });
        }
    }

    /// The URL that ends it.
    pub(super) fn last(&self, descriptor: &Descriptor) -> Url {
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("digest", descriptor.digest().as_ref());
        url
    }

    /// Takes over where it goes on.
    pub(super) fn moves(&mut self, answer: &Whole, what: &str) -> Result<(), RegistryError> {
        if let Some(url) = location(&answer.headers, &answer.url, what)? {
            self.url = url;
        }
        Ok(())
    }
}

//! The tags of a repository (distribution-spec 1.1, "Listing Tags").

use std::collections::{BTreeSet, HashSet};

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::exchange::{Place, Question};
use super::link::next_page;
use super::manifest::is_tag;
use super::refusal::bad_answer;
use super::said::{bounded, harmless};
use super::{Client, RegistryError, Repository};

/// The most pages, and the most tags of all of them.
const MOST_PAGES: usize = 10_000;
const MOST_TAGS: usize = 1_000_000;

/// The most bytes of one page: what a registry has that knows no pages.
const LARGEST_PAGE: u64 = 16 << 20;

#[derive(Deserialize)]
struct Page {
    /// `null` is none at all, as registries in Go have it.
    tags: Option<Vec<String>>,
}

impl Client {
    /// The tags of `repository`, sorted, each once.
    ///
    /// # Errors
    /// When the repository is not there or may not be read, or the list makes no sense or does
    /// not end.
    pub fn tags(&self, repository: &Repository) -> Result<Vec<String>, RegistryError> {
        let what = format!("the repository {repository}");
        let mut tags = BTreeSet::new();
        let mut asked: HashSet<String> = HashSet::new();
        let mut next: Option<Url> = None;
        for _ in 0..MOST_PAGES {
            let place = match &next {
                Some(url) => Place::Url(url),
                None => Place::Path("tags/list?n=1000"),
            };
            let question = Question::reading(Method::GET, repository, place);
            let answer = self.ask_whole(&question, LARGEST_PAGE, &what)?;
            if answer.status != StatusCode::OK {
                return Err(answer.refusal(&what));
            }
            let page: Page = serde_json::from_slice(&answer.bytes).map_err(|error| {
                // It quotes what it did not expect, all of it.
                let why = harmless(&error.to_string());
                let problem = format!("what the registry gave is no list of tags: {why}");
                bad_answer(&what, problem)
            })?;
            for tag in page.tags.unwrap_or_default() {
                if !is_tag(&tag) {
                    let shown = bounded(&tag, 100);
                    return Err(bad_answer(
                        &what,
                        format!("{shown:?} in the list is no tag"),
                    ));
                }
                tags.insert(tag);
            }
            if tags.len() > MOST_TAGS {
                return Err(bad_answer(
                    &what,
                    format!("there are more than {MOST_TAGS}"),
                ));
            }
            next = next_page(&answer.headers, &answer.url, &what)?;
            match &next {
                None => return Ok(tags.into_iter().collect()),
                Some(url) if !asked.insert(url.to_string()) => break,
                Some(_) => {}
            }
        }
        Err(bad_answer(
            &what,
            "the list leads from page to page and does not end".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests;

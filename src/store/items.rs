//! The entries of an index while it is edited, with what is attached to what.
//!
//! Something that is attached stands behind what it is attached to (cosign takes the first image
//! and the first signatures of a layout), and goes when that goes.

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, Digest};
use serde_json::{Value, json};

use super::attached::{
    KIND, Link, Tie, Unreadable, is_cosigns, is_kind_of_image, kind_of_image, kind_of_tag, ties,
};
use super::select::{MOST_MANIFESTS, is_index, tag};
use super::{Attachment, Source, StoreError, read_index};

/// The most manifests that all indexes of a store may list for it to be known what is listed.
const MOST_LISTED: usize = 10 * MOST_MANIFESTS;

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) entry: Value,
    /// The same as a type; `None` when it is none.
    pub(super) described: Option<Descriptor>,
    /// What it is attached to, as far as that was asked.
    tie: Option<Tie>,
}

impl Item {
    pub(super) fn of(entry: Value) -> Self {
        Self {
            described: serde_json::from_value(entry.clone()).ok(),
            entry,
            tie: None,
        }
    }

    fn is(&self, digest: &Digest) -> bool {
        let own = self.described.as_ref().map(Descriptor::digest);
        own == Some(digest)
    }

    /// Whether it is there for itself: what refers to another and has a tag that a person gave it
    /// is, too.
    fn is_own(&self) -> bool {
        self.tie.is_none() || self.is_attached_by_subject() && self.tag().is_some()
    }

    fn is_attached_by_subject(&self) -> bool {
        let link = self.tie.as_ref().map(|tie| &tie.link);
        link == Some(&Link::Subject)
    }

    fn tag(&self) -> Option<&str> {
        tag(self.described.as_ref()?)
    }

    pub(super) fn annotate(&mut self, name: &str, value: &str) {
        annotate(&mut self.entry, name, value);
        self.described = serde_json::from_value(self.entry.clone()).ok();
    }

    /// Where it stands among what is attached to the same.
    fn order(&self) -> (Option<Link>, Option<String>, Option<String>) {
        let tie = self.tie.as_ref();
        let digest = self.described.as_ref().map(|d| d.digest().to_string());
        (
            tie.map(|tie| tie.link.clone()),
            tie.map(|tie| tie.subject.to_string()),
            digest,
        )
    }
}

/// What must be said of a manifest. All else differs by where its descriptor comes from: registries
/// list annotations of the manifest and artifact types of their own making.
fn bare(root: &Descriptor) -> Value {
    json!({
        "mediaType": root.media_type(), "digest": root.digest(), "size": root.size(),
    })
}

/// Gives an entry an annotation.
pub(super) fn annotate(entry: &mut Value, name: &str, value: &str) {
    let Some(members) = entry.as_object_mut() else {
        return;
    };
    let annotations = members.entry("annotations").or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(name.to_owned(), json!(value));
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Items(pub(super) Vec<Item>);

impl Items {
    pub(super) fn of(entries: Vec<Value>) -> Self {
        Self(entries.into_iter().map(Item::of).collect())
    }

    pub(super) fn into_entries(self) -> Vec<Value> {
        self.0.into_iter().map(|item| item.entry).collect()
    }

    /// Finds what is attached to what. What is so by being beside the layout's one image, as
    /// `cosign save` writes it, gets its tag: the image may not be the only one for long.
    pub(super) fn tie(&mut self, source: &dyn Source) -> Result<(), StoreError> {
        let described: Vec<_> = self.0.iter().map(|item| item.described.clone()).collect();
        let ties = ties(source, &described, Unreadable::IsAttachedToNothing)?;
        let mut named: BTreeSet<String> = self
            .0
            .iter()
            .filter_map(|item| item.tag().map(str::to_owned))
            .collect();
        for (item, tie) in self.0.iter_mut().zip(ties) {
            if let Some(Link::Tag(tag)) = tie.as_ref().map(|tie| &tie.link)
                && item.tag().is_none()
                && named.insert(tag.clone())
            {
                item.annotate(ANNOTATION_REF_NAME, tag);
            }
            item.tie = tie;
        }
        Ok(())
    }

    /// The kind of image that cosign knows the manifest with this digest as here.
    pub(super) fn kind_of(&self, digest: &Digest) -> Option<String> {
        let mut same = self.0.iter().filter(|item| item.is(digest));
        same.find_map(|item| {
            let described = item.described.as_ref()?;
            let kind = item.entry.get("annotations")?.get(KIND)?.as_str()?;
            is_kind_of_image(described).then(|| kind.to_owned())
        })
    }

    /// Checks that the manifests with these digests are here or in an index that is.
    pub(super) fn check_there<'a>(
        &self,
        source: &dyn Source,
        subjects: impl IntoIterator<Item = &'a Digest>,
    ) -> Result<(), StoreError> {
        let homes = self.homes(source);
        for subject in subjects {
            if !homes.contains_key(subject.as_ref()) {
                return Err(StoreError::NoSuchDigest {
                    store: source.name(),
                    digest: subject.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Puts attachments beside what they are of; what has the tag of one of them, and was seen when
    /// that was made, is left out and given.
    pub(super) fn attach(
        &mut self,
        source: &dyn Source,
        attached: &[Attachment],
    ) -> Result<Vec<Descriptor>, StoreError> {
        let mut gone = Vec::new();
        let mut subjects = BTreeMap::new();
        for one in attached {
            let tie = one.tie(&source.name())?;
            let new = one.entry.root.digest();
            let is_same = |item: &Item| {
                let there = item.tie.as_ref();
                there.is_some_and(|there| there.subject == tie.subject && there.link == tie.link)
            };
            if let Link::Tag(tag) = &tie.link {
                let before = gone.len();
                self.take(&mut gone, |item| is_same(item) && !item.is(new));
                let mut going = gone.iter().skip(before).map(Descriptor::digest);
                if going.any(|digest| !one.instead.contains(digest)) {
                    return Err(StoreError::AttachedMeanwhile {
                        store: source.name(),
                        tag: tag.clone(),
                    });
                }
            }
            let there = self.0.iter().position(|item| is_same(item) && item.is(new));
            let at = there.unwrap_or_else(|| {
                self.0.push(Item {
                    tie: Some(tie.clone()),
                    ..Item::of(bare(&one.entry.root))
                });
                self.0.len() - 1
            });
            let is_beside = |item: &Item| item.is(&tie.subject) && item.is_own();
            let has_entry = self.0.iter().any(is_beside);
            if let Some(item) = self.0.get_mut(at) {
                item.dress(&tie, has_entry);
            }
            subjects.insert(tie.subject.to_string(), tie.subject);
        }
        self.check_there(source, subjects.values())?;
        for subject in subjects.values() {
            let own = |item: &&mut Item| item.is(subject) && item.is_own();
            for item in self.0.iter_mut().filter(own) {
                let kind = item
                    .described
                    .as_ref()
                    .map(|d| kind_of_image(d.media_type()));
                item.annotate(KIND, &kind.unwrap_or_default());
            }
        }
        Ok(gone)
    }

    /// Takes out what is attached to `subject` and has one of these digests.
    pub(super) fn detach(&mut self, subject: &Digest, digests: &[Digest]) -> Vec<Descriptor> {
        let mut gone = Vec::new();
        self.take(&mut gone, |item| {
            let of = item.tie.as_ref().map(|tie| &tie.subject);
            of == Some(subject) && digests.iter().any(|digest| item.is(digest))
        });
        gone
    }

    /// Takes out what is attached to what has gone with `replaced` and is nowhere else.
    pub(super) fn take_orphans(
        &mut self,
        source: &dyn Source,
        replaced: &[Descriptor],
    ) -> Vec<Descriptor> {
        let mut gone = Vec::new();
        let (after, true) = self.reached(source, &[]) else {
            // What cannot be read may list anything.
            return gone;
        };
        let (before, _) = self.reached(source, replaced);
        self.take(&mut gone, |item| {
            let of = item.tie.as_ref().map(|tie| tie.subject.to_string());
            !item.is_own() && of.is_some_and(|of| before.contains(&of) && !after.contains(&of))
        });
        gone
    }

    fn take(&mut self, gone: &mut Vec<Descriptor>, which: impl Fn(&Item) -> bool) {
        self.0.retain(|item| {
            let goes = which(item);
            if goes {
                gone.extend(item.described.clone());
            }
            !goes
        });
    }

    /// The digests of what is there for itself, and of `more`, of what they list, and of what is
    /// attached to any of that; whether all of it could be read.
    fn reached(&self, source: &dyn Source, more: &[Descriptor]) -> (BTreeSet<String>, bool) {
        let mut of: BTreeMap<String, Vec<&Descriptor>> = BTreeMap::new();
        let mut open: Vec<&Descriptor> = more.iter().collect();
        for item in &self.0 {
            let Some(described) = &item.described else {
                continue;
            };
            match item.tie.as_ref().filter(|_| !item.is_own()) {
                Some(tie) => of
                    .entry(tie.subject.to_string())
                    .or_default()
                    .push(described),
                None => open.push(described),
            }
        }
        let mut lister = Lister::new(source);
        let mut found = BTreeSet::new();
        while let Some(described) = open.pop() {
            for digest in lister.new_in(described, &mut found) {
                open.extend(of.remove(&digest).unwrap_or_default());
            }
        }
        (found, lister.is_complete)
    }

    /// By the digest of a manifest the first entry that is it or lists it.
    fn homes(&self, source: &dyn Source) -> BTreeMap<String, usize> {
        let mut lister = Lister::new(source);
        let (mut found, mut homes) = (BTreeSet::new(), BTreeMap::new());
        let (own, others): (Vec<_>, Vec<_>) = self
            .0
            .iter()
            .enumerate()
            .partition(|(_, item)| item.is_own());
        for (at, item) in own.into_iter().chain(others) {
            let Some(described) = &item.described else {
                continue;
            };
            for digest in lister.new_in(described, &mut found) {
                homes.insert(digest, at);
            }
        }
        homes
    }

    /// Puts everything that is attached behind what it is attached to; what is attached to
    /// nothing here comes last.
    pub(super) fn arrange(&mut self, source: &dyn Source) {
        let homes = self.homes(source);
        let mut behind: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for (at, item) in self.0.iter().enumerate() {
            let home = |tie: &Tie| homes.get(tie.subject.as_ref()).filter(|home| **home != at);
            match (item.is_own(), item.tie.as_ref().and_then(home)) {
                (true, _) => first.push(at),
                (false, Some(home)) => behind.entry(*home).or_default().push(at),
                (false, None) => last.push(at),
            }
        }
        let mut items: Vec<Option<Item>> =
            std::mem::take(&mut self.0).into_iter().map(Some).collect();
        let item = |at: usize| items.get(at)?.as_ref();
        let order = |at: &usize| item(*at).map(Item::order);
        last.sort_by_cached_key(order);
        for (home, places) in &mut behind {
            let home = item(*home).and_then(|home| home.described.as_ref());
            // Before what is attached to what an index lists.
            let is_own = |at: &usize| {
                let tie = item(*at).and_then(|item| item.tie.as_ref());
                tie.map(|tie| &tie.subject) == home.map(Descriptor::digest)
            };
            places.sort_by_cached_key(|at| (!is_own(at), order(at)));
        }
        // What is attached in a circle is reached from nothing: all is tried at the end.
        let mut open: Vec<usize> = first
            .into_iter()
            .chain(last)
            .chain(0..items.len())
            .rev()
            .collect();
        while let Some(at) = open.pop() {
            let Some(item) = items.get_mut(at).and_then(Option::take) else {
                continue;
            };
            self.0.push(item);
            open.extend(behind.remove(&at).unwrap_or_default().into_iter().rev());
        }
    }
}

impl Item {
    /// Gives what is attached the names by which it is found.
    fn dress(&mut self, tie: &Tie, has_entry: bool) {
        match &tie.link {
            Link::Tag(tag) => {
                self.annotate(ANNOTATION_REF_NAME, tag);
                // cosign takes the first there are for those of its image: what is attached to an
                // image within an index must not be.
                if let Some(kind) = kind_of_tag(tag).filter(|_| has_entry) {
                    self.annotate(KIND, &kind);
                }
            }
            Link::Subject => {
                let members = self.entry.as_object_mut();
                if let (Some(members), Some(found)) = (members, tie.artifact_type()) {
                    members.entry("artifactType").or_insert(json!(found));
                }
                self.described = serde_json::from_value(self.entry.clone()).ok();
            }
        }
    }
}

/// Takes cosign's kind, which is of one store, from an entry.
pub(super) fn take_kind(annotations: &mut serde_json::Map<String, Value>) {
    if is_cosigns(annotations.get(KIND)) {
        annotations.remove(KIND);
    }
}

/// Reads what indexes list, within bounds.
struct Lister<'a> {
    source: &'a dyn Source,
    /// Whether all of it could be read.
    is_complete: bool,
}

impl<'a> Lister<'a> {
    fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            is_complete: true,
        }
    }

    /// The digests that `described` is and lists and that are not among `found` yet.
    fn new_in(&mut self, described: &Descriptor, found: &mut BTreeSet<String>) -> Vec<String> {
        let mut new = Vec::new();
        let mut open = vec![described.clone()];
        while let Some(described) = open.pop() {
            let digest = described.digest().to_string();
            if !found.insert(digest.clone()) {
                continue;
            }
            new.push(digest);
            if !is_index(described.media_type()) {
                continue;
            }
            match read_index(self.source, &described) {
                Ok(index) if found.len() + open.len() + index.manifests().len() <= MOST_LISTED => {
                    open.extend(index.manifests().iter().rev().cloned());
                }
                _ => self.is_complete = false,
            }
        }
        new
    }
}

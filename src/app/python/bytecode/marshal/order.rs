//! The order of a set's elements, which the set itself does not have.
//!
//! CPython writes them as it iterates over them: for strings by a hash that differs from process to
//! process, and since 3.11 by their marshalled bytes, which depend on what else refers to
//! them. Here it is the order of a digest of their content.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{Graph, Id, MarshalError, Node, Parts, Shape};

type Content = [u8; 32];

/// What is known of sets and what is in them.
#[derive(Default)]
pub(super) struct Sets {
    /// Digests of the content of nodes that are sets, their elements, or parts of such.
    digests: BTreeMap<Id, Content>,
    /// The set of each content.
    sets: BTreeMap<Content, Id>,
}

impl Graph<'_> {
    /// The set of these parts, which is one with all that are equal. Its parts are put in order.
    pub(super) fn add_set(&mut self, parts: Parts) -> Result<Id, MarshalError> {
        let mut elements = self.parts(parts).to_vec();
        for id in self.without_digest(&elements)? {
            let digest = self.digest(id);
            self.sets.digests.insert(id, digest);
        }
        // The same content twice is only in a file that no compiler wrote; the sort is stable.
        elements.sort_by_key(|id| self.sets.digests.get(id));
        for (place, id) in self.parts.iter_mut().skip(parts.start).zip(elements) {
            *place = id;
        }
        let id = self.add(Node::Whole {
            shape: Shape::FrozenSet,
            parts,
        })?;
        let digest = self.digest(id);
        self.sets.digests.insert(id, digest);
        Ok(*self.sets.sets.entry(digest).or_insert(id))
    }

    /// Those of the nodes and all that they are made of that have no digest yet, parts before what
    /// they are parts of.
    fn without_digest(&self, nodes: &[Id]) -> Result<BTreeSet<Id>, MarshalError> {
        let mut found = BTreeSet::new();
        let mut work = nodes.to_vec();
        while let Some(id) = work.pop() {
            if self.sets.digests.contains_key(&id) || !found.insert(id) {
                continue;
            }
            match self.nodes.get(id as usize) {
                Some(Node::Whole {
                    shape: Shape::Code { .. },
                    ..
                }) => return Err(MarshalError::Misplaced),
                Some(Node::Whole { parts, .. }) => work.extend_from_slice(self.parts(*parts)),
                _ => {}
            }
        }
        Ok(found)
    }

    /// The digest of a node, all parts of which have theirs.
    fn digest(&self, id: Id) -> Content {
        let mut hash = Sha256::new();
        match self.nodes.get(id as usize) {
            Some(Node::Single(kind)) => hash.update([*kind]),
            Some(Node::Plain { kind, content }) => {
                hash.update([*kind]);
                hash.update(content);
            }
            Some(Node::Text { bytes, .. }) => {
                hash.update(b"u");
                hash.update(bytes);
            }
            Some(Node::Whole { shape, parts }) => {
                hash.update(match shape {
                    Shape::Tuple => b"(",
                    Shape::FrozenSet => b">",
                    Shape::Slice => b":",
                    Shape::Code { .. } => b"c",
                });
                for part in self.parts(*parts) {
                    hash.update(self.sets.digests.get(part).copied().unwrap_or_default());
                }
            }
            None => {}
        }
        hash.finalize().into()
    }
}

//! What `distrobuild deps` shows: the closure as a tree for people, and as JSON for programs.
//!
//! Both are pure functions of a [`Closure`](crate::elf::Closure). The tree has terminal styles in it, which the caller
//! removes where they are not wanted (`anstream` does).

mod json;
mod tree;

pub use json::{Deps, SCHEMA, document, json};
pub use tree::{companions, hint, tree};

use crate::elf::{Finding, Rule};

/// Why the object was looked for, in few words; `None` for what is ordinary.
fn finding_words(finding: &Finding) -> Option<String> {
    Some(match finding {
        Finding::Root | Finding::Needed => return None,
        Finding::Interpreter => "interpreter".to_string(),
        Finding::Filter => "filter".to_string(),
        Finding::Audit => "audit".to_string(),
        Finding::DlopenNote(None) => "dlopen".to_string(),
        Finding::DlopenNote(Some(feature)) => format!("dlopen for {feature}"),
        Finding::DlopenOption => "--dlopen".to_string(),
        Finding::Libc(what) => format!("libc opens it for {what}"),
    })
}

/// The rule that answered, in few words; `None` where the path says all.
fn rule_words(rule: &Rule) -> Option<String> {
    Some(match rule {
        Rule::Path => return None,
        Rule::Rpath { element, .. } => format!("rpath {}", element.display()),
        Rule::LibraryPath { .. } => "LD_LIBRARY_PATH".to_string(),
        Rule::Runpath { element, .. } => format!("runpath {}", element.display()),
        Rule::Cache => "ld.so.cache".to_string(),
        Rule::Conf { .. } => "ld.so.conf".to_string(),
        Rule::Default { .. } => "default directory".to_string(),
        Rule::MuslPath { .. } => "ld-musl path file".to_string(),
        Rule::AlreadyLoaded => "already loaded".to_string(),
        Rule::MuslItself => "musl itself".to_string(),
    })
}

#[cfg(test)]
mod tests;

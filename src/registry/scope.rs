//! What a token shall allow (distribution's token specification, "Requesting a Token").

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;

use super::exchange::Question;

/// The most that is taken of what a challenge asks for: resources, and bytes of all of them.
const MOST: usize = 8;
const LONGEST: usize = 4 << 10;

/// Actions on resources: `repository:me/app` and `pull`, `push`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    /// What a question needs.
    pub(super) fn of(question: &Question<'_>) -> Self {
        let mut scopes = Self::default();
        let repository = question.repository;
        if repository.path.is_empty() {
            return scopes;
        }
        let mut actions = vec!["pull"];
        if question.writes {
            actions.push("push");
        }
        if question.method == Method::DELETE {
            actions.push("delete");
        }
        scopes.allow(&repository.path, &actions);
        if let Some(also) = question.also
            && also.host == repository.host
        {
            scopes.allow(&also.path, &["pull"]);
        }
        scopes
    }

    fn allow(&mut self, path: &str, actions: &[&str]) {
        self.0
            .entry(format!("repository:{path}"))
            .or_default()
            .extend(actions.iter().map(|&action| action.to_owned()));
    }

    /// What the `scope` of a challenge asks for. What cannot be one is left out.
    pub(super) fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        if text.len() > LONGEST {
            return scopes;
        }
        for scope in text.split_ascii_whitespace().take(MOST) {
            // The resource may hold a colon: that of a port.
            if let Some((resource, actions)) = scope.rsplit_once(':') {
                let actions = actions.split(',').filter(|action| !action.is_empty());
                let entry = scopes.0.entry(resource.to_owned()).or_default();
                entry.extend(actions.map(str::to_owned));
            }
        }
        scopes
    }

    /// These and those.
    pub(super) fn and(&self, others: &Self) -> Self {
        let mut all = self.clone();
        for (resource, actions) in &others.0 {
            let entry = all.0.entry(resource.clone()).or_default();
            entry.extend(actions.iter().cloned());
        }
        all
    }

    /// Whether all of `others` is in it.
    pub(super) fn hold(&self, others: &Self) -> bool {
        others.0.iter().all(|(resource, actions)| {
            self.0
                .get(resource)
                .is_some_and(|held| actions.is_subset(held))
        })
    }

    /// One text a resource.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(resource, actions)| {
            let actions: Vec<_> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scopes: &Scopes) -> Vec<String> {
        scopes.texts().collect()
    }

    #[test]
    fn a_challenges_scopes_are_read_and_joined() {
        let asked = Scopes::parse("repository:me/app:push,pull registry:catalog:* nonsense");
        assert_eq!(
            texts(&asked),
            ["registry:catalog:*", "repository:me/app:pull,push"]
        );
        let ours = Scopes::parse("repository:me/app:pull repository:host:5000/x:pull");
        assert_eq!(
            texts(&ours.and(&asked)),
            [
                "registry:catalog:*",
                "repository:host:5000/x:pull",
                "repository:me/app:pull,push"
            ]
        );
        assert!(ours.and(&asked).hold(&asked));
        assert!(!ours.hold(&asked));
    }

    #[test]
    fn a_challenge_cannot_ask_for_any_number_of_scopes() {
        let many: String = (0..1000).map(|at| format!("r:{at}:x ")).collect();
        assert_eq!(texts(&Scopes::parse(&many)), Vec::<String>::new());
        let some: String = (0..100).map(|at| format!("r:{at}:x ")).collect();
        assert_eq!(texts(&Scopes::parse(&some)).len(), MOST);
    }
}

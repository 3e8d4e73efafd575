//! Renewing the table with what registries say.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Name, SlimBase, SlimBases};
use crate::image::Platform;
use crate::report::human_size;
use crate::report::live::{Wanted, ask_all};

/// What a renewal did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// The rows that were had, in the table's order.
    pub rows: Vec<RowChange>,
    /// Those that were not.
    pub failed: Vec<Unanswered>,
    /// Other names that no longer name the build of their row, and were dropped: the name, and
    /// the row's.
    pub dropped: Vec<(String, String)>,
}

/// A row before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// As it was; `None` when it is new.
    pub before: Option<SlimBase>,
    /// As it is now.
    pub after: SlimBase,
}

/// A question without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// Which image was asked for.
    pub reference: String,
    /// For which platform.
    pub platform: String,
    /// Whether the table has a row of it, which stays as it is.
    pub is_recorded: bool,
    /// Why there is no answer.
    pub why: String,
}

/// The platforms for which a new image is recorded.
const NEW: [&str; 2] = ["amd64", "arm64"];
/// What a row that does not say its platform is asked for.
const USUAL: &str = "amd64";

impl RowChange {
    /// Old and new in a line: `debian:bookworm-slim linux/amd64: 28.2 MB → 28.3 MB, …`.
    pub fn words(&self) -> String {
        let short = |digest: &Option<String>| match digest {
            Some(digest) => digest.chars().take("sha256:".len() + 12).collect(),
            None => "unknown".to_owned(),
        };
        let size = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), human_size);
        let new = &self.after;
        let platform = new.platform.as_deref().unwrap_or_default();
        let mut parts = Vec::new();
        let mut part = |name: &str, old: Option<String>, new: String| match old {
            Some(old) if old == new => {}
            Some(old) => parts.push(format!("{name}{old} → {new}")),
            None => parts.push(format!("{name}{new}")),
        };
        let old = self.before.as_ref();
        let had_size = old.map(|old| size(old.exact_compressed()));
        part("", had_size, size(new.compressed_bytes));
        let had_size = old.map(|old| size(old.exact_unpacked()));
        part("unpacked ", had_size, size(new.uncompressed_bytes));
        part("", old.map(|old| short(&old.digest)), short(&new.digest));
        let date = |row: &SlimBase| {
            row.date_recorded
                .clone()
                .unwrap_or_else(|| "no date".into())
        };
        part("", old.map(date), date(new));
        let start = match old {
            Some(_) => "",
            None => "new, ",
        };
        let said = match parts.is_empty() {
            true => "the same".to_owned(),
            false => parts.join(", "),
        };
        format!("{} {platform}: {start}{said}", new.reference)
    }
}

impl SlimBases {
    /// Asks for each image of the table, or those that `only` names, and writes the answers into
    /// their rows; a name that no row has is added for amd64 and arm64. Of several rows for one
    /// image and platform the newest is renewed, the others are history. A row that does not say
    /// its platform is asked for `linux/amd64`. A row without an answer stays as it is.
    ///
    /// The unpacked size stays only when the digest does, or is asked for with `unpacked`.
    /// `ask` may be called from several threads at once; its error is why there is no answer.
    pub fn refresh(
        &mut self,
        only: &[String],
        unpacked: bool,
        ask: &(dyn Fn(&Wanted) -> Result<SlimBase, String> + Sync),
    ) -> Refreshed {
        let mut places: Vec<Option<usize>> = self.newest(only).into_iter().map(Some).collect();
        let mut questions: Vec<Wanted> = places
            .iter()
            .flatten()
            .filter_map(|place| self.rows.get(*place))
            .map(|row| Wanted {
                reference: row.reference.clone(),
                platform: platform_of(row),
                unpacked,
            })
            .collect();
        for reference in self.unknown_of(only) {
            for architecture in NEW {
                places.push(None);
                questions.push(Wanted {
                    reference: reference.clone(),
                    platform: Platform::linux(architecture, None),
                    unpacked,
                });
            }
        }
        let answers = ask_all(&questions, ask);
        let mut refreshed = Refreshed::default();
        let mut moved = Vec::new();
        for ((place, question), answer) in places.iter().zip(&questions).zip(answers) {
            let answer = match answer {
                Ok(answer) => answer,
                Err(why) => {
                    refreshed.failed.push(Unanswered {
                        reference: question.reference.clone(),
                        platform: question.platform.to_string(),
                        is_recorded: place.is_some(),
                        why,
                    });
                    continue;
                }
            };
            match place.and_then(|place| Some((place, self.rows.get_mut(place)?))) {
                Some((place, row)) => {
                    let before = row.clone();
                    renew(row, answer);
                    if before.digest != row.digest {
                        moved.push(place);
                    }
                    refreshed.rows.push(RowChange {
                        before: Some(before),
                        after: row.clone(),
                    });
                }
                None => {
                    // From now on it has a row of its own.
                    for row in &mut self.rows {
                        row.aliases
                            .retain(|alias| !same_name(alias, &answer.reference));
                    }
                    refreshed.rows.push(RowChange {
                        before: None,
                        after: answer.clone(),
                    });
                    self.rows.push(answer);
                }
            }
        }
        self.drop_aliases(&moved, ask, &mut refreshed);
        refreshed
    }

    /// The newest row of each image and platform, in the table's order.
    fn newest(&self, only: &[String]) -> Vec<usize> {
        let is_wanted = |row: &SlimBase| {
            only.is_empty() || only.iter().any(|name| same_name(name, &row.reference))
        };
        let mut newest = BTreeMap::<(String, Platform), usize>::new();
        for (index, row) in self.rows.iter().enumerate() {
            if !is_wanted(row) {
                continue;
            }
            let name = Name::parse(&row.reference).short();
            let best = newest.entry((name, platform_of(row))).or_insert(index);
            let of_best = self.rows.get(*best).map(|best| &best.date_recorded);
            if of_best < Some(&row.date_recorded) {
                *best = index;
            }
        }
        let mut places: Vec<usize> = newest.into_values().collect();
        places.sort_unstable();
        places
    }

    /// Those of `only` that no row has, in their one spelling, each once.
    fn unknown_of(&self, only: &[String]) -> Vec<String> {
        let mut seen = BTreeSet::new();
        only.iter()
            .filter(|name| !self.rows.iter().any(|row| same_name(name, &row.reference)))
            .map(|name| Name::parse(name).short())
            .filter(|name| seen.insert(name.clone()))
            .collect()
    }

    /// Rows with another digest than before: are their other names still names of the same
    /// build? One that cannot be asked stays.
    fn drop_aliases(
        &mut self,
        moved: &[usize],
        ask: &(dyn Fn(&Wanted) -> Result<SlimBase, String> + Sync),
        refreshed: &mut Refreshed,
    ) {
        let rows = moved
            .iter()
            .filter_map(|place| Some((*place, self.rows.get(*place)?)));
        let (places, questions): (Vec<usize>, Vec<Wanted>) = rows
            .flat_map(|(place, row)| {
                row.aliases.iter().map(move |alias| {
                    let wanted = Wanted {
                        reference: alias.clone(),
                        platform: platform_of(row),
                        unpacked: false,
                    };
                    (place, wanted)
                })
            })
            .unzip();
        let answers = ask_all(&questions, ask);
        for ((place, question), answer) in places.into_iter().zip(questions).zip(answers) {
            let Some(row) = self.rows.get_mut(place) else {
                continue;
            };
            if answer.is_ok_and(|answer| answer.digest != row.digest) {
                row.aliases.retain(|alias| *alias != question.reference);
                let names = (question.reference, row.reference.clone());
                if !refreshed.dropped.contains(&names) {
                    refreshed.dropped.push(names);
                }
            }
        }
        for change in &mut refreshed.rows {
            let now = self.rows.iter().find(|row| {
                row.reference == change.after.reference && row.digest == change.after.digest
            });
            if let Some(row) = now {
                change.after.aliases.clone_from(&row.aliases);
            }
        }
    }
}

/// Writes `answer` into `row`. What nobody can ask a registry for stays.
fn renew(row: &mut SlimBase, answer: SlimBase) {
    let is_same = row.digest.is_some() && row.digest == answer.digest;
    if answer.uncompressed_bytes.is_some() {
        row.uncompressed_bytes = answer.uncompressed_bytes;
        row.uncompressed_rounded_to = None;
        row.uncompressed_source = None;
    } else if !is_same {
        row.uncompressed_bytes = None;
        row.uncompressed_rounded_to = None;
        row.uncompressed_source = None;
    } else if row.uncompressed_bytes.is_some()
        && row.uncompressed_source.is_none()
        && row.source != answer.source
    {
        row.uncompressed_source = Some(row.source.clone());
    }
    if !is_same {
        row.package_count = None;
    }
    row.evidence = Evidence::Recorded;
    row.published_size = None;
    row.platform
        .get_or_insert_with(|| answer.platform.unwrap_or_default());
    row.has_shell = row.has_shell.or(answer.has_shell);
    row.package_manager = row.package_manager.take().or(answer.package_manager);
    row.digest = answer.digest;
    row.index_digest = answer.index_digest;
    row.image_id = answer.image_id;
    row.layer_count = answer.layer_count;
    row.layer_sizes = answer.layer_sizes;
    row.compressed_bytes = answer.compressed_bytes;
    row.config_bytes = answer.config_bytes;
    row.date_recorded = answer.date_recorded;
    row.source = answer.source;
}

fn platform_of(row: &SlimBase) -> Platform {
    let said = row.platform.as_deref();
    said.and_then(|platform| platform.parse().ok())
        .unwrap_or_else(|| Platform::linux(USUAL, None))
}

/// Whether both are the same name, with or without the registry of docker and `latest`.
fn same_name(a: &str, b: &str) -> bool {
    Name::parse(a).short() == Name::parse(b).short()
}

impl Name<'_> {
    /// The one spelling: without docker's registry, with the tag or the digest.
    fn short(&self) -> String {
        match (self.digest, self.tag) {
            (Some(digest), Some(tag)) => format!("{}:{tag}@{digest}", self.repository),
            (Some(digest), None) => format!("{}@{digest}", self.repository),
            (None, _) => format!("{}:{}", self.repository, self.tag()),
        }
    }
}

#[cfg(test)]
mod tests;

//! The comparison with slim bases.

use serde::Serialize;

use super::live::ask_all;
use super::{Report, SlimBase, SlimBases, SlimError, Unanswered, Wanted};
use crate::image::Platform;

/// An image beside a slim base. Both sizes are of one recorded build; a size that was not
/// recorded is unknown, and nothing is reckoned with it, nor with another platform's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The slim base.
    pub reference: String,
    /// Its platform; `null` when its source does not say.
    pub platform: Option<String>,
    /// Whether it is of another platform than the image.
    pub other_platform: bool,
    /// Whether its registry was asked just now; else it is a recorded build.
    pub live: bool,
    /// Digest of its manifest; `null` is unknown.
    pub digest: Option<String>,
    /// Number of its layers; `null` is unknown.
    pub layer_count: Option<u64>,
    /// Date of its content, or when its registry was asked, `YYYY-MM-DD`.
    pub date: Option<String>,
    /// Where its sizes were read.
    pub source: String,
    /// Its compressed size.
    pub compressed: Measure,
    /// Its unpacked size.
    pub unpacked: Measure,
    /// A size as prose, where that is all there is.
    pub published_size: Option<String>,
    /// Whether it has a shell; `null` is unknown.
    pub has_shell: Option<bool>,
    /// Its package manager, `none` for none; `null` is unknown.
    pub package_manager: Option<String>,
}

/// One size of a slim base, and the image's beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Measure {
    /// The base's size in bytes; `null` is unknown.
    pub bytes: Option<u64>,
    /// The base's size over the image's, to two decimals: above 1 the image is smaller.
    pub times: Option<f64>,
    /// Bytes that the image has less than the base; negative when it has more.
    pub saved: Option<i64>,
}

impl Measure {
    fn new(bytes: Option<u64>, own: u64, comparable: bool) -> Self {
        let Some(base) = bytes.filter(|_| comparable && own > 0) else {
            return Self {
                bytes,
                ..Self::default()
            };
        };
        Self {
            bytes,
            times: Some((base as f64 / own as f64 * 100.0).round() / 100.0),
            saved: i64::try_from(i128::from(base) - i128::from(own)).ok(),
        }
    }
}

impl Comparison {
    fn new(report: &Report, base: &SlimBase, live: bool) -> Self {
        let same = base.is_for(&report.platform);
        Self {
            reference: base.reference.clone(),
            platform: base.platform.clone(),
            other_platform: !same,
            live,
            digest: base.digest.clone(),
            layer_count: base.layer_count,
            date: base.date_recorded.clone(),
            source: base.source.clone(),
            compressed: Measure::new(base.exact_compressed(), report.compressed, same),
            unpacked: Measure::new(base.exact_unpacked(), report.unpacked, same),
            published_size: base.published_size.clone(),
            has_shell: base.has_shell,
            package_manager: base.package_manager.clone(),
        }
    }
}

pub(super) fn with(
    report: &Report,
    table: &SlimBases,
    references: &[String],
) -> Result<Vec<Comparison>, SlimError> {
    let mut rows = Vec::<&SlimBase>::new();
    if references.is_empty() {
        rows = table.defaults(program(report), &report.platform);
    }
    for reference in references {
        for row in table.find(reference, &report.platform)? {
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    Ok(rows
        .into_iter()
        .map(|row| Comparison::new(report, row, false))
        .collect())
}

pub(super) fn live(
    report: &Report,
    table: &SlimBases,
    references: &[String],
    ask: &(dyn Fn(&Wanted) -> Result<SlimBase, String> + Sync),
    unanswered: &mut dyn FnMut(Unanswered),
) -> Result<Vec<Comparison>, SlimError> {
    let platform: Option<Platform> = report.platform.parse().ok();
    let platform = platform.unwrap_or_else(Platform::host);
    let mut names: Vec<&str> = references.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = table.default_names(program(report)).collect();
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(*name));
    let questions: Vec<Wanted> = names
        .iter()
        .map(|name| Wanted {
            reference: (*name).to_owned(),
            platform: platform.clone(),
            unpacked: false,
        })
        .collect();
    let answers = ask_all(&questions, ask);
    let mut rows = Vec::new();
    let mut unknown = None;
    for (question, answer) in questions.into_iter().zip(answers) {
        let recorded = table.find(&question.reference, &report.platform);
        match answer {
            Ok(mut row) => {
                row.uncompressed_bytes = table.unpacked_of(row.digest.as_deref());
                // Other builds of one name are made of the same parts.
                if let Some(known) = recorded.as_ref().ok().and_then(|rows| rows.first()) {
                    row.has_shell = known.has_shell;
                    row.package_manager.clone_from(&known.package_manager);
                }
                rows.push(Comparison::new(report, &row, true));
            }
            Err(why) => {
                unanswered(Unanswered {
                    reference: question.reference,
                    platform: question.platform.to_string(),
                    is_recorded: recorded.is_ok(),
                    why,
                });
                match recorded {
                    Ok(found) => {
                        let count = if references.is_empty() {
                            1
                        } else {
                            found.len()
                        };
                        for row in found.into_iter().take(count) {
                            let row = Comparison::new(report, row, false);
                            if !rows.contains(&row) {
                                rows.push(row);
                            }
                        }
                    }
                    Err(error) => unknown = unknown.or(Some(error)),
                }
            }
        }
    }
    match unknown {
        Some(error) => Err(error),
        None => Ok(rows),
    }
}

/// The name of the program that the image starts.
fn program(report: &Report) -> Option<&str> {
    let facts = &report.facts;
    let command = facts.entrypoint.first().or_else(|| facts.cmd.first())?;
    command.rsplit('/').next()
}

/// How much larger or smaller the base is, seen from the image: `17.3×`, `0.25×`.
pub(super) fn ratio(times: f64, sign: &str) -> String {
    match times {
        large if large >= 100.0 => format!("{large:.0}{sign}"),
        middle if middle >= 1.0 => format!("{middle:.1}{sign}"),
        tiny if tiny < 0.01 => format!("<0.01{sign}"),
        small => format!("{small:.2}{sign}"),
    }
}

/// When the sizes were had: `2026-09-19`, `live 2026-11-29`.
pub(super) fn when(row: &Comparison) -> String {
    let date = row.date.as_deref().unwrap_or("unknown");
    match row.live {
        true => format!("live {date}"),
        false => date.to_owned(),
    }
}

/// Which build a live row is of, in words: `python:3.12-slim: 4 layers`, `sha256:3f2a9c1d3f2a`.
pub(super) fn build(row: &Comparison) -> Option<[String; 2]> {
    let digest = row.digest.as_deref().filter(|_| row.live)?;
    let layers = match row.layer_count {
        Some(1) => "1 layer".to_owned(),
        Some(count) => format!("{count} layers"),
        None => "live".to_owned(),
    };
    let digest = digest.chars().take("sha256:".len() + 12).collect();
    Some([format!("{}: {layers}", row.reference), digest])
}

/// What a base has that the image may lack, and what is to know of its row.
pub(super) fn notes(row: &Comparison) -> Vec<String> {
    let mut notes = Vec::new();
    if row.other_platform {
        let platform = row.platform.as_deref().unwrap_or("unknown");
        notes.push(format!("only {platform} is recorded"));
    }
    if let Some(size) = &row.published_size {
        notes.push(format!("published as {size}"));
    }
    if row.has_shell == Some(true) {
        notes.push("shell".to_owned());
    }
    if let Some(manager) = row.package_manager.as_deref().filter(|m| *m != "none") {
        notes.push(manager.to_owned());
    }
    notes
}

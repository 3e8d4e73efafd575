//! What an image of a registry weighs today.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::inspect::root;
use super::share::sum;
use super::{Evidence, Report, ReportError, SlimBase};
use crate::image::{Platform, rfc3339};
use crate::store::{self, Source, StoreError, is_index, read_manifest};

/// Of which image the size is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name, `python:3.12-slim`.
    pub reference: String,
    /// For which platform.
    pub platform: Platform,
    /// Whether its layers are read, too, for the unpacked size.
    pub unpacked: bool,
}

/// Why it is not known what an image weighs.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A document cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A layer cannot be read.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// Asks `source`, which has the image, for its exact sizes. `date` (`YYYY-MM-DD`) is when. What
/// the documents do not say is `None`: without [`Wanted::unpacked`] the unpacked size, and
/// whether it has a shell.
///
/// # Errors
/// When it is not there for the platform, or cannot be read.
pub fn live(source: &dyn Source, wanted: &Wanted, date: &str) -> Result<SlimBase, LiveError> {
    let descriptor = store::select(source, None, Some(&wanted.platform))?;
    let manifest = read_manifest(source, &descriptor)?;
    let index = root(source, None)?.filter(|root| is_index(root.media_type()));
    let digest = descriptor.digest().to_string();
    let index_digest = index.map(|index| index.digest().to_string());
    let sizes: Vec<u64> = manifest.layers().iter().map(|layer| layer.size()).collect();
    let name = wanted.reference.split('@').next().unwrap_or_default();
    let mut base = SlimBase {
        reference: wanted.reference.clone(),
        aliases: Vec::new(),
        platform: Some(wanted.platform.to_string()),
        evidence: Evidence::Recorded,
        source: format!(
            "registry:{name}@{}",
            index_digest.as_ref().unwrap_or(&digest)
        ),
        digest: Some(digest),
        index_digest,
        image_id: Some(manifest.config().digest().to_string()),
        layer_count: Some(sizes.len() as u64),
        compressed_bytes: Some(sum(sizes.iter().copied())),
        layer_sizes: Some(sizes),
        config_bytes: Some(manifest.config().size()),
        uncompressed_bytes: None,
        uncompressed_rounded_to: None,
        package_count: None,
        has_shell: None,
        package_manager: None,
        published_size: None,
        date_recorded: Some(date.to_owned()),
        uncompressed_source: None,
        note: None,
    };
    if wanted.unpacked {
        let report = Report::of_image(source, &wanted.reference, &descriptor)?;
        base.uncompressed_bytes = Some(report.unpacked);
        base.has_shell = Some(report.facts.shell.is_some());
        let manager = report.facts.package_manager.as_deref();
        let manager = manager.and_then(|path| path.rsplit('/').next());
        base.package_manager = Some(manager.unwrap_or("none").to_owned());
    }
    Ok(base)
}

/// The date of `now` in UTC, `YYYY-MM-DD`.
pub fn today(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    rfc3339(since.as_secs()).chars().take(10).collect()
}

/// Asks for several at once, and gives the answers in the order of the questions.
pub(super) fn ask_all<T: Send>(
    questions: &[Wanted],
    ask: &(dyn Fn(&Wanted) -> T + Sync),
) -> Vec<T> {
    /// Registries slow down who asks too much at once.
    const AT_ONCE: usize = 4;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut answers = Vec::new();
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            match questions.get(index) {
                Some(question) => answers.push((index, ask(question))),
                None => return answers,
            }
        }
    };
    let mut answers: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE.min(questions.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(answers) => answers,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    });
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests;

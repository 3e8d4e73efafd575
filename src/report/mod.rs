//! The size report: what an image weighs, what takes the room, and how it compares.
//!
//! A [`Report`] is a plain value. [`Report::of_build`] makes it from what a build has in its
//! hands, [`Report::of_image`] by reading any image, ours or not. [`Renderer`]s turn it into
//! text, [`Diff`] compares two of them, [`Budget`] bounds it.

mod build;
mod compare;
mod config;
mod contents;
pub mod deps;
mod diff;
mod excess;
mod image;
mod inspect;
mod json;
mod live;
mod markdown;
mod share;
mod size;
mod slim;
mod terminal;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::packages::Package;

pub use compare::{Comparison, Measure};
pub use diff::{
    Aspect, Change, Details, Diff, Item, PackageChange, PathChange, PathKind, PathState,
    SettingChange, SettingValue, Subject,
};
pub use excess::{Contributor, Excess};
pub use image::ReportError;
pub use inspect::{AttachedManifest, Inspection, Listed, Overview, OverviewLayer, root};
pub use json::Json;
pub use live::{LiveError, Wanted, live, today};
pub use markdown::Markdown;
pub use size::{Budget, BudgetError, human_change, human_size};
pub use slim::{Evidence, Refreshed, RowChange, SlimBase, SlimBases, SlimError, Unanswered};
pub use terminal::{Charset, Terminal};

/// What an image weighs and of what. All sizes are in bytes.
///
/// Serialised, this is the body of the JSON report: see [`Json`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What the image is called: `jq.oci:latest`.
    pub reference: String,
    /// `OS/ARCH` or `OS/ARCH/VARIANT`, from the config.
    pub platform: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Sum of the layers' blobs: what is pulled and stored.
    pub compressed: u64,
    /// Size of the manifest.
    pub manifest_size: u64,
    /// Size of the config.
    pub config_size: u64,
    /// Sum of the regular files of the image's file system, each hard-linked file once, with
    /// what upper layers removed left out.
    pub unpacked: u64,
    /// Number of regular files, each hard-linked file once.
    pub file_count: u64,
    /// The layers, lowest first.
    pub layers: Vec<LayerShare>,
    /// Unpacked sizes by origin, lowest layer first; empty when the image does not say.
    pub origins: Vec<OriginShare>,
    /// Unpacked sizes by owning package, largest first; `null` when no package database told.
    pub packages: Option<Vec<PackageShare>>,
    /// Package databases that are there and could not be read, and why.
    pub unread_databases: Vec<String>,
    /// All files, largest first.
    pub files: Vec<FileShare>,
    /// What it runs and as whom.
    pub facts: Facts,
    /// The comparison with slim bases.
    pub comparisons: Vec<Comparison>,
    /// How it differs from earlier images that it was compared with; absent when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub since: Vec<Diff>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerShare {
    /// Digest of the blob.
    pub digest: String,
    /// Media type of the blob.
    pub media_type: String,
    /// Size of the blob.
    pub compressed: u64,
    /// Size of the uncompressed tar, headers and padding included.
    pub unpacked: u64,
    /// What it is, from the history: `base`, `libraries`, `app`, or the command that made it;
    /// empty when the image does not say.
    pub what: String,
}

/// What comes from one origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OriginShare {
    /// `base`, `libraries`, `app`, `include`.
    pub origin: String,
    /// Sum of its files.
    pub unpacked: u64,
    /// Number of its files.
    pub files: u64,
}

/// What comes from one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageShare {
    /// The package; `null` for the files that no package owns.
    pub package: Option<Package>,
    /// Sum of its files.
    pub unpacked: u64,
    /// Number of its files.
    pub files: u64,
}

/// One regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileShare {
    /// Its path; of a hard-linked file the first that the layers name.
    pub path: String,
    /// Its size.
    pub size: u64,
    /// Its origin, as in [`OriginShare::origin`]; `null` when the image does not say.
    pub origin: Option<String>,
    /// Name of the package that owns it, if one does and that is known.
    pub package: Option<String>,
}

/// What an image runs and as whom, and what an intruder would find in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The user; empty means root.
    pub user: String,
    /// The command that is always run, with arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments, or the command when there is no entrypoint.
    pub cmd: Vec<String>,
    /// A shell in it.
    pub shell: Option<String>,
    /// A package manager in it.
    pub package_manager: Option<String>,
}

impl Report {
    /// How much larger than `budget` the compressed image is, with what weighs most.
    pub fn over(&self, budget: &Budget) -> Option<Excess> {
        excess::over(self, budget)
    }

    /// Compares with the rows that `references` name, or the default ones when there are none.
    ///
    /// # Errors
    /// When a reference is not in the table.
    pub fn compare(&mut self, table: &SlimBases, references: &[String]) -> Result<(), SlimError> {
        self.comparisons = compare::with(self, table, references)?;
        Ok(())
    }

    /// As [`compare`](Self::compare), where `ask` knows what an image weighs today; of each that
    /// it does not know `unanswered` is told, and the recorded row stands in. The unpacked size
    /// is taken from the table when the digest is the recorded one. `ask` may be called from
    /// several threads at once.
    ///
    /// # Errors
    /// When a reference has no answer and is not in the table either.
    pub fn compare_live(
        &mut self,
        table: &SlimBases,
        references: &[String],
        ask: &(dyn Fn(&Wanted) -> Result<SlimBase, String> + Sync),
        unanswered: &mut dyn FnMut(Unanswered),
    ) -> Result<(), SlimError> {
        self.comparisons = compare::live(self, table, references, ask, unanswered)?;
        Ok(())
    }
}

/// A form of the report.
pub trait Renderer {
    /// The report as text that ends in a newline.
    fn report(&self, report: &Report) -> String;

    /// The comparison of two images as text that ends in a newline.
    fn diff(&self, diff: &Diff) -> String;
}

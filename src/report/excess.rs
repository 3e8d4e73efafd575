//! Images that are larger than they may be.

use std::fmt;

use super::size::{Budget, human_size};
use super::{PackageShare, Report};

/// How many contributors are named.
const NAMED: usize = 5;

/// How much an image is over its budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// The budget.
    pub budget: Budget,
    /// The image's compressed size in bytes.
    pub compressed: u64,
    /// Bytes beyond the budget.
    pub by: u64,
    /// What takes the most room, largest first: packages where they are known, else files.
    pub contributors: Vec<Contributor>,
}

/// A package or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contributor {
    /// The package's name, or the file's path.
    pub name: String,
    /// Its unpacked size in bytes: what a part of a layer is compressed to cannot be told.
    pub unpacked: u64,
}

pub(super) fn over(report: &Report, budget: &Budget) -> Option<Excess> {
    let by = report.compressed.checked_sub(budget.bytes())?;
    (by > 0).then(|| Excess {
        budget: *budget,
        compressed: report.compressed,
        by,
        contributors: contributors(report),
    })
}

fn contributors(report: &Report) -> Vec<Contributor> {
    let files = report.files.iter().map(|file| Contributor {
        name: file.path.clone(),
        unpacked: file.size,
    });
    let Some(packages) = &report.packages else {
        return files.take(NAMED).collect();
    };
    // Files that no package owns stand for themselves.
    let unowned = files
        .zip(&report.files)
        .filter(|(_, file)| file.package.is_none());
    let packages = packages.iter().filter_map(
        |PackageShare {
             package, unpacked, ..
         }| {
            Some(Contributor {
                name: package.as_ref()?.name.clone(),
                unpacked: *unpacked,
            })
        },
    );
    let mut all: Vec<Contributor> = packages.chain(unowned.map(|(c, _)| c)).collect();
    all.sort_by(|a, b| {
        b.unpacked
            .cmp(&a.unpacked)
            .then_with(|| a.name.cmp(&b.name))
    });
    all.truncate(NAMED);
    all
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the image has {} compressed, {} more than the {} it may have",
            human_size(self.compressed),
            human_size(self.by),
            self.budget
        )?;
        if !self.contributors.is_empty() {
            write!(f, "; the most room (unpacked) is taken by")?;
        }
        for (index, Contributor { name, unpacked }) in self.contributors.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma} {name} ({})", human_size(*unpacked))?;
        }
        Ok(())
    }
}

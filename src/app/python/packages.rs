//! Installed packages: what their metadata says (`dist-info`, PEP 376 and 627; `egg-info`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::error::PythonError;
use super::files::{Files, normal, text};
use crate::ImagePath;

/// Tools that install packages: they only come along when they are imported.
const TOOLS: [&str; 3] = ["pip", "setuptools", "wheel"];
/// How much of a package's description is read for what it requires, in bytes.
const HEADER_LIMIT: usize = 64 << 10;

/// A directory of packages.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) directory: ImagePath,
    pub(super) distributions: Vec<Distribution>,
    /// Files below the directory, by their path below it.
    owners: HashMap<PathBuf, usize>,
    /// Files elsewhere (`bin/flask`), by their absolute path.
    outside: BTreeMap<PathBuf, usize>,
    /// Names at the top of the directory, of distributions that do not list their files.
    tops: HashMap<String, usize>,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Distribution {
    /// As it spells its name.
    pub(super) name: String,
    /// Empty when it does not say.
    pub(super) version: String,
    /// Its directory or file of metadata.
    pub(super) metadata: String,
    /// The names at the top of the directory that belong to it.
    pub(super) tops: BTreeSet<String>,
}

impl Distribution {
    /// As reports show it: `the package numpy 1.26.4`.
    pub(super) fn reason(&self) -> String {
        match self.version.as_str() {
            "" => format!("the package {}", self.name),
            version => format!("the package {} {version}", self.name),
        }
    }

    /// Whether it is one that installs packages.
    pub(super) fn is_tool(&self) -> bool {
        TOOLS.contains(&canonical(&self.name).as_str())
    }
}

/// A distribution's name in its one spelling (PEP 503).
pub(super) fn canonical(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

impl Site {
    /// Reads the metadata of all packages in the directory.
    pub(super) fn read(files: &Files<'_>, directory: &ImagePath) -> Result<Self, PythonError> {
        let mut site = Self {
            directory: directory.clone(),
            distributions: Vec::new(),
            owners: HashMap::new(),
            outside: BTreeMap::new(),
            tops: HashMap::new(),
        };
        let listing = files.list(directory)?;
        for (name, item) in listing.iter() {
            let Some((label, version)) = metadata_name(text(name)) else {
                continue;
            };
            let index = site.distributions.len();
            site.distributions.push(Distribution {
                name: label.to_owned(),
                version: version.to_owned(),
                metadata: text(name).to_owned(),
                tops: BTreeSet::from([text(name).to_owned()]),
            });
            let place = directory.as_path().join(name);
            let inventory = match item.is_directory() {
                true => inventory(files, &place)?,
                false => Inventory::default(),
            };
            site.enter(index, inventory);
        }
        Ok(site)
    }

    fn enter(&mut self, index: usize, inventory: Inventory) {
        let directory = self.directory.as_path();
        let Some(distribution) = self.distributions.get_mut(index) else {
            return;
        };
        let listed = !inventory.files.is_empty();
        for file in inventory.files {
            let below = match file.starts_with("..") || file.is_absolute() {
                true => normal(&directory.join(&file)),
                false => {
                    if let Some(top) = file.iter().next() {
                        let top = text(top);
                        if !distribution.tops.contains(top) {
                            distribution.tops.insert(top.to_owned());
                        }
                    }
                    self.owners.entry(file).or_insert(index);
                    continue;
                }
            };
            match below.strip_prefix(directory) {
                Ok(relative) => {
                    self.owners.entry(relative.to_path_buf()).or_insert(index);
                }
                Err(_) => {
                    self.outside.entry(below).or_insert(index);
                }
            }
        }
        if !listed {
            let tops = match inventory.tops.is_empty() {
                true => vec![distribution.name.replace('-', "_")],
                false => inventory.tops,
            };
            for top in tops {
                distribution.tops.insert(format!("{top}.py"));
                distribution.tops.insert(top);
            }
            for top in &distribution.tops {
                self.tops.entry(top.clone()).or_insert(index);
            }
        }
    }

    /// Whose file this is; `relative` is its path below the directory.
    pub(super) fn owner(&self, relative: &Path) -> Option<usize> {
        if let Some(index) = self.owners.get(relative) {
            return Some(*index);
        }
        let top = text(relative.iter().next()?);
        // `.so` files of distributions that list nothing.
        let module = top.split('.').next().unwrap_or(top);
        self.tops
            .get(top)
            .or_else(|| self.tops.get(module))
            .copied()
    }

    /// Whose file this is, which lies outside of the directory.
    pub(super) fn owner_outside(&self, path: &Path) -> Option<usize> {
        self.outside.get(path).copied()
    }

    /// The files of the distribution that lie outside of the directory.
    pub(super) fn outside_of(&self, wanted: usize) -> impl Iterator<Item = &Path> {
        self.outside
            .iter()
            .filter(move |(_, index)| **index == wanted)
            .map(|(path, _)| path.as_path())
    }

    pub(super) fn distribution(&self, index: usize) -> Option<&Distribution> {
        self.distributions.get(index)
    }

    /// The distributions that one of `modules` (files) belongs to.
    pub(super) fn reached<'m>(
        &self,
        modules: impl Iterator<Item = &'m ImagePath>,
    ) -> BTreeSet<usize> {
        modules
            .filter_map(|file| file.as_path().strip_prefix(&self.directory).ok())
            .filter_map(|relative| self.owner(relative))
            .collect()
    }

    /// The tools that stay out: nothing imports them, and no package that comes along requires
    /// them.
    pub(super) fn unneeded_tools(
        &self,
        files: &Files<'_>,
        reached: &BTreeSet<usize>,
        imports_distutils: bool,
    ) -> BTreeSet<usize> {
        let tools: BTreeSet<usize> = (0..)
            .zip(&self.distributions)
            .filter(|(index, distribution)| {
                distribution.is_tool()
                    && !reached.contains(index)
                    && !(imports_distutils && canonical(&distribution.name) == "setuptools")
            })
            .map(|(index, _)| index)
            .collect();
        if tools.is_empty() {
            return tools;
        }
        let mut required = BTreeSet::new();
        for (index, distribution) in self.distributions.iter().enumerate() {
            if !tools.contains(&index) {
                required.extend(self.requirements(files, distribution));
            }
        }
        let is_required = |index: &usize| {
            self.distribution(*index)
                .is_some_and(|distribution| required.contains(&canonical(&distribution.name)))
        };
        tools
            .into_iter()
            .filter(|index| !is_required(index))
            .collect()
    }

    /// What the distribution requires, leaving out what only extras do.
    fn requirements(&self, files: &Files<'_>, distribution: &Distribution) -> BTreeSet<String> {
        let place = self.directory.as_path().join(&distribution.metadata);
        let head = files.head(&place.join("METADATA"), HEADER_LIMIT);
        let head = head.or_else(|_| files.head(&place.join("PKG-INFO"), HEADER_LIMIT));
        requirements(&String::from_utf8_lossy(&head.unwrap_or_default()))
    }
}

/// The fields of a `METADATA` that say what is required.
fn requirements(metadata: &str) -> BTreeSet<String> {
    metadata
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("Requires-Dist:"))
        .filter(|requirement| {
            let marker = requirement.split(';').nth(1).unwrap_or_default();
            !marker.contains("extra")
        })
        .map(|requirement| {
            let requirement = requirement.trim_start();
            let end = requirement.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
            canonical(
                requirement
                    .get(..end.unwrap_or(requirement.len()))
                    .unwrap_or_default(),
            )
        })
        .collect()
}

/// Name and version in the name of a metadata directory.
fn metadata_name(name: &str) -> Option<(&str, &str)> {
    let stem = name
        .strip_suffix(".dist-info")
        .or_else(|| name.strip_suffix(".egg-info"))?;
    // NAME-VERSION, NAME-VERSION-py3.11, NAME
    let mut parts = stem.split('-');
    let label = parts.next().filter(|label| !label.is_empty())?;
    Some((label, parts.next().unwrap_or_default()))
}

/// What a distribution says of its files.
#[derive(Debug, Default)]
struct Inventory {
    /// All of them, relative to the directory of packages, or absolute.
    files: Vec<PathBuf>,
    /// Where it does not list them: the modules at the top.
    tops: Vec<String>,
}

fn inventory(files: &Files<'_>, metadata: &Path) -> Result<Inventory, PythonError> {
    let exists = |name: &str| files.is_file(metadata.join(name));
    let mut inventory = Inventory::default();
    if exists("RECORD") {
        let record = files.read(metadata.join("RECORD"))?;
        inventory.files = record_paths(&String::from_utf8_lossy(&record)).collect();
    } else if exists("installed-files.txt") {
        let list = files.read(metadata.join("installed-files.txt"))?;
        let directory = Path::new(metadata.file_name().unwrap_or_default());
        inventory.files = String::from_utf8_lossy(&list)
            .lines()
            .map(|line| normal(&directory.join(line)))
            .collect();
    }
    if inventory.files.is_empty() && exists("top_level.txt") {
        let list = files.read(metadata.join("top_level.txt"))?;
        inventory.tops = String::from_utf8_lossy(&list)
            .lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty() && !line.contains('/'))
            .collect();
    }
    Ok(inventory)
}

/// The first column of a RECORD, which is CSV.
fn record_paths(record: &str) -> impl Iterator<Item = PathBuf> + '_ {
    record.lines().filter_map(|line| {
        let path = match line.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.rfind("\",").unwrap_or(quoted.len());
                quoted.get(..end)?.replace("\"\"", "\"")
            }
            None => line.split(',').next()?.to_owned(),
        };
        (!path.is_empty()).then(|| PathBuf::from(path))
    })
}

/// Whether a file of metadata differs from machine to machine, or tells where the package was
/// built.
pub(super) fn is_private_metadata(relative: &Path) -> bool {
    let mut parts = relative.iter().map(text);
    let directory = parts.next().unwrap_or_default();
    let name = parts.next().unwrap_or_default();
    directory.ends_with(".dist-info")
        && parts.next().is_none()
        && matches!(
            name,
            "RECORD"
                | "INSTALLER"
                | "REQUESTED"
                | "direct_url.json"
                | "uv_cache.json"
                | "uv_build.json"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_csv() {
        let paths: Vec<_> =
            record_paths("a/b.py,sha256=x,12\n\"c,d \"\"e\"\".py\",,\n\n../../../bin/f,,\n")
                .collect();
        let expected = ["a/b.py", "c,d \"e\".py", "../../../bin/f"];
        assert_eq!(paths, expected.map(PathBuf::from));
    }

    #[test]
    fn names_of_metadata_tell_name_and_version() {
        assert_eq!(
            metadata_name("numpy-1.26.4.dist-info"),
            Some(("numpy", "1.26.4"))
        );
        assert_eq!(
            metadata_name("crit-3.17.1-py3.11.egg-info"),
            Some(("crit", "3.17.1"))
        );
        assert_eq!(
            metadata_name("cryptography.egg-info"),
            Some(("cryptography", ""))
        );
        assert_eq!(metadata_name("numpy"), None);
    }

    #[test]
    fn what_only_an_extra_requires_is_not_required() {
        let metadata = "Name: x\nRequires-Dist: Setup_Tools>=1\nRequires-Dist: pip ; extra == 'a'\n\
                        Requires-Dist: wheel (>1) ; python_version > '3'\n\nRequires-Dist: late\n";
        let expected = ["setup-tools", "wheel"].map(str::to_owned);
        assert_eq!(requirements(metadata), BTreeSet::from(expected));
    }
}

//! Packages of dpkg, as distroless images keep them: `status.d/NAME`, `status.d/NAME.md5sums`,
//! and `/usr/share/doc/NAME/copyright` (Debian Policy 12.5).
//!
//! Which fields a record has is what Trivy, Syft and Clair read: package, source, version and
//! architecture to match advisories, the maintainer to tell a distribution's packages from
//! others, and what it depends on. `Status` is left out, as distroless has it. Configuration files
//! stand in `Conffiles`, as in dpkg's own status: a list of sums has none (deb-md5sums(5)).

use std::collections::BTreeMap;

use super::{Owned, Record, is_one_line};
use crate::ImagePath;
use crate::packages::apk::Paragraphs;
use crate::packages::dpkg::{
    LIST_LIMIT, STATUS_DIRECTORY, conffiles, diversions, divert, for_each_line,
};
use crate::packages::needles::Needles;
use crate::rootfs::{Content, Entry, Origin};
use crate::sysroot::{Node, Sysroot, trace};

/// The fields of a record, in the order in which they are written.
const FIELDS: [&str; 7] = [
    "Package",
    "Source",
    "Version",
    "Architecture",
    "Maintainer",
    "Pre-Depends",
    "Depends",
];
/// Without these, no scanner takes a paragraph for a package.
const NEEDED: [&str; 3] = ["Package", "Version", "Architecture"];
/// No value beyond this many bytes is kept: scanners read lines into buffers of 64 KiB.
const VALUE_LIMIT: usize = 32 << 10;
/// The largest records that an image is searched for.
const RECORD_LIMIT: u64 = 1 << 20;
/// No copyright file beyond this many bytes is kept. The largest of Debian have some 3 MB.
const COPYRIGHT_LIMIT: u64 = 16 << 20;
/// Where each package has its copyright file.
const DOCS: &str = "/usr/share/doc";
/// Where texts are that many packages share.
const LICENSES: &str = "/usr/share/common-licenses";

/// The packages of one name: those of several architectures share a record.
type Group<'a> = Vec<(&'a Owned<'a>, Stanza)>;

/// What a record is made from.
struct Scene<'a> {
    sysroot: &'a dyn Sysroot,
    image: &'a dyn Sysroot,
    merged: &'a [&'a str],
    diverted: Vec<u8>,
    /// Where [`DOCS`] really is in the system.
    docs: Option<ImagePath>,
}

pub(super) fn records(
    sysroot: &dyn Sysroot,
    image: &dyn Sysroot,
    packages: &[&Owned<'_>],
    merged: &[&str],
) -> Vec<Record> {
    let mut by_name = BTreeMap::<String, Group<'_>>::new();
    for owned in packages {
        let stanza = Stanza::of(&owned.owner.paragraph);
        if let Some(stanza) = stanza.filter(|stanza| is_package_name(&stanza.name)) {
            let group = by_name.entry(stanza.name.clone()).or_default();
            group.push((*owned, stanza));
        }
    }
    if by_name.is_empty() {
        return Vec::new();
    }
    let scene = Scene {
        sysroot,
        image,
        merged,
        // The owners were found by the same file.
        diverted: diversions(sysroot).ok().flatten().unwrap_or_default(),
        docs: trace(sysroot, DOCS.as_ref()).ok().map(|trace| trace.target),
    };
    let mut records = Vec::new();
    for (name, mut group) in by_name {
        if let Some(name) = free_name(image, &name, &mut group) {
            records.extend(scene.record(&name, &group));
        }
    }
    records
}

/// What a record of `group` is called. Where the base has one of that name, the packages that it
/// tells of are taken out, and the others get a name with their architecture, so that the base
/// stays as it is; `None` when nothing is left to tell.
fn free_name(image: &dyn Sysroot, name: &str, group: &mut Group<'_>) -> Option<String> {
    let read = |name: &str| {
        let path = format!("{STATUS_DIRECTORY}/{name}");
        image.read(path.as_ref(), RECORD_LIMIT).ok()
    };
    let Some(known) = read(name) else {
        return Some(name.to_owned());
    };
    let known: Vec<Stanza> = Paragraphs(&known).filter_map(Stanza::of).collect();
    group.retain(|(_, stanza)| !known.iter().any(|known| known.is_same(stanza)));
    let (_, first) = group.first()?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let other = format!("{name}:{}", first.architecture);
    (first.architecture.bytes().all(is_word) && read(&other).is_none()).then_some(other)
}

impl Scene<'_> {
    /// The files that tell of the packages in `group`.
    fn record(&self, name: &str, group: &Group<'_>) -> Vec<Record> {
        let lowest = group.iter().map(|(owned, _)| owned.origins().0).min();
        let (Some(origin), Some((first, stanza))) = (lowest, group.first()) else {
            return Vec::new();
        };
        let mut paragraphs = Vec::new();
        let copyright = self.copyright(&stanza.name, origin);
        let own = copyright.as_ref().filter(|found| found.is_own);
        let mut sums = BTreeMap::new();
        for (owned, stanza) in group {
            let mut files: Vec<(&ImagePath, &ImagePath)> = owned
                .files
                .iter()
                .filter(|(_, taken)| taken.is_unchanged)
                .map(|(path, taken)| (*path, &taken.place))
                .collect();
            paragraphs.push(self.paragraph(owned, stanza, &files));
            files.extend(own.map(|found| (&found.record.path, &found.record.path)));
            self.add_sums(owned, &stanza.name, &files, &mut sums);
        }
        let mut texts = vec![(name.to_owned(), paragraphs.join(&b'\n'))];
        if !sums.is_empty() {
            texts.push((format!("{name}.md5sums"), lines(&sums)));
        }
        let mut records: Vec<Record> = texts
            .into_iter()
            .filter_map(|(name, text)| {
                let path = ImagePath::new(format!("{STATUS_DIRECTORY}/{name}")).ok()?;
                Some(Record::text(path, text, origin))
            })
            .collect();
        records.extend(copyright.map(|found| found.record));
        for record in &mut records {
            record.package = Some(first.index);
        }
        records
    }

    /// The paragraph of a package with those of `files` that are for configuration. Their sums are
    /// those of the files as they came, whatever an administrator made of them: dpkg-query(1).
    fn paragraph(
        &self,
        owned: &Owned<'_>,
        stanza: &Stanza,
        files: &[(&ImagePath, &ImagePath)],
    ) -> Vec<u8> {
        let mut sums = BTreeMap::new();
        self.find(&stanza.name, files, &mut sums, |found| {
            conffiles(&owned.owner.paragraph).for_each(|(path, sum)| found(path, sum));
        });
        let mut text = stanza.text.clone();
        sums.retain(|path, _| is_one_line(path.as_bytes()));
        if !sums.is_empty() {
            text.extend_from_slice(b"Conffiles:\n");
        }
        for (path, sum) in sums {
            text.push(b' ');
            text.extend_from_slice(path.as_bytes());
            text.extend_from_slice(format!(" {sum}\n").as_bytes());
        }
        text
    }

    /// The sums of `files` (paths in the system and in the image) as the package's list has them.
    /// Files that it does not list are left out: such as those that a maintainer script made.
    fn add_sums(
        &self,
        owned: &Owned<'_>,
        package: &str,
        files: &[(&ImagePath, &ImagePath)],
        sums: &mut BTreeMap<ImagePath, String>,
    ) {
        if files.is_empty() {
            return;
        }
        let Ok(list) = self.sysroot.read(&owned.owner.sums, LIST_LIMIT) else {
            return;
        };
        let mut spelling = Vec::new();
        self.find(package, files, sums, |found| {
            for_each_line(&list, |line| {
                // 32 digits, two spaces, and the path without its slash: deb-md5sums(5).
                let Some((sum, path)) = line.split_at_checked(32) else {
                    return;
                };
                let Some(path) = path.strip_prefix(b"  ") else {
                    return;
                };
                spelling.clear();
                spelling.push(b'/');
                spelling.extend_from_slice(path.strip_prefix(b"./").unwrap_or(path));
                found(&spelling, sum);
            });
        });
    }

    /// Adds the sums of those of `files` that `list` tells of, each by its path as the package
    /// spells it.
    fn find(
        &self,
        package: &str,
        files: &[(&ImagePath, &ImagePath)],
        sums: &mut BTreeMap<ImagePath, String>,
        list: impl FnOnce(&mut dyn FnMut(&[u8], &[u8])),
    ) {
        let paths: Vec<ImagePath> = files.iter().map(|(path, _)| (*path).clone()).collect();
        let mut needles = Needles::new(&paths, self.merged);
        divert(&mut needles, &self.diverted);
        list(&mut |spelling, sum| {
            if !is_sum(sum) {
                return;
            }
            for needle in needles.named(spelling) {
                if needle.claim.allows(package.as_bytes())
                    && let Some((_, place)) = files.get(needle.path)
                {
                    let sum = String::from_utf8_lossy(sum).into_owned();
                    sums.entry((*place).clone()).or_insert(sum);
                }
            }
        });
    }

    /// The copyright file of `package`, links resolved, unless the image has one.
    fn copyright(&self, package: &str, origin: Origin) -> Option<Copyright> {
        let path = ImagePath::new(format!("{DOCS}/{package}/copyright")).ok()?;
        if self.image.is_file(path.as_path()) {
            return None;
        }
        let docs = self.docs.as_ref()?;
        let own = docs.join(package).ok()?;
        let (target, content, mode) = copyright_file(self.sysroot, docs, &own)?;
        if content.size() > COPYRIGHT_LIMIT {
            return None;
        }
        // What cannot be read now could not be packed later.
        if mode & 0o004 == 0 && !self.sysroot.is_file(target.as_path()) {
            return None;
        }
        let is_own = target.starts_with(&own);
        let record = Record {
            path,
            entry: Entry::file(content, 0o644, origin),
            replaces: false,
            package: None,
        };
        Some(Copyright { record, is_own })
    }
}

fn is_sum(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// As md5sum(1) reads them in the root of the image.
fn lines(sums: &BTreeMap<ImagePath, String>) -> Vec<u8> {
    let mut text = Vec::new();
    for (path, sum) in sums {
        // md5sum ends a name at the end of its line, whatever a hostile system calls a file.
        if is_one_line(path.as_bytes()) {
            text.extend_from_slice(sum.as_bytes());
            text.extend_from_slice(b"  ");
            text.extend_from_slice(path.relative());
            text.push(b'\n');
        }
    }
    text
}

/// A package's copyright file.
struct Copyright {
    record: Record,
    /// Whether no link leads to it from the package's own directory.
    is_own: bool,
}

/// The copyright file that is in `directory`, or that a link there leads to.
fn copyright_file(
    sysroot: &dyn Sysroot,
    docs: &ImagePath,
    directory: &ImagePath,
) -> Option<(ImagePath, Content, u32)> {
    let file = directory.join("copyright").ok()?;
    // Nearly always there is no link, and a walk would look at every directory on the way.
    if let Ok(Node::Directory { .. }) = sysroot.node(directory)
        && let Ok((content, mode)) = sysroot.content(&file)
    {
        return Some((file, content, mode));
    }
    let target = trace(sysroot, file.as_path()).ok()?.target;
    // A link must not bring whatever file its package points at.
    if !target.starts_with(docs) && !target.as_path().starts_with(LICENSES) {
        return None;
    }
    let (content, mode) = sysroot.content(&target).ok()?;
    Some((target, content, mode))
}

/// A paragraph of dpkg's status, cut down to what is recorded.
struct Stanza {
    name: String,
    version: String,
    architecture: String,
    /// Lines, each with its end.
    text: Vec<u8>,
}

impl Stanza {
    /// `None` for what is not installed, and for what lacks what every package has.
    fn of(paragraph: &[u8]) -> Option<Self> {
        let field = |name| value(paragraph, name);
        // `install ok installed`: what is wanted, whether that went well, and the state.
        if let Some(status) = field("Status")
            && let Some(state) = status.split_ascii_whitespace().nth(2)
            && matches!(state, "not-installed" | "config-files")
        {
            return None;
        }
        let [name, version, architecture] = NEEDED.map(field);
        let mut text = Vec::new();
        for name in FIELDS {
            if let Some(value) = field(name) {
                text.extend_from_slice(format!("{name}: {value}\n").as_bytes());
            }
        }
        Some(Self {
            name: name?,
            version: version?,
            architecture: architecture?,
            text,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.version, &self.architecture)
            == (&other.name, &other.version, &other.architecture)
    }
}

/// The value of a field on one line: deb822(5). Empty ones and those that cannot be kept are none.
fn value(paragraph: &[u8], name: &str) -> Option<String> {
    let mut lines = paragraph.split(|byte| *byte == b'\n');
    let first = lines.find_map(|line| {
        let (field, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        field.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
    })?;
    let folded = lines.take_while(|line| matches!(line.first(), Some(b' ' | b'\t')));
    let mut value = String::new();
    for part in std::iter::once(first).chain(folded) {
        let part = String::from_utf8_lossy(part.trim_ascii());
        if !value.is_empty() && !part.is_empty() {
            value.push(' ');
        }
        value.push_str(&part);
    }
    (!value.is_empty() && value.len() <= VALUE_LIMIT && is_one_line(value.as_bytes()))
        .then_some(value)
}

/// Whether this may be the name of a package (Debian Policy 5.6.1) and of its record: a path with
/// it stays where it should be. Capitals are met in packages of other makers.
fn is_package_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    name.len() <= 200
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(is_inner)
        && !name.ends_with(".md5sums")
}

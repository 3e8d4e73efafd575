//! apk's database of installed packages: apk-installed(5) of apk-tools.

use std::path::PathBuf;

use super::needles::Claims;
use super::{Found, Manager, Needles, Owner, Package, Unread, read, text};
use crate::ImagePath;
use crate::sysroot::Sysroot;

/// Where the database is; the latter since Alpine merged `/usr`.
pub(super) const DATABASES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

pub(super) fn owners(
    sysroot: &dyn Sysroot,
    database: &str,
    paths: &[ImagePath],
    merged: &[&str],
) -> Result<Option<Found>, Unread> {
    let Some(bytes) = read(sysroot, Manager::Apk, database)? else {
        return Ok(None);
    };
    let needles = Needles::new(paths, merged);
    let mut claims = Claims::new(&needles);
    let mut packages = Vec::<(Package, &[u8])>::new();
    let mut spelling = Vec::new();
    for paragraph in Paragraphs(&bytes) {
        let mut package = Package {
            name: String::new(),
            version: String::new(),
            architecture: String::new(),
            manager: Manager::Apk,
        };
        let index = packages.len();
        let mut directory: &[u8] = b"";
        for line in paragraph.split(|byte| *byte == b'\n') {
            match line {
                [b'P', b':', name @ ..] => package.name = text(name),
                [b'V', b':', version @ ..] => package.version = text(version),
                [b'A', b':', architecture @ ..] => package.architecture = text(architecture),
                [b'F', b':', name @ ..] => directory = name,
                [b'R', b':', name @ ..] => {
                    spelling.clear();
                    spelling.push(b'/');
                    if !directory.is_empty() {
                        spelling.extend_from_slice(directory);
                        spelling.push(b'/');
                    }
                    spelling.extend_from_slice(name);
                    for needle in needles.named(&spelling) {
                        claims.add(needle, &index);
                    }
                }
                _ => {}
            }
        }
        packages.push((package, paragraph));
    }
    let found = claims.by_package(&needles).into_iter();
    Ok(Some(
        found
            .filter_map(|(index, paths)| {
                let (package, paragraph) = packages.get(index)?;
                let owner = Owner {
                    package: package.clone(),
                    paragraph: (*paragraph).into(),
                    sums: PathBuf::from(database),
                };
                Some((owner, paths))
            })
            .filter(|(owner, _)| !owner.package.name.is_empty())
            .collect(),
    ))
}

/// What stands between empty lines.
pub(super) struct Paragraphs<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Paragraphs<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let Some(rest) = self.0.strip_prefix(b"\n") {
            self.0 = rest;
        }
        if self.0.is_empty() {
            return None;
        }
        let end = self
            .0
            .windows(2)
            .position(|pair| pair == b"\n\n")
            .unwrap_or(self.0.len());
        let (paragraph, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        Some(paragraph)
    }
}

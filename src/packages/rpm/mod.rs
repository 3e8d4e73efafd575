//! rpm's database: headers in the table `Packages` of an SQLite file.

mod header;
mod sqlite;

use std::path::{Path, PathBuf};

use super::needles::Claims;
use super::{Found, Manager, Needles, Owner, Package, Unread, is_absent};
use crate::ImagePath;
use crate::sysroot::Sysroot;
use header::Header;
use sqlite::Database;

/// Where the database is; the latter on SUSE and newer Fedora, often with a link from the former.
pub(super) const DIRECTORIES: [&str; 2] = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];

const SQLITE: &str = "rpmdb.sqlite";
/// What SQLite has not yet moved into the database file, or would roll back.
const UNSETTLED: [&str; 2] = ["rpmdb.sqlite-wal", "rpmdb.sqlite-journal"];
/// The formats before SQLite: Berkeley DB, and SUSE's ndb.
const OTHER_FORMATS: [&str; 2] = ["Packages", "Packages.db"];

pub(super) fn is_database(path: &Path) -> bool {
    let names = || UNSETTLED.into_iter().chain(OTHER_FORMATS).chain([SQLITE]);
    DIRECTORIES
        .into_iter()
        .any(|directory| names().any(|name| path == Path::new(directory).join(name)))
}

pub(super) fn owners(
    sysroot: &dyn Sysroot,
    directory: &str,
    paths: &[ImagePath],
    merged: &[&str],
) -> Result<Option<Found>, Unread> {
    let unread = |name: &str, why: &str| Unread {
        manager: Manager::Rpm,
        path: format!("{directory}/{name}"),
        why: why.to_owned(),
    };
    let open = |name: &str| match sysroot.open(&Path::new(directory).join(name)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(unread(name, &error.to_string())),
    };
    let Some(file) = open(SQLITE)? else {
        for name in OTHER_FORMATS {
            if open(name)?.is_some() {
                return Err(unread(name, "it is not in the SQLite format"));
            }
        }
        return Ok(None);
    };
    for name in UNSETTLED {
        if open(name)?.is_some_and(|file| file.size > 0) {
            return Err(unread(name, "a transaction is not settled yet"));
        }
    }
    let failed = |error: sqlite::SqliteError| unread(SQLITE, &error.to_string());
    let database = Database::open(&file).map_err(failed)?;
    let needles = Needles::new(paths, merged);
    let mut claims = Claims::new(&needles);
    database
        .for_each_blob("Packages", &mut |blob| {
            let Some(header) = Header::parse(blob) else {
                return Err("a package's header is damaged");
            };
            claim(&header, &needles, &mut claims);
            Ok(())
        })
        .map_err(failed)?;
    // Nothing is recorded of them: a database for rpm would have to be an SQLite file.
    let found = claims.by_package(&needles).into_iter();
    let found = found.map(|(package, paths)| {
        let owner = Owner {
            package,
            paragraph: Box::default(),
            sums: PathBuf::new(),
        };
        (owner, paths)
    });
    Ok(Some(found.collect()))
}

fn claim(header: &Header<'_>, needles: &Needles<'_>, claims: &mut Claims<Package>) {
    let mut package = None;
    let mut spelling = Vec::new();
    header.for_each_file(|directory, name| {
        spelling.clear();
        spelling.extend_from_slice(directory);
        spelling.extend_from_slice(name);
        let found = needles.named(&spelling);
        if found.is_empty() {
            return;
        }
        let package = package.get_or_insert_with(|| header.package());
        for needle in found {
            claims.add(needle, package);
        }
    });
}

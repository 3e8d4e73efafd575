//! Bases that extend each other, merged and made into entries.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::document::{self, Certificates, Document, ZoneWord, Zones};
use super::{Base, BaseConfig, BaseError, Chain, Place};
use crate::ImagePath;
use crate::rootfs::accounts::{self, Group, User};
use crate::rootfs::{Conflict, Content, Entry, EntryKind, Origin, Rootfs, certificates, zones};

/// A chain of documents merged: what is later wins.
pub(super) struct Plan<'a> {
    last: &'a Document,
    user: Option<(&'a toml::Spanned<String>, &'a Document)>,
    env: Vec<(String, String)>,
    users: BTreeMap<&'a str, User>,
    groups: BTreeMap<&'a str, Group>,
    entries: BTreeMap<&'a ImagePath, (Item<'a>, &'a Document, &'a Place)>,
    certificates: Certificates,
    zones: Option<(&'a Zones, &'a Document)>,
}

#[derive(Clone, Copy)]
enum Item<'a> {
    Directory(&'a document::Directory),
    File(&'a document::File),
    Symlink(&'a document::Symlink),
}

impl<'a> Plan<'a> {
    pub(super) fn of((first, others): &'a Chain) -> Self {
        let (last, _) = others.last().unwrap_or(first);
        let mut plan = Self {
            last,
            user: None,
            env: Vec::new(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            entries: BTreeMap::new(),
            certificates: Certificates::None,
            zones: None,
        };
        for (document, place) in std::iter::once(first).chain(others) {
            plan.add(document, place);
        }
        plan
    }

    fn add(&mut self, document: &'a Document, place: &'a Place) {
        if let Some(user) = &document.config.user {
            self.user = Some((user, document));
        }
        for (name, value) in document.env() {
            match self.env.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None => self.env.push((name, value)),
            }
        }
        for user in &document.users {
            self.users
                .insert(&user.get_ref().name, user.get_ref().clone());
        }
        for group in &document.groups {
            self.groups
                .insert(&group.get_ref().name, group.get_ref().clone());
        }
        self.certificates = document.certificates.unwrap_or(self.certificates);
        if let Some(zones) = &document.zones {
            self.zones = Some((zones, document));
        }
        let directories = document
            .directories
            .iter()
            .map(|d| (d.path.image(), Item::Directory(d)));
        let files = document
            .files
            .iter()
            .map(|f| (f.path.image(), Item::File(f)));
        let symlinks = document
            .symlinks
            .iter()
            .map(|s| (s.path.image(), Item::Symlink(s)));
        for (path, item) in directories.chain(files).chain(symlinks) {
            self.entries.insert(path, (item, document, place));
        }
    }

    pub(super) fn build(self) -> Result<Base, BaseError> {
        let mut rootfs = Rootfs::new();
        for (path, (item, document, place)) in &self.entries {
            let (entry, span) = self.entry(*item, document, place)?;
            rootfs
                .insert((*path).clone(), entry)
                .map_err(|error| document.invalid(Some(span), error.to_string()))?;
        }
        self.add_generated(&mut rootfs)?;
        let user = match self.user {
            Some((user, document)) => {
                self.owner(user, document)?;
                user.get_ref().clone()
            }
            None => String::new(),
        };
        Ok(Base {
            name: self.last.name.clone(),
            description: self.last.description.clone(),
            config: BaseConfig {
                user,
                env: self.env,
            },
            rootfs,
            is_system: false,
            parent: None,
        })
    }

    fn entry(
        &self,
        item: Item<'_>,
        document: &Document,
        place: &Place,
    ) -> Result<(Entry, Range<usize>), BaseError> {
        let (mut entry, path, owner) = match item {
            Item::Directory(directory) => (
                Entry::directory(
                    directory
                        .mode
                        .as_ref()
                        .map_or(0o755, |mode| mode.get_ref().0),
                    Origin::Base,
                ),
                &directory.path,
                &directory.owner,
            ),
            Item::File(file) => {
                let content = match (&file.content, &file.source) {
                    (Some(text), None) => Cow::Owned(text.clone().into_bytes()),
                    (None, Some(source)) => place.read(document, source)?,
                    _ => {
                        let message = format!(
                            "the file {} needs either `content` or `source`",
                            file.path.image()
                        );
                        return Err(document.invalid(Some(file.path.span()), message));
                    }
                };
                let mode = file.mode.as_ref().map_or(0o644, |mode| mode.get_ref().0);
                (
                    Entry::file(Content::Bytes(content.into()), mode, Origin::Base),
                    &file.path,
                    &file.owner,
                )
            }
            Item::Symlink(link) => (
                Entry::symlink(&link.target, Origin::Base),
                &link.path,
                &None,
            ),
        };
        if let Some(owner) = owner {
            (entry.uid, entry.gid) = self.owner(owner, document)?;
        }
        Ok((entry, path.span()))
    }

    /// The files that are written from lists and from embedded databases.
    fn add_generated(&self, rootfs: &mut Rootfs) -> Result<(), BaseError> {
        let mut generated: Vec<(String, EntryKind)> = Vec::new();
        let mut text = |path: &str, text: Vec<u8>| {
            generated.push((
                path.to_owned(),
                EntryKind::File(Content::Bytes(text.into())),
            ));
        };
        if !self.users.is_empty() {
            let users: Vec<User> = self.users.values().cloned().collect();
            text("/etc/passwd", accounts::passwd(&users).into_bytes());
        }
        if !self.groups.is_empty() {
            let groups: Vec<Group> = self.groups.values().cloned().collect();
            text("/etc/group", accounts::group(&groups).into_bytes());
        }
        if self.certificates == Certificates::Mozilla {
            text("/etc/ssl/certs/ca-certificates.crt", certificates::bundle());
        }
        let invalid = |message: String| self.last.invalid(None, message);
        let mut entries = Vec::new();
        for (path, kind) in generated {
            entries.push((
                ImagePath::new(path).map_err(|e| invalid(e.to_string()))?,
                kind,
            ));
        }
        entries.extend(zones::files(&self.zones()?).map_err(|e| invalid(e.to_string()))?);
        for (path, kind) in entries {
            let entry = Entry {
                kind,
                mode: 0o644,
                uid: 0,
                gid: 0,
                origin: Origin::Base,
            };
            rootfs.insert(path, entry).map_err(|error| {
                let why = match &error {
                    Conflict::Different { path, .. } => format!(
                        "{path} is written by distrobuild from users, groups, certificates or zones; leave one of both out"
                    ),
                    other => other.to_string(),
                };
                invalid(why)
            })?;
        }
        Ok(())
    }

    fn zones(&self) -> Result<BTreeSet<&'static str>, BaseError> {
        let (names, document) = match self.zones {
            None | Some((Zones::Word(ZoneWord::None), _)) => return Ok(BTreeSet::new()),
            Some((Zones::Word(ZoneWord::All), _)) => return Ok(zones::all()),
            Some((Zones::Names(names), document)) => (names, document),
        };
        names
            .iter()
            .map(|name| {
                zones::find(name).map_err(|near| {
                    let hint = match near.as_slice() {
                        [] => format!(
                            "the names are those of the IANA database, release {}",
                            zones::version()
                        ),
                        near => format!("did you mean {}?", near.join(", ")),
                    };
                    document.invalid(None, format!("there is no time zone {name:?}; {hint}"))
                })
            })
            .collect()
    }

    /// The numbers of `USER[:GROUP]`; without a group, the user's own.
    fn owner(
        &self,
        owner: &toml::Spanned<String>,
        document: &Document,
    ) -> Result<(u32, u32), BaseError> {
        let (user, group) = match owner.get_ref().split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (owner.get_ref().as_str(), None),
        };
        let unknown = |what: &str, name: &str, known: Vec<&str>| {
            let message = format!(
                "there is no {what} {name:?} in this base; there are {}, or give a number",
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                }
            );
            document.invalid(Some(owner.span()), message)
        };
        let (uid, own_gid) = match (user.parse::<u32>(), self.users.get(user)) {
            (_, Some(user)) => (user.uid, user.gid),
            (Ok(uid), None) => {
                let known = self.users.values().find(|user| user.uid == uid);
                (uid, known.map_or(0, |user| user.gid))
            }
            (Err(_), None) => {
                return Err(unknown("user", user, self.users.keys().copied().collect()));
            }
        };
        let gid = match group {
            None => own_gid,
            Some(group) => match (group.parse::<u32>(), self.groups.get(group)) {
                (_, Some(group)) => group.gid,
                (Ok(gid), None) => gid,
                (Err(_), None) => {
                    return Err(unknown(
                        "group",
                        group,
                        self.groups.keys().copied().collect(),
                    ));
                }
            },
        };
        Ok((uid, gid))
    }
}

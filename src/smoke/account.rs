//! The image's user, as a runtime finds it, and what that user may do with a file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::rootfs::{Content, Entry, EntryKind, Rootfs};

/// More than this of an account file is not read.
const ACCOUNTS_LIMIT: u64 = 1 << 20;

/// The user that the program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// From `/etc/group`; without `gid`.
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

/// A name that the image does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    pub(super) what: &'static str,
    pub(super) name: String,
    pub(super) file: &'static str,
}

impl Account {
    /// Looks up `USER[:GROUP]`, names or numbers, in the account files of the image.
    pub(super) fn in_image(rootfs: &Rootfs, user: &str) -> Result<Self, Unknown> {
        Self::find(
            user,
            &text(rootfs, Path::new("/etc/passwd")),
            &text(rootfs, Path::new("/etc/group")),
        )
    }

    /// The rules of `GetExecUser` in moby's user package, which runtimes share: a number needs no
    /// line in passwd(5), but takes its group and home from one; without a line the group is 0 and
    /// the home `/`; further groups come from group(5), unless the group was given.
    fn find(user: &str, passwd: &str, group: &str) -> Result<Self, Unknown> {
        let (name, group_name) = match user.split_once(':') {
            Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
            None => (user, None),
        };
        let name = if name.is_empty() { "0" } else { name };
        let line = lines(passwd).find(|fields| {
            fields.first() == Some(&name)
                || number(name).is_some() && field(fields, 2) == number(name)
        });
        let uid = match &line {
            Some(fields) => field(fields, 2),
            None => None,
        };
        let Some(uid) = uid.or_else(|| number(name)) else {
            return Err(Unknown {
                what: "user",
                name: name.to_owned(),
                file: "/etc/passwd",
            });
        };
        let line = line.unwrap_or_default();
        let user_name = line.first().copied().unwrap_or_default();
        let gid = match group_name {
            None => field(&line, 3).unwrap_or(0),
            Some(wanted) => lines(group)
                .find(|fields| fields.first() == Some(&wanted))
                .and_then(|fields| field(&fields, 2))
                .or_else(|| number(wanted))
                .ok_or_else(|| Unknown {
                    what: "group",
                    name: wanted.to_owned(),
                    file: "/etc/group",
                })?,
        };
        let is_member = |fields: &Vec<&str>| {
            let mut members = fields.get(3).copied().unwrap_or_default().split(',');
            !user_name.is_empty() && members.any(|member| member == user_name)
        };
        let groups = match group_name {
            Some(_) => Vec::new(),
            None => lines(group)
                .filter(is_member)
                .filter_map(|fields| field(&fields, 2))
                .filter(|group| *group != gid)
                .collect(),
        };
        let home = line.get(5).filter(|home| !home.is_empty());
        Ok(Self {
            uid,
            gid,
            groups,
            home: home.map_or_else(|| "/".to_owned(), |home| (*home).to_owned()),
        })
    }

    /// The mode of an entry in a sandbox in which everything belongs to this user: the owner's
    /// bits are those that the user has of the real owner's, group's or others' (`inode(7)`).
    /// Set-id bits, which do nothing there, are left out.
    pub(super) fn mode(&self, entry: &Entry) -> u32 {
        let mode = entry.mode & 0o1777;
        let bits = if self.uid == 0 {
            // What CAP_DAC_OVERRIDE gives (capabilities(7)); runtimes leave it to root.
            let executable = entry.kind == EntryKind::Directory || mode & 0o111 != 0;
            0o6 | u32::from(executable)
        } else if entry.uid == self.uid {
            mode >> 6 & 0o7
        } else if entry.gid == self.gid || self.groups.contains(&entry.gid) {
            mode >> 3 & 0o7
        } else {
            mode & 0o7
        };
        mode & !0o700 | bits << 6
    }
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

fn field(fields: &[&str], index: usize) -> Option<u32> {
    fields.get(index).and_then(|field| number(field))
}

/// A user or group number; the last of 32 bits means "none" to the kernel.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

/// What stands at `path` in the tree, links followed, with the content of hard links.
pub(super) fn entry<'a>(rootfs: &'a Rootfs, path: &Path) -> Option<&'a Entry> {
    let entry = rootfs.get(&rootfs.follow(path)?)?;
    match &entry.kind {
        EntryKind::HardLink(first) => rootfs.get(first),
        _ => Some(entry),
    }
}

/// The first bytes of a file in the tree; none when there is no such file.
pub(super) fn head(rootfs: &Rootfs, path: &Path, limit: u64) -> Vec<u8> {
    match entry(rootfs, path).map(|entry| &entry.kind) {
        Some(EntryKind::File(Content::Bytes(bytes))) => {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            bytes.get(..limit).unwrap_or(bytes).to_vec()
        }
        Some(EntryKind::File(Content::Host { path, .. })) => {
            let mut bytes = Vec::new();
            // A file that cannot be read is told of when the tree is made.
            if let Ok(file) = File::open(path) {
                let _ = file.take(limit).read_to_end(&mut bytes);
            }
            bytes
        }
        _ => Vec::new(),
    }
}

fn text(rootfs: &Rootfs, path: &Path) -> String {
    String::from_utf8_lossy(&head(rootfs, path, ACCOUNTS_LIMIT)).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::rootfs::Origin;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\n\nweb:x:33:34:web:/var/www:/sbin/nologin\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nssl:x:50:web,other\nother:x:51:other\n";

    fn find(user: &str) -> Result<(u32, u32, Vec<u32>, String), Unknown> {
        Account::find(user, PASSWD, GROUP).map(|it| (it.uid, it.gid, it.groups, it.home))
    }

    #[test]
    fn a_name_is_looked_up_and_brings_its_groups_and_home() {
        assert_eq!(find("web").unwrap(), (33, 34, vec![50], "/var/www".into()));
        assert_eq!(find("33").unwrap(), (33, 34, vec![50], "/var/www".into()));
        assert_eq!(find("web:51").unwrap(), (33, 51, vec![], "/var/www".into()));
        assert_eq!(find("").unwrap(), (0, 0, vec![], "/root".into()));
    }

    #[test]
    fn a_number_needs_no_account() {
        assert_eq!(
            find("65532:65532").unwrap(),
            (65532, 65532, vec![], "/".into())
        );
        assert_eq!(find("7").unwrap(), (7, 0, vec![], "/".into()));
        assert_eq!(find("7:ssl").unwrap(), (7, 50, vec![], "/".into()));
    }

    #[test]
    fn a_name_without_an_account_is_told() {
        assert_eq!(find("nobody").unwrap_err().file, "/etc/passwd");
        assert_eq!(find("web:nogroup").unwrap_err().name, "nogroup");
        assert!(find("4294967295").is_err());
    }

    #[test]
    fn the_owners_bits_are_those_that_the_user_really_has() {
        let account = |user| Account::find(user, PASSWD, GROUP).unwrap();
        let mut entry = Entry::directory(0o755, Origin::Base);
        let web = account("web");
        assert_eq!(web.mode(&entry), 0o555);
        entry.mode = 0o600;
        assert_eq!(web.mode(&entry), 0);
        entry.gid = 50;
        entry.mode = 0o4640;
        assert_eq!(web.mode(&entry), 0o440);
        entry.uid = 33;
        assert_eq!(web.mode(&entry), 0o640);
        entry.mode = 0o1777;
        assert_eq!(account("7").mode(&entry), 0o1777);
        entry.mode = 0;
        assert_eq!(account("root").mode(&entry), 0o700);
    }
}

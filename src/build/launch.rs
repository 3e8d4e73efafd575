//! Whether what the config says can be started in the tree.

use std::io::Read;
use std::path::Path;

use crate::image::Settings;
use crate::rootfs::{Content, Entry, EntryKind, Rootfs};

/// More than this of an account file is not read.
const ACCOUNTS_LIMIT: u64 = 1 << 20;

/// What a runtime would stumble on: a command or an account that is not in the image.
pub(super) fn notices(rootfs: &Rootfs, settings: &Settings) -> Vec<String> {
    let command = settings
        .entrypoint
        .first()
        .and_then(|word| command(rootfs, word, settings));
    let (user, group) = match settings.user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (settings.user.as_str(), None),
    };
    let user = account(rootfs, "user", user, "/etc/passwd");
    let group = group.and_then(|group| account(rootfs, "group", group, "/etc/group"));
    command.into_iter().chain(user).chain(group).collect()
}

/// What is wrong with the command's first word.
fn command(rootfs: &Rootfs, word: &str, settings: &Settings) -> Option<String> {
    let found = if word.starts_with('/') {
        entry(rootfs, Path::new(word))
    } else if word.contains('/') {
        // From the working directory, which the user may mount.
        return None;
    } else {
        let path = settings.env.iter().find(|(name, _)| name == "PATH");
        let mut directories = path.map_or("", |(_, value)| value.as_str()).split(':');
        directories.find_map(|directory| entry(rootfs, &Path::new(directory).join(word)))
    };
    let problem = match found {
        None if word.starts_with('/') => "is not in the image",
        None => "is in no directory of the image's PATH",
        Some(entry) if !matches!(entry.kind, EntryKind::File(_)) => "is no file in the image",
        Some(entry) if entry.mode & 0o111 == 0 => "is not executable in the image",
        Some(_) => return None,
    };
    Some(format!(
        "the entrypoint {word} {problem}, so the image will not start as it is: name another, or bring it with --include"
    ))
}

/// What is wrong with a user's or a group's name; a number needs no account.
fn account(rootfs: &Rootfs, what: &str, name: &str, file: &str) -> Option<String> {
    let is_known = name.is_empty()
        || name.bytes().all(|byte| byte.is_ascii_digit())
        || text(rootfs, Path::new(file))
            .lines()
            .any(|line| line.split(':').next() == Some(name));
    (!is_known).then(|| {
        format!(
            "the {what} {name} is not in the image's {file}, so the image will not start as it is: give a number, or bring a {file} with --include"
        )
    })
}

fn entry<'a>(rootfs: &'a Rootfs, path: &Path) -> Option<&'a Entry> {
    let entry = rootfs.get(&rootfs.follow(path)?)?;
    match &entry.kind {
        EntryKind::HardLink(first) => rootfs.get(first),
        _ => Some(entry),
    }
}

/// The text of a small file; empty when there is none.
fn text(rootfs: &Rootfs, path: &Path) -> String {
    let bytes = match entry(rootfs, path).map(|entry| &entry.kind) {
        Some(EntryKind::File(Content::Bytes(bytes))) => bytes.to_vec(),
        Some(EntryKind::File(Content::Host { path, .. })) => {
            let mut bytes = Vec::new();
            // Packing says what is wrong with a file that cannot be read.
            if let Ok(file) = std::fs::File::open(path) {
                let _ = file.take(ACCOUNTS_LIMIT).read_to_end(&mut bytes);
            }
            bytes
        }
        _ => Vec::new(),
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

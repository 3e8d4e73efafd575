//! Users and groups: `passwd(5)` and `group(5)`.

use serde::Deserialize;

/// A user, as a base's file gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    #[serde(default)]
    pub(super) comment: String,
    pub(super) home: String,
    #[serde(default = "no_login")]
    pub(super) shell: String,
}

/// A group, as a base's file gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) gid: u32,
    #[serde(default)]
    pub(super) members: Vec<String>,
}

fn no_login() -> String {
    "/sbin/nologin".to_owned()
}

impl User {
    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<String> {
        name_fault("user", &self.name)
            .or_else(|| field_fault("the comment", &self.comment))
            .or_else(|| path_fault("the home directory", &self.home))
            .or_else(|| path_fault("the shell", &self.shell))
    }
}

impl Group {
    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<String> {
        name_fault("group", &self.name).or_else(|| {
            self.members
                .iter()
                .find_map(|member| name_fault("member", member))
        })
    }
}

/// The lines of `/etc/passwd`, by user number, so that their order says nothing.
pub(super) fn passwd(users: &[User]) -> String {
    let mut users: Vec<&User> = users.iter().collect();
    users.sort_by(|a, b| (a.uid, &a.name).cmp(&(b.uid, &b.name)));
    users
        .iter()
        .map(|user| {
            format!(
                "{}:x:{}:{}:{}:{}:{}\n",
                user.name, user.uid, user.gid, user.comment, user.home, user.shell
            )
        })
        .collect()
}

/// The lines of `/etc/group`, by group number.
pub(super) fn group(groups: &[Group]) -> String {
    let mut groups: Vec<&Group> = groups.iter().collect();
    groups.sort_by(|a, b| (a.gid, &a.name).cmp(&(b.gid, &b.name)));
    groups
        .iter()
        .map(|group| {
            format!(
                "{}:x:{}:{}\n",
                group.name,
                group.gid,
                group.members.join(",")
            )
        })
        .collect()
}

fn name_fault(what: &str, name: &str) -> Option<String> {
    let good = !name.is_empty()
        && !name.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.$".contains(c));
    (!good).then(|| {
        format!(
            "{name:?} is no {what} name: letters, digits, `_`, `-`, `.` and `$`, not starting with a digit or `-`"
        )
    })
}

fn path_fault(what: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        field_fault(what, path)
    } else {
        Some(format!("{what} {path:?} is not an absolute path"))
    }
}

fn field_fault(what: &str, value: &str) -> Option<String> {
    value
        .contains(|c: char| c == ':' || c.is_control())
        .then(|| {
            format!(
                "{what} {value:?} holds `:` or a control character, which would break /etc/passwd"
            )
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn user(name: &str, uid: u32) -> User {
        User {
            name: name.to_owned(),
            uid,
            gid: uid,
            comment: name.to_owned(),
            home: "/".to_owned(),
            shell: no_login(),
        }
    }

    #[test]
    fn lines_are_sorted_by_number() {
        let lines = passwd(&[user("nobody", 65534), user("root", 0)]);
        assert_eq!(
            lines,
            "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"
        );
        let wheel = Group {
            name: "wheel".to_owned(),
            gid: 10,
            members: vec!["a".to_owned(), "b".to_owned()],
        };
        assert_eq!(group(&[wheel]), "wheel:x:10:a,b\n");
    }

    #[test]
    fn a_field_cannot_smuggle_in_another_line_or_field() {
        assert_eq!(user("root", 0).fault(), None);
        for bad in ["", "a:b", "a\nb", "-x", "1a", "ü"] {
            assert!(user(bad, 1).fault().is_some(), "{bad:?}");
        }
        let mut bad = user("a", 1);
        bad.home = "/a:b".to_owned();
        assert!(bad.fault().is_some());
        bad.home = "a".to_owned();
        assert!(bad.fault().is_some());
    }
}

//! Why a machine gives no sandbox, and what helps.

use std::fs;
use std::io;
use std::path::Path;

use super::SmokeError;

/// What is known of the machine about namespaces of ordinary users.
#[derive(Debug, Clone, Default)]
struct Facts {
    /// `kernel.unprivileged_userns_clone` of Debian's kernels.
    clone: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns` of Ubuntu's.
    apparmor: Option<u64>,
    /// `user.max_user_namespaces`.
    most: Option<u64>,
    /// Whether a seccomp filter is in force for this process.
    filtered: bool,
    /// Whether it looks like a container.
    container: bool,
}

impl Facts {
    fn of_this_machine() -> Self {
        let number = |name: &str| {
            let text = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
            text.trim().parse().ok()
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let seccomp = status
            .lines()
            .find_map(|line| line.strip_prefix("Seccomp:"));
        let marks = ["/.dockerenv", "/run/.containerenv"];
        Self {
            clone: number("kernel/unprivileged_userns_clone"),
            apparmor: number("kernel/apparmor_restrict_unprivileged_userns"),
            most: number("user/max_user_namespaces"),
            filtered: seccomp.is_some_and(|mode| mode.trim() != "0"),
            container: marks.iter().any(|mark| Path::new(mark).exists()),
        }
    }

    /// What stands in the way, and what to do.
    fn reason(&self) -> (&'static str, &'static str) {
        if self.clone == Some(0) {
            (
                "the setting kernel.unprivileged_userns_clone is 0",
                "allow them with `sysctl -w kernel.unprivileged_userns_clone=1`",
            )
        } else if self.most == Some(0) {
            (
                "the setting user.max_user_namespaces is 0",
                "allow some with `sysctl -w user.max_user_namespaces=15000`",
            )
        } else if self.filtered || self.container {
            (
                "the container that this runs in, by a seccomp filter or for want of a capability",
                "give the container `--security-opt seccomp=unconfined --security-opt apparmor=unconfined` (Docker, Podman), or a runner that allows user namespaces",
            )
        } else if self.apparmor == Some(1) {
            (
                "AppArmor: the setting kernel.apparmor_restrict_unprivileged_userns is 1",
                "give distrobuild an AppArmor profile with `userns,`, or allow all programs with `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`",
            )
        } else {
            (
                "the kernel's configuration, a security module, or a chroot that this runs in",
                "build on a machine where `unshare --user --map-root-user --mount true` works",
            )
        }
    }

    fn unavailable(&self, what: String, source: io::Error) -> SmokeError {
        let (reason, advice) = self.reason();
        SmokeError::Unavailable {
            what,
            reason,
            advice,
            source,
        }
    }
}

/// Namespaces were refused.
pub(super) fn namespaces(source: io::Error) -> SmokeError {
    Facts::of_this_machine().unavailable("make user namespaces".to_owned(), source)
}

/// The maps of a user namespace were refused.
pub(super) fn maps(source: io::Error) -> SmokeError {
    Facts::of_this_machine().unavailable("map the ids of a user namespace".to_owned(), source)
}

/// A step inside was refused, or failed for another reason.
pub(super) fn step(what: String, source: io::Error) -> SmokeError {
    let is_refusal = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
    // A file that cannot be read, or has grown too large, is no matter of namespaces.
    let concerns_files = ["read ", "write /"]
        .iter()
        .any(|start| what.starts_with(start));
    if is_refusal(&source) && !concerns_files {
        Facts::of_this_machine().unavailable(what, source)
    } else {
        SmokeError::Sandbox { what, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_forbids_namespaces_is_named() {
        let advice = |facts: Facts| facts.reason().1;
        let open = Facts {
            clone: Some(1),
            apparmor: Some(0),
            most: Some(1000),
            ..Facts::default()
        };
        assert!(advice(open.clone()).contains("unshare"));
        let debian = Facts {
            clone: Some(0),
            ..open.clone()
        };
        assert!(advice(debian).contains("unprivileged_userns_clone=1"));
        let ubuntu = Facts {
            apparmor: Some(1),
            ..open.clone()
        };
        assert!(advice(ubuntu).contains("apparmor_restrict_unprivileged_userns=0"));
        let none = Facts {
            most: Some(0),
            ..open.clone()
        };
        assert!(advice(none).contains("max_user_namespaces="));
        let docker = Facts {
            filtered: true,
            ..open
        };
        assert!(advice(docker).contains("seccomp=unconfined"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_obstacle_of_the_machine() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(matches!(
            step("read /etc/shadow".into(), denied()),
            SmokeError::Sandbox { .. }
        ));
        assert!(matches!(
            step("mount /proc".into(), denied()),
            SmokeError::Unavailable { .. }
        ));
    }
}

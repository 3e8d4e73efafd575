//! The flags of `open(2)`.

use nix::libc;

/// Whether a file that is opened with these flags is to be written or created.
pub(super) fn is_written(flags: i32) -> bool {
    flags & libc::O_PATH == 0
        && (flags & libc::O_ACCMODE != libc::O_RDONLY
            || flags & (libc::O_CREAT | libc::O_TRUNC) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_that_may_change_or_come_to_be() {
        assert!(!is_written(libc::O_RDONLY | libc::O_CLOEXEC));
        assert!(!is_written(libc::O_PATH | libc::O_RDWR));
        assert!(is_written(libc::O_WRONLY));
        assert!(is_written(libc::O_RDWR));
        assert!(is_written(libc::O_RDONLY | libc::O_CREAT));
        assert!(is_written(libc::O_RDONLY | libc::O_TRUNC));
    }
}

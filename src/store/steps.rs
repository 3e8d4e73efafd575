//! Points in a commit at which the tests let it die.

use super::StoreError;

/// A point that a commit has reached. Nothing, but in tests.
#[cfg(not(test))]
pub(super) fn step(_name: &str) -> Result<(), StoreError> {
    Ok(())
}

/// Ends the process or the commit where a test asked for it, by `DIE_AT` in the
/// environment of a child process, or by [`fail_at`] in this thread.
#[cfg(test)]
pub(super) fn step(name: &str) -> Result<(), StoreError> {
    if std::env::var("DIE_AT").is_ok_and(|at| at == name) {
        std::process::abort();
    }
    if FAIL_AT.with_borrow(|at| *at == Some(name.to_owned())) {
        return Err(StoreError::io(name, "write")(
            rustix::io::Errno::NOSPC.into(),
        ));
    }
    Ok(())
}

#[cfg(test)]
thread_local! {
    static FAIL_AT: std::cell::RefCell<Option<String>> = const { std::cell::RefCell::new(None) };
}

/// Lets commits of this thread fail at a point, or at none.
#[cfg(test)]
pub(super) fn fail_at(name: Option<&str>) {
    FAIL_AT.set(name.map(str::to_owned));
}

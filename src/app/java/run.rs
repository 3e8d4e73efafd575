//! Running the tools of a JDK: with an empty environment, no input, and a time limit.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How much of what a tool prints is kept, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;
/// How many lines of it are shown when it fails.
const SHOWN_LINES: usize = 12;

/// Runs the program to its end and returns what it printed, or says what went wrong.
pub(super) fn run(
    program: &Path,
    arguments: &[OsString],
    directory: &Path,
    limit: Duration,
) -> Result<String, String> {
    let name = program.display();
    let failed = |error: io::Error| format!("{name} cannot be run: {error}");
    // A file takes whatever comes, where a pipe would have to be drained meanwhile.
    let output = tempfile::tempfile_in(directory).map_err(failed)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(failed)?)
        .stderr(output.try_clone().map_err(failed)?);
    let mut child = command.spawn().map_err(failed)?;
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if Instant::now() >= end => {
                // It may have ended this very moment: then there is nothing to kill.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name} took longer than {} s", limit.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let text = text(output).map_err(failed)?;
    if status.success() {
        return Ok(text);
    }
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    };
    let lines: Vec<&str> = text.lines().take(SHOWN_LINES).collect();
    Err(format!("{name} failed ({how}): {}", lines.join("\n")))
}

fn text(mut output: File) -> io::Result<String> {
    use std::io::Seek;
    output.rewind()?;
    let mut bytes = Vec::new();
    output.take(MAX_OUTPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let arguments = ["-c".into(), script.into()];
        run(Path::new("/bin/sh"), &arguments, directory.path(), limit)
    }

    #[test]
    fn nothing_of_the_environment_reaches_a_tool() {
        let printed = shell(
            "echo \"$HOME$CARGO_MANIFEST_DIR$LC_ALL\"",
            Duration::from_secs(9),
        );
        assert_eq!(printed.unwrap(), "C.UTF-8\n");
    }

    #[test]
    fn a_failure_shows_what_the_tool_said() {
        let error = shell("echo no module; exit 3", Duration::from_secs(9)).unwrap_err();
        assert_eq!(error, "/bin/sh failed (exit code 3): no module");
    }

    #[test]
    fn a_tool_that_never_ends_is_ended() {
        let error = shell("exec sleep 60", Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("took longer than"), "{error}");
    }
}

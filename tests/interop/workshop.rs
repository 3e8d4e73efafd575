//! A temporary directory in which a test compiles, builds and runs, with a cache of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::image::Image;
use crate::tools::{self, Outcome, run, tool};

/// Where a test works. All of it is gone when the test ends.
pub(crate) struct Workshop {
    directory: TempDir,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("distrobuild-interop-")
            .tempdir()
            .unwrap();
        // Users in containers and unprivileged builds reach what lies in it.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory }
    }

    /// The path of `name` in the workshop; its parent directories are made.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// A new directory `name`.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Writes a text file.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes an executable text file.
    pub(crate) fn write_script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Compiles `source` to `output` with `compiler`, whose further arguments follow the source
    /// (where a linker wants libraries).
    #[track_caller]
    pub(crate) fn compile(
        &self,
        compiler: &str,
        source: &str,
        output: &str,
        arguments: &[&str],
    ) -> PathBuf {
        let output = self.path(output);
        let extension = if compiler.ends_with("g++") {
            "cpp"
        } else {
            "c"
        };
        let source = self.write(
            &format!(
                "source/{}.{extension}",
                output.file_name().unwrap().display()
            ),
            source,
        );
        run(tool(compiler)
            .current_dir(self.directory.path())
            .args(["-O1", "-o"])
            .arg(&output)
            .arg(&source)
            .args(arguments))
        .output();
        output
    }

    /// The program under test, in the workshop, with nothing of the caller's environment that
    /// could change an image.
    pub(crate) fn distrobuild(&self) -> Command {
        self.distrobuild_at(&program_under_test())
    }

    /// As [`Self::distrobuild`], for a copy of the program at `path`.
    pub(crate) fn distrobuild_at(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", self.directory.path())
            .env("XDG_CACHE_HOME", self.cache());
        command
    }

    /// Where builds in this workshop keep their cache.
    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    /// Builds `app` into the layout `output`, with further options (and `-- CMD…` at their end).
    #[track_caller]
    pub(crate) fn build(&self, app: impl AsRef<Path>, output: &str, options: &[&str]) -> Image {
        self.try_build(app, output, options).output();
        Image::new(self.path(output), tag_in(options))
    }

    /// As [`Self::build`], whatever comes of it.
    #[track_caller]
    pub(crate) fn try_build(
        &self,
        app: impl AsRef<Path>,
        output: &str,
        options: &[&str],
    ) -> Outcome {
        run(&mut self.build_command(app, output, options))
    }

    /// The message of a build that fails, after a check that nothing is left of it.
    #[track_caller]
    pub(crate) fn refusal(&self, app: impl AsRef<Path>, options: &[&str]) -> String {
        let mut command = self.build_command(app, "refused/image.oci", options);
        self.refusal_of(&mut command)
    }

    /// As [`Self::refusal`], of a command whose output is `refused/image.oci`.
    #[track_caller]
    pub(crate) fn refusal_of(&self, command: &mut Command) -> String {
        let temporary = self.directory("refused-temporary");
        let message = run(command.env("TMPDIR", &temporary)).exited_with(1);
        for directory in [self.directory("refused"), temporary] {
            let left: Vec<_> = fs::read_dir(directory)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            assert!(left.is_empty(), "{left:?} is left behind\n{message}");
        }
        message
    }

    /// The command that [`Self::build`] runs.
    pub(crate) fn build_command(
        &self,
        app: impl AsRef<Path>,
        output: &str,
        options: &[&str],
    ) -> Command {
        let split = options
            .iter()
            .position(|&option| option == "--")
            .unwrap_or(options.len());
        let (options, arguments) = options.split_at(split);
        let mut command = self.distrobuild();
        command
            .args(["build", "--report", "none", "--output"])
            .arg(self.path(output))
            .args(options)
            .arg(app.as_ref())
            .args(arguments);
        command
    }

    /// The objects in the closure of `app`, as `distrobuild deps --json` lists them, the program
    /// first.
    #[track_caller]
    pub(crate) fn closure(&self, app: impl AsRef<Path>) -> Vec<Listed> {
        let json = run(self
            .distrobuild()
            .args(["deps", "--json"])
            .arg(app.as_ref()))
        .output();
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["schema"], "distrobuild.deps/1", "{json}");
        let objects = value["objects"].as_array().unwrap();
        let at_start = loaded_at_start(objects);
        objects
            .iter()
            .zip(at_start)
            .map(|(object, at_start)| Listed {
                path: PathBuf::from(object["path"].as_str().unwrap()),
                at_start,
            })
            .collect()
    }
}

/// An object that `distrobuild deps` lists.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    /// Whether the loader maps it before the program starts, not by a later `dlopen`.
    pub(crate) at_start: bool,
}

/// Which objects something asks for that is itself there at the start, other than by `dlopen`.
fn loaded_at_start(objects: &[Value]) -> Vec<bool> {
    let mut at_start = vec![false; objects.len()];
    loop {
        let next: Vec<bool> = objects
            .iter()
            .map(|object| {
                object["requests"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|request| {
                        let asker = request["by"]
                            .as_u64()
                            .map(|by| usize::try_from(by).unwrap());
                        match request["finding"].as_str().unwrap() {
                            // A library that nothing asks for is a plugin, opened later.
                            "root" => object["kind"] != "library",
                            "interpreter" | "needed" | "filter" => {
                                asker.is_none_or(|asker| at_start[asker])
                            }
                            _ => false,
                        }
                    })
            })
            .collect();
        if next == at_start {
            return at_start;
        }
        at_start = next;
    }
}

/// The binary that is tested: `DISTROBUILD`, or the one that cargo has just built.
pub(crate) fn program_under_test() -> PathBuf {
    std::env::var_os("DISTROBUILD").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_distrobuild")),
        PathBuf::from,
    )
}

/// Checks that a message holds each of these texts: what is wrong, where, and what to do.
#[track_caller]
pub(crate) fn assert_tells(message: &str, texts: &[&str]) {
    for text in texts {
        assert!(message.contains(text), "{text:?} is not in:\n{message}");
    }
}

/// The path of an installed program, links kept.
pub(crate) fn installed(program: &str) -> PathBuf {
    tools::path_of(program)
}

/// The tag that these options give.
fn tag_in<'a>(options: &[&'a str]) -> &'a str {
    let ours = options.split(|&option| option == "--").next().unwrap();
    ours.windows(2)
        .find_map(|pair| matches!(pair[0], "-t" | "--tag").then_some(pair[1]))
        .unwrap_or("latest")
}

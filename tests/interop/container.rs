//! An image unpacked by `umoci` and run by `runc`: no network but its own loopback, no
//! capabilities, the user that the image asks for.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

use crate::image::Image;
use crate::tools::{Outcome, run, tool};
use crate::workshop::Workshop;

/// Containers and bundles of one process of tests are counted, so that no two share an id.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The longest that a server may take to answer. A Java machine that starts on a busy machine stays
/// far below it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The user of our images.
pub(crate) const USER: u32 = 65532;

/// A runtime bundle: a root file system and the configuration to run it with.
pub(crate) struct Bundle {
    directory: PathBuf,
    state: PathBuf,
    configuration: Value,
}

impl Bundle {
    /// Unpacks `image`.
    #[track_caller]
    pub(crate) fn of(image: &Image, workshop: &Workshop) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = workshop.path(&format!("bundle-{number}"));
        run(tool("umoci")
            .args(["unpack", "--image", &image.reference()])
            .arg(&directory))
        .output();
        let mut configuration = crate::image::json(&directory.join("config.json"));
        configuration["process"]["terminal"] = json!(false);
        // Stricter than the default of any engine: an image that needs a capability would show.
        configuration["process"]["capabilities"] = json!({});
        Self {
            directory,
            state: workshop.path("runc"),
            configuration,
        }
    }

    /// The unpacked root file system.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    /// The command line of the image: entrypoint and default arguments.
    pub(crate) fn command_line(&self) -> Vec<&str> {
        self.configuration["process"]["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|argument| argument.as_str().unwrap())
            .collect()
    }

    /// Adds arguments behind the image's own command line.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments().extend(arguments.iter().map(|&a| json!(a)));
        self
    }

    /// Replaces the command line by `program` with its arguments.
    pub(crate) fn instead(mut self, program: &[&str]) -> Self {
        self.arguments().clear();
        self.with(program)
    }

    /// Adds `NAME=VALUE` to the environment.
    pub(crate) fn env(mut self, variable: &str) -> Self {
        list(&mut self.configuration["process"]["env"]).push(json!(variable));
        self
    }

    /// Binds the directory or file `host` to `inside`, writable.
    pub(crate) fn bind(mut self, host: &Path, inside: &str) -> Self {
        list(&mut self.configuration["mounts"]).push(json!({
            "type": "bind",
            "source": host,
            "destination": inside,
            "options": ["bind", "rw", "nosuid", "nodev"],
        }));
        self
    }

    /// Mounts an empty directory in memory on `inside`, which every user can write.
    pub(crate) fn scratch(mut self, inside: &str) -> Self {
        fs::create_dir_all(self.rootfs().join(inside.trim_start_matches('/'))).unwrap();
        list(&mut self.configuration["mounts"]).push(json!({
            "type": "tmpfs",
            "source": "tmpfs",
            "destination": inside,
            "options": ["nosuid", "nodev", "mode=1777", "size=64m"],
        }));
        self
    }

    /// Makes the root file system read-only, as a careful cluster does.
    pub(crate) fn read_only(mut self) -> Self {
        // A mount point cannot be made later on; engines make these as well.
        for mount in ["proc", "dev", "sys"] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(self.rootfs().join(mount))
                .unwrap();
        }
        self.configuration["root"]["readonly"] = json!(true);
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(&self) -> Outcome {
        let (container, mut command) = self.container();
        let outcome = run(&mut command);
        drop(container);
        outcome
    }

    /// Starts it; it is killed when the value is dropped.
    pub(crate) fn start(&self) -> Running {
        let (container, mut command) = self.container();
        let log = self.directory.join("log");
        let output = fs::File::create(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Running {
            child,
            log,
            container,
        }
    }

    /// A container of this bundle with the command that runs it.
    fn container(&self) -> (Container, Command) {
        fs::write(
            self.directory.join("config.json"),
            serde_json::to_vec(&self.configuration).unwrap(),
        )
        .unwrap();
        let container = Container {
            state: self.state.clone(),
            id: format!(
                "distrobuild-interop-{}-{}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            ),
        };
        let mut command = container.runc();
        command
            .args(["run", "--bundle"])
            .arg(&self.directory)
            .arg(&container.id);
        (container, command)
    }

    fn arguments(&mut self) -> &mut Vec<Value> {
        list(&mut self.configuration["process"]["args"])
    }
}

fn list(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().unwrap()
}

/// A container's name with the runtime. Whatever is left of it goes when this is dropped.
struct Container {
    state: PathBuf,
    id: String,
}

impl Container {
    fn runc(&self) -> Command {
        let mut command = tool("runc");
        command.arg("--root").arg(&self.state);
        command
    }

    /// The network namespace of its first process, once there is one.
    fn network(&self) -> io::Result<File> {
        let state = self.runc().args(["state", &self.id]).output()?;
        let state: Value = serde_json::from_slice(&state.stdout).unwrap_or_default();
        match state["pid"].as_u64() {
            Some(pid) if state["status"] == "running" => File::open(format!("/proc/{pid}/ns/net")),
            _ => Err(io::Error::other("the container does not run")),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.state.join(&self.id).exists() {
            // A test that fails is already unwinding: say nothing more.
            let _ = self
                .runc()
                .args(["delete", "--force", &self.id])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// A container that has been started.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
    container: Container,
}

impl Running {
    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// A connection to `port` of the container's loopback, as soon as somebody listens there.
    #[track_caller]
    pub(crate) fn connect(&mut self, port: u16) -> TcpStream {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_connect(port) {
                Ok(connection) => {
                    connection.set_read_timeout(Some(PATIENCE)).unwrap();
                    return connection;
                }
                Err(error) => assert!(
                    !self.has_ended() && Instant::now() < deadline,
                    "port {port}: {error}\n{}",
                    self.log()
                ),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Only a thread of its own may enter another network: it stays there.
    fn try_connect(&self, port: u16) -> io::Result<TcpStream> {
        let network = self.container.network()?;
        let connecting = thread::spawn(move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
            TcpStream::connect(("127.0.0.1", port))
        });
        connecting.join().unwrap()
    }

    /// The body of the page `path` of an HTTP server on `port`, after a check that it is there.
    #[track_caller]
    pub(crate) fn page(&mut self, port: u16, path: &str) -> String {
        let response = self.response(port, path);
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1);
        assert_eq!(status, Some("200"), "{response}\n{}", self.log());
        body.to_owned()
    }

    /// The whole response of an HTTP server on `port`.
    #[track_caller]
    pub(crate) fn response(&mut self, port: u16, path: &str) -> String {
        let mut connection = self.connect(port);
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        connection
            .read_to_string(&mut response)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        response
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // runc passes signals on to the program in the container, but for SIGKILL, which it
        // cannot see: the container itself is deleted by force afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes `directory` writable to every user, for sockets and results.
pub(crate) fn open_to_all(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
}

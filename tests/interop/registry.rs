//! Debian's docker-registry on loopback: Basic login over TLS with a CA made for the test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::tools::{run, tool};
use crate::workshop::Workshop;

/// Who may come in.
pub(crate) const USER: &str = "tester";
/// Its password, with signs that a careless quoting would lose.
pub(crate) const PASSWORD: &str = "sword fish+1";

/// The user and the password's hash as htpasswd(1) writes it (bcrypt, few rounds).
const HTPASSWD: &str = "tester:$2y$05$KJYQ8seBxxHVbu4cnjTYDu.KBCgJCpFvfqxMqi4ORSuM3W9JVhWm6\n";

/// How long a registry may take to listen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A registry that runs; it ends with the value.
pub(crate) struct Registry {
    child: Child,
    /// `localhost:PORT`.
    pub(crate) host: String,
    /// The certificate of the CA; `None` without TLS.
    pub(crate) authority: Option<PathBuf>,
    directory: PathBuf,
}

impl Registry {
    /// With TLS and a login.
    pub(crate) fn guarded(workshop: &Workshop, name: &str) -> Self {
        Self::start(workshop, name, true)
    }

    /// Plain HTTP for everybody.
    pub(crate) fn open(workshop: &Workshop, name: &str) -> Self {
        Self::start(workshop, name, false)
    }

    fn start(workshop: &Workshop, name: &str, is_guarded: bool) -> Self {
        let directory = workshop.directory(name);
        // Another test may take the port in between: then the registry ends, and we try again.
        for _ in 0..10 {
            let port = free_port();
            let authority = is_guarded.then(|| certificates(&directory));
            let configuration = configuration(&directory, port, is_guarded);
            let file = directory.join("config.yml");
            fs::write(&file, configuration).unwrap();
            let log = fs::File::create(directory.join("log")).unwrap();
            let mut child = tool("docker-registry")
                .args(["serve".as_ref(), file.as_os_str()])
                .stdin(Stdio::null())
                // The access log goes to the one, the errors to the other.
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap();
            let deadline = Instant::now() + PATIENCE;
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                assert!(Instant::now() < deadline, "the registry does not listen");
                std::thread::sleep(Duration::from_millis(20));
            }
            if child.try_wait().unwrap().is_none() {
                return Self {
                    child,
                    host: format!("localhost:{port}"),
                    authority,
                    directory,
                };
            }
        }
        panic!("the registry does not start: {}", directory.display());
    }

    /// What an image is called in it.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.host)
    }

    /// The requests that it has answered so far, as `METHOD PATH STATUS`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.directory.join("log")).unwrap();
        log.lines()
            .filter_map(|line| {
                // The access log, in Apache's combined form.
                let (_, rest) = line.split_once("] \"")?;
                let (request, rest) = rest.split_once('"')?;
                let status = rest.split_whitespace().next()?;
                let mut words = request.split(' ');
                let (method, path) = (words.next()?, words.next()?);
                Some(format!("{method} {path} {status}"))
            })
            .collect()
    }

    /// The flags of skopeo for it: `side` is `src`, `dest` or empty.
    pub(crate) fn skopeo(&self, side: &str) -> Vec<String> {
        let dash = if side.is_empty() { "" } else { "-" };
        match &self.authority {
            Some(authority) => vec![
                format!(
                    "--{side}{dash}cert-dir={}",
                    authority.parent().unwrap().display()
                ),
                match side {
                    "" => format!("--creds={USER}:{PASSWORD}"),
                    side => format!("--{side}-creds={USER}:{PASSWORD}"),
                },
            ],
            None => vec![format!("--{side}{dash}tls-verify=false")],
        }
    }

    /// `command` with a login and the CA, as a user of this registry has them.
    pub(crate) fn known_to(&self, command: &mut Command, workshop: &Workshop) {
        let config = workshop.directory("docker-config");
        let auth = base64(&format!("{USER}:{PASSWORD}"));
        fs::write(
            config.join("config.json"),
            format!(
                "{{\"auths\":{{\"{}\":{{\"auth\":\"{auth}\"}}}}}}",
                self.host
            ),
        )
        .unwrap();
        command.env("DOCKER_CONFIG", &config);
        if let Some(authority) = &self.authority {
            command.env("SSL_CERT_FILE", authority);
        }
    }

    /// Runs distrobuild as that user.
    #[track_caller]
    pub(crate) fn distrobuild(&self, workshop: &Workshop, arguments: &[&str]) -> String {
        let mut command = workshop.distrobuild();
        self.known_to(&mut command, workshop);
        run(command.args(arguments)).output()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn configuration(directory: &std::path::Path, port: u16, is_guarded: bool) -> String {
    let here = directory.display();
    let (tls, auth) = match is_guarded {
        true => (
            format!("\n  tls:\n    certificate: {here}/server.crt\n    key: {here}/server.key"),
            format!("\nauth:\n  htpasswd:\n    realm: test\n    path: {here}/htpasswd"),
        ),
        false => (String::new(), String::new()),
    };
    fs::write(directory.join("htpasswd"), HTPASSWD).unwrap();
    format!(
        "version: 0.1
log:
  accesslog:
    disabled: false
  level: error
storage:
  filesystem:
    rootdirectory: {here}/data
  delete:
    enabled: true
http:
  addr: 127.0.0.1:{port}
  secret: of-this-test{tls}{auth}
"
    )
}

/// Makes a CA and a certificate for `localhost` in `directory`; gives the CA's. It has a
/// directory of its own, as skopeo wants it.
fn certificates(directory: &std::path::Path) -> PathBuf {
    let trusted = directory.join("trusted");
    fs::create_dir_all(&trusted).unwrap();
    let authority = trusted.join("ca.crt");
    if authority.exists() {
        return authority;
    }
    let path = |name: &str| directory.join(name).display().to_string();
    let openssl = |arguments: &[&str]| run(tool("openssl").args(arguments)).output();
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=authority of a test",
        "-keyout",
        &path("ca.key"),
        "-out",
        &authority.display().to_string(),
    ]);
    openssl(&[
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
        &path("server.key"),
        "-out",
        &path("server.csr"),
    ]);
    openssl(&[
        "x509",
        "-req",
        "-in",
        &path("server.csr"),
        "-days",
        "2",
        "-CA",
        &authority.display().to_string(),
        "-CAkey",
        &path("ca.key"),
        "-CAcreateserial",
        "-copy_extensions",
        "copy",
        "-out",
        &path("server.crt"),
    ]);
    authority
}

/// RFC 4648, for a login in a config file.
pub(crate) fn base64(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let mut bits = 0_u32;
        for at in 0..3 {
            bits = bits << 8 | u32::from(*chunk.get(at).unwrap_or(&0));
        }
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    out
}

//! Keeping and forgetting a login.

use std::fs::{self, DirBuilder, File, Metadata, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::config::{AUTHS, Config, LIMIT, SECRETS, encoded, too_large};
use super::environment::Environment;
use super::json::{Json, Object, pretty};
use super::keys::Wanted;
use super::program::Program;
use super::{CredentialError, Secret, Stored, check_username};

/// How long another process may hold the lock of a config's directory; after that it is taken for
/// one that has it for another purpose.
const MOMENT: Duration = Duration::from_secs(5);

/// How many symlinks may lead from one to the next, as in the kernel.
const LINKS: usize = 40;

/// Keeps a login in the first config that is there, or in the helper that it names.
pub(super) fn store(
    environment: &Environment,
    wanted: &Wanted,
    username: &str,
    password: &Secret,
) -> Result<Stored, CredentialError> {
    check_username(username)?;
    let path = environment
        .file_to_write()
        .ok_or(CredentialError::NoPlace)?;
    let config = Config::read(&path)?;
    let helper = match &config {
        Some(config) => config.helper(wanted)?.map(|helper| (config, helper)),
        None => None,
    };
    let Some((config, helper)) = helper else {
        edit(&path, |document| {
            keep(&path, document, wanted, username, password)
        })?;
        return Ok(Stored {
            place: environment.shown(&path),
            is_plain: true,
        });
    };
    let program = Program::find(&helper.program, &path, environment)?;
    program.store(&helper.server, username, password)?;
    // An earlier login would stay readable in the file.
    erase_in_file(config, wanted)?;
    Ok(Stored {
        place: format!("the credential helper {}", helper.program),
        is_plain: false,
    })
}

/// Forgets a login in all configs and helpers; gives the places where there was one.
pub(super) fn erase(
    environment: &Environment,
    wanted: &Wanted,
) -> Result<Vec<String>, CredentialError> {
    let mut places = Vec::new();
    let mut first_error = None;
    // A place that fails must not protect the logins in the others.
    let mut note = |result: Result<Option<String>, CredentialError>| match result {
        Ok(place) => places.extend(place),
        Err(error) => {
            first_error.get_or_insert(error);
        }
    };
    for path in environment.files() {
        let config = match Config::read(&path) {
            Ok(None) => continue,
            Ok(Some(config)) => config,
            Err(error) => {
                note(Err(error));
                continue;
            }
        };
        note(erase_in_helper(environment, &config, wanted));
        let had_one = erase_in_file(&config, wanted);
        note(had_one.map(|had_one| had_one.then(|| environment.shown(&path))));
    }
    match first_error {
        Some(error) => Err(error),
        None => Ok(places),
    }
}

fn erase_in_helper(
    environment: &Environment,
    config: &Config,
    wanted: &Wanted,
) -> Result<Option<String>, CredentialError> {
    let Some(helper) = config.helper(wanted)? else {
        return Ok(None);
    };
    let program = Program::find(&helper.program, &config.path, environment)?;
    // Helpers differ in whether it is an error to forget what they do not have.
    if program.get(&helper.server)?.is_none() {
        return Ok(None);
    }
    program.erase(&helper.server)?;
    Ok(Some(format!("the credential helper {}", helper.program)))
}

/// Whether there was a login in the file. One without is not touched.
fn erase_in_file(config: &Config, wanted: &Wanted) -> Result<bool, CredentialError> {
    let path = &config.path;
    match config.document.get(AUTHS) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Object(logins)) if wanted.sorted(logins.iter()).is_empty() => Ok(false),
        _ => edit(path, |document| forget(path, document, wanted)),
    }
}

/// Puts a login into `document`, in place of those in other spellings.
fn keep(
    path: &Path,
    document: &mut Object,
    wanted: &Wanted,
    username: &str,
    password: &Secret,
) -> Result<Change, CredentialError> {
    let logins = logins(path, document)?;
    // What others keep beside a login stays.
    let mut entry = Object::default();
    for (_, earlier) in wanted.sorted(logins.iter()).into_iter().rev() {
        if let Json::Object(earlier) = earlier {
            let members = earlier.iter().filter(|it| !SECRETS.contains(&it.0));
            members.for_each(|(name, value)| entry.set(name, value.clone()));
        }
    }
    entry.set("auth", Json::Text(encoded(username, password)));
    let key = wanted.registry();
    logins.retain(|name, _| name == key || !wanted.fits(name));
    logins.set(key, Json::Object(entry));
    Ok(Change {
        is_one: true,
        had_login: true,
    })
}

/// Takes a login out of `document`.
fn forget(path: &Path, document: &mut Object, wanted: &Wanted) -> Result<Change, CredentialError> {
    let logins = logins(path, document)?;
    let found = wanted.sorted(logins.iter());
    let change = Change {
        is_one: !found.is_empty(),
        had_login: found.iter().any(|(_, value)| has_secret(value)),
    };
    logins.retain(|name, _| !wanted.fits(name));
    Ok(change)
}

/// What became of a document.
struct Change {
    /// Whether it has to be written.
    is_one: bool,
    /// Whether a login was put in or taken out.
    had_login: bool,
}

fn has_secret(entry: &Json) -> bool {
    match entry {
        Json::Object(entry) => entry.iter().any(|(name, value)| {
            SECRETS.contains(&name) && !matches!(value, Json::Text(text) if text.is_empty())
        }),
        _ => false,
    }
}

fn logins<'a>(path: &Path, document: &'a mut Object) -> Result<&'a mut Object, CredentialError> {
    if matches!(document.get(AUTHS), None | Some(Json::Null)) {
        document.set(AUTHS, Json::Object(Object::default()));
    }
    match document.get_mut(AUTHS) {
        Some(Json::Object(logins)) => Ok(logins),
        _ => Err(CredentialError::Member {
            path: path.to_owned(),
            member: "`auths`".to_owned(),
            problem: "is no JSON object ({…})",
        }),
    }
}

/// Changes the config at `path`: all of it is written aside and renamed. Whether a login was
/// changed.
fn edit(
    path: &Path,
    change: impl FnOnce(&mut Object) -> Result<Change, CredentialError>,
) -> Result<bool, CredentialError> {
    let failed = |source| CredentialError::Write {
        path: path.to_owned(),
        source,
    };
    let target = followed(path).map_err(failed)?;
    let earlier = match fs::symlink_metadata(&target) {
        Ok(facts) if facts.is_file() => Some(facts),
        // A device, as /dev/null: it must not be replaced.
        Ok(_) => return Err(CredentialError::NotAFile(path.to_owned())),
        Err(_) => None,
    };
    let directory = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed)?;
    // From here on Ctrl-C waits: a file with a password aside must not stay.
    let _held = crate::store::hold();
    let _lock = locked(directory);
    let mut document = match Config::read(path)? {
        Some(config) => config.document,
        None => Object::default(),
    };
    let changed = change(&mut document)?;
    if changed.is_one {
        let bytes = pretty(&document).map_err(failed)?;
        if bytes.len() as u64 > LIMIT {
            return Err(too_large(path));
        }
        replace(&target, directory, &bytes, earlier.as_ref()).map_err(failed)?;
    }
    Ok(changed.had_login)
}

/// Writes `bytes` aside and gives them the name `target`.
fn replace(
    target: &Path,
    directory: &Path,
    bytes: &[u8],
    earlier: Option<&Metadata>,
) -> io::Result<()> {
    // Its mode is 0600, whatever the umask.
    let mut aside = tempfile::Builder::new()
        .prefix(".distrobuild-")
        .tempfile_in(directory)?;
    aside.write_all(bytes)?;
    if let Some(facts) = earlier {
        // As root, so that the file's owner can still read it; anyone else cannot give files away.
        let _ = std::os::unix::fs::fchown(aside.as_file(), Some(facts.uid()), Some(facts.gid()));
    }
    aside.as_file().sync_all()?;
    aside.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// Keeps other processes of this program from changing a config of `directory` meanwhile. Where
/// locks do not work, the last writer wins.
fn locked(directory: &Path) -> Option<File> {
    let file = File::open(directory).ok()?;
    let end = Instant::now() + MOMENT;
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(file)
}

/// The file that `path` leads to along symlinks, there or not.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) => {
                path = path.parent().unwrap_or(Path::new("")).join(target);
            }
            // Not a symlink, or not there.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

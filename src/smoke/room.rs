//! The tree of an image as a file system: one in memory, with the large files of this machine
//! mounted into it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::mount::{MsFlags, mount};
use rustix::fs::{AtFlags, Mode, OFlags, StatVfsMountFlags};

use super::channel::Channel;
use super::message::{Fault, HostFile, Item, ItemKind, Plan, Raw};

/// A larger file is mounted, not copied. To copy 256 KiB costs about as much as two mounts.
const MOUNTED_FROM: u64 = 256 << 10;

/// More threads gain nothing: they wait for each other's directories.
const MOST_THREADS: usize = 4;

/// How many neighbouring files a thread takes at once.
const PORTION: usize = 16;

const BUFFER: usize = 128 << 10;

/// Directories over which the tree can be mounted: what is below them must not be needed. No
/// program or library is below `/sys`.
const PLACES: [&str; 6] = ["/sys", "/mnt", "/media", "/srv", "/opt", "/tmp"];

/// Device files that a runtime brings (runtime-spec, `config-linux.md`, default devices).
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Links that a runtime brings (the same page, `/dev` symbolic links).
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Directories of `/dev` over which each run mounts its own.
const MOUNT_POINTS: [&str; 2] = ["shm", "pts"];

/// A tree that is ready, read-only.
#[derive(Debug)]
pub(super) struct Room {
    /// Where it is mounted, in the namespace of this process.
    pub(super) place: PathBuf,
    pub(super) notices: Vec<String>,
}

impl Room {
    /// Makes the tree in the mount namespace of this process, which must be its own. The bytes
    /// of files that no disk holds come from `channel`.
    pub(super) fn build(plan: &Plan, channel: &mut Channel) -> Result<Self, Fault> {
        keep_mounts_private()?;
        let place = place(plan)?;
        mount_memory(&place, "mode=0755").map_err(Fault::step("mount a file system in memory"))?;
        let root = rustix::fs::open(&place, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            .map_err(Fault::step("open the file system in memory"))?;
        let builder = Builder {
            place: &place,
            root,
            mounted: Mutex::default(),
        };
        builder.skeleton(&plan.items)?;
        builder.files(&plan.items, channel)?;
        builder.hard_links(&plan.items)?;
        let notices = builder.devices()?;
        make_read_only(&place, MsFlags::empty()).map_err(Fault::step("make the tree read-only"))?;
        Ok(Self { place, notices })
    }
}

/// Nothing that is mounted from here on shows elsewhere.
fn keep_mounts_private() -> Result<(), Fault> {
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .map_err(Fault::step("make mounts private"))
}

/// The first of [`PLACES`] that holds no file of the image.
fn place(plan: &Plan) -> Result<PathBuf, Fault> {
    let is_needed = |place: &Path| {
        plan.items.iter().any(|item| match &item.kind {
            ItemKind::Host(file) => file.path.as_path().starts_with(place),
            _ => false,
        })
    };
    PLACES
        .into_iter()
        .map(Path::new)
        .find(|place| {
            place
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.is_dir())
                && !is_needed(place)
        })
        .map(Path::to_path_buf)
        .ok_or_else(|| Fault::Step {
            what: "find a directory to mount the tree over".to_owned(),
            errno: 0,
        })
}

/// Mounts an empty file system in memory.
pub(super) fn mount_memory(at: &Path, options: &str) -> nix::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(options))
}

/// Makes what is mounted there read-only; `more` are flags that it must keep.
pub(super) fn make_read_only(at: &Path, more: MsFlags) -> nix::Result<()> {
    let flags = MsFlags::MS_REMOUNT
        | MsFlags::MS_BIND
        | MsFlags::MS_RDONLY
        | MsFlags::MS_NOSUID
        | MsFlags::MS_NODEV;
    mount(None::<&str>, at, None::<&str>, flags | more, None::<&str>)
}

/// Mounts what is at `from` at `to` as well, with all that is mounted below it: a namespace of
/// fewer rights may not uncover what is below a mount.
pub(super) fn bind(from: &Path, to: &Path) -> nix::Result<()> {
    let none = None::<&str>;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(from), to, none, flags, none)
}

struct Builder<'a> {
    place: &'a Path,
    root: OwnedFd,
    mounted: Mutex<BTreeSet<&'a Raw>>,
}

impl<'a> Builder<'a> {
    /// Directories and links, in the order of their paths.
    fn skeleton(&self, items: &[Item]) -> Result<(), Fault> {
        for item in items {
            let path = item.path.as_path();
            let made = match &item.kind {
                ItemKind::Directory => {
                    rustix::fs::mkdirat(&self.root, path, Mode::from_raw_mode(item.mode))
                }
                ItemKind::Symlink(target) => {
                    rustix::fs::symlinkat(target.as_path(), &self.root, path)
                }
                _ => Ok(()),
            };
            made.map_err(Fault::step(format!("make /{}", path.display())))?;
        }
        Ok(())
    }

    /// The files: those of this machine by several threads, while bytes arrive at this one.
    fn files(&self, items: &'a [Item], channel: &mut Channel) -> Result<(), Fault> {
        let files: Vec<(&Item, &HostFile)> = items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::Host(file) => Some((item, file)),
                _ => None,
            })
            .collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(MOST_THREADS).min(files.len().div_ceil(PORTION));
        let queue = Queue {
            files: &files,
            next: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|_| scope.spawn(|| queue.work(self)))
                .collect();
            let received = self.received(items, channel);
            let mine = queue.work(self);
            let others = others.into_iter().map(|thread| {
                thread.join().unwrap_or(Err(Fault::Step {
                    what: "copy files".to_owned(),
                    errno: 0,
                }))
            });
            received.and(mine).and(others.collect())
        })
    }

    fn received(&self, items: &[Item], channel: &mut Channel) -> Result<(), Fault> {
        for item in items {
            let ItemKind::Bytes(size) = item.kind else {
                continue;
            };
            let written = self.create(item).and_then(|mut file| {
                let copied = io::copy(&mut channel.bytes(size), &mut file)?;
                if copied < size {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
                Ok(())
            });
            written.map_err(Fault::step(format!(
                "write /{}",
                item.path.as_path().display()
            )))?;
        }
        Ok(())
    }

    fn host_file(
        &self,
        item: &'a Item,
        file: &'a HostFile,
        buffer: &mut [u8],
    ) -> Result<(), Fault> {
        let changed = || Fault::Changed {
            path: file.path.clone(),
        };
        let read = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => changed(),
            _ => Fault::step(format!("read {}", file.path.as_path().display()))(error),
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let source = rustix::fs::open(file.path.as_path(), flags, Mode::empty());
        let mut source = File::from(source.map_err(|error| read(error.into()))?);
        if !is_as_planned(&source, file).map_err(read)? {
            return Err(changed());
        }
        if file.size >= MOUNTED_FROM
            && is_seen_alike(&source, item.mode)
            && self.mount_file(item, &source)
        {
            self.mounted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(&item.path);
            return Ok(());
        }
        let failed = || format!("write /{}", item.path.as_path().display());
        let mut target = self.create(item).map_err(Fault::step(failed()))?;
        let mut copied = 0u64;
        loop {
            let count = match source.read(buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(read(error)),
            };
            let filled = buffer.get(..count).unwrap_or_default();
            target.write_all(filled).map_err(Fault::step(failed()))?;
            copied += count as u64;
            // The size was seen just now: to look for more would cost a call for each file.
            if count == 0 || copied >= file.size {
                break;
            }
        }
        if copied == file.size {
            Ok(())
        } else {
            Err(changed())
        }
    }

    /// Mounts an open file, read-only. Where that is refused, it can still be copied.
    fn mount_file(&self, item: &Item, source: &File) -> bool {
        if self.create(item).is_err() {
            return false;
        }
        let from = PathBuf::from(format!("/proc/self/fd/{}", source.as_fd().as_raw_fd()));
        let to = self.place.join(item.path.as_path());
        let mounted = bind(&from, &to).is_ok();
        if mounted && make_read_only(&to, MsFlags::empty()).is_ok() {
            return true;
        }
        if mounted {
            let _ = nix::mount::umount(&to);
        }
        let _ = rustix::fs::unlinkat(&self.root, item.path.as_path(), AtFlags::empty());
        false
    }

    fn create(&self, item: &Item) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(item.mode);
        Ok(rustix::fs::openat(&self.root, item.path.as_path(), flags, mode)?.into())
    }

    /// A name of a mounted file is a mount of it as well, so that both are one file still.
    fn hard_links(&self, items: &[Item]) -> Result<(), Fault> {
        let mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        for item in items {
            let ItemKind::HardLink(first) = &item.kind else {
                continue;
            };
            let path = item.path.as_path();
            let made: io::Result<()> = if mounted.contains(first) {
                let to = self.place.join(path);
                self.create(item).and_then(|_| {
                    bind(&self.place.join(first.as_path()), &to)?;
                    Ok(make_read_only(&to, MsFlags::empty())?)
                })
            } else {
                let flags = AtFlags::empty();
                rustix::fs::linkat(&self.root, first.as_path(), &self.root, path, flags)
                    .map_err(io::Error::from)
            };
            made.map_err(Fault::step(format!("link /{}", path.display())))?;
        }
        Ok(())
    }

    /// `/dev`: what of the devices this machine does not have is told.
    fn devices(&self) -> Result<Vec<String>, Fault> {
        let step = || Fault::step::<io::Error>("make /dev");
        let directory = self.place.join("dev");
        mount_memory(&directory, "mode=0755").map_err(|error| step()(error.into()))?;
        let mut notices = Vec::new();
        for name in DEVICES {
            let place = directory.join(name);
            File::create(&place).map_err(step())?;
            if let Err(error) = bind(&Path::new("/dev").join(name), &place) {
                notices.push(format!("the sandbox has no /dev/{name}: {error}"));
                std::fs::remove_file(&place).map_err(step())?;
            }
        }
        for (name, target) in LINKS {
            std::os::unix::fs::symlink(target, directory.join(name)).map_err(step())?;
        }
        for name in MOUNT_POINTS {
            std::fs::create_dir(directory.join(name)).map_err(step())?;
        }
        make_read_only(&directory, MsFlags::empty()).map_err(|error| step()(error.into()))?;
        Ok(notices)
    }
}

/// Files that wait for a thread.
struct Queue<'q, 'a> {
    files: &'q [(&'a Item, &'a HostFile)],
    next: AtomicUsize,
    broken: AtomicBool,
}

impl<'a> Queue<'_, 'a> {
    fn work(&self, builder: &Builder<'a>) -> Result<(), Fault> {
        let mut buffer = vec![0; BUFFER];
        while !self.broken.load(Ordering::Relaxed) {
            let start = self.next.fetch_add(PORTION, Ordering::Relaxed);
            let Some(rest) = self.files.get(start..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            for (item, file) in rest.iter().take(PORTION) {
                let done = builder.host_file(item, file, &mut buffer);
                if done.is_err() {
                    self.broken.store(true, Ordering::Relaxed);
                    return done;
                }
            }
        }
        Ok(())
    }
}

fn is_as_planned(open: &File, planned: &HostFile) -> io::Result<bool> {
    let metadata = open.metadata()?;
    let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Ok(metadata.is_file()
        && metadata.len() == planned.size
        && metadata.dev() == planned.device
        && metadata.ino() == planned.inode
        && modified == i128::from(planned.modified))
}

/// Whether the file itself, mounted, allows reading and executing as the owner's bits of `mode`
/// do. The program runs as the user that this process is on this machine.
fn is_seen_alike(file: &File, mode: u32) -> bool {
    let Ok(metadata) = file.metadata() else {
        return false;
    };
    let agrees = |bits: u32| (bits ^ mode >> 6) & 0o5 == 0;
    let bits = metadata.mode();
    let alike = if metadata.uid() == nix::unistd::geteuid().as_raw() {
        agrees(bits >> 6)
    } else {
        // Groups of other namespaces cannot be told apart here.
        agrees(bits >> 3) && agrees(bits)
    };
    let executable = rustix::fs::fstatvfs(file)
        .is_ok_and(|system| !system.f_flag.contains(StatVfsMountFlags::NOEXEC));
    alike && executable
}

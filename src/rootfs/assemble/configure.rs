//! What the image needs beside the files themselves, so that the loader finds them.

use std::ffi::OsStr;
use std::path::Path;

use super::loader::{self, Configuration};
use super::{AssembleError, Tree};
use crate::ImagePath;
use crate::elf::cache::{Cache, CacheEntry, abi_flags};
use crate::rootfs::{Content, Entry, Origin};
use crate::sysroot::{Node, Sysroot};

/// Directories in the root that many systems have as links into `/usr`.
const MERGED: [&str; 6] = ["/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"];
const CONF: &str = "/etc/ld.so.conf";
const CONF_PART: &str = "/etc/ld.so.conf.d/distrobuild.conf";
/// The most bytes of a cache that a base brings.
const CACHE_LIMIT: u64 = 64 << 20;
pub(super) const DEFAULT_CACHE: &str = "/etc/ld.so.cache";

impl Tree<'_> {
    /// The links of the system into `/usr`, where the image has what they lead to.
    pub(super) fn add_merged_links(&mut self) -> Result<(), AssembleError> {
        for name in MERGED {
            let at = ImagePath::new(name)?;
            if self.rootfs.get(&at).is_some() {
                continue;
            }
            let Ok(Node::Symlink(said)) = self.input.sysroot.node(&at) else {
                continue;
            };
            let used = !self.input.closure.loaders.is_empty()
                && self.rootfs.follow(&Path::new("/").join(&said)).is_some();
            let wanted = self
                .input
                .includes
                .iter()
                .any(|found| found.path.starts_with(&at));
            if used || wanted {
                let from = self.input.sysroot.display(at.as_path());
                self.insert(at, Entry::symlink(said, Origin::Library), &from)?;
            }
        }
        Ok(())
    }

    /// Writes what the loaders need to find everything again.
    pub(super) fn configure_loaders(&mut self) -> Result<(), AssembleError> {
        let Configuration {
            caches,
            directories,
            path_files,
        } = loader::plan(self.input.closure, &self.placement, &self.rootfs);
        let mut is_default_written = false;
        for (path, libraries) in &caches {
            let mut entries = Vec::with_capacity(libraries.len());
            for library in libraries {
                match abi_flags(&library.machine) {
                    Some(flags) => entries.push(cache_entry(library, flags)),
                    None => self.notices.push(format!(
                        "{} may not be found: ld.so.cache has no code for its machine; set LD_LIBRARY_PATH with --env",
                        library.path.display()
                    )),
                }
            }
            // A base that is a system has a cache of its own libraries.
            let known = self.cache_of_base(path);
            if !known.is_empty() && entries.iter().all(|entry| self.is_found(entry, &known)) {
                continue;
            }
            let is_new = |entry: &CacheEntry| {
                !(entries.iter()).any(|it| {
                    (&it.soname, it.flags, &it.hwcap) == (&entry.soname, entry.flags, &entry.hwcap)
                })
            };
            let others: Vec<CacheEntry> = known.into_iter().filter(is_new).collect();
            entries.extend(others);
            if !entries.is_empty() {
                self.generate(path, Cache::write(&entries))?;
            }
            is_default_written |= path == Path::new(DEFAULT_CACHE);
        }
        if is_default_written {
            let conf = ImagePath::new(CONF)?;
            if self.rootfs.get(&conf).is_none() {
                self.generate(
                    conf.as_path(),
                    b"include /etc/ld.so.conf.d/*.conf\n".to_vec(),
                )?;
            }
            self.generate(Path::new(CONF_PART), loader::lines(&directories))?;
        }
        for file in &self.input.closure.loader_files {
            // What is written anew is not copied.
            let is_written = |path: &Path| path_files.iter().any(|(written, _)| written == path);
            if !is_written(file.target.as_path())
                && !file
                    .links
                    .iter()
                    .any(|(link, _)| is_written(link.as_path()))
            {
                self.keep(file, Origin::Library)?;
            }
        }
        for (path, directories) in &path_files {
            self.generate(path, loader::lines(directories))?;
        }
        Ok(())
    }

    /// Whether the loader finds a library by the cache that the base brings. What lies where it
    /// looks anyway is found without one: the layers of an image are not changed for that.
    fn is_found(&self, entry: &CacheEntry, known: &[CacheEntry]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let is_known = |it: &CacheEntry| (&it.soname, it.flags) == (&entry.soname, entry.flags);
        let directory = Path::new(OsStr::from_bytes(&entry.path)).parent();
        let mut loaders = self.input.closure.loaders.iter();
        known.contains(entry)
            || (self.input.base.parent().is_some()
                && !known.iter().any(is_known)
                && loaders.any(|loader| {
                    let mut directories = loader.directories.iter();
                    directories.any(|own| directory == Some(own.as_path()))
                }))
    }

    fn generate(&mut self, path: &Path, bytes: Vec<u8>) -> Result<(), AssembleError> {
        let path = ImagePath::new(path)?;
        let at = (self.rootfs.canonical(&path)).map_err(|conflict| AssembleError::Conflict {
            conflict,
            from: path.clone().into(),
        })?;
        let entry = Entry::file(Content::Bytes(bytes.into()), 0o644, Origin::Library);
        let of_base = (self.rootfs.get(&at)).is_some_and(|known| known.origin == Origin::Base);
        match of_base && self.input.base.is_system() {
            true => (self.rootfs.replace(at, entry)).map_err(|conflict| AssembleError::Conflict {
                conflict,
                from: path.into(),
            }),
            false => self.insert(at, entry, path.as_path()),
        }
    }

    /// The entries of the cache at `path` that a base brings which is a system; none where it
    /// brings none that its loader could read.
    fn cache_of_base(&self, path: &Path) -> Vec<CacheEntry> {
        if !self.input.base.is_system() {
            return Vec::new();
        }
        let base = crate::sysroot::Assembled(self.input.base.rootfs());
        let cache = base.read(path, CACHE_LIMIT).ok();
        let cache = cache.and_then(|bytes| Cache::parse(&bytes).ok());
        cache.map_or(Vec::new(), |cache| cache.entries().to_vec())
    }
}

fn cache_entry(library: &loader::Library, flags: u32) -> CacheEntry {
    use std::os::unix::ffi::OsStrExt;
    CacheEntry {
        soname: library.soname.as_bytes().to_vec(),
        path: library.path.as_os_str().as_bytes().to_vec(),
        flags,
        hwcap: library
            .variant
            .as_ref()
            .map(|name| name.as_bytes().to_vec()),
    }
}

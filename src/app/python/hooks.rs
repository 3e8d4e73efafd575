//! Files among the packages that lead elsewhere: `.pth` files (`site`), and what editable installs
//! leave of setuptools, poetry, hatch, uv and others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::PythonError;
use super::files::{Files, normal, text};
use super::gather::Places;
use super::packages::Site;
use crate::ImagePath;

/// All hooks of some directories of packages.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    pub(super) hooks: Vec<Hook>,
    /// Modules that they map to a directory or a file, by name.
    pub(super) mapped: BTreeMap<String, ImagePath>,
    /// What the user should know.
    pub(super) notices: Vec<String>,
}

/// One file that leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hook {
    /// Where it is.
    pub(super) file: ImagePath,
    kind: HookKind,
    content: String,
    /// The directories and files that it leads to, in its order.
    pub(super) leads: Vec<ImagePath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HookKind {
    /// `.pth`: a path or an `import` in each line.
    Paths,
    /// `.egg-link`: a path in the first line.
    EggLink,
    /// A module that finds other modules by paths in its text.
    Finder,
}

impl HookKind {
    fn of(name: &str) -> Option<Self> {
        if name.ends_with(".pth") && !name.starts_with('.') {
            return Some(Self::Paths);
        }
        if name.ends_with(".egg-link") {
            return Some(Self::EggLink);
        }
        let is_finder = name.starts_with('_') && name.contains("editable") && name.ends_with(".py");
        is_finder.then_some(Self::Finder)
    }
}

impl Hooks {
    /// Reads the hooks of a directory of packages, those left out that `skip` names.
    pub(super) fn read(
        &mut self,
        files: &Files<'_>,
        site: &Site,
        skip: impl Fn(&Path) -> bool,
    ) -> Result<(), PythonError> {
        let listing = files.list(&site.directory)?;
        for (name, item) in listing.iter() {
            let Some(kind) = HookKind::of(text(name)).filter(|_| item.is_file()) else {
                continue;
            };
            let Ok(file) = site.directory.join(name) else {
                continue;
            };
            if skip(Path::new(name)) {
                continue;
            }
            let bytes = files.read(&file)?;
            let mut hook = Hook {
                file,
                kind,
                content: String::from_utf8_lossy(&bytes).into_owned(),
                leads: Vec::new(),
            };
            self.follow(files, &mut hook);
            self.hooks.push(hook);
        }
        Ok(())
    }

    fn follow(&mut self, files: &Files<'_>, hook: &mut Hook) {
        let mut key = String::new();
        let mut dead = Vec::new();
        for part in hook.parts() {
            match part {
                Part::Key(name) => key = name,
                Part::Path(path) => match hook.locate(files, &path) {
                    Some(place) => {
                        if hook.kind == HookKind::Finder && !key.is_empty() {
                            self.mapped.entry(key.clone()).or_insert(place.clone());
                        }
                        hook.leads.push(place);
                    }
                    None => dead.push(path),
                },
                Part::Other(_) => {}
            }
        }
        // A finder may name paths that are only there after a build.
        if hook.kind == HookKind::Paths {
            self.notices.extend(dead.iter().map(|path| {
                format!(
                    "{} leads to {}, which does not exist: what it should bring is not in the image",
                    files.shown(&hook.file).display(),
                    path.display()
                )
            }));
        }
    }

    /// The directories that `.pth` files put on `sys.path`.
    pub(super) fn directories(&self, files: &Files<'_>) -> Vec<ImagePath> {
        let paths = self
            .hooks
            .iter()
            .filter(|hook| hook.kind == HookKind::Paths);
        paths
            .flat_map(|hook| &hook.leads)
            .filter_map(|place| files.directory(place))
            .collect()
    }

    /// The lines of `.pth` files that Python executes, of the files that `wanted` wants.
    pub(super) fn code(&self, wanted: impl Fn(&ImagePath) -> bool) -> impl Iterator<Item = &str> {
        self.hooks
            .iter()
            .filter(move |hook| hook.kind == HookKind::Paths && wanted(&hook.file))
            .flat_map(|hook| hook.content.lines())
            .filter(|line| is_code(line))
    }

    /// The hook at this path.
    pub(super) fn at(&self, file: &ImagePath) -> Option<&Hook> {
        self.hooks.iter().find(|hook| hook.file == *file)
    }
}

/// A part of a hook's text; the parts together are the whole.
enum Part {
    Path(PathBuf),
    /// The name of a module, for which paths follow. It is part of the text around it.
    Key(String),
    Other(String),
}

impl Hook {
    /// The text for the image: paths as they are there. Lines of a `.pth` that lead nowhere are
    /// left out.
    pub(super) fn for_image(&self, files: &Files<'_>, places: &Places) -> Vec<u8> {
        let mut content = String::new();
        for part in self.parts() {
            match part {
                Part::Other(text) => content.push_str(&text),
                Part::Key(_) => {}
                Part::Path(path) => {
                    let image = self
                        .locate(files, &path)
                        .and_then(|place| places.image(&place));
                    let image = match (image, self.kind) {
                        // The name of a module's file without its end.
                        (Some(image), HookKind::Finder) if path.extension().is_none() => {
                            strip_source_end(&image)
                        }
                        (Some(image), _) => image.as_path().display().to_string(),
                        (None, HookKind::Finder) => "/nonexistent".to_owned(),
                        (None, _) => continue,
                    };
                    content.push_str(&image);
                }
            }
        }
        let mut bytes = content.into_bytes();
        if self.kind == HookKind::Paths {
            bytes = without_empty_lines(&bytes);
        }
        bytes
    }

    fn parts(&self) -> Vec<Part> {
        match self.kind {
            HookKind::Paths => self.content.lines().flat_map(path_line).collect(),
            HookKind::EggLink => {
                let (first, rest) = self.content.split_once('\n').unwrap_or((&self.content, ""));
                vec![
                    Part::Path(PathBuf::from(first.trim())),
                    Part::Other(format!("\n{rest}")),
                ]
            }
            HookKind::Finder => self
                .content
                .split_inclusive('\n')
                .flat_map(literals)
                .collect(),
        }
    }

    /// Where a path in it leads.
    fn locate(&self, files: &Files<'_>, path: &Path) -> Option<ImagePath> {
        let directory = self.file.parent()?;
        let path = normal(&directory.as_path().join(path));
        let found = files.locate(&path);
        match self.kind {
            HookKind::Finder => found.or_else(|| {
                // setuptools names a module without the end of its file.
                let mut name = path.into_os_string();
                name.push(".py");
                files.locate(Path::new(&name))
            }),
            _ => found,
        }
    }
}

fn strip_source_end(image: &ImagePath) -> String {
    let text = image.as_path().display().to_string();
    text.strip_suffix(".py").map_or(text.clone(), str::to_owned)
}

fn without_empty_lines(bytes: &[u8]) -> Vec<u8> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .flatten()
        .copied()
        .collect()
}

fn is_code(line: &str) -> bool {
    line.starts_with("import ") || line.starts_with("import\t")
}

fn path_line(line: &str) -> Vec<Part> {
    let end = || Part::Other("\n".to_owned());
    if is_code(line) || line.trim().is_empty() || line.starts_with('#') {
        return vec![Part::Other(line.to_owned()), end()];
    }
    let path = PathBuf::from(line.trim_end());
    // What is named relative to the packages moves with them.
    match path.is_absolute() || path.starts_with("..") {
        true => vec![Part::Path(path), end()],
        false => vec![Part::Other(line.to_owned()), end()],
    }
}

/// The string literals of a line of Python: absolute paths, and the names of modules that they
/// follow.
fn literals(line: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = line;
    let mut before = String::new();
    while let Some(open) = rest.find(['\'', '"']) {
        let (head, tail) = rest.split_at(open);
        before.push_str(head);
        let quote = tail.get(..1).unwrap_or_default();
        let body = tail.get(1..).unwrap_or_default();
        let Some(close) = body.find(quote) else {
            rest = tail;
            break;
        };
        let (value, after) = body.split_at(close);
        rest = after.get(1..).unwrap_or_default();
        before.push_str(quote);
        if value.starts_with('/') && !value.contains('\\') && value.len() > 1 {
            parts.push(Part::Other(std::mem::take(&mut before)));
            parts.push(Part::Path(PathBuf::from(value)));
        } else {
            parts.push(Part::Key(value.to_owned()));
            before.push_str(value);
        }
        before.push_str(quote);
    }
    before.push_str(rest);
    parts.push(Part::Other(before));
    parts
}

//! The packages of an app: all of its virtual environment, and of the interpreter's own what is
//! imported.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::choice::Choice;
use super::environment::{CONFIGURATION, Environment};
use super::error::PythonError;
use super::files::{Files, Item, Target, WalkedKind, text};
use super::gather::{Executable, Gathered, Group, Places, role_of};
use super::graph::Graph;
use super::hooks::Hooks;
use super::interpreter::Interpreter;
use super::packages::{Distribution, Site, is_private_metadata};
use super::shebang::{self, is_python};
use crate::ImagePath;
use crate::app::companion::Role;

/// What is installed.
pub(super) struct Installed {
    /// The directories of the virtual environment.
    own: Vec<Site>,
    /// Those of the interpreter that the app sees.
    system: Vec<Site>,
    pub(super) hooks: Hooks,
}

/// The tools of the environment that stay out: for each of its directories, the distributions.
pub(super) struct Dropped(Vec<BTreeSet<usize>>);

impl Installed {
    pub(super) fn read(files: &Files<'_>, choice: &Choice) -> Result<Self, PythonError> {
        let read = |directories: &[ImagePath]| -> Result<Vec<Site>, PythonError> {
            directories
                .iter()
                .map(|directory| Site::read(files, directory))
                .collect()
        };
        let own = read(&choice.environment_sites(files)?)?;
        let system = read(choice.system_sites())?;
        let mut hooks = Hooks::default();
        for site in &own {
            // What makes setuptools stand in for distutils does so only when that is asked for.
            let of_tool = |name: &Path| {
                let owner = site.owner(name).and_then(|index| site.distribution(index));
                owner.is_some_and(Distribution::is_tool) || name == Path::new(PRECEDENCE)
            };
            hooks.read(files, site, of_tool)?;
        }
        for site in &system {
            hooks.read(files, site, |name| name == Path::new(PRECEDENCE))?;
        }
        Ok(Self { own, system, hooks })
    }

    /// The directories of packages, in the order of `sys.path`.
    pub(super) fn directories(&self) -> impl Iterator<Item = &ImagePath> {
        self.own
            .iter()
            .chain(&self.system)
            .map(|site| &site.directory)
    }

    /// Code that is run when the interpreter starts.
    pub(super) fn start_code(&self) -> String {
        let own = |file: &ImagePath| {
            let mut sites = self.own.iter();
            sites.any(|site| file.starts_with(&site.directory))
        };
        self.hooks
            .code(own)
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// The tools that stay out.
    pub(super) fn unneeded(
        &self,
        files: &Files<'_>,
        graph: &Graph,
        interpreter: &Interpreter,
    ) -> Dropped {
        // Since Python 3.12, setuptools has the only distutils.
        let has_own = files.is_file(interpreter.library.as_path().join("distutils/__init__.py"));
        let imports_distutils = !has_own && graph.missing.contains("distutils");
        let drop = |site: &Site| {
            let reached = site.reached(graph.files());
            site.unneeded_tools(files, &reached, imports_distutils)
        };
        Dropped(self.own.iter().map(drop).collect())
    }

    /// The names of what stays out.
    pub(super) fn names(&self, dropped: &Dropped) -> Vec<String> {
        let pairs = self.own.iter().zip(&dropped.0);
        let names: BTreeSet<String> = pairs
            .flat_map(|(site, dropped)| {
                dropped.iter().filter_map(|index| site.distribution(*index))
            })
            .map(|distribution| distribution.name.clone())
            .collect();
        names.into_iter().collect()
    }

    /// Takes the virtual environment, which stands at `image` then.
    pub(super) fn gather_environment(
        &self,
        view: &View<'_>,
        environment: &Environment,
        image: &ImagePath,
        dropped: &Dropped,
        gathered: &mut Gathered<'_>,
    ) -> Result<(), PythonError> {
        skeleton(view, environment, image, gathered)?;
        for (site, dropped) in self.own.iter().zip(&dropped.0) {
            self.gather_site(view, site, dropped, gathered)?;
            let kept = (0..site.distributions.len()).filter(|index| !dropped.contains(index));
            for index in kept {
                gather_data(view, environment, site, index, gathered)?;
            }
        }
        self.gather_programs(view, environment, image, dropped, gathered)
    }

    fn gather_site(
        &self,
        view: &View<'_>,
        site: &Site,
        dropped: &BTreeSet<usize>,
        gathered: &mut Gathered<'_>,
    ) -> Result<(), PythonError> {
        let Some(place) = view.places.image(&site.directory) else {
            return Ok(());
        };
        let unwanted_tops: BTreeSet<&str> = dropped
            .iter()
            .filter_map(|index| site.distribution(*index))
            .flat_map(|distribution| distribution.tops.iter().map(String::as_str))
            .collect();
        let walked = view.files.walk(&site.directory, |relative, _, item| {
            let name = relative.file_name().map_or("", text);
            let is_top = relative.components().count() == 1;
            let of_tool = is_top
                && unwanted_tops.contains(name)
                && site
                    .owner(relative)
                    .is_none_or(|owner| dropped.contains(&owner));
            !of_tool && is_wanted(view, relative, name, item)
        })?;
        for found in &walked {
            let owner = site.owner(&found.relative);
            if owner.is_some_and(|owner| dropped.contains(&owner)) {
                continue;
            }
            let group = group(owner.and_then(|index| site.distribution(index)));
            let (Ok(file), Ok(path)) = (
                site.directory.join(&found.relative),
                place.join(&found.relative),
            ) else {
                continue;
            };
            if let Some(hook) = self.hooks.at(&file) {
                let content = hook.for_image(view.files, view.places);
                gathered.made(&group, path, content, Executable::No, &file);
                continue;
            }
            gathered.walked(
                &group,
                &place,
                &site.directory,
                found,
                role(found_mode(&found.kind), &found.relative),
            )?;
        }
        Ok(())
    }

    /// Takes of the interpreter's own packages those that are imported, whole.
    pub(super) fn gather_imported(
        &self,
        view: &View<'_>,
        graph: &Graph,
        gathered: &mut Gathered<'_>,
    ) -> Result<(), PythonError> {
        for site in &self.system {
            let Some(place) = view.places.image(&site.directory) else {
                continue;
            };
            let reached = site.reached(graph.files());
            let mut tops: BTreeSet<PathBuf> = reached
                .iter()
                .filter_map(|index| site.distribution(*index))
                .flat_map(|distribution| distribution.tops.iter().map(PathBuf::from))
                .collect();
            tops.extend(graph.files().filter_map(|file| {
                let relative = file.as_path().strip_prefix(&site.directory).ok()?;
                relative.iter().next().map(PathBuf::from)
            }));
            let imported = |relative: &Path| {
                let owner = site.owner(relative);
                owner.is_none_or(|owner| reached.contains(&owner))
            };
            let walked = view.files.walk(&site.directory, |relative, _, item| {
                let name = relative.file_name().map_or("", text);
                let top = relative
                    .iter()
                    .next()
                    .is_some_and(|top| tops.contains(Path::new(top)));
                top && is_wanted(view, relative, name, item)
            })?;
            for found in walked.iter().filter(|found| imported(&found.relative)) {
                let owner = site.owner(&found.relative);
                let group = group(owner.and_then(|index| site.distribution(index)));
                let role = role(found_mode(&found.kind), &found.relative);
                gathered.walked(&group, &place, &site.directory, found, role)?;
            }
            self.gather_hooks(view, site, graph, gathered);
        }
        Ok(())
    }

    /// Hooks come along when they lead to something that is imported.
    fn gather_hooks(
        &self,
        view: &View<'_>,
        site: &Site,
        graph: &Graph,
        gathered: &mut Gathered<'_>,
    ) {
        for hook in &self.hooks.hooks {
            let leads_to = |file: &ImagePath| hook.leads.iter().any(|lead| file.starts_with(lead));
            if hook.file.parent().as_ref() != Some(&site.directory) || !graph.files().any(leads_to)
            {
                continue;
            }
            if let Some(path) = view.places.image(&hook.file) {
                let content = hook.for_image(view.files, view.places);
                gathered.made(&group(None), path, content, Executable::No, &hook.file);
            }
        }
    }

    /// Takes the programs that kept packages brought into the environment's `bin`.
    fn gather_programs(
        &self,
        view: &View<'_>,
        environment: &Environment,
        image: &ImagePath,
        dropped: &Dropped,
        gathered: &mut Gathered<'_>,
    ) -> Result<(), PythonError> {
        let Ok(bin) = environment.root.join("bin") else {
            return Ok(());
        };
        for (name, item) in view.files.names(&bin).iter() {
            let (Ok(file), Some((from, facts))) =
                (bin.join(name), file_of(&bin, name.as_ref(), item))
            else {
                continue;
            };
            let owned = self.own.iter().zip(&dropped.0).find_map(|(site, dropped)| {
                Some((site, dropped, site.owner_outside(file.as_path())?))
            });
            let (group, is_owned) = match owned {
                Some((_, dropped, owner)) if dropped.contains(&owner) => continue,
                Some((site, _, owner)) => (group(site.distribution(owner)), true),
                None => (group(None), false),
            };
            let Ok(path) = image.join("bin").and_then(|bin| bin.join(name)) else {
                continue;
            };
            match program(view.files, &file, image)? {
                Some(content) if is_owned || !is_left_by_tool(text(name)) => {
                    gathered.made(&group, path, content, Executable::Yes, &file);
                }
                None if is_owned => gathered.file(&group, path, &from, facts, Role::Optional)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// What hooks lead to, outside of all directories of packages.
    pub(super) fn leads(&self) -> BTreeSet<&ImagePath> {
        let leads = self.hooks.hooks.iter().flat_map(|hook| &hook.leads);
        leads
            .filter(|lead| !self.directories().any(|site| lead.starts_with(site)))
            .collect()
    }
}

/// The hook by which setuptools puts itself before distutils.
const PRECEDENCE: &str = "distutils-precedence.pth";

/// What gathering looks at.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) files: &'a Files<'a>,
    pub(super) interpreter: &'a Interpreter,
    pub(super) places: &'a Places,
    /// The standard library and the directories of packages.
    pub(super) installed: &'a [ImagePath],
}

fn group(distribution: Option<&Distribution>) -> Group {
    match distribution {
        Some(distribution) => Group::packages(distribution.reason()),
        None => Group::packages("files of site-packages that belong to no package"),
    }
}

fn role(mode: u32, relative: &Path) -> Role {
    role_of(relative, mode)
}

fn found_mode(kind: &WalkedKind) -> u32 {
    match kind {
        WalkedKind::File(_, facts) => facts.mode,
        WalkedKind::Link(_) => 0,
    }
}

fn is_wanted(view: &View<'_>, relative: &Path, name: &str, item: &Item) -> bool {
    if item.is_directory() {
        return name != "__pycache__";
    }
    view.interpreter.loads(name) && !is_private_metadata(relative)
}

/// The environment without its packages: its configuration, and the name of its interpreter.
fn skeleton(
    view: &View<'_>,
    environment: &Environment,
    image: &ImagePath,
    gathered: &mut Gathered<'_>,
) -> Result<(), PythonError> {
    let group = Group::packages("the virtual environment");
    let program = &view.interpreter.image_program;
    let home = program.parent().unwrap_or_else(ImagePath::root);
    let version = &view.interpreter.full_version;
    let content = environment.configuration.for_image(&home, version);
    let at = |relative: &str| image.join(relative);
    let here = |relative: &str| environment.root.join(relative);
    if let (Ok(path), Ok(source)) = (at(CONFIGURATION), here(CONFIGURATION)) {
        gathered.made(&group, path, content.into_bytes(), Executable::No, &source);
    }
    if let (Ok(path), Ok(source)) = (at("bin/python"), here("bin/python")) {
        gathered.link(&group, path, program.as_path(), &source);
    }
    let (major, minor) = view.interpreter.version;
    for name in [
        "bin/python3".to_owned(),
        format!("bin/python{major}.{minor}"),
    ] {
        if let (Ok(path), Ok(source)) = (at(&name), here(&name)) {
            gathered.link(&group, path, "python", &source);
        }
    }
    let listing = view.files.list(&environment.root)?;
    if let Some(Item::Link { says, .. }) = listing.get(Path::new("lib64").as_os_str())
        && says == Path::new("lib")
        && let (Ok(path), Ok(source)) = (at("lib64"), here("lib64"))
    {
        gathered.link(&group, path, "lib", &source);
    }
    Ok(())
}

/// Takes a package's files in the environment's `share` and `etc`, manuals left out.
fn gather_data(
    view: &View<'_>,
    environment: &Environment,
    site: &Site,
    index: usize,
    gathered: &mut Gathered<'_>,
) -> Result<(), PythonError> {
    let group = group(site.distribution(index));
    for file in site.outside_of(index) {
        let Ok(relative) = file.strip_prefix(&environment.root) else {
            continue;
        };
        let is_data = (relative.starts_with("share") || relative.starts_with("etc"))
            && !relative.starts_with("share/man")
            && !relative.starts_with("share/doc");
        let Some((from, facts)) = is_data.then(|| view.files.file(file)).flatten() else {
            continue;
        };
        let path = ImagePath::new(file)
            .ok()
            .and_then(|file| view.places.image(&file));
        if let Some(path) = path {
            gathered.file(&group, path, &from, &facts, role_of(relative, 0))?;
        }
    }
    Ok(())
}

fn file_of<'i>(
    directory: &ImagePath,
    name: &Path,
    item: &'i Item,
) -> Option<(ImagePath, &'i crate::sysroot::FileFacts)> {
    match item {
        Item::File(facts) => Some((directory.join(name).ok()?, facts)),
        Item::Link {
            target,
            leads_to: Target::File(facts),
            ..
        } => Some((target.clone(), facts)),
        _ => None,
    }
}

/// Programs that no package's list has, because the tool that made the environment put them there.
fn is_left_by_tool(name: &str) -> bool {
    is_python(name)
        || ["pip", "easy_install", "wheel", "activate"]
            .iter()
            .any(|tool| name.starts_with(tool))
}

/// The text of a script for the image, where the environment stands at `image`; `None` when the
/// file is no script for Python.
pub(super) fn program(
    files: &Files<'_>,
    file: &ImagePath,
    image: &ImagePath,
) -> Result<Option<Vec<u8>>, PythonError> {
    let head = files.head(file.as_path(), shebang::HEAD)?;
    let Some(first) = shebang::parse(&head) else {
        return Ok(None);
    };
    if !is_python(first.interpreter.name()) {
        return Ok(None);
    }
    let text = files.read(file)?;
    let mut line = format!("#!{}/bin/python", image.as_path().display());
    for option in &first.options {
        line.push(' ');
        line.push_str(option);
    }
    line.push('\n');
    let mut content = line.into_bytes();
    content.extend_from_slice(text.get(first.length..).unwrap_or_default());
    Ok(Some(content))
}

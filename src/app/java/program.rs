//! What is to be run: a jar, a class, a directory of jars or a start script, and the class that is
//! started.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::JavaError;
use super::archive::{self, Archive, MAX_CLASS};
use super::class;
use super::class_path::{
    Element, MAX_ELEMENTS, Part, add_class_paths, add_script_element, app_place, app_root,
    is_jar_name, normal, percent_decoded,
};
use super::manifest::{self, Manifest};
use super::start_script::{self, HOME, Start};
use crate::ImagePath;
use crate::app::hosted::Scene;
use crate::rootfs::APP_DIRECTORY;
use crate::sysroot::{Node, Sysroot, trace};

/// How many classes with a `main` method are proposed.
const MAX_CANDIDATES: usize = 5;

/// An app, before it is known what runs it.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// What to show in messages: what the user gave.
    pub(super) shown: PathBuf,
    /// What is started.
    pub(super) launch: Launch,
    /// The class path.
    pub(super) elements: Vec<Element>,
    /// Directories that come along whole: source, place, names in it that stay out.
    pub(super) directories: Vec<(PathBuf, ImagePath, BTreeSet<OsString>)>,
    /// Options for `java`.
    pub(super) options: Vec<String>,
    /// Arguments before those of the user.
    pub(super) arguments: Vec<String>,
    /// What was decided.
    pub(super) decisions: Vec<String>,
    /// What the user should know.
    pub(super) notices: Vec<String>,
}

/// What `java` is told to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Launch {
    /// `-jar` with the first element. The class is the one that holds the app's code.
    Jar {
        /// Main-Class, or Start-Class of Spring Boot.
        class: String,
    },
    /// A class of the class path.
    Class(String),
}

impl Default for Launch {
    fn default() -> Self {
        Self::Class(String::new())
    }
}

/// Takes what is at `path` for an app of Java; `None` when it is none.
pub(super) fn recognise(scene: &Scene<'_>, path: &Path) -> Result<Option<Program>, JavaError> {
    let Ok(walk) = trace(scene.sysroot, path) else {
        return Ok(None);
    };
    match walk.node {
        Node::Directory { .. } => directory(scene, path),
        Node::File(_) => file(scene, path),
        Node::Symlink(_) | Node::Other => Ok(None),
    }
}

fn file(scene: &Scene<'_>, path: &Path) -> Result<Option<Program>, JavaError> {
    let read = |source| JavaError::Read {
        path: scene.display(path),
        source,
    };
    let file = match scene.sysroot.open(path) {
        Ok(file) => file,
        // Whoever asks next has the better message.
        Err(_) => return Ok(None),
    };
    let mut head = [0; 8];
    let length = file.read_at(&mut head, 0).map_err(read)?;
    let head = head.get(..length).unwrap_or_default();
    let extension = path.extension().map(OsStrExt::as_bytes);
    // `java` starts a class by its name, which the name of its file has to end in.
    if class::version(head).is_some() && extension == Some(b"class".as_slice()) {
        return class_file(scene, path).map(Some);
    }
    if matches!(extension, Some(b"jar" | b"war")) {
        return jar(scene, path).map(Some);
    }
    // Archives of other kinds start the same way: the manifest tells them apart.
    let is_jar = |file| {
        Archive::of_file(file, path.to_path_buf()).is_ok_and(|archive| archive.has(manifest::PLACE))
    };
    if head.starts_with(b"PK\x03\x04") {
        return match is_jar(file) {
            true => jar(scene, path).map(Some),
            false => Ok(None),
        };
    }
    if !head.starts_with(b"#!") {
        return Ok(None);
    }
    if file.size <= start_script::MAX_SCRIPT {
        let bytes = scene
            .sysroot
            .read(path, start_script::MAX_SCRIPT)
            .map_err(read)?;
        let text = String::from_utf8_lossy(&bytes);
        if start_script::is_start_script(&text) && !archive::is_archive(file) {
            return script(scene, path, &text).map(Some);
        }
    }
    let file = scene.sysroot.open(path).map_err(read)?;
    match is_jar(file) {
        true => jar(scene, path).map(Some),
        false => Ok(None),
    }
}

/// A jar that `java -jar` starts.
fn jar(scene: &Scene<'_>, path: &Path) -> Result<Program, JavaError> {
    let mut archive = Archive::open(scene.sysroot, path)?;
    let manifest = read_manifest(&mut archive)?;
    let Some(main) = manifest.main_class() else {
        return Err(JavaError::NoMainClass {
            path: scene.display(path),
            candidates: candidates(&mut archive)?,
        });
    };
    let class = manifest.start_class().unwrap_or(main).to_owned();
    let place = app_place(jar_name(path));
    let mut program = Program {
        shown: scene.display(path),
        launch: Launch::Jar { class },
        ..Program::default()
    };
    program.elements.push(Element {
        source: path.to_path_buf(),
        place,
        is_directory: false,
        part: Part::App,
    });
    add_class_paths(scene, &mut program)?;
    Ok(program)
}

/// The name in the image: `java` does not care, people do.
fn jar_name(path: &Path) -> OsString {
    let name = path.file_name().unwrap_or_default().to_os_string();
    match Path::new(&name).extension() {
        Some(_) => name,
        None => {
            let mut name = name;
            name.push(".jar");
            name
        }
    }
}

/// A class that `java -cp DIR Name` starts.
fn class_file(scene: &Scene<'_>, path: &Path) -> Result<Program, JavaError> {
    let shown = scene.display(path);
    let bytes = scene
        .sysroot
        .read(path, MAX_CLASS)
        .map_err(|source| JavaError::Read {
            path: shown.clone(),
            source,
        })?;
    let class = class::parse(&bytes).ok_or_else(|| JavaError::DamagedClass {
        path: shown.clone(),
    })?;
    if !class.is_main {
        return Err(JavaError::NoMainMethod { path: shown });
    }
    let name = String::from_utf8_lossy(class.name).into_owned();
    let ending = PathBuf::from(format!("{name}.class"));
    let misplaced = || JavaError::Misplaced {
        path: shown.clone(),
        class: name.clone(),
    };
    if !path.ends_with(&ending) {
        return Err(misplaced());
    }
    let root = path
        .ancestors()
        .nth(ending.components().count())
        .filter(|root| root.parent().is_some())
        .ok_or_else(misplaced)?;
    let mut program = Program {
        shown: shown.clone(),
        launch: Launch::Class(name.replace('/', ".")),
        ..Program::default()
    };
    program.decisions.push(format!(
        "the classes and files of {} come along: they are its class path",
        scene.display(root).display()
    ));
    program.push(Element {
        source: root.to_path_buf(),
        place: app_place(Path::new("classes").as_os_str()),
        is_directory: true,
        part: Part::App,
    })?;
    Ok(program)
}

/// A directory: an app with a start script, or jars of which one can be started.
fn directory(scene: &Scene<'_>, path: &Path) -> Result<Option<Program>, JavaError> {
    if let Some((script_path, text)) = find_script(scene, path) {
        return script(scene, &script_path, &text).map(Some);
    }
    let mut jars = Vec::new();
    for folder in [path.to_path_buf(), path.join("lib")] {
        let names = scene.sysroot.read_dir(&folder).unwrap_or_default();
        let here = names.iter().filter(|name| is_jar_name(name));
        jars.extend(here.map(|name| folder.join(name)));
    }
    let mut main = Vec::new();
    for jar in jars.iter().take(MAX_ELEMENTS) {
        let Ok(mut archive) = Archive::open(scene.sysroot, jar) else {
            continue;
        };
        let manifest = read_manifest(&mut archive)?;
        if manifest.main_class().is_some() {
            main.push((jar.clone(), manifest));
        }
    }
    match main.as_slice() {
        [] => Ok(None),
        [(jar, manifest)] => jar_directory(scene, path, &jars, jar, manifest).map(Some),
        several => Err(JavaError::Ambiguous {
            path: scene.display(path),
            jars: several
                .iter()
                .filter_map(|(jar, _)| jar.file_name())
                .map(|name| name.to_string_lossy().into_owned())
                .collect(),
        }),
    }
}

fn jar_directory(
    scene: &Scene<'_>,
    path: &Path,
    jars: &[PathBuf],
    main: &Path,
    manifest: &Manifest,
) -> Result<Program, JavaError> {
    let names: BTreeSet<PathBuf> = manifest
        .class_path()
        .filter_map(|url| Some(normal(&main.parent()?.join(percent_decoded(url)))))
        .collect();
    let others = || jars.iter().filter(|jar| jar.as_path() != main);
    let class = manifest.main_class().unwrap_or_default().to_owned();
    let mut program = Program {
        shown: scene.display(path),
        ..Program::default()
    };
    // What the manifest names is found by `java -jar`; other jars need a class path.
    program.launch = match others().all(|jar| names.contains(&normal(jar))) {
        true => Launch::Jar { class },
        false => {
            program.options = manifest.options();
            Launch::Class(class)
        }
    };
    for jar in std::iter::once(main).chain(others().map(PathBuf::as_path)) {
        let relative = jar.strip_prefix(path).unwrap_or(jar);
        program.push(Element {
            source: jar.to_path_buf(),
            place: app_place(relative.as_os_str()),
            is_directory: false,
            part: match jar == main {
                true => Part::App,
                false => Part::Package,
            },
        })?;
    }
    program.decisions.push(format!(
        "{} is started: it is the only jar of {} with a Main-Class (another: give that jar)",
        scene.display(main).display(),
        program.shown.display()
    ));
    add_class_paths(scene, &mut program)?;
    Ok(program)
}

/// The one start script in `bin` of the directory, which has jars in `lib` or `repo`.
fn find_script(scene: &Scene<'_>, path: &Path) -> Option<(PathBuf, String)> {
    let bin = path.join("bin");
    let names = scene.sysroot.read_dir(&bin).ok()?;
    let mut scripts = names.iter().filter_map(|name| {
        let script = bin.join(name);
        let bytes = scene.sysroot.read(&script, start_script::MAX_SCRIPT).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        start_script::is_start_script(&text).then_some((script, text))
    });
    let first = scripts.next()?;
    scripts.next().is_none().then_some(first)
}

/// What a start script would run.
fn script(scene: &Scene<'_>, path: &Path, text: &str) -> Result<Program, JavaError> {
    let shown = scene.display(path);
    let failed = |what: String| JavaError::Script {
        path: shown.clone(),
        what,
    };
    let target = trace(scene.sysroot, path)
        .map(|walk| walk.target)
        .map_err(|error| failed(error.to_string()))?;
    // The script follows links to itself before it takes the parent of its directory.
    let home = target
        .parent()
        .and_then(|bin| bin.parent())
        .filter(|home| !home.is_root())
        .ok_or_else(|| failed("it is not in the directory bin of an app".to_owned()))?;
    let Start {
        class_path,
        options,
        main_class,
        arguments,
    } = start_script::parse(text).map_err(failed)?;
    let in_image = |text: &String| text.replace(HOME, APP_DIRECTORY);
    let mut program = Program {
        shown: shown.clone(),
        launch: Launch::Class(main_class.clone()),
        options: options.iter().map(in_image).collect(),
        arguments: arguments.iter().map(in_image).collect(),
        ..Program::default()
    };
    for element in &class_path {
        add_script_element(scene, &mut program, element, home.as_path())?;
    }
    if program.elements.is_empty() {
        return Err(failed("no jar of the class path exists".to_owned()));
    }
    mark_app(&mut program, scene.sysroot, &main_class)?;
    let jar_directories = program.elements.iter().filter_map(|element| {
        let relative = element.source.strip_prefix(&home).ok()?;
        Some(relative.components().next()?.as_os_str().to_os_string())
    });
    let left_out = jar_directories.chain([OsString::from("bin")]).collect();
    program
        .directories
        .push((home.into(), app_root(), left_out));
    program.decisions.push(format!(
        "{} is replaced by the command that it runs, since the image has no shell (`--runtime none \
         --allow-shell` keeps it)",
        shown.display()
    ));
    add_class_paths(scene, &mut program)?;
    Ok(program)
}

/// The element that holds the main class is the app's own.
fn mark_app(program: &mut Program, sysroot: &dyn Sysroot, class: &str) -> Result<(), JavaError> {
    let name = format!("{}.class", class.replace('.', "/"));
    for element in &mut program.elements {
        let holds = match element.is_directory {
            true => sysroot.is_file(&element.source.join(&name)),
            false => Archive::open(sysroot, &element.source)?.has(&name),
        };
        if holds {
            element.part = Part::App;
            break;
        }
    }
    Ok(())
}

/// The manifest of an archive; an empty one where it has none.
pub(super) fn read_manifest(archive: &mut Archive) -> Result<Manifest, JavaError> {
    let bytes = archive.read(manifest::PLACE, MAX_CLASS)?;
    Ok(Manifest::parse(&bytes.unwrap_or_default()))
}

/// Classes with a `main` method.
fn candidates(archive: &mut Archive) -> Result<Vec<String>, JavaError> {
    let mut found = Vec::new();
    for name in archive.names() {
        if found.len() == MAX_CANDIDATES {
            break;
        }
        if !name.ends_with(".class") || name.starts_with("META-INF/") {
            continue;
        }
        let Some(bytes) = archive.read(&name, MAX_CLASS)? else {
            continue;
        };
        if let Some(class) = class::parse(&bytes).filter(|class| class.is_main) {
            found.push(String::from_utf8_lossy(class.name).replace('/', "."));
        }
    }
    found.sort();
    Ok(found)
}

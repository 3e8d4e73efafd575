//! Java apps: jars, fat jars, web archives, classes, and the directories that Gradle and Maven
//! install.
//!
//! The road: [`program`] says what is to be run, [`class_path`] from which jars, [`runtime`] which Java runs it, [`scan`] looks at
//! all classes, [`jlink`] makes a smaller runtime where it can, [`layout`] lays its files.

mod archive;
mod class;
mod class_path;
mod error;
mod files;
mod jlink;
mod layout;
mod manifest;
mod modules;
mod natives;
mod program;
mod run;
mod runtime;
mod scan;
mod start_script;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::hosted::{Hosted, Runtime, RuntimeChoice, Scene};
use super::{Companion, Companions, Provenance, Role};
use crate::ImagePath;
use crate::elf::{Object, Root};
use crate::rootfs::{APP_DIRECTORY, Origin};
use crate::sysroot::trace;

pub use error::JavaError;

use class_path::{Element, Part};
use jlink::{MODULES_VARIABLE, Tools};
use layout::Laid;
use modules::Graphics;
use program::{Launch, Program};
use runtime::Jre;
use scan::{Collector, Findings};

/// Takes the file or directory at the absolute `path` for an app of Java, or says that it is
/// none (`Ok(None)`) where the user did not ask for Java by name.
///
/// # Errors
/// When it is one that cannot run, or was asked for by name and is none.
pub(super) fn recognise(scene: &Scene<'_>, path: &Path) -> Result<Option<Hosted>, JavaError> {
    if !scene.allows(Runtime::Java) {
        return Ok(None);
    }
    match program::recognise(scene, path)? {
        Some(program) => host(scene, program).map(Some),
        None if scene.runtime == RuntimeChoice::Only(Runtime::Java) => Err(JavaError::NotJava {
            path: scene.display(path),
            what: what_instead(scene, path),
        }),
        None => Ok(None),
    }
}

fn what_instead(scene: &Scene<'_>, path: &Path) -> &'static str {
    match scene.sysroot.is_directory(path) {
        true => "a directory without a start script or a jar that has a Main-Class",
        false => "no archive of classes, no class and no start script",
    }
}

/// What the image gets for the program.
fn host(scene: &Scene<'_>, mut program: Program) -> Result<Hosted, JavaError> {
    let jre = runtime::find(scene, &program.shown)?;
    let main = match &program.launch {
        Launch::Jar { class } | Launch::Class(class) => class.clone(),
    };
    let otherwise = match scene.ground {
        Some(_) => "another base has another",
        None => "JAVA_HOME=DIR takes another",
    };
    let mut decisions = vec![format!(
        "{} runs it: {} ({otherwise}, --runtime none takes none)",
        jre.title(),
        jre.found
    )];
    decisions.append(&mut program.decisions);
    let mut notices = std::mem::take(&mut program.notices);

    let (findings, laid) = match Tools::of(scene, &jre) {
        Some(tools) => {
            let (findings, classes) = tools.scan(scene, &program, &jre, &main)?;
            check_version(scene, &program, &jre, &main, &findings)?;
            let graphics = findings.evidence.graphics();
            let laid = match tools.link(&jre, &classes, &findings, &program.options) {
                Ok(linked) => {
                    decisions.push(linked_decision(&linked));
                    decisions.extend(linked.added.iter().map(|(module, why)| {
                        format!("the module {module} is added, which jdeps does not see: {why}")
                    }));
                    layout::linked(scene, &jre, &linked.directory, graphics)?
                }
                Err(why) => {
                    notices.push(format!(
                        "no smaller runtime could be linked, so the image gets all of {}: {why}",
                        jre.title()
                    ));
                    layout::whole(scene, &jre, graphics)?
                }
            };
            (findings, laid)
        }
        None => {
            let collector = Collector::<File>::new(jre.feature, &main, None);
            let findings = collector.scan(scene, &program)?;
            check_version(scene, &program, &jre, &main, &findings)?;
            decisions.push(whole_decision(scene, &jre));
            let laid = layout::whole(scene, &jre, findings.evidence.graphics())?;
            (findings, laid)
        }
    };
    notices.extend(laid.notices.iter().cloned());
    notices.extend(graphics_notices(&findings));

    let java = layout::launcher(&laid.home);
    let mut roots = vec![Root::Program { path: java.clone() }];
    let needs = native_needs(scene, &jre, &laid, &findings);
    roots.extend(needs.roots);
    notices.extend(needs.notices);

    let mut companions = app_companions(scene, &program)?;
    let command = command(&java, &program);
    let moved = moved(scene, &program, &jre, &laid);
    let Laid {
        home,
        companions: runtime,
        ..
    } = laid;
    companions.splice(0..0, runtime);
    Ok(Hosted {
        runtime: Runtime::Java,
        version: jre.version.clone(),
        command,
        env: vec![("JAVA_HOME".to_owned(), home.to_string())],
        workdir: ImagePath::new(APP_DIRECTORY).ok(),
        roots,
        companions,
        library_path: Vec::new(),
        hidden: match home == jre.home {
            true => Vec::new(),
            false => vec![jre.home],
        },
        moved,
        decisions,
        notices,
    })
}

/// Refuses a main class that is missing, or newer than the runtime.
fn check_version(
    scene: &Scene<'_>,
    program: &Program,
    jre: &Jre,
    main: &str,
    findings: &Findings,
) -> Result<(), JavaError> {
    let Some(major) = findings.main_version else {
        return Err(JavaError::MainClassMissing {
            path: program.shown.clone(),
            class: main.to_owned(),
        });
    };
    let needed = class::feature(major);
    if needed <= jre.feature {
        return Ok(());
    }
    if let Some(ground) = scene.ground {
        return Err(JavaError::TooNewForGround {
            path: program.shown.clone(),
            major,
            ground: ground.name.to_owned(),
            version: jre.version.clone(),
        });
    }
    let mut others = runtime::installed(scene).into_iter();
    let other = others.find(|other| other.feature >= needed);
    Err(JavaError::TooNew {
        path: program.shown.clone(),
        major,
        runtime: scene.display(jre.home.as_path()),
        version: jre.version.clone(),
        other: other.map(|other| scene.display(other.home.as_path())),
    })
}

fn linked_decision(linked: &jlink::Linked) -> String {
    let modules: Vec<&str> = linked.modules.iter().map(String::as_str).collect();
    format!(
        "jlink made a smaller runtime of {} modules that the app uses: {} ({MODULES_VARIABLE}=NAME,... \
         adds others, {MODULES_VARIABLE}=all takes the whole runtime)",
        modules.len(),
        modules.join(", ")
    )
}

fn whole_decision(scene: &Scene<'_>, jre: &Jre) -> String {
    let home = scene.display(jre.home.as_path());
    let why = match scene.host {
        None if scene.ground.is_some() => {
            "nothing of another system is run to make a smaller one".to_owned()
        }
        None => "nothing of the sysroot is run to make a smaller one".to_owned(),
        Some(host) if jlink::whole_is_asked_for(host) => format!("{MODULES_VARIABLE} says so"),
        Some(_) if !jre.is_modular() => "its class library has no modules".to_owned(),
        Some(_) if !scene.sysroot.is_file(&jre.path("bin/jlink")) => {
            "it has no jlink: with a JDK, a smaller one is made".to_owned()
        }
        Some(_) => "it has no jmods or no jdeps, which making a smaller one takes".to_owned(),
    };
    format!("the image gets the whole runtime {}: {why}", home.display())
}

/// What has to be said when fonts and screens are used.
fn graphics_notices(findings: &Findings) -> Option<String> {
    let class = findings.evidence.fonts()?;
    (findings.evidence.graphics() > Graphics::None).then(|| {
        format!(
            "{class} draws with java.awt, and the image has no fonts: `--with fonts` adds them if \
             text is drawn"
        )
    })
}

/// What native libraries in jars need beside the runtime.
fn native_needs(scene: &Scene<'_>, jre: &Jre, laid: &Laid, findings: &Findings) -> natives::Needs {
    let java = scene.sysroot.open(&jre.path("bin/java")).ok();
    let Some(java) = java.and_then(|file| Object::read(&file).ok()) else {
        return natives::Needs::default();
    };
    let files = || laid.companions.iter().flat_map(|group| &group.files);
    let provided = |name: &OsString| files().any(|file| file.path.file_name() == Some(name));
    findings.natives.needs(scene.sysroot, &java, provided)
}

/// The jars and directories of the app.
fn app_companions(scene: &Scene<'_>, program: &Program) -> Result<Vec<Companions>, JavaError> {
    let mut packages = Vec::new();
    let mut own = Vec::new();
    for element in &program.elements {
        let list = match element.part {
            Part::App => &mut own,
            Part::Package => &mut packages,
        };
        add_element(scene, element, list)?;
    }
    for (source, place, left_out) in &program.directories {
        for relative in files::below(scene.sysroot, source)? {
            let top = relative.components().next();
            if top.is_none_or(|top| left_out.contains(top.as_os_str())) {
                continue;
            }
            own.push(app_file(
                scene,
                &source.join(&relative),
                &place.as_path().join(&relative),
            )?);
        }
    }
    let packages = Companions {
        by: Provenance::Packages,
        reason: "the class path of the app".to_owned(),
        files: packages,
    };
    let own = Companions {
        by: Provenance::App,
        reason: format!("the app {}", program.shown.display()),
        files: own,
    };
    let groups = [packages, own].into_iter();
    Ok(groups.filter(|group| !group.files.is_empty()).collect())
}

fn add_element(
    scene: &Scene<'_>,
    element: &Element,
    list: &mut Vec<Companion>,
) -> Result<(), JavaError> {
    if !element.is_directory {
        list.push(app_file(scene, &element.source, element.place.as_path())?);
        return Ok(());
    }
    for relative in files::below(scene.sysroot, &element.source)? {
        let source = element.source.join(&relative);
        list.push(app_file(
            scene,
            &source,
            &element.place.as_path().join(&relative),
        )?);
    }
    Ok(())
}

fn app_file(scene: &Scene<'_>, source: &Path, place: &Path) -> Result<Companion, JavaError> {
    let place = ImagePath::new(place).map_err(|error| JavaError::Read {
        path: scene.display(source),
        source: std::io::Error::other(error),
    })?;
    files::companion(scene.sysroot, source, place, Origin::App, Role::Data)
}

/// The command of the image.
fn command(java: &Path, program: &Program) -> Vec<String> {
    let mut command = vec![java.to_string_lossy().into_owned()];
    command.extend(program.options.iter().cloned());
    match &program.launch {
        Launch::Jar { .. } => {
            command.push("-jar".to_owned());
            command.extend(program.elements.first().map(|jar| jar.place.to_string()));
        }
        Launch::Class(class) => {
            let places: Vec<String> = program
                .elements
                .iter()
                .map(|element| element.place.to_string())
                .collect();
            command.push("-cp".to_owned());
            command.push(places.join(":"));
            command.push(class.clone());
        }
    }
    command.extend(program.arguments.iter().cloned());
    command
}

/// Where things of this machine land, the longest path first: the jars and directories of the
/// class path, what lies beside the app, and a runtime that does not keep its place.
fn moved(
    scene: &Scene<'_>,
    program: &Program,
    jre: &Jre,
    laid: &Laid,
) -> Vec<(PathBuf, ImagePath)> {
    let elements = program
        .elements
        .iter()
        .map(|element| (element.source.clone(), element.place.clone()));
    let directories = program
        .directories
        .iter()
        .map(|(source, place, _)| (source.clone(), place.clone()));
    let mut moved: Vec<(PathBuf, ImagePath)> = elements.chain(directories).collect();
    if let Some(first) = program.elements.first().filter(|first| !first.is_directory)
        && let (Some(source), Some(place)) = (first.source.parent(), first.place.parent())
        && !crate::rootfs::is_system(source)
    {
        moved.push((source.to_path_buf(), place));
        // A trace names files by where links lead to.
        if let Ok(walk) = trace(scene.sysroot, &first.source) {
            moved.push((walk.target.into(), first.place.clone()));
        }
    }
    if laid.home != jre.home {
        moved.push((laid.from.clone(), laid.home.clone()));
        moved.push((jre.home.clone().into(), laid.home.clone()));
    }
    moved.sort_by(|a, b| {
        let length = |path: &Path| path.as_os_str().len();
        length(&b.0).cmp(&length(&a.0)).then_with(|| a.cmp(b))
    });
    moved.dedup_by(|a, b| a.0 == b.0);
    moved
}

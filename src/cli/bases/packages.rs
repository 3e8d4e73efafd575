//! Bases of packages: what is in one, and their lock.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::Usage;
use crate::cli::args::Archives;
use crate::cli::base::{Downloads, counted, options, tell_notices, this_machine};
use crate::cli::terminal::Terminal;
use crate::debian::{
    Architecture, BaseRequest, Lock, LockError, LockedBase, Recipes, Reference, ResolvedBase,
    Session,
};
use crate::report::human_size as human;

/// The names and descriptions of all.
pub(super) fn all() -> anyhow::Result<Vec<(String, String)>> {
    let all = Recipes::built_in()?.all().into_iter();
    Ok(all
        .map(|summary| (summary.reference.to_string(), summary.description))
        .collect())
}

/// Shows the packages of a base.
pub(super) fn show(
    reference: &Reference,
    packages: Vec<String>,
    architecture: Option<Architecture>,
    json: bool,
    archives: &Archives,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    let session = Session::new(options(archives))?;
    let request = BaseRequest {
        reference: reference.clone(),
        architecture: architecture.map_or_else(this_machine, Ok)?,
        packages,
    };
    let resolved = found(&session, &request, terminal)?;
    if json {
        terminal.document(&as_json(&resolved)?)?;
    } else {
        let recipe = session.recipe(reference, request.architecture)?;
        let heading = format!(
            "{reference} for {}: {}\n",
            request.architecture, recipe.description
        );
        terminal.result(&format!("{heading}{}", as_text(&resolved)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the packages of bases into a lock file.
pub(super) fn lock(
    references: &[Reference],
    packages: &[String],
    architectures: &[Architecture],
    path: &Path,
    archives: &Archives,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    let mut lock = match Lock::read(path) {
        Err(LockError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Lock::default()
        }
        lock => lock?,
    };
    let architectures = match architectures {
        [] => vec![this_machine()?],
        some => some.to_vec(),
    };
    let session = Session::new(options(archives))?;
    let mut text = String::new();
    for reference in references {
        for architecture in &architectures {
            let request = BaseRequest {
                reference: reference.clone(),
                architecture: *architecture,
                packages: packages.to_vec(),
            };
            let resolved = found(&session, &request, terminal)?;
            let locked = resolved.locked;
            let summary = format!(
                "{reference} for {architecture}: {}, {}",
                counted(locked.packages.len()),
                human(locked.size())
            );
            let former = lock.put(locked.clone());
            let _ = writeln!(text, "{summary}{}", changes(former.as_ref(), &locked));
        }
    }
    lock.write(path)?;
    terminal.result(&text)?;
    terminal.fact("lock", &path.display().to_string());
    Ok(ExitCode::SUCCESS)
}

/// Renews a lock file.
pub(super) fn update(
    references: &[Reference],
    path: &Path,
    dry_run: bool,
    archives: &Archives,
    terminal: &Terminal,
) -> anyhow::Result<ExitCode> {
    let lock = Lock::read(path)?;
    if let Some(unknown) = references
        .iter()
        .find(|reference| !lock.bases.iter().any(|base| base.reference == **reference))
    {
        return Err(Usage(format!(
            "{} has no {unknown}; `distrobuild bases lock {unknown}` adds it",
            path.display()
        ))
        .into());
    }
    let session = Session::new(options(archives))?;
    let mut renewed = lock.clone();
    let mut text = String::new();
    for base in &lock.bases {
        if !references.is_empty() && !references.contains(&base.reference) {
            continue;
        }
        let request = BaseRequest {
            reference: base.reference.clone(),
            architecture: base.architecture,
            packages: base.added.clone(),
        };
        let resolved = found(&session, &request, terminal)?;
        let changes = changes(Some(base), &resolved.locked);
        let _ = writeln!(
            text,
            "{} for {}{changes}",
            base.reference, base.architecture
        );
        renewed.put(resolved.locked);
    }
    if !dry_run {
        renewed.write(path)?;
    }
    terminal.result(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The packages of a base, after what was met on the way was told: it may be why they are not had.
fn found(
    session: &Session,
    request: &BaseRequest,
    terminal: &Terminal,
) -> anyhow::Result<ResolvedBase> {
    let resolved = session.resolve(request, &Downloads::new(terminal));
    tell_notices(session, terminal);
    Ok(resolved?)
}

/// What changed, each package on a line of its own.
fn changes(former: Option<&LockedBase>, now: &LockedBase) -> String {
    let Some(former) = former else {
        return String::new();
    };
    let changes = now.changes_since(former);
    if changes.is_empty() {
        return ": nothing changed".to_owned();
    }
    let lines: String = changes.iter().map(|line| format!("\n  {line}")).collect();
    format!(":{lines}")
}

fn as_text(resolved: &ResolvedBase) -> String {
    let packages = &resolved.selection.packages;
    let widest = |of: fn(&crate::debian::Candidate) -> usize| {
        packages
            .iter()
            .map(|it| of(&it.candidate))
            .max()
            .unwrap_or(0)
    };
    let name = widest(|it| it.name.len());
    let version = widest(|it| it.version.to_string().len());
    let mut text = String::new();
    for chosen in packages {
        let it = &chosen.candidate;
        let (size, because) = (human(it.size), &chosen.because);
        let shown = it.version.to_string();
        let _ = writeln!(
            text,
            "  {:<name$}  {shown:<version$}  {size:>9}  {because}",
            it.name
        );
    }
    let _ = writeln!(
        text,
        "{}, {} of .deb files",
        counted(packages.len()),
        human(resolved.locked.size())
    );
    let archives = resolved.archives.iter();
    let archives: Vec<String> = archives
        .map(|(suite, components)| format!("{suite} ({})", components.join(", ")))
        .collect();
    let _ = writeln!(text, "from the archives {}", archives.join(", "));
    if !resolved.selection.left_out.is_empty() {
        let _ = writeln!(text, "\nLeft out, though packages depend on it:");
    }
    let left_out = &resolved.selection.left_out;
    let name = left_out
        .iter()
        .map(|it| it.package.len())
        .max()
        .unwrap_or(0);
    for left in left_out {
        let by = left.wanted_by.join(", ");
        let _ = writeln!(
            text,
            "  {:<name$}  {} (wanted by {by})",
            left.package, left.because
        );
    }
    text
}

fn as_json(resolved: &ResolvedBase) -> anyhow::Result<String> {
    let locked = &resolved.locked;
    let packages: Vec<_> = locked
        .packages
        .iter()
        .zip(&resolved.selection.packages)
        .map(|(package, chosen)| {
            serde_json::json!({
                "name": package.name,
                "version": package.version,
                "architecture": package.architecture,
                "suite": package.suite,
                "path": package.path,
                "size": package.size,
                "sha256": package.sha256.hex(),
                "because": chosen.because.to_string(),
            })
        })
        .collect();
    let left_out: Vec<_> = resolved
        .selection
        .left_out
        .iter()
        .map(|left| {
            serde_json::json!({
                "package": left.package,
                "because": left.because,
                "wanted_by": left.wanted_by,
            })
        })
        .collect();
    let archives: Vec<_> = resolved
        .archives
        .iter()
        .map(|(suite, components)| serde_json::json!({"suite": suite, "components": components}))
        .collect();
    let document = serde_json::json!({
        "schema": 1,
        "base": locked.reference.to_string(),
        "architecture": locked.architecture.name(),
        "archives": archives,
        "packages": packages,
        "left_out": left_out,
    });
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::debian::{Exclusion, Index, Wanted, resolve};
    use crate::layer::Digest;

    fn package(name: &str, version: &str, depends: &str) -> String {
        let sha256 = Digest::of(version.as_bytes()).hex();
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDepends: {depends}\n\
             Filename: pool/{name}.deb\nSize: 2000\nSHA256: {sha256}\n\n"
        )
    }

    fn locked(versions: &[(&str, &str)]) -> LockedBase {
        let packages = versions
            .iter()
            .map(|(name, version)| crate::debian::LockedPackage {
                name: (*name).to_owned(),
                version: (*version).to_owned(),
                architecture: "amd64".to_owned(),
                suite: "bookworm".to_owned(),
                path: format!("pool/{name}.deb"),
                size: 2000,
                sha256: Digest::of(version.as_bytes()),
            });
        LockedBase {
            reference: "debian:bookworm/cc".parse().unwrap(),
            architecture: Architecture::Amd64,
            recipe: vec!["app".to_owned()],
            added: Vec::new(),
            packages: packages.collect(),
        }
    }

    fn resolved(index: &str, excluded: &[(&str, &str)], of: LockedBase) -> ResolvedBase {
        let exclusions: Vec<Exclusion> = excluded
            .iter()
            .map(|(package, because)| Exclusion {
                package: (*package).to_owned(),
                because: (*because).to_owned(),
            })
            .collect();
        let wanted = Wanted {
            packages: &of.recipe,
            exclusions: &exclusions,
            architecture: Architecture::Amd64,
        };
        let selection = resolve(&[Index::read(index.as_bytes()).unwrap()], &wanted).unwrap();
        ResolvedBase {
            locked: of,
            selection,
            archives: vec![("bookworm".to_owned(), vec!["main".to_owned()])],
        }
    }

    fn two() -> ResolvedBase {
        let index = package("app", "1.0-1", "libsomething1, debconf-like-thing")
            + &package("libsomething1", "1:2.0~rc1-3", "");
        let locked = locked(&[("app", "1.0-1"), ("libsomething1", "1:2.0~rc1-3")]);
        let excluded = [("debconf-like-thing", "it asks questions")];
        resolved(&index, &excluded, locked)
    }

    #[test]
    fn packages_are_shown_in_columns_with_why_they_are_there_and_what_is_not() {
        assert_eq!(
            as_text(&two()),
            "  app            1.0-1           2.0 kB  asked for\n  \
             libsomething1  1:2.0~rc1-3     2.0 kB  needed by app\n\
             2 packages, 4.0 kB of .deb files\n\
             from the archives bookworm (main)\n\n\
             Left out, though packages depend on it:\n  \
             debconf-like-thing  it asks questions (wanted by app)\n"
        );
    }

    #[test]
    fn one_package_is_not_called_packages_and_nothing_left_out_is_not_told() {
        let one = resolved(&package("app", "1", ""), &[], locked(&[("app", "1")]));
        assert_eq!(
            as_text(&one),
            "  app  1     2.0 kB  asked for\n1 package, 2.0 kB of .deb files\n\
             from the archives bookworm (main)\n"
        );
    }

    #[test]
    fn programs_are_told_the_same() {
        let text = as_json(&two()).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["base"], "debian:bookworm/cc");
        assert_eq!(document["architecture"], "amd64");
        let second = &document["packages"][1];
        assert_eq!(second["version"], "1:2.0~rc1-3");
        assert_eq!(second["because"], "needed by app");
        assert_eq!(second["sha256"], Digest::of(b"1:2.0~rc1-3").hex());
        assert_eq!(document["left_out"][0]["wanted_by"][0], "app");
    }

    #[test]
    fn what_changed_is_shown_below_the_base() {
        let (former, now) = (locked(&[("a", "1")]), locked(&[("a", "2"), ("b", "1")]));
        assert_eq!(changes(None, &now), "");
        assert_eq!(changes(Some(&now), &now), ": nothing changed");
        assert_eq!(
            changes(Some(&former), &now),
            ":\n    a 1 -> 2\n  + b 1 (amd64)"
        );
    }
}

//! Rules for what comes along with a library or a program, though no ELF header names it:
//! `bases/plugins.toml`.
//!
//! A rule says *when* it applies (a soname in the closure, an imported function, a program's
//! name), *which* paths come along, and *why*. Nothing but the sysroot is looked at: what the
//! machine that builds has elsewhere, or what its processor is, makes no difference.

mod document;
mod gather;
mod matching;
mod nearest;
mod pattern;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use self::document::Rule;
use self::gather::{Excluded, Fault, Gathered, Gatherer};
use self::matching::{Binding, Facts, Imports};
use self::pattern::{Exclude, PathPattern, PathSteps};
use crate::app::{Companion, Companions, Provenance};
use crate::elf::Closure;
use crate::rootfs::EntryKind;
use crate::sysroot::Sysroot;

/// The rules that are built in.
const BUILT_IN: &str = include_str!("../bases/plugins.toml");

/// The rules, those built in or those of a file.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// One of [`Rules`], for a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleSummary<'a> {
    /// What `--with` and `--without` call it.
    pub name: &'a str,
    /// Why it brings something, for people: a phrase.
    pub reason: &'a str,
    /// Whether it applies without being asked for.
    pub default: bool,
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// Their text is not good.
    #[error("{}: {message}", place(.file, *.line, .rule.as_deref()))]
    Invalid {
        /// The file that they are read from.
        file: PathBuf,
        /// The line, counted from 1.
        line: Option<usize>,
        /// The rule, if it is known.
        rule: Option<String>,
        /// What is wrong, and what is right.
        message: String,
    },
    /// The user names a rule that does not exist.
    #[error(
        "there is no rule {name:?}{}; the rules are {}",
        nearest::suggestion(.name, .known), .known.join(", ")
    )]
    Unknown {
        /// What the user wrote.
        name: String,
        /// The names of all rules.
        known: Vec<String>,
    },
    /// The user wants a rule and does not want it.
    #[error(
        "the rule {name} is asked for and refused; leave out `--with {name}` or `--without {name}`"
    )]
    Both {
        /// The rule.
        name: String,
    },
    /// A file that a rule brings cannot be read.
    #[error(
        "cannot read {}, which the rule {rule} brings: {source}; make it readable, or leave it out \
         with `--without {rule}`",
        .path.display()
    )]
    Read {
        /// The rule.
        rule: String,
        /// The file, as it is shown to people.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A rule brings more than any program needs.
    #[error(
        "the rule {rule} brings more files than any program needs; something is odd in the \
         directories that it looks into: leave it out with `--without {rule}`"
    )]
    TooMany {
        /// The rule.
        rule: String,
    },
}

fn place(file: &Path, line: Option<usize>, rule: Option<&str>) -> String {
    let mut text = file.display().to_string();
    if let Some(line) = line {
        text.push_str(&format!(":{line}"));
    }
    if let Some(rule) = rule {
        text.push_str(&format!(": rule {rule}"));
    }
    text
}

/// What the user says about rules, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Rules that apply though they must be asked for (`--with`).
    pub with: BTreeSet<String>,
    /// Rules that do not apply (`--without`).
    pub without: BTreeSet<String>,
}

/// What applied rules bring.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// The files, by rule, in the order of the rules. None of them is in the closure, and none
    /// comes twice.
    pub companions: Vec<Companions>,
    /// Environment that a rule sets; weaker than the user's.
    pub env: Vec<(String, String)>,
    /// Arguments that the app should be started with when the user gives none: without them its
    /// container ends at once (a server that goes into the background).
    pub arguments: Vec<String>,
    /// What the user should know.
    pub notices: Vec<String>,
}

impl Rules {
    /// The rules that are built in.
    ///
    /// # Errors
    /// Never for a released program: a test reads them.
    pub fn built_in() -> Result<Self, RulesError> {
        Self::parse(Path::new("bases/plugins.toml"), BUILT_IN)
    }

    /// The rules of `text`, which was read from `file`. `bases/README.md` describes the format.
    ///
    /// # Errors
    /// When it is no such text; the message names the rule.
    pub fn parse(file: &Path, text: &str) -> Result<Self, RulesError> {
        let rules = document::parse(file, text)?;
        Ok(Self { rules })
    }

    /// All rules, in their order.
    pub fn iter(&self) -> impl Iterator<Item = RuleSummary<'_>> {
        self.rules.iter().map(|rule| RuleSummary {
            name: &rule.name,
            reason: &rule.because,
            default: rule.default,
        })
    }

    /// Whether every name in `choice` is a rule's.
    ///
    /// # Errors
    /// When one is not, or one is both asked for and refused.
    pub fn check(&self, choice: &Choice) -> Result<(), RulesError> {
        let mut names = choice.with.union(&choice.without);
        if let Some(name) = names.find(|name| self.rules.iter().all(|rule| rule.name != **name)) {
            return Err(RulesError::Unknown {
                name: name.clone(),
                known: self.rules.iter().map(|rule| rule.name.clone()).collect(),
            });
        }
        match choice.with.intersection(&choice.without).next() {
            Some(name) => Err(RulesError::Both { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// What the rules bring for `closure`.
    ///
    /// # Errors
    /// When `choice` names no rule, or a file that a rule brings cannot be read.
    pub fn apply(
        &self,
        sysroot: &dyn Sysroot,
        closure: &Closure,
        choice: &Choice,
    ) -> Result<Applied, RulesError> {
        self.application(choice)?.apply(sysroot, closure)
    }

    /// For a closure that grows by what the rules bring.
    ///
    /// # Errors
    /// When `choice` names no rule.
    pub fn application<'r>(&'r self, choice: &'r Choice) -> Result<Application<'r>, RulesError> {
        self.check(choice)?;
        Ok(Application {
            rules: self,
            choice,
            imports: Imports::default(),
            outcomes: HashMap::new(),
        })
    }
}

/// Rules on their way through a closure that grows. What was found out for the smaller one is not
/// looked for again.
#[derive(Debug)]
pub struct Application<'r> {
    rules: &'r Rules,
    choice: &'r Choice,
    imports: Imports<'r>,
    /// By the rule's name: what it matched the last time, and what came of it.
    outcomes: HashMap<&'r str, (Vec<Binding>, Outcome)>,
}

/// What one rule came to.
#[derive(Debug, Clone)]
struct Outcome {
    /// Whether it set its variables and arguments.
    sets: bool,
    files: Vec<Companion>,
    notices: Vec<String>,
}

impl Application<'_> {
    /// What the rules bring for `closure`. To be called again when what they bring has made
    /// the closure grow, until nothing more comes: what comes then is beside what came before,
    /// but for files that are in the closure now. What a rule looks at in `sysroot` must not have
    /// changed since.
    ///
    /// # Errors
    /// When a file that a rule brings cannot be read.
    pub fn apply(
        &mut self,
        sysroot: &dyn Sysroot,
        closure: &Closure,
    ) -> Result<Applied, RulesError> {
        let mut applied = Applied::default();
        let mut facts = Facts::new(sysroot, closure, &self.rules.rules, &mut self.imports);
        let mut gatherer = None;
        for rule in self
            .rules
            .rules
            .iter()
            .filter(|rule| self.choice.allows(rule))
        {
            let matches = facts.matches(rule);
            if matches.is_empty() {
                if self.choice.with.contains(&rule.name) {
                    applied.notices.push(rule.applies_to_nothing());
                }
                continue;
            }
            let gatherer = gatherer.get_or_insert_with(|| Gatherer::new(sysroot, closure));
            let outcome = match self.outcomes.get(rule.name.as_str()) {
                Some((known, outcome)) if *known == matches => {
                    gatherer.take(&outcome.files);
                    outcome.clone()
                }
                _ => {
                    let outcome = rule.outcome(&matches, gatherer)?;
                    let known = (matches, outcome.clone());
                    self.outcomes.insert(&rule.name, known);
                    outcome
                }
            };
            applied.add(rule, outcome);
        }
        Ok(applied)
    }
}

impl Choice {
    fn allows(&self, rule: &Rule) -> bool {
        (rule.default || self.with.contains(&rule.name)) && !self.without.contains(&rule.name)
    }
}

impl Applied {
    /// Adds what a rule came to.
    fn add(&mut self, rule: &Rule, outcome: Outcome) {
        if outcome.sets {
            self.set(rule);
        }
        self.notices.extend(outcome.notices);
        // A directory with nothing in it is as good as none.
        let is_something = |file: &Companion| file.entry.kind != EntryKind::Directory;
        if !rule.make.is_empty() || outcome.files.iter().any(is_something) {
            self.companions.push(Companions {
                by: Provenance::Rule(rule.name.clone()),
                reason: rule.because.clone(),
                files: outcome.files,
            });
        }
    }

    /// The variables and arguments of a rule; what an earlier rule says stands.
    fn set(&mut self, rule: &Rule) {
        for (name, value) in &rule.env {
            if self.env.iter().all(|(known, _)| known != name) {
                self.env.push((name.clone(), value.clone()));
            }
        }
        if self.arguments.is_empty() {
            self.arguments.clone_from(&rule.arguments);
        }
    }
}

impl Binding {
    /// The spellings of a path of a rule.
    fn paths(&self, pattern: &PathPattern) -> Vec<PathSteps> {
        pattern.expand(|variable| self.values(variable))
    }
}

impl Rule {
    /// Follows a rule that applies.
    fn outcome(
        &self,
        matches: &[Binding],
        gatherer: &mut Gatherer<'_>,
    ) -> Result<Outcome, RulesError> {
        let mut gathering = gatherer.gather(self.excluded(matches), self.objects.role());
        let mut found = self.bring.is_empty() && self.needs.is_empty();
        let mut lacks = Vec::new();
        for binding in matches {
            for pattern in &self.bring {
                let paths = binding.paths(pattern);
                found |= gathering
                    .bring(&paths)
                    .map_err(|fault| self.failed(fault))?;
            }
            let mut is_met = self.needs.is_empty();
            let mut sought = Vec::new();
            for pattern in &self.needs {
                let paths = binding.paths(pattern);
                is_met |= gathering
                    .bring(&paths)
                    .map_err(|fault| self.failed(fault))?;
                sought.extend(paths);
            }
            match is_met {
                true => found |= !self.needs.is_empty(),
                false => lacks.extend(sought),
            }
        }
        if found {
            self.make.iter().for_each(|made| gathering.make(made));
        }
        let Gathered { files, private } = gathering.end();
        let lacking = (!lacks.is_empty()).then(|| self.lacks(&lacks));
        let hidden = private.map(|(path, mode)| self.keeps_private(&path, mode));
        Ok(Outcome {
            sets: found,
            files,
            notices: lacking.into_iter().chain(hidden).collect(),
        })
    }

    fn excluded(&self, matches: &[Binding]) -> Excluded {
        let mut excluded = Excluded::default();
        for exclude in &self.exclude {
            match exclude {
                Exclude::Name(name) => excluded.names.push(name.clone()),
                Exclude::Path(path) => {
                    let paths = matches.iter().flat_map(|binding| binding.paths(path));
                    excluded.paths.extend(paths);
                }
            }
        }
        excluded
    }

    fn failed(&self, fault: Fault) -> RulesError {
        let rule = self.name.clone();
        match fault {
            Fault::Read { path, source } => RulesError::Read { rule, path, source },
            Fault::TooMany => RulesError::TooMany { rule },
        }
    }

    fn applies_to_nothing(&self) -> String {
        let name = &self.name;
        format!(
            "--with {name}: nothing in the image asks for it ({})",
            self.because
        )
    }

    fn lacks(&self, paths: &[PathSteps]) -> String {
        let paths: Vec<String> = paths.iter().map(PathSteps::display).collect();
        format!(
            "rule {}: nothing is at {}, and without it the program will not start; install it, or \
             add it with `--include`",
            self.name,
            paths.join(" or ")
        )
    }

    fn keeps_private(&self, path: &Path, mode: u32) -> String {
        format!(
            "rule {}: {} is left out, since not everybody may read it (mode {mode:04o}); if it is \
             no secret, `chmod a+r` it, else mount it where the container runs",
            self.name,
            path.display()
        )
    }
}

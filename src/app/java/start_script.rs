//! The shell scripts that build tools write to start an app: Gradle's `application` plugin
//! (`installDist`) and Maven's `appassembler`. They set variables and end in one command; what
//! they would run is read from them, nothing is executed.

use std::collections::BTreeMap;

/// What a script runs. Paths in it are relative to the app's home, the parent of `bin`, where
/// they start with [`HOME`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// The class path, in order.
    pub(super) class_path: Vec<String>,
    /// Options for `java`.
    pub(super) options: Vec<String>,
    /// The class that is started.
    pub(super) main_class: String,
    /// Arguments before those of the user.
    pub(super) arguments: Vec<String>,
}

/// Stands for the app's home.
pub(super) const HOME: &str = "@HOME@";
/// The longest script that is read, in bytes.
pub(super) const MAX_SCRIPT: u64 = 256 << 10;

/// Whether the text is a start script: a shell script with a class path that runs `java`.
pub(super) fn is_start_script(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let shell = first.strip_prefix("#!").is_some_and(|line| {
        let program = line
            .split_ascii_whitespace()
            .next_back()
            .unwrap_or_default();
        matches!(program.rsplit('/').next(), Some("sh" | "bash" | "dash"))
    });
    shell && text.contains("JAVACMD") && text.contains("CLASSPATH")
}

/// Reads the script, or says what it lacks.
pub(super) fn parse(text: &str) -> Result<Start, String> {
    let lines = logical_lines(text);
    let mut variables: BTreeMap<&str, String> = ["APP_HOME", "BASEDIR", "app_home", "PRGDIR_HOME"]
        .into_iter()
        .map(|name| (name, HOME.to_owned()))
        .collect();
    let mut command = None;
    for line in &lines {
        if let Some((name, value)) = assignment(line) {
            // The home is worked out by the script; a class path is changed for Cygwin later on.
            if KEPT.contains(&name) && !variables.contains_key(name) {
                variables.insert(name, expand(&unquote(value), &variables));
            }
        } else if command.is_none() && is_command(line) {
            command = Some(line);
        }
    }
    let class_path = variables
        .get("CLASSPATH")
        .ok_or("no CLASSPATH=... can be read")?;
    let class_path = class_path
        .split(':')
        .filter(|element| !element.is_empty())
        .map(str::to_owned)
        .collect();
    let command = command.ok_or("the command with `-classpath \"$CLASSPATH\"` cannot be found")?;
    let (own, main_class, arguments) = after_class_path(command, &variables)?;
    let mut options = Vec::new();
    for name in ["DEFAULT_JVM_OPTS", "EXTRA_JVM_ARGUMENTS"] {
        let text = variables.get(name).map(String::as_str).unwrap_or_default();
        options.extend(
            words(text)
                .into_iter()
                .map(|word| expand(&word, &variables)),
        );
    }
    options.extend(own);
    options.retain(|option| option.starts_with('-') || option.contains('='));
    if let Some(unknown) = options.iter().find(|option| option.contains('$')) {
        return Err(format!("the option {unknown} depends on the shell"));
    }
    Ok(Start {
        class_path,
        options,
        main_class,
        arguments,
    })
}

const KEPT: [&str; 4] = [
    "CLASSPATH",
    "DEFAULT_JVM_OPTS",
    "EXTRA_JVM_ARGUMENTS",
    "REPO",
];

/// Options, main class and arguments behind `-classpath X`.
fn after_class_path(
    command: &str,
    variables: &BTreeMap<&str, String>,
) -> Result<(Vec<String>, String, Vec<String>), String> {
    let mut words = words(command)
        .into_iter()
        .skip_while(|word| !is_class_path_option(word))
        .skip(2);
    let mut options = Vec::new();
    let main_class = loop {
        let word = words.next().ok_or("no main class can be read")?;
        match word.as_bytes() {
            [b'-', ..] => options.push(expand(&word, variables)),
            [b'$' | b'"' | b'\\', ..] | [] => {}
            _ => break word,
        }
    };
    if !is_class_name(&main_class) {
        return Err(format!("`{main_class}` should be the main class"));
    }
    let arguments = words.take_while(|word| !word.contains('$') && !word.is_empty());
    Ok((options, main_class, arguments.collect()))
}

fn is_command(line: &str) -> bool {
    line.contains("CLASSPATH") && words(line).iter().any(|word| is_class_path_option(word))
}

fn is_class_path_option(word: &str) -> bool {
    matches!(word, "-classpath" | "-cp" | "--class-path")
}

/// Whether this is a Java name: `a.b.C`.
pub(super) fn is_class_name(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|part| {
            part.chars()
                .next()
                .is_some_and(|first| !first.is_ascii_digit())
                && part
                    .chars()
                    .all(|char| char.is_alphanumeric() || matches!(char, '_' | '$'))
        })
}

/// Lines without comments, those that end in a backslash joined with the next.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        if open.is_empty() && line.trim_start().starts_with('#') {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(start) => {
                open.push_str(start);
                open.push(' ');
            }
            None => lines.push(std::mem::take(&mut open) + line),
        }
    }
    lines.push(open);
    lines
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.trim().split_once('=')?;
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some((name, value))
}

/// Removes one level of quotes, wherever they stand in the word.
fn unquote(value: &str) -> String {
    let mut text = String::new();
    let mut quote = None;
    for char in value.chars() {
        match (char, quote) {
            ('\'' | '"', None) => quote = Some(char),
            (char, Some(open)) if char == open => quote = None,
            (char, _) => text.push(char),
        }
    }
    text
}

/// Splits at blanks outside quotes, and removes the quotes; a backslash takes the next character
/// as it is, except before `$`, where it keeps a variable for a second evaluation.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, quote) {
            ('\\', quote) if quote != Some('\'') => {
                if let Some(next) = chars.next() {
                    word.get_or_insert_default().push(next);
                }
            }
            (char, Some(open)) if char == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (char, None) if char.is_whitespace() => words.extend(word.take()),
            (char, _) => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

/// Puts known variables in; others stay as they are.
fn expand(text: &str, variables: &BTreeMap<&str, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        expanded.push_str(before.strip_suffix('\\').unwrap_or(before));
        let after = from.strip_prefix('$').unwrap_or_default();
        let (name, next) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').unwrap_or((braced, "")),
            None => {
                let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
                let end = after.find(|char| !is_name(char)).unwrap_or(after.len());
                after.split_at(end)
            }
        };
        match variables.get(name) {
            Some(value) => expanded.push_str(value),
            None => {
                expanded.push('$');
                expanded.push_str(name);
            }
        }
        rest = next;
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    const GRADLE: &str = r#"#!/bin/sh
# CLASSPATH=no
app_path=$0
APP_HOME=$( cd -P "${APP_HOME:-./}.." > /dev/null && printf '%s\n' "$PWD" ) || exit
DEFAULT_JVM_OPTS='"-Xmx64m" "-Dconf=$APP_HOME/conf/a b.xml"'
CLASSPATH=$APP_HOME/lib/app.jar:$APP_HOME/lib/guava.jar
if "$cygwin" ; then
    CLASSPATH=$( cygpath --path --mixed "$CLASSPATH" )
    JAVACMD=$( cygpath --unix "$JAVACMD" )
fi
set -- \
        -classpath "$CLASSPATH" \
        org.example.App \
        "$@"
exec "$JAVACMD" "$@"
"#;

    const OLD_GRADLE: &str = r#"#!/usr/bin/env sh
DEFAULT_JVM_OPTS='"-Da=\$APP_HOME/x"'
CLASSPATH=$APP_HOME/lib/app.jar
JAVACMD=java
eval set -- $DEFAULT_JVM_OPTS $JAVA_OPTS $APP_OPTS -classpath "\"$CLASSPATH\"" org.example.App "$APP_ARGS"
exec "$JAVACMD" "$@"
"#;

    const APPASSEMBLER: &str = r#"#!/bin/sh
BASEDIR=`cd "$PRGDIR/.." >/dev/null; pwd`
if [ -z "$REPO" ]
then
  REPO="$BASEDIR"/repo
fi
CLASSPATH="$BASEDIR"/etc:"$REPO"/com/x/x.jar:"$REPO"/app.jar
exec "$JAVACMD" $JAVA_OPTS -Xms16m \
  -classpath "$CLASSPATH" \
  -Dapp.name="app" \
  -Dbasedir="$BASEDIR" \
  com.example.Main \
  serve "$@"
"#;

    #[test]
    fn the_script_of_gradle_tells_the_class_path_the_options_and_the_class() {
        assert!(is_start_script(GRADLE));
        let start = parse(GRADLE).unwrap();
        assert_eq!(
            start.class_path,
            ["@HOME@/lib/app.jar", "@HOME@/lib/guava.jar"]
        );
        assert_eq!(start.options, ["-Xmx64m", "-Dconf=@HOME@/conf/a b.xml"]);
        assert_eq!(start.main_class, "org.example.App");
        assert!(start.arguments.is_empty());
    }

    #[test]
    fn the_script_of_an_older_gradle_is_read_too() {
        let start = parse(OLD_GRADLE).unwrap();
        assert_eq!(start.class_path, ["@HOME@/lib/app.jar"]);
        assert_eq!(start.options, ["-Da=@HOME@/x"]);
        assert_eq!(start.main_class, "org.example.App");
    }

    #[test]
    fn the_script_of_appassembler_has_options_behind_the_class_path() {
        assert!(is_start_script(APPASSEMBLER));
        let start = parse(APPASSEMBLER).unwrap();
        assert_eq!(
            start.class_path,
            [
                "@HOME@/etc",
                "@HOME@/repo/com/x/x.jar",
                "@HOME@/repo/app.jar"
            ]
        );
        assert_eq!(start.options, ["-Dapp.name=app", "-Dbasedir=@HOME@"]);
        assert_eq!(start.main_class, "com.example.Main");
        assert_eq!(start.arguments, ["serve"]);
    }

    #[test]
    fn a_script_that_needs_the_shell_is_refused_with_the_reason() {
        let script = GRADLE.replace("-Xmx64m", "-Xmx$MEMORY");
        assert_eq!(
            parse(&script).unwrap_err(),
            "the option -Xmx$MEMORY depends on the shell"
        );
        let script = GRADLE.replace("org.example.App", "--");
        assert!(parse(&script).is_err());
    }

    #[test]
    fn other_scripts_are_no_start_scripts() {
        assert!(!is_start_script("#!/bin/sh\nexec java -jar x.jar\n"));
        assert!(!is_start_script(
            "#!/usr/bin/python3\nCLASSPATH = JAVACMD\n"
        ));
    }

    proptest! {
        #[test]
        fn no_text_is_a_reason_to_panic(text in "[$A-Z{}='\" \\\\\n-]{0,200}") {
            let _ = parse(&format!("CLASSPATH=a\n{text}"));
        }
    }
}

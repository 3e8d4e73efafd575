#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// A package: `NAME VERSION; Field: value; Field: value`.
fn paragraph(line: &str) -> String {
    let mut parts = line.split(';').map(str::trim);
    let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
    let fields: Vec<&str> = parts.collect();
    let architecture = match fields.iter().any(|it| it.starts_with("Architecture")) {
        true => "",
        false => "Architecture: amd64\n",
    };
    let sha256 = "0".repeat(64);
    format!(
        "Package: {name}\nVersion: {version}\n{architecture}{}\nFilename: {name}.deb\nSize: 1\nSHA256: {sha256}\n\n",
        fields.join("\n")
    )
    .replace("\n\nFilename", "\nFilename")
}

fn index(lines: &[&str]) -> Index {
    let text: String = lines.iter().map(|line| paragraph(line)).collect();
    Index::parse(text.as_bytes()).unwrap()
}

/// Resolves `asked` (by blanks) without those of `excluded` (by blanks).
fn select(indices: &[Index], asked: &str, excluded: &str) -> Result<Selection, ResolutionError> {
    let packages: Vec<String> = asked.split_whitespace().map(str::to_owned).collect();
    let exclusions: Vec<Exclusion> = excluded
        .split_whitespace()
        .map(|package| Exclusion {
            package: package.to_owned(),
            because: format!("of {package}"),
        })
        .collect();
    let wanted = Wanted {
        packages: &packages,
        exclusions: &exclusions,
        architecture: Architecture::Amd64,
    };
    resolve(indices, &wanted)
}

/// The chosen names.
fn chosen(lines: &[&str], asked: &str, excluded: &str) -> String {
    let selection = select(&[index(lines)], asked, excluded).unwrap();
    let names: Vec<String> = selection
        .packages
        .into_iter()
        .map(|it| it.candidate.name)
        .collect();
    names.join(" ")
}

fn error(lines: &[&str], asked: &str) -> String {
    select(&[index(lines)], asked, "").unwrap_err().to_string()
}

#[test]
fn what_is_needed_comes_with_the_reason_and_nothing_else() {
    let lines = [
        "app 1; Depends: lib (>= 1); Pre-Depends: early; Recommends: extra; Suggests: more",
        "lib 1; Depends: core",
        "early 1",
        "core 1",
        "extra 1",
        "more 1",
        "base 1; Essential: yes",
    ];
    let selection = select(&[index(&lines)], "app core", "").unwrap();
    let shown: Vec<String> = selection
        .packages
        .iter()
        .map(|it| format!("{}: {}", it.candidate.name, it.because))
        .collect();
    assert_eq!(
        shown,
        [
            "app: asked for",
            "core: asked for",
            "early: needed by app",
            "lib: needed by app"
        ]
    );
    assert!(selection.left_out.is_empty());
}

#[test]
fn packages_that_need_each_other_come_together() {
    let lines = ["a 1; Depends: b", "b 1; Depends: c", "c 1; Depends: a, c"];
    assert_eq!(chosen(&lines, "b", ""), "a b c");
}

#[test]
fn the_highest_version_of_all_indices_wins() {
    let indices = [
        index(&["app 1; Depends: lib", "lib 1.0~rc1", "lib 1.0"]),
        index(&["lib 1.0+deb12u1", "lib 0.9"]),
        index(&["lib 1.0+deb12u1", "app 1"]),
    ];
    let selection = select(&indices, "app", "").unwrap();
    let shown: Vec<_> = selection
        .packages
        .iter()
        .map(|it| {
            (
                it.candidate.name.as_str(),
                it.candidate.version.as_str(),
                it.index,
            )
        })
        .collect();
    assert_eq!(shown, [("app", "1", 0), ("lib", "1.0+deb12u1", 1)]);
    let older = select(&indices, "app lib=1.0", "").unwrap();
    assert_eq!(older.packages[1].candidate.version.as_str(), "1.0");
    assert_eq!(older.packages[1].index, 0);
}

#[test]
fn packages_of_another_architecture_are_not_taken() {
    let lines = [
        "app 1; Depends: lib, doc",
        "lib 2; Architecture: arm64",
        "lib 1",
        "doc 1; Architecture: all",
    ];
    let selection = select(&[index(&lines)], "app", "").unwrap();
    assert_eq!(
        selection
            .packages
            .iter()
            .map(|it| it.candidate.architecture.as_str())
            .collect::<Vec<_>>(),
        ["amd64", "all", "amd64"]
    );
    assert_eq!(
        error(&["a 1; Architecture: arm64"], "a"),
        "there is no package a for amd64; there is 1 (arm64)"
    );
}

#[test]
fn an_architecture_in_a_dependency_is_minded() {
    let lines = [
        "allowed 1; Multi-Arch: allowed",
        "foreign 1; Multi-Arch: foreign",
        "same 1; Multi-Arch: same",
        "a 1; Depends: allowed:any, foreign:any, same:amd64",
        "b 1; Depends: same:any",
        "c 1; Depends: same:arm64",
    ];
    assert_eq!(chosen(&lines, "a", ""), "a allowed foreign same");
    assert!(error(&lines, "b").contains("b 1 needs same:any"));
    assert!(error(&lines, "c").contains("c 1 needs same:arm64"));
}

#[test]
fn the_first_alternative_that_can_be_had_is_taken() {
    let lines = [
        "app 1; Depends: absent | old (>= 2) | broken | good | other",
        "old 1",
        "broken 1; Depends: deeper",
        "deeper 1; Depends: absent",
        "good 1",
        "other 1",
    ];
    assert_eq!(chosen(&lines, "app", ""), "app good");
    assert_eq!(chosen(&lines, "app other", ""), "app other");
    assert_eq!(chosen(&lines, "app", "good"), "app other");
}

#[test]
fn an_alternative_that_comes_anyway_needs_no_other() {
    // Whether it is met before the choice or after.
    let lines = [
        "app 1; Depends: first | second, lib",
        "lib 1; Depends: second",
        "first 1",
        "second 1",
    ];
    assert_eq!(chosen(&lines, "app", ""), "app lib second");
    // What only a broken package would have brought does not count.
    let lines = [
        "app 1; Depends: trap | lib, first | second",
        "trap 1; Depends: second, absent",
        "lib 1",
        "first 1",
        "second 1",
    ];
    assert_eq!(chosen(&lines, "app", ""), "app first lib");
}

#[test]
fn a_virtual_package_is_what_provides_it() {
    let lines = [
        "app 1; Depends: mail",
        "z 1; Provides: mail; Priority: important",
        "a 1; Provides: mail; Priority: extra",
        "b 1; Provides: mail; Priority: important",
    ];
    assert_eq!(chosen(&lines, "app", ""), "app b");
    assert_eq!(chosen(&lines, "app a", ""), "a app");
    assert_eq!(chosen(&lines, "app", "b"), "app z");
    // A package of that name comes before those that provide it.
    let lines = [
        "app 1; Depends: mail",
        "a 1; Provides: mail; Priority: required",
        "mail 1",
    ];
    assert_eq!(chosen(&lines, "app", ""), "app mail");
}

#[test]
fn a_version_is_provided_only_where_it_is_said() {
    let lines = [
        "app 1; Depends: abi (>= 2)",
        "a 9; Provides: abi",
        "b 9; Provides: abi (= 1)",
        "c 1; Provides: abi (= 2)",
    ];
    assert_eq!(chosen(&lines, "app", ""), "app c");
    assert!(select(&[index(&lines[..3])], "app", "").is_err());
}

#[test]
fn only_the_candidate_of_a_package_provides() {
    let lines = [
        "app 1; Depends: abi",
        "lib 1; Provides: abi",
        "lib 2",
        "other 1; Provides: abi",
    ];
    assert_eq!(chosen(&lines, "app", ""), "app other");
    assert_eq!(chosen(&lines, "app lib=1", ""), "app lib");
}

#[test]
fn what_is_excluded_is_left_out_and_told() {
    let lines = [
        "app 1; Depends: perl-base, debconf (>= 0.5) | debconf-2.0, lib",
        "lib 1; Depends: perl-base | good, mail, perl-base",
        "perl-base 1; Depends: absent",
        "debconf 1",
        "cdebconf 1; Provides: debconf-2.0",
        "good 1",
        "postfix 1; Provides: mail",
    ];
    let selection = select(&[index(&lines)], "app", "perl* *debconf postfix").unwrap();
    let names: Vec<&str> = selection
        .packages
        .iter()
        .map(|it| it.candidate.name.as_str())
        .collect();
    assert_eq!(names, ["app", "good", "lib"]);
    let left_out = |package: &str, because: &str, wanted_by: &[&str]| LeftOut {
        package: package.to_owned(),
        because: format!("of {because}"),
        wanted_by: wanted_by.iter().map(|it| (*it).to_owned()).collect(),
    };
    assert_eq!(
        selection.left_out,
        [
            left_out("cdebconf", "*debconf", &["app"]),
            left_out("debconf", "*debconf", &["app"]),
            left_out("perl-base", "perl*", &["app", "lib"]),
            left_out("postfix", "postfix", &["lib"]),
        ]
    );
    let asked = select(&[index(&lines)], "perl-base", "perl*")
        .unwrap_err()
        .to_string();
    assert_eq!(
        asked,
        "package perl-base is asked for, but it never comes into this base: of perl*"
    );
    assert!(matches!(
        select(&[index(&lines)], "app", "{"),
        Err(ResolutionError::Glob { .. })
    ));
}

#[test]
fn what_cannot_be_had_is_told_from_top_to_bottom() {
    let lines = [
        "app 1; Depends: a",
        "a 2; Depends: good, x | b",
        "b 3; Depends: lib (>= 2), c",
        "c 1",
        "good 1",
        "lib 1.5",
    ];
    assert_eq!(
        error(&lines, "good app"),
        "package app cannot be had: app 1 needs a; a 2 needs x | b; b 3 needs lib (>= 2), \
         but lib is there as 1.5; ask for another version (NAME=VERSION), or exclude what is not needed"
    );
    let lines = ["app 1; Depends: x | y", "y 1; Architecture: arm64"];
    assert!(
        error(&lines, "app")
            .contains("app 1 needs x | y, but there is no package x, y is not there for amd64")
    );
}

#[test]
fn what_is_asked_wrongly_is_told() {
    let lines = [
        "python3 1",
        "libssl3 1",
        "libssl3 2",
        "a 1; Provides: mail",
        "b 1; Provides: mail",
    ];
    for (asked, expected) in [
        ("libssl", "no package libssl; did you mean libssl3?"),
        ("zlib1g", "no package zlib1g; `distrobuild"),
        ("mail", "name one of those that provide it: a, b"),
        (
            "libssl3=3",
            "no package libssl3 3 for amd64; there is 2 (amd64), 1 (amd64)",
        ),
        ("libssl3=1 libssl3=2", "in version 1 and in version 2"),
        ("libssl3=", "is no version"),
        ("../a", "is no package"),
        ("A", "is no package"),
    ] {
        let error = error(&lines, asked);
        assert!(error.contains(expected), "{asked}: {error}");
    }
    assert_eq!(chosen(&lines, "a a=1 a", ""), "a");
}

#[test]
fn packages_that_cannot_be_together_are_refused() {
    let lines = [
        "app 1; Depends: a, b",
        "a 1; Conflicts: virtual (<< 3)",
        "b 2; Provides: virtual (= 2)",
    ];
    let told = error(&lines, "app");
    assert!(
        told.starts_with(
            "a 1 (needed by app) conflicts with virtual (<< 3), and that is b 2 (needed by app);"
        ),
        "{told}"
    );
    let lines = ["a 1; Breaks: b (<< 3)", "b 2"];
    assert!(
        error(&lines, "b a")
            .starts_with("a 1 (asked for) breaks b (<< 3), and that is b 2 (asked for)")
    );
    // Those that are not hit: other versions, the package itself, unversioned provides.
    let lines = [
        "a 1; Breaks: b (<< 2); Conflicts: v (<< 9), a; Provides: v (= 1), w; ",
        "b 2; Provides: v",
        "c 1; Conflicts: c:arm64, b:arm64",
    ];
    assert_eq!(chosen(&lines, "a b c", ""), "a b c");
}

#[test]
fn an_alternative_without_a_conflict_is_preferred() {
    let lines = [
        "app 1; Depends: x | y",
        "x 1; Conflicts: app",
        "y 1",
        "z 1; Breaks: x",
    ];
    assert_eq!(chosen(&lines, "app", ""), "app y");
    let lines = ["app 1; Depends: x | y", "x 1", "y 1", "z 1; Breaks: x"];
    assert_eq!(chosen(&lines, "app z", ""), "app y z");
}

#[test]
fn a_long_chain_needs_no_deep_stack() {
    let lines: Vec<String> = (0..20_000)
        .map(|at| format!("p{at} 1; Depends: p{}", at + 1))
        .collect();
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lines.push("p20000 1");
    let selection = select(&[index(&lines)], "p0", "").unwrap();
    assert_eq!(selection.packages.len(), 20_001);
}

#[test]
fn hostile_dependencies_end_the_search() {
    // Each package can be found broken only after the one behind it, by a whole round.
    let lines: Vec<String> = (0..4_000)
        .map(|at| format!("p{at} 1; Depends: p{} | q, p0 | q", at + 1))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let told = error(&lines, "p0");
    assert!(
        told.contains("too many") || told.contains("cannot be had"),
        "{told}"
    );
    assert!(told.len() < 2_000, "{}", told.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whether a selection exists at all is found out by trying all sets of packages.
    #[test]
    fn a_selection_is_whole_and_found_where_there_is_one(
        needs in prop::collection::vec(prop::collection::vec(prop::collection::vec(0..7_usize, 1..3), 0..3), 6),
    ) {
        let lines: Vec<String> = needs
            .iter()
            .enumerate()
            .map(|(at, needs)| {
                let groups: Vec<String> = needs
                    .iter()
                    .map(|group| group.iter().map(|it| format!("p{it}")).collect::<Vec<_>>().join(" | "))
                    .collect();
                format!("p{at} 1; Depends: {}", groups.join(", "))
            })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        // p6 does not exist.
        let is_whole = |set: u32| {
            (0..6).filter(|at| set >> at & 1 == 1).all(|at| {
                needs[at].iter().all(|group| group.iter().any(|it| *it < 6 && set >> it & 1 == 1))
            })
        };
        let exists = (0..64).any(|set| set & 1 == 1 && is_whole(set));
        match select(&[index(&lines)], "p0", "") {
            Ok(selection) => {
                let numbers = selection.packages.iter().map(|it| it.candidate.name[1..].parse::<u32>().unwrap());
                let set = numbers.fold(0, |set, number| set | 1 << number);
                prop_assert!(set & 1 == 1 && is_whole(set));
                prop_assert_eq!(select(&[index(&lines)], "p0", "").unwrap(), selection);
            }
            Err(error) => {
                prop_assert!(!exists, "{}", error);
                let is_unsatisfiable = matches!(error, ResolutionError::Unsatisfiable { .. });
                prop_assert!(is_unsatisfiable);
            }
        }
    }

    #[test]
    fn the_order_of_the_index_changes_nothing(turn in 0..6_usize) {
        let mut lines = ["app 1; Depends: v, x | y", "x 1; Depends: w", "y 1", "a 1; Provides: v, w", "b 1; Provides: v", "c 1; Provides: w"];
        let expected = select(&[index(&lines)], "app", "").unwrap();
        lines.rotate_left(turn);
        prop_assert_eq!(select(&[index(&lines)], "app", "").unwrap(), expected);
    }
}

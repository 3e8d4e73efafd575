#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use proptest::prelude::*;

fn found(source: &str) -> Vec<String> {
    found_in(source, "a.b")
}

fn found_in(source: &str, package: &str) -> Vec<String> {
    imports(source.as_bytes(), package).into_iter().collect()
}

#[test]
fn import_names_its_modules_whatever_they_are_called_here() {
    assert_eq!(found("import x"), ["x"]);
    assert_eq!(
        found("import x.y as z, w ,\\\n  v . u"),
        ["v.u", "w", "x.y"]
    );
    assert_eq!(found("\u{feff}import x"), ["x"]);
    assert_eq!(found("import x\rimport y\r\nimport z"), ["x", "y", "z"]);
    assert_eq!(found("import größe"), ["größe"]);
}

#[test]
fn from_gives_the_module_and_what_may_be_one_below_it() {
    assert_eq!(found("from x import y as z, w"), ["x", "x.w", "x.y"]);
    assert_eq!(found("from x import *"), ["x"]);
    assert_eq!(
        found("from x import (  # why\n  y,\n\n  z as\n q,\n)\nimport w"),
        ["w", "x", "x.y", "x.z"]
    );
}

#[test]
fn dots_are_counted_from_the_package() {
    assert_eq!(found("from . import c"), ["a.b", "a.b.c"]);
    assert_eq!(found("from .c import d"), ["a.b.c", "a.b.c.d"]);
    assert_eq!(found("from .. import c"), ["a", "a.c"]);
    assert_eq!(found("from ..c.d import e"), ["a.c.d", "a.c.d.e"]);
    assert_eq!(found("from .import c"), ["a.b", "a.b.c"]);
    assert_eq!(found_in("from ... import c", "a.b.d"), ["a", "a.c"]);
}

#[test]
fn dots_that_lead_out_of_the_package_import_nothing() {
    assert!(found("from ... import c").is_empty());
    assert!(found_in("from . import c", "").is_empty());
    assert!(found_in("import_module('.c')", "").is_empty());
}

#[test]
fn an_import_is_found_wherever_a_statement_may_begin() {
    assert_eq!(found("x = 1; import y"), ["y"]);
    assert_eq!(found("if x: import y"), ["y"]);
    assert_eq!(
        found("try: import y\nexcept ImportError: import z\nelse: from w import v"),
        ["w", "w.v", "y", "z"]
    );
    assert_eq!(found("def f(a, b={1: 2}) -> x[1:2]: import y"), ["y"]);
    assert_eq!(found("if (lambda: 1)():\n\timport y"), ["y"]);
    assert_eq!(found("class A:\n  def f(s):\n    import y"), ["y"]);
}

#[test]
fn words_that_only_look_like_imports_are_none() {
    for source in [
        "# import x",
        "x = 1 # ; import x",
        "'import x'",
        "'''\nimport x\n'''",
        "\"\"\"\nimport x\\\"\"\"\nimport y\n\"\"\"",
        "r'\\'; 'import x'",
        "x = rb'''\nimport x\n'''",
        "yield from x",
        "raise x from y",
        "import_ = x",
        "y.import_module(x)",
        "import_module(f'x')",
        "import_module(b'x')",
        "import_module('x' + y)",
        "import_module('x' 'y')",
        "import_module('not a module')",
        "import 1x",
    ] {
        assert!(found(source).is_empty(), "{source}");
    }
}

#[test]
fn what_follows_a_string_is_code_again() {
    for string in [
        "''",
        "'\\''",
        "'\\\\'",
        "'a\\\nb'",
        "r'\\''",
        "'''a'b''c\\'''d'''",
        "\"'\"",
        "u'a'",
        "Rb'a'",
        "f''",
        "f'{{'",
        "f'}}'",
        "f'{{{x}}}'",
        "f'{x!r:>{w}.{p}}'",
        "f'{x:%H:%M \" }'",
        "f'{x[\"a\"]}'",
        "f'{x[1:2]}'",
        "f'{ {1: 2}[1] }'",
        "f'{(lambda: 1)()}'",
        "f'{x['y']}'",
        "f'{f'{f'{x}'}'}'",
        "f'''{\nx # '''\n}'''",
        "f'{x:{'{'}>10}'",
        "f'\\N{LEFT CURLY BRACKET}'",
        "rf'\\N{x}'",
        "fr'\\{x}\\''",
        "f'{x=}'",
        "f'{x!s}'",
        "t'{x}'",
    ] {
        let source = format!("y = {string}\nimport z; w = {string}; import v");
        assert_eq!(found(&source), ["v", "z"], "{string}");
    }
}

#[test]
fn a_string_without_an_end_spoils_only_its_line() {
    assert_eq!(found("x = 'a\nimport y"), ["y"]);
    assert_eq!(found("x = f'a\nimport y"), ["y"]);
    assert_eq!(found("x = f'{a:b\nimport y"), ["y"]);
}

#[test]
fn what_only_type_checkers_read_does_not_count() {
    for guard in ["TYPE_CHECKING", "typing.TYPE_CHECKING", "t . TYPE_CHECKING"] {
        let source = format!(
            "import v\nif {guard}:\n  # so\n  import w\n\n# so\n  if x:\n    import w\nelse:\n  import x\nimport y"
        );
        assert_eq!(found(&source), ["v", "x", "y"], "{guard}");
    }
    assert_eq!(
        found("if TYPE_CHECKING: import x; import w\nimport y"),
        ["y"]
    );
    assert_eq!(
        found("def f():\n  if TYPE_CHECKING:\n\timport x\n  import y"),
        ["y"]
    );
    assert_eq!(
        found("if x:\n  import y\nelif TYPE_CHECKING:\n  import z"),
        ["y"]
    );
    assert_eq!(
        found("if TYPE_CHECKING:\n  x = '''\nimport a\n'''\n  import b\nimport y"),
        ["y"]
    );
}

#[test]
fn what_may_run_counts() {
    assert_eq!(found("if not TYPE_CHECKING:\n  import x"), ["x"]);
    assert_eq!(found("if TYPE_CHECKING or y:\n  import x"), ["x"]);
    assert_eq!(found("if TYPE_CHECKING_:\n  import x"), ["x"]);
    assert_eq!(found("if import_module('x').y: import z"), ["x", "z"]);
}

#[test]
fn literal_arguments_of_the_functions_that_import_count() {
    assert_eq!(found("importlib.import_module('x.y')"), ["x.y"]);
    assert_eq!(found("z = [__import__ ( \"x\" , y)]"), ["x"]);
    assert_eq!(found("import_module(name='x')"), ["x"]);
    assert_eq!(found("import_module('.c', __package__)"), ["a.b.c"]);
    assert_eq!(found("import_module('..c', package='x.y')"), ["x.c"]);
    assert_eq!(found("import_module('.', 'x.y')"), ["x.y"]);
    assert_eq!(found("f'{__import__('x')}'"), ["x"]);
}

#[test]
fn a_source_cannot_ask_for_more_than_it_is_worth() {
    let long = "x.".repeat(NAME_LIMIT);
    let names: String = (0..NAMES_LIMIT * 2).map(|n| format!("n{n},")).collect();
    assert!(found(&format!("from {long}x import {names}n")).is_empty());
    assert_eq!(found(&format!("import {names}n")).len(), NAMES_LIMIT);
    for text in ["(", "f'{", "f'{x:", "{'", "from a import (", "if a."] {
        found(&text.repeat(100_000));
    }
}

proptest! {
    #[test]
    fn no_input_panics(source: Vec<u8>, package in "[a-c.]{0,6}") {
        imports(&source, &package);
    }

    #[test]
    fn no_mixture_of_words_panics_or_gives_what_is_no_name(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "import ", "from ", ".", "a", "é", " as ", ",", "(", ")", "*", "\n", "\r", "  ", ":",
                ";", "'", "\"", "'''", "f'", "rf\"\"\"", "{", "}", "\\", "#", "if ", "TYPE_CHECKING",
                "import_module(", "\\N{", "[", "]", "1", "=", "\t",
            ]),
            0..60,
        ),
    ) {
        for name in found(&words.concat()) {
            prop_assert!(name.split('.').all(is_identifier), "{}", name);
        }
    }
}

#[test]
fn what_functions_import_is_imported_later() {
    let source = "import a\ntry:\n    import b\nexcept ImportError:\n    b = None\n\
                  def f(\n    x=')',\n):\n    '''\ntext at the margin\n'''\n    import c\n\
                  class A:\n    import d\n    async def g(self): import e\n    \
                  def h(self):\n\n        def i():\n            import i\n        import a\n    \
                  import j\nimport k\n";
    let Imports { at_load, later, .. } = imports_by_time(source.as_bytes(), "");
    assert_eq!(Vec::from_iter(at_load), ["a", "b", "d", "j", "k"]);
    assert_eq!(Vec::from_iter(later), ["c", "e", "i"]);
}

#[test]
fn strings_and_comments_define_no_function() {
    let source = "x = '\"\"\"' # it's\nz = '''\ndef f():\n'''\n# def f():\n    import b\n\
                  default = 1; import c\n";
    let Imports { at_load, later, .. } = imports_by_time(source.as_bytes(), "");
    assert_eq!(Vec::from_iter(at_load), ["b", "c"]);
    assert!(later.is_empty());
}

#[test]
fn strings_of_the_app_may_name_modules() {
    let source = "def f(x='site.settings'):\n    run(\"main:app\", 'a b', '', '8000:80', 'x:', b'y', 'größe')\n";
    let imports = imports_of_app(source.as_bytes(), "");
    assert!(imports.at_load.is_empty());
    assert_eq!(
        Vec::from_iter(imports.named),
        ["größe", "main:app", "site.settings"]
    );
    let of_package = imports_by_time(source.as_bytes(), "");
    assert!(of_package.named.is_empty());
}

//! What of a source runs when its module is loaded: all but the bodies of functions.
//!
//! What a function imports is imported when it is called, which for most functions of most packages
//! is never: numpy holds a build system that way.

/// The source without the definitions of functions.
pub(super) fn without_functions(source: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(source.len() / 2);
    let mut function = None;
    let mut at = 0;
    while at < source.len() {
        let rest = source.get(at..).unwrap_or_default();
        let length = logical_line(rest).max(1);
        let line = rest.get(..length).unwrap_or(rest);
        at += length;
        let Some((column, statement)) = indentation(line) else {
            continue;
        };
        if function.is_some_and(|function| column > function) {
            continue;
        }
        function = is_definition(statement).then_some(column);
        if function.is_none() {
            kept.extend_from_slice(line);
        }
    }
    kept
}

/// The column in which a line's statement begins, and the statement; none on a line without one.
fn indentation(line: &[u8]) -> Option<(usize, &[u8])> {
    let mut column = 0;
    for (index, byte) in line.iter().enumerate() {
        match byte {
            b' ' => column += 1,
            b'\t' => column = (column / 8 + 1) * 8,
            // A form feed begins the count again.
            b'\x0c' => column = 0,
            b'\n' | b'\r' | b'#' => return None,
            _ => return Some((column, line.get(index..)?)),
        }
    }
    None
}

fn is_definition(statement: &[u8]) -> bool {
    let statement = match statement.strip_prefix(b"async") {
        Some(rest) if rest.first().is_some_and(u8::is_ascii_whitespace) => rest.trim_ascii_start(),
        _ => statement,
    };
    statement
        .strip_prefix(b"def")
        .is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))
}

/// The length of the first logical line, its newline included: brackets, strings and backslashes
/// join lines.
fn logical_line(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\n' if depth == 0 => return at + 1,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'\\' => at += 1,
            b'#' => {
                let rest = text.get(at..).unwrap_or_default();
                at += rest
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .unwrap_or(rest.len());
                continue;
            }
            b'\'' | b'"' => {
                at += string(text.get(at..).unwrap_or_default());
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// The length of the string that begins with this quote. One that is not closed in its line ends
/// with it.
fn string(text: &[u8]) -> usize {
    let Some(quote) = text.first() else {
        return 0;
    };
    let triple = [*quote; 3];
    let is_triple = text.starts_with(&triple);
    let mut at = if is_triple { 3 } else { 1 };
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'\n' if !is_triple => return at,
            byte if byte == quote => {
                if !is_triple {
                    return at + 1;
                }
                if text.get(at..).is_some_and(|rest| rest.starts_with(&triple)) {
                    return at + 3;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(source: &str) -> String {
        String::from_utf8_lossy(&without_functions(source.as_bytes())).into_owned()
    }

    #[test]
    fn what_runs_at_load_stays_and_functions_go() {
        let source = "import a\ntry:\n    import b\nexcept ImportError:\n    b = None\n\
                      def f(\n    x=')',\n):\n    '''\ntext at the margin\n'''\n    import c\n\
                      class A:\n    import d\n    async def g(self): import e\n    \
                      def h(self):\n\n        import i\n    import j\nimport k\n";
        assert_eq!(
            kept(source),
            "import a\ntry:\n    import b\nexcept ImportError:\n    b = None\n\
             class A:\n    import d\n    import j\nimport k\n"
        );
    }

    #[test]
    fn strings_and_comments_hide_nothing() {
        let source =
            "x = '\"\"\"' # it's\ny = \"\\\"\"\nimport a\nz = '''\ndef f():\n'''\nimport b\n";
        assert_eq!(kept(source), source);
        assert_eq!(kept("default = 1\nimport a"), "default = 1\nimport a");
    }

    proptest! {
        #[test]
        fn any_bytes_are_cut_without_harm(source in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(without_functions(&source).len() <= source.len());
        }
    }
}

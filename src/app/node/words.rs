//! Splitting a command into words, as far as it is plain: for `#!` lines and start scripts.

/// The words of `text`, as a POSIX shell splits them, when nothing in it needs a shell: no
/// pipes, no lists, no variables, no patterns, no redirections.
pub(super) fn plain(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('$' | '`', quote) if quote != Some('\'') => return None,
            ('\\', quote) if quote != Some('\'') => {
                word.get_or_insert_default().push(letters.next()?);
            }
            (letter, Some(_)) => word.get_or_insert_default().push(letter),
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (';' | '&' | '|' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | '~' | '\n', None) => {
                return None;
            }
            ('#', None) if word.is_none() => break,
            (letter, None) if letter.is_whitespace() => words.extend(word.take()),
            (letter, None) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// A word that sets a variable.
pub(super) fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let mut letters = name.bytes();
    let first = letters.next()?;
    let good = (first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_');
    good.then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together_and_a_shells_work_is_refused() {
        let words = |text| plain(text).unwrap_or_default();
        assert_eq!(
            words(r#" node  "a b" 'c'\ d "" # e"#),
            ["node", "a b", "c d", ""]
        );
        for shell in [
            "a && b", "a $B", "a | b", "a > b", "a *.js", "(a)", "a 'b", "a \"$b\"", "a\\",
        ] {
            assert_eq!(plain(shell), None, "{shell}");
        }
        assert_eq!(words("a '$b'"), ["a", "$b"]);
    }

    #[test]
    fn an_assignment_starts_with_a_name() {
        assert_eq!(assignment("NODE_ENV=a=b"), Some(("NODE_ENV", "a=b")));
        assert_eq!(assignment("--x=y"), None);
        assert_eq!(assignment("1=y"), None);
    }
}

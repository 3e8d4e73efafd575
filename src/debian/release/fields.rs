//! Fields of one paragraph, as they stand in a `Release` file and in apt's `*.sources` (deb822(5)).

/// A field with its value, which may have several lines.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::debian) struct Field<'a> {
    /// Its name, as it is written.
    pub(in crate::debian) name: &'a str,
    /// The number of its first line, from 1.
    pub(in crate::debian) line: usize,
    /// What stands behind the colon, and the lines that continue it, without blanks around them.
    pub(in crate::debian) lines: Vec<&'a str>,
}

impl Field<'_> {
    /// Whether it has this name, in whatever case.
    pub(in crate::debian) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The words of all its lines.
    pub(in crate::debian) fn words(&self) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .flat_map(|line| line.split_ascii_whitespace())
    }

    /// Its lines as one.
    pub(in crate::debian) fn text(&self) -> String {
        self.lines.join(" ").trim().to_owned()
    }
}

/// The fields of the paragraph that `lines`, each with its number, make: none of them is empty.
/// The error is the number of a line and what is wrong with it.
pub(in crate::debian) fn fields<'a>(
    lines: impl IntoIterator<Item = (usize, &'a str)>,
) -> Result<Vec<Field<'a>>, (usize, String)> {
    let mut fields: Vec<Field<'a>> = Vec::new();
    for (number, line) in lines {
        let trimmed = line.trim_matches([' ', '\t', '\r']);
        if line.starts_with([' ', '\t']) {
            let Some(field) = fields.last_mut() else {
                return Err((number, "it continues a field, but there is none yet".into()));
            };
            field.lines.push(trimmed);
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err((number, "it is no field: there is no colon in it".into()));
        };
        // deb822(5): printable, no blank, and not the sign of a comment or a list.
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_graphic())
            || name.starts_with(['#', '-'])
        {
            return Err((number, format!("{name:?} is no name of a field")));
        }
        if fields.iter().any(|field| field.is(name)) {
            return Err((number, format!("the field {name} is there already")));
        }
        fields.push(Field {
            name,
            line: number,
            lines: vec![value.trim_matches([' ', '\t', '\r'])],
        });
    }
    Ok(fields)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Field<'_>>, (usize, String)> {
        fields(
            text.lines()
                .enumerate()
                .map(|(index, line)| (index + 1, line)),
        )
    }

    #[test]
    fn a_field_may_have_several_lines() {
        let fields = read("A: one \nB:\n two  three\n\tfour\n").unwrap();
        assert_eq!(fields[0].text(), "one");
        assert_eq!(fields[1].line, 2);
        assert_eq!(
            fields[1].words().collect::<Vec<_>>(),
            ["two", "three", "four"]
        );
    }

    #[test]
    fn a_field_is_there_once() {
        assert_eq!(read("A: 1\na: 2").unwrap_err().0, 2);
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for text in [" A: 1", "A", ": 1", "A b: 1", "#A: 1", "-A: 1", "Ä: 1"] {
            assert_eq!(read(text).unwrap_err().0, 1, "{text}");
        }
    }
}

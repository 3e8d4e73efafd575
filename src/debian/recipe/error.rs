//! Why there is no recipe.

use std::path::PathBuf;

use super::super::Reference;

/// Why there is no recipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// No base has this name.
    #[error("there is no base {reference}; {available}")]
    Unknown {
        /// The name.
        reference: Reference,
        /// What there is: "ubuntu:noble has base, cc…".
        available: String,
    },
    /// The text of a file is wrong.
    #[error("{}{}: {message}", .file.display(), .line.map(|line| format!(":{line}")).unwrap_or_default())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong, and what was possible.
        message: String,
    },
}

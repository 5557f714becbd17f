//! Puts tables between two marks of a file, and leaves the rest as people wrote it.

use std::path::Path;

use anyhow::{Context, Result};

/// The lines between which tables stand.
pub(crate) type Marks = (&'static str, &'static str);

pub(crate) fn write(file: &Path, marks: Marks, tables: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    std::fs::write(file, between_marks(&text, marks, tables)?).with_context(|| file.display().to_string())
}

fn between_marks(text: &str, (begin, end): Marks, tables: &str) -> Result<String> {
    let (before, rest) = text.split_once(begin).context("the file has the mark where tables begin")?;
    let (_, after) = rest.split_once(end).context("the file has the mark where tables end")?;
    Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", tables.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_replace_only_what_is_between_the_marks() {
        let marks = ("<!-- begin -->", "<!-- end -->");
        let file = "above\n<!-- begin -->\nold\n<!-- end -->\nbelow\n";
        let written = between_marks(file, marks, "new\n").unwrap();
        assert_eq!(written, "above\n<!-- begin -->\n\nnew\n\n<!-- end -->\nbelow\n");
        assert_eq!(between_marks(&written, marks, "new").unwrap(), written);
        assert!(between_marks("no marks", marks, "new").is_err());
    }
}

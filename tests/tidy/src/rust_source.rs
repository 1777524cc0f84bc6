//! A Rust source file as text: enough to measure it, since rustfmt fixes how it looks.
//!
//! Nothing is parsed. A function ends where a brace stands at its own indentation; tests begin at the first
//! `#[cfg(test)]` in the first column.

/// A function and how many lines it takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line its signature begins at, from 1.
    pub line: usize,
    /// Lines from the signature to the closing brace.
    pub lines: usize,
}

/// How many lines of prose in `//!` the file begins with; drawings and tables are not counted.
#[must_use]
pub fn head_lines(text: &str) -> usize {
    let mut drawing = false;
    let mut prose = 0;
    for line in text.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.trim_start();
        if line.starts_with("```") {
            drawing = !drawing;
        } else if !drawing && !line.starts_with('|') {
            prose += 1;
        }
    }
    prose
}

/// The lines before the file's inline tests.
#[must_use]
pub fn without_tests(text: &str) -> Vec<&str> {
    text.lines().take_while(|line| *line != "#[cfg(test)]").collect()
}

/// The lines that are neither comments nor blank nor part of inline tests, with their numbers from 1.
#[must_use]
pub fn code_lines(text: &str) -> Vec<(usize, &str)> {
    let numbered = without_tests(text).into_iter().enumerate();
    let code = numbered.filter(|(_, line)| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with("//")
    });
    code.map(|(at, line)| (at + 1, line)).collect()
}

/// The functions outside of inline tests that have a body of their own lines.
#[must_use]
pub fn functions(text: &str) -> Vec<Function> {
    let lines = without_tests(text);
    let starts = lines.iter().enumerate().filter_map(|(at, line)| Some((at, function_name(line)?)));
    let measured = starts.filter_map(|(at, name)| {
        let lines = body_lines(lines.get(at..)?)?;
        Some(Function { name: name.to_owned(), line: at + 1, lines })
    });
    measured.collect()
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    loop {
        if let Some(name) = rest.strip_prefix("fn ") {
            return name.split(['(', '<']).next();
        }
        let (word, tail) = rest.split_once(' ')?;
        let is_qualifier =
            ["pub", "const", "async", "default"].contains(&word) || word.starts_with("pub(");
        if !is_qualifier {
            return None;
        }
        rest = tail;
    }
}

/// Lines from the first of `lines` to the end of the function that begins there; none if it has no body or one line.
fn body_lines(lines: &[&str]) -> Option<usize> {
    let first = lines.first()?;
    let indent = indentation(first);
    if first.ends_with(';') || first.ends_with('}') {
        return None;
    }
    for (at, line) in lines.iter().enumerate().skip(1) {
        if line.trim().is_empty() || indentation(line) > indent {
            continue;
        }
        let line = line.trim_start();
        if line.starts_with('}') {
            return Some(at + 1);
        }
        let goes_on = line.starts_with([')', '{']) || line.starts_with("where");
        if !goes_on || line.ends_with(';') {
            return None;
        }
    }
    None
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
//! Head.
//! Second line.

/// Doc of one.
pub(crate) async fn one(
    a: u64,
) -> u64 {
    a

}

trait T {
    fn no_body(
        &self,
    ) -> u64;
    fn short(&self) {}
    fn two<'a, T>(x: &'a T) -> &'a T
    where
        T: Clone,
    {
        x
    }
}

#[cfg(test)]
mod tests {
    fn not_counted() {
        1
    }
}
";

    #[test]
    fn functions_are_measured() {
        let found: Vec<_> =
            functions(SAMPLE).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("one".to_owned(), 5, 6), ("two".to_owned(), 17, 6)]);
    }

    #[test]
    fn heads_and_tests_are_told_apart_from_code() {
        assert_eq!(head_lines(SAMPLE), 2);
        assert_eq!(
            head_lines("//! A.\n//! ```text\n//! x\n//! ```\n//! | a |\n//! B.\nuse c;\n//! D."),
            2
        );
        assert_eq!(without_tests(SAMPLE).len(), 24);
        assert_eq!(code_lines(SAMPLE).first(), Some(&(5, "pub(crate) async fn one(")));
    }
}

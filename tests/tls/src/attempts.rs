//! What was tried and what happened: a table in `docs/security.md` that is made here and nowhere else.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

/// The page with the table.
pub const PAGE: &str = "docs/security.md";
/// Between these two lines stands the table.
const BEGIN: &str = "<!-- made by tests/tls: begin -->\n";
/// See [`BEGIN`].
const END: &str = "<!-- made by tests/tls: end -->\n";

/// Rows under headings.
#[derive(Debug, Default)]
pub struct Attempts {
    text: String,
}

impl Attempts {
    /// Begins a table.
    pub fn heading(&mut self, title: &str) {
        // Writing to a text can't fail.
        let _ = write!(self.text, "\n### {title}\n\n| tried | happened |\n|---|---|\n");
    }

    /// Adds a row.
    pub fn row(&mut self, tried: &str, happened: &str) {
        let _ = writeln!(self.text, "| {tried} | {happened} |");
    }

    /// Compares with the page, or writes the page when `QUORATE_RECORD` is set.
    #[track_caller]
    pub fn compare(&self) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
        let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
        let (before, rest) =
            page.split_once(BEGIN).unwrap_or_else(|| panic!("{PAGE} has no table"));
        let (recorded, after) = rest.split_once(END).unwrap_or_else(|| panic!("no end in {PAGE}"));
        let made = format!("{}\n", self.text);
        if env::var_os("QUORATE_RECORD").is_some() {
            let whole = format!("{before}{BEGIN}{made}{END}{after}");
            fs::write(&path, whole).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
            return;
        }
        assert_eq!(
            recorded, made,
            "{PAGE} says other than what happened; run with QUORATE_RECORD=1"
        );
    }
}

//! What the tidiness tests look at: the repository's files, Rust sources as text, Markdown pages, flags.
//!
//! - [`repository`]: which files there are.
//! - [`rust_source`]: a source file's head, length, functions and code lines.
//! - [`markdown`]: a page's links, headings, code blocks and inline code.
//! - [`flags`]: the server's flags as its manual lists them.
//!
//! The rules themselves are the tests in `tests/tidy/tests/`. Nothing here writes.

pub mod flags;
pub mod markdown;
pub mod repository;
pub mod rust_source;

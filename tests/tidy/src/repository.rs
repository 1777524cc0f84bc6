//! The files of the repository, as a fresh clone would have them, whether committed yet or not.
//!
//! Paths are relative to the root and use slashes, so that rules can name them.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are made by building or running, never written by people.
const MADE_FOLDERS: [&str; 2] = ["target", "node_modules"];

/// A text file of the repository.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Where it is, relative to the root.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl TextFile {
    /// The last part of the path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The folder it is in; empty for the root.
    #[must_use]
    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}

/// All files whose name ends with one of `endings`, in order of their paths.
///
/// # Panics
/// When the repository cannot be read: then there is nothing to test.
#[must_use]
pub fn files(endings: &[&str]) -> Vec<TextFile> {
    let root = root();
    let mut found = Vec::new();
    walk(&root, &mut |path| {
        let relative = path.strip_prefix(&root).unwrap_or(path).to_string_lossy().into_owned();
        if endings.iter().any(|ending| relative.ends_with(ending)) {
            found.push(TextFile { text: read(path), path: relative });
        }
    });
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The file at `path`, relative to the root.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn file(path: &str) -> TextFile {
    TextFile { text: read(&root().join(path)), path: path.to_owned() }
}

/// Whether there is a file or folder at `path`, relative to the root.
#[must_use]
pub fn exists(path: &str) -> bool {
    root().join(path).exists()
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if is_written_by_people(&name) {
                walk(&path, visit);
            }
        } else {
            visit(&path);
        }
    }
}

fn is_written_by_people(folder: &str) -> bool {
    let hidden = folder.starts_with('.') && folder != ".ci";
    let data = folder.ends_with(".etcd") || folder.ends_with(".quorate");
    !(hidden || data || MADE_FOLDERS.contains(&folder))
}

fn read(path: &Path) -> String {
    match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => panic!("cannot read {}: {error}", path.display()),
    }
}

//! Documents are true: their links lead somewhere, the files they name exist, their commands are shell, their flags are real.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use quorate_tidy::repository::{self, TextFile};
use quorate_tidy::{flags, markdown};

/// Hosts that a URL in a document may name: this machine, names reserved for examples, and names inside of samples.
const HOSTS: &[&str] =
    &["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "keepachangelog.com", "semver.org"];
/// How the names of hosts in examples end.
const EXAMPLE_ENDINGS: &[&str] =
    &[".example", ".example.com", ".example.net", ".example.org", ".svc", ".invalid"];

/// Words that promise instead of saying, or that the glossary replaces. Compared in lower case, as whole words.
const WORDS: &[&str] = &[
    "blazing",
    "blazingly",
    "bulletproof",
    "effortlessly",
    "leverage",
    "leverages",
    "master",
    "seamless",
    "seamlessly",
    "slave",
    "utilize",
];

/// Lines of the page that everyone reads.
const ARCHITECTURE_LINES_MAX: usize = 320;

fn pages() -> Vec<TextFile> {
    let pages = repository::files(&[".md"]);
    assert!(pages.iter().any(|page| page.path == "README.md"), "the README was not found");
    pages
}

fn complain(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn links_lead_somewhere() {
    let mut complaints = Vec::new();
    for page in pages() {
        for (line, target) in markdown::links(&page.text) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            if path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            let target_path =
                if path.is_empty() { page.path.clone() } else { resolve(page.folder(), path) };
            if !repository::exists(&target_path) {
                complaints.push(format!("{}:{line}: there is no {target_path}", page.path));
            } else if !anchor.is_empty() && !has_anchor(&target_path, anchor) {
                complaints
                    .push(format!("{}:{line}: {target_path} has no heading #{anchor}", page.path));
            }
        }
    }
    complain(complaints);
}

fn resolve(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn has_anchor(path: &str, anchor: &str) -> bool {
    markdown::anchors(&repository::file(path).text).iter().any(|found| found == anchor)
}

#[test]
fn named_files_exist() {
    let mut complaints = Vec::new();
    for page in pages().iter().filter(|page| page.name() != "CHANGELOG.md") {
        for (line, code) in markdown::inline_code(&page.text) {
            let path = code.split([':', '#']).next().unwrap_or_default().trim_end_matches('/');
            if is_repository_path(path) && !repository::exists(path) {
                complaints.push(format!("{}:{line}: there is no {path}", page.path));
            }
        }
    }
    complain(complaints);
}

/// Whether `code` is meant as a path of the repository: it begins with one of its folders, and has no blanks or gaps.
fn is_repository_path(code: &str) -> bool {
    let Some((top, rest)) = code.split_once('/') else {
        return code.ends_with(".md") || code.ends_with(".toml");
    };
    let tops = ["core", "transport", "server", "tests", "deploy", "dashboards", "docs", ".ci"];
    let gaps = |c: char| c.is_whitespace() || matches!(c, '*' | '<' | '>' | '{' | '$' | '(');
    tops.contains(&top) && !rest.contains(gaps) && !rest.contains("NNNN")
}

#[test]
fn urls_name_no_foreign_hosts() {
    let mut complaints = Vec::new();
    for page in pages() {
        for (at, line) in page.text.lines().enumerate() {
            for rest in line.split("://").skip(1) {
                let authority = rest
                    .split(|c: char| c.is_whitespace() || "/`\"'),;|<>?".contains(c))
                    .next()
                    .unwrap_or_default();
                if !is_allowed_host(authority) {
                    complaints.push(format!("{}:{} names {authority}", page.path, at + 1));
                }
            }
        }
    }
    complain(complaints);
}

fn is_allowed_host(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map_or(authority, |(host, port)| {
        let is_port = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit() || c == '$');
        if is_port || port.starts_with('P') { host } else { authority }
    });
    // An upper-case word stands for whatever the reader has.
    let is_placeholder = host.is_empty()
        || host.starts_with(|c: char| c.is_ascii_uppercase() || c == '$' || c == '.');
    is_placeholder
        || HOSTS.contains(&host)
        || EXAMPLE_ENDINGS.iter().any(|ending| host.ends_with(ending))
}

#[test]
fn words_say_something() {
    let mut complaints = Vec::new();
    for page in pages() {
        for (line, text) in markdown::prose(&page.text) {
            let lower = text.to_lowercase();
            let words = lower.split(|c: char| !c.is_alphanumeric());
            let bad: BTreeSet<&str> = words.filter(|word| WORDS.contains(word)).collect();
            complaints.extend(
                bad.iter().map(|word| format!("{}:{line} has the word `{word}`", page.path)),
            );
        }
    }
    complain(complaints);
}

#[test]
fn no_file_knows_whose_machine_it_was_written_on() {
    // Put together from halves, so that this file does not trip over itself.
    let homes =
        [["/ho", "me/"], ["/ro", "ot/"], ["/Use", "rs/"], ["/tmp/", "w/"], ["/tmp/bash", "_jobs"]]
            .map(|halves| halves.concat());
    let mut complaints = Vec::new();
    for file in repository::files(&[
        ".md",
        ".rs",
        ".toml",
        ".yaml",
        ".yml",
        ".sh",
        ".service",
        ".env",
        "/run",
        "Dockerfile",
    ]) {
        for (at, line) in file.text.lines().enumerate() {
            let found = homes.iter().find(|home| line.contains(home.as_str()));
            complaints.extend(found.map(|home| format!("{}:{} has {home}", file.path, at + 1)));
        }
    }
    complain(complaints);
}

#[test]
fn shell_in_documents_is_shell() {
    let mut complaints = Vec::new();
    let mut blocks = 0;
    for page in pages() {
        for block in markdown::blocks(&page.text).into_iter().filter(|block| block.language == "sh")
        {
            blocks += 1;
            if let Err(error) = parse_shell(&block.text) {
                complaints.push(format!("{}:{}: {error}", page.path, block.line));
            }
        }
    }
    assert!(blocks > 0, "no shell was found in any document");
    complain(complaints);
}

fn parse_shell(script: &str) -> Result<(), String> {
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("bash does not start: {error}"))?;
    let sent = bash.stdin.take().map(|mut stdin| stdin.write_all(script.as_bytes()));
    let output = bash.wait_with_output().map_err(|error| error.to_string())?;
    let parsed = output.status.success() && matches!(sent, Some(Ok(())));
    if parsed { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn flags_in_documents_are_the_servers() {
    let known = flags::listed();
    let mut complaints = Vec::new();
    for page in pages().iter().filter(|page| page.path != flags::MANUAL) {
        let blocks = markdown::blocks(&page.text).into_iter().map(|block| (block.line, block.text));
        let inline = markdown::inline_code(&page.text)
            .into_iter()
            .filter(|(_, code)| code.starts_with("--"));
        let commands = blocks.flat_map(|(line, text)| server_commands(line, &text));
        for (line, code) in commands.chain(inline) {
            let unknown = flags::given(&code)
                .into_iter()
                .filter(|flag| !known.contains_key(flag) && !is_a_tools(flag));
            complaints.extend(
                unknown.map(|flag| format!("{}:{line}: the server has no --{flag}", page.path)),
            );
        }
    }
    complain(complaints);
}

/// The command lines in a block that start the server, continued lines joined.
fn server_commands(first: usize, block: &str) -> Vec<(usize, String)> {
    let joined = block.replace("\\\n", " ");
    let lines =
        joined.lines().filter(|line| line.contains("quorate-server") && line.contains("--"));
    lines
        .map(|line| {
            (first, line.split_once("quorate-server").map_or("", |(_, flags)| flags).to_owned())
        })
        .collect()
}

/// Flags that documents mention and that are not the server's: cargo's, rustup's, git's.
fn is_a_tools(flag: &str) -> bool {
    ["all", "all-targets", "check", "help", "no-deps", "release", "test", "workspace"]
        .contains(&flag)
}

#[test]
fn decisions_are_numbered_once() {
    let decisions: Vec<_> =
        pages().into_iter().filter(|page| page.folder() == "docs/decisions").collect();
    let mut numbers = BTreeSet::new();
    for page in &decisions {
        let number = page.name().split('-').next().unwrap_or_default().to_owned();
        assert!(
            number.len() == 4 && number.parse::<u32>().is_ok(),
            "{} has no number of four digits",
            page.path
        );
        assert!(
            page.text.lines().any(|line| line.starts_with("Status: ")),
            page.path
        );
        assert!(page.text.starts_with(&format!("# {number}: ")), "{} does not begin with its number", page.path);
        assert!(numbers.insert(number), "{}: the number is taken", page.path);
    }
    assert!(!numbers.is_empty());
}

#[test]
fn the_architecture_can_be_read_in_one_sitting() {
    let lines = repository::file("ARCHITECTURE.md").text.lines().count();
    assert!(
        lines <= ARCHITECTURE_LINES_MAX,
        "ARCHITECTURE.md has {lines} lines, {ARCHITECTURE_LINES_MAX} are allowed"
    );
}

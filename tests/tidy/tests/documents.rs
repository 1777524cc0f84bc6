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
    let tops = [
        "core",
        "transport",
        "client",
        "server",
        "discovery",
        "tests",
        "deploy",
        "dashboards",
        "docs",
        ".ci",
    ];
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
        if is_port || port.starts_with(['P', '$']) { host } else { authority }
    });
    // An upper-case word stands for whatever the reader has.
    let is_placeholder = host.is_empty()
        || host.starts_with(|c: char| c.is_ascii_uppercase() || c == '$' || c == '.');
    // Addresses reserved for documentation.
    let is_example = host.starts_with("192.0.2.") || authority == "host:port";
    is_placeholder
        || is_example
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
    let discovery = flags::listed_in(flags::DISCOVERY_MANUAL);
    assert!(discovery.len() > 10, "{} lists no flags", flags::DISCOVERY_MANUAL);
    let mut complaints = Vec::new();
    for page in
        pages().iter().filter(|page| page.path != flags::MANUAL && !page.path.starts_with("tests/"))
    {
        let blocks = markdown::blocks(&page.text).into_iter().map(|block| (block.line, block.text));
        let inline = markdown::inline_code(&page.text)
            .into_iter()
            .filter(|(_, code)| code.starts_with("--"));
        let blocks: Vec<_> = blocks.collect();
        let of = |program: &'static str| {
            blocks.iter().flat_map(move |(line, text)| commands(program, *line, text))
        };
        for (line, code) in of("quorate-server").chain(inline) {
            let unknown = flags::given(&code).into_iter().filter(|flag| {
                let is_known = known.contains_key(flag)
                    || (code.starts_with("--") && discovery.contains_key(flag));
                !is_known && !is_a_tools(flag)
            });
            complaints.extend(
                unknown.map(|flag| format!("{}:{line}: the server has no --{flag}", page.path)),
            );
        }
        for (line, code) in of("quorate-discovery") {
            let unknown = flags::given(&code).into_iter();
            let unknown = unknown.filter(|flag| !discovery.contains_key(flag) && !is_a_tools(flag));
            complaints
                .extend(unknown.map(|flag| {
                    format!("{}:{line}: quorate-discovery has no --{flag}", page.path)
                }));
        }
    }
    complain(complaints);
}

/// The command lines in a block that start `program`, continued lines joined.
fn commands(program: &str, first: usize, block: &str) -> Vec<(usize, String)> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| line.contains(program) && line.contains("--"));
    lines
        .map(|line| (first, line.split_once(program).map_or("", |(_, flags)| flags).to_owned()))
        .collect()
}

/// Words with dashes that documents mention and that are no flags of the server: cargo's, and "a flag, any flag".
fn is_a_tools(flag: &str) -> bool {
    let others =
        ["all", "all-targets", "check", "flag", "help", "no-deps", "release", "test", "workspace"];
    others.contains(&flag) || flag.ends_with('-')
}

#[test]
fn decisions_are_numbered_once() {
    let decisions = pages().into_iter().filter(|page| page.folder() == "docs/decisions");
    let mut numbers = BTreeSet::new();
    for page in decisions {
        let number = page.name().split('-').next().unwrap_or_default().to_owned();
        let is_number = number.len() == 4 && number.parse::<u32>().is_ok();
        assert!(is_number, "{} has no number of four digits", page.path);
        let title = format!("# {number}: ");
        assert!(page.text.starts_with(&title), "{} does not begin with `{title}`", page.path);
        assert!(numbers.insert(number), "{}: the number is taken", page.path);
    }
    assert!(!numbers.is_empty(), "there are no decisions");
}

/// Each difference from etcd that has a test is told to users, and the other way round.
#[test]
fn tested_departures_are_documented() {
    let table = "tests/interop/src/departures.rs";
    let page = repository::file("docs/compatibility.md");
    let named =
        |line: &str| Some(line.trim().strip_prefix("name: \"")?.strip_suffix("\",")?.to_owned());
    let tested: BTreeSet<String> = repository::file(table).text.lines().filter_map(named).collect();
    let undocumented: Vec<_> =
        tested.iter().filter(|name| !page.text.contains(&format!("`{name}`"))).collect();
    assert!(undocumented.is_empty(), "{} does not mention {undocumented:?} of {table}", page.path);
    let rows = page
        .text
        .lines()
        .filter_map(|line| line.strip_suffix("` |")?.rsplit_once('`').map(|(_, name)| name));
    let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let untested: Vec<_> = rows.filter(is_name).filter(|name| !tested.contains(*name)).collect();
    assert!(
        untested.is_empty(),
        "{} names tests that {table} does not have: {untested:?}",
        page.path
    );
}

/// The pages about formats name every number and name that the code has; what they say about each is up to review.
#[test]
fn formats_are_documented_completely() {
    let mut complaints = Vec::new();
    let kinds = [
        ("server/src/storage/record.rs", "docs/log-format.md"),
        ("server/src/peer_api/messages.rs", "docs/peer-protocol.md"),
    ];
    for (source, page) in kinds {
        let page = repository::file(page);
        let cells =
            page.text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
        let listed: BTreeSet<&str> = cells.flat_map(|cell| cell.split(", ")).collect();
        let numbers = enum_numbers(&repository::file(source).text);
        assert!(!numbers.is_empty(), "{source} has no numbered kinds: has it changed its form?");
        let missing = numbers.iter().filter(|number| !listed.contains(number.as_str()));
        complaints
            .extend(missing.map(|number| format!("{} lacks kind {number} of {source}", page.path)));
    }
    let (source, page) =
        ("server/src/peer_api/link/hello.rs", repository::file("docs/peer-protocol.md"));
    let text = repository::file(source).text;
    let headers = text
        .lines()
        .filter_map(|line| line.split_once("HeaderName::from_static(\"")?.1.split('"').next());
    let codes = text.lines().filter_map(|line| {
        line.trim().strip_prefix("Self::")?.split_once(" => \"")?.1.strip_suffix("\",")
    });
    let names: Vec<&str> = headers.chain(codes).collect();
    assert!(names.len() > 10, "{source} has only {names:?}: has it changed its form?");
    let missing = names.iter().filter(|name| !page.text.contains(**name));
    complaints.extend(missing.map(|name| format!("{} lacks `{name}` of {source}", page.path)));
    complain(complaints);
}

/// The numbers that the variants of an enum are given, one a line.
fn enum_numbers(source: &str) -> Vec<String> {
    let numbers = source.lines().filter_map(|line| {
        let (name, number) = line.trim().strip_suffix(',')?.split_once(" = ")?;
        let is_variant = name.starts_with(char::is_uppercase) && number.parse::<u8>().is_ok();
        is_variant.then(|| number.to_owned())
    });
    numbers.collect()
}

#[test]
fn the_architecture_can_be_read_in_one_sitting() {
    let lines = repository::file("ARCHITECTURE.md").text.lines().count();
    assert!(
        lines <= ARCHITECTURE_LINES_MAX,
        "ARCHITECTURE.md has {lines} lines, {ARCHITECTURE_LINES_MAX} are allowed"
    );
}

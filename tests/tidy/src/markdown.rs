//! A Markdown page, as far as its truth can be checked: links, headings, code blocks, inline code.
//!
//! Line by line and without nesting, which is how the pages here are written.

/// A fenced block of code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Block {
    /// What it is written in, as the fence says; empty if it doesn't.
    pub language: String,
    /// The line after the fence, from 1.
    pub line: usize,
    /// Its lines.
    pub text: String,
}

/// The lines outside of fenced blocks, with their numbers from 1.
#[must_use]
pub fn prose(page: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (at, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((at + 1, line));
        }
    }
    lines
}

/// The fenced blocks.
#[must_use]
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in page.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (fence, &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                let language = language.trim().to_owned();
                open = Some(Block { language, line: at + 2, text: String::new() });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The targets of the page's links, with their lines.
#[must_use]
pub fn links(page: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (line, text) in prose(page) {
        let text = without_inline_code(text);
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            links.push((line, target.to_owned()));
        }
    }
    links
}

/// What stands between single backticks, with its line.
#[must_use]
pub fn inline_code(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in prose(page) {
        found.extend(text.split('`').skip(1).step_by(2).map(|code| (line, code.to_owned())));
    }
    found
}

/// The anchors of the page's headings.
#[must_use]
pub fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page).into_iter().filter_map(|(_, line)| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len()).then(|| anchor(text.trim()))
    });
    headings.collect()
}

/// A heading's anchor: lower case, words joined by dashes, everything else left out.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn without_inline_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# A `title`, twice!

See [one](a.md#b-c) and [two](https://x), not `[three](b.md)`.

```sh
curl x
[four](c.md)
```
`core/src/lib.rs` and `x y`
";

    #[test]
    fn links_are_found_outside_of_code() {
        let targets: Vec<String> = links(PAGE).into_iter().map(|(_, target)| target).collect();
        assert_eq!(targets, ["a.md#b-c", "https://x"]);
    }

    #[test]
    fn code_is_found() {
        let block =
            Block { language: "sh".to_owned(), line: 6, text: "curl x\n[four](c.md)\n".to_owned() };
        assert_eq!(blocks(PAGE), [block]);
        let inline: Vec<String> = inline_code(PAGE).into_iter().map(|(_, code)| code).collect();
        assert_eq!(inline, ["title", "[three](b.md)", "core/src/lib.rs", "x y"]);
    }

    #[test]
    fn headings_have_anchors() {
        assert_eq!(anchors(PAGE), ["a-title-twice"]);
    }
}

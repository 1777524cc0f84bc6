//! Scripts: one request per line, each with the status it must get.
//!
//! `201 PUT ~/a?ttl=5 value=1` sends `value=1` as a form; `~` stands for `/v2/keys`; `412/105` also names the error
//! code; `alice:secret@~/a` sends her name and password; `{modified}` is the modified index in the latest successful answer. Blank lines and `#` lines are skipped.
//! The expected status is what keeps a script honest: a mistyped path would be answered alike by both sides.

use base64ct::{Base64, Encoding as _};
use quorate_harness::{Answer, Request};

use crate::pair::Pair;

/// Runs a script on both sides. Panics when the reference does not give the expected status; differences are noted.
#[track_caller]
pub fn run(pair: &mut Pair, script: &str) {
    for line in
        script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (expected, request) = parse(line);
        let both = pair.send(&request);
        let status = status_of(&both.reference);
        let matches = status == expected || status.split('/').next() == Some(expected);
        assert!(
            matches,
            "`{line}` got {status} from the reference: the script is wrong\n{}",
            both.reference
        );
    }
}

fn parse(line: &str) -> (&str, Request) {
    let (expected, rest) = first_word(line);
    let (method, rest) = first_word(rest);
    let (target, body) = first_word(rest);
    assert!(!target.is_empty(), "`{line}` is no script line: give a status, a method and a target");
    let (credentials, target) = match target.split_once('@') {
        Some((credentials, rest)) => (Some(credentials), rest),
        None => (None, target),
    };
    let target = match target.strip_prefix('~') {
        Some(key) => format!("/v2/keys{key}"),
        None => target.to_owned(),
    };
    let mut request = Request::new(method, target);
    if let Some(credentials) = credentials {
        let encoded = Base64::encode_string(credentials.as_bytes());
        request = request.header("Authorization", &format!("Basic {encoded}"));
    }
    let request = match body {
        "" => request,
        json if json.starts_with('{') => request.body("application/json", json),
        form => request.body("application/x-www-form-urlencoded", form),
    };
    (expected, request)
}

fn first_word(text: &str) -> (&str, &str) {
    text.split_once(' ').map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

fn status_of(answer: &Answer) -> String {
    match answer.json()["errorCode"].as_u64() {
        Some(code) => format!("{}/{code}", answer.status),
        None => answer.status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_requests() {
        let (expected, request) = parse("201   PUT ~/a?x=1 value=a b");
        assert_eq!((expected, request.target()), ("201", "/v2/keys/a?x=1"));
        assert!(request.to_string().ends_with("--data-raw 'value=a b'"), "{request}");
        let (_, request) = parse("200 GET alice:pw@~/a");
        assert!(request.to_string().contains("Basic YWxpY2U6cHc="), "{request}");
        assert_eq!(parse("200 GET /health").1, Request::get("/health"));
    }
}

//! Debian's Chromium without a window, driven over a pipe: opens a page, asks what is on it, takes a picture.
//!
//! The pipe needs no port and ends with the test. Everything else of the browser's is in a folder that goes away.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use quorate_harness::Owned;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A running browser with one page.
pub struct Browser {
    // It ends by itself when its pipe closes; this is for one that does not.
    _process: Owned,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    session: Option<String>,
    next: u64,
    _profile: TempDir,
}

/// Whether a test that needs a browser must be left out; says so. Panics when `QUORATE_REQUIRE_INTEROP` is set.
#[must_use]
pub fn skip_without_browser() -> bool {
    if binary().is_some() {
        return false;
    }
    let is_required = std::env::var_os("QUORATE_REQUIRE_INTEROP").is_some();
    assert!(!is_required, "QUORATE_REQUIRE_INTEROP is set, but chromium is not installed");
    eprintln!("skipped: chromium is not installed (Debian: chromium)");
    true
}

fn binary() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|it| it.join("chromium")).find(|it| it.is_file())
}

impl Browser {
    /// Starts a browser and opens `url`. `has_scripts` is whether pages may run theirs.
    #[track_caller]
    #[must_use]
    pub fn open(url: &str, has_scripts: bool) -> Self {
        let profile = tempfile::tempdir().unwrap_or_else(|error| panic!("a folder: {error}"));
        let mut command = Command::new("/bin/sh");
        command
            // The browser reads orders from descriptor 3 and answers on 4.
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .arg(binary().unwrap_or_else(|| panic!("chromium is not installed")))
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--remote-debugging-pipe", "--window-size=1200,1500"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process =
            Owned::start(&mut command).unwrap_or_else(|error| panic!("a shell starts: {error}"));
        let (orders, answers) = (process.take_input(), process.take_output());
        let (Some(orders), Some(answers)) = (orders, answers) else { panic!("pipes") };
        let answers = BufReader::new(answers);
        let mut browser =
            Self { _process: process, orders, answers, session: None, next: 0, _profile: profile };
        let target = browser.order("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.order("Target.attachToTarget", &attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        if !has_scripts {
            browser.order("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
        }
        browser.order("Page.enable", &json!({}));
        browser.order("Page.navigate", &json!({"url": url}));
        browser
    }

    /// What an expression is on the page, as text. Works where the page's own scripts are not allowed, too.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> String {
        let answer = self.order("Runtime.evaluate", &json!({"expression": expression}));
        match &answer["result"]["value"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// The text of the page's body, from its document and not from its scripts.
    #[track_caller]
    pub fn html(&mut self) -> String {
        let document = self.order("DOM.getDocument", &json!({}));
        let node = json!({"nodeId": document["root"]["nodeId"]});
        // The page may have changed between the two: then there is nothing to show yet.
        let answer = self.attempt("DOM.getOuterHTML", &node).unwrap_or_default();
        answer["outerHTML"].as_str().unwrap_or_default().to_owned()
    }

    /// A picture of the page, PNG in base64.
    #[track_caller]
    pub fn picture(&mut self) -> String {
        let answer = self.order("Page.captureScreenshot", &json!({"format": "png"}));
        answer["data"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn order(&mut self, method: &str, params: &Value) -> Value {
        self.attempt(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    #[track_caller]
    fn attempt(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        self.next += 1;
        let mut order = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        self.orders
            .write_all(format!("{order}\0").as_bytes())
            .unwrap_or_else(|error| panic!("the browser has ended: {error}"));
        loop {
            let mut message = Vec::new();
            let read = self.answers.read_until(0, &mut message).unwrap_or_default();
            assert!(read > 0, "the browser ended before it answered {method}");
            message.pop();
            let message: Value = serde_json::from_slice(&message).unwrap_or_default();
            if message["id"] == json!(self.next) {
                let result = message["result"].clone();
                return message.get("error").map_or(Ok(result), |error| Err(error.clone()));
            }
        }
    }
}

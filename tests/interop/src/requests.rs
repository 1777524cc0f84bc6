//! Random requests that two servers of one behaviour must answer alike, whatever came before.
//!
//! Left out, because their answers depend on the moment: TTLs that run out during the run, live watches (a watch is only
//! asked for what is known to be in history), and what [`crate::departures`] states.

use quorate_harness::{Answer, Request, Seeded};

/// Files, directories and hidden keys, none a string prefix of another unless it is an ancestor.
const KEYS: [&str; 14] = [
    "/a",
    "/a/x",
    "/a/y",
    "/a/x/deep",
    "/b",
    "/c/d",
    "/c/d/e",
    "/_h",
    "/_h/v",
    "/g/_i",
    "/g/_i/j",
    "/q",
    "/%C3%BC/k",
    "/",
];
const VALUES: [&str; 7] = ["", "1", "2", "3", "x+y", "%3C%26%3E", "%C3%BC"];
const BOOLEANS: [&str; 10] = ["true", "true", "true", "false", "false", "1", "T", "0", "", "yes"];
const TTLS: [&str; 6] = ["100000", "200000", "100000", "", "-1", "abc"];

/// The number of events a server keeps.
const HISTORY: u64 = 1000;

/// An event that is known to be in history.
#[derive(Clone, Debug)]
struct Happened {
    index: u64,
    key: String,
    removes_directory: bool,
    silent: bool,
}

/// Makes requests up and learns from the answers what can be asked next.
pub struct Requests {
    random: Seeded,
    events: Vec<Happened>,
    index: u64,
    last_modified: Vec<(String, u64, String)>,
}

impl Requests {
    /// Requests that follow from the seed of `random`.
    pub fn new(random: Seeded) -> Self {
        Self { random, events: Vec::new(), index: 0, last_modified: Vec::new() }
    }

    /// Makes the next request up.
    pub fn invent(&mut self) -> Request {
        match self.random.below(100) {
            0..30 => self.put(),
            30..42 => self.conditional_put(),
            42..47 => self.post(),
            47..60 => self.delete(),
            60..65 => self.conditional_delete(),
            65..71 => self.refresh(),
            71..90 => self.get(),
            90..97 => self.watch().unwrap_or_else(|| Request::get("/v2/keys/?recursive=true")),
            _ => self.odd(),
        }
    }

    /// Learns from the reference's answer to a request.
    pub fn learn(&mut self, request: &Request, answer: &Answer) {
        let json = answer.json();
        let is_write = matches!(request.method(), "PUT" | "POST" | "DELETE");
        if let (true, 200 | 201, Some(index)) = (is_write, answer.status, answer.etcd_index()) {
            self.index = index;
            let removed = json["action"].as_str().is_some_and(|it| it == "delete");
            let node = &json["node"];
            let key = node["key"].as_str().unwrap_or_default().to_owned();
            let silent = request.to_string().contains("refresh=") || key.is_empty();
            self.events.push(Happened {
                index,
                key,
                removes_directory: removed && node["dir"] == true,
                silent,
            });
        }
        if let (Some(key), Some(index)) =
            (json["node"]["key"].as_str(), json["node"]["modifiedIndex"].as_u64())
        {
            let value = json["node"]["value"].as_str().unwrap_or_default().to_owned();
            self.last_modified.retain(|(known, _, _)| known != key);
            self.last_modified.push((key.to_owned(), index, value));
        }
    }

    fn put(&mut self) -> Request {
        let mut form = self.form();
        if self.random.one_in(4) {
            form.push_str(&format!("&prevExist={}", self.pick(&BOOLEANS)));
        }
        if self.random.one_in(8) {
            form.push_str(&format!("&noValueOnSuccess={}", self.pick(&BOOLEANS)));
        }
        let key = self.key();
        self.split("PUT", &key, &form)
    }

    fn conditional_put(&mut self) -> Request {
        let (key, condition) = self.condition();
        let mut form = format!("value={}&{condition}", self.pick(&VALUES));
        if self.random.one_in(4) {
            form.push_str(&format!("&ttl={}", self.pick(&TTLS)));
        }
        if self.random.one_in(6) {
            form.push_str(&format!("&prevExist={}", self.pick(&BOOLEANS)));
        }
        self.split("PUT", &key, &form)
    }

    fn post(&mut self) -> Request {
        let (key, form) = (self.key(), self.form());
        self.split("POST", &key, &form)
    }

    fn delete(&mut self) -> Request {
        let mut query = Vec::new();
        for flag in ["dir", "recursive"] {
            if self.random.one_in(2) {
                query.push(format!("{flag}={}", self.pick(&BOOLEANS)));
            }
        }
        Request::delete(format!("/v2/keys{}?{}", self.key(), query.join("&")))
    }

    fn conditional_delete(&mut self) -> Request {
        let (key, condition) = self.condition();
        Request::delete(format!("/v2/keys{key}?{condition}"))
    }

    fn refresh(&mut self) -> Request {
        let (key, condition) = self.condition();
        let mut form = format!("refresh={}&ttl={}", self.pick(&BOOLEANS), self.pick(&TTLS));
        match self.random.below(4) {
            0 => form.push_str(&format!("&{condition}")),
            1 => form.push_str(&format!("&prevExist={}", self.pick(&BOOLEANS))),
            2 if self.random.one_in(3) => form.push_str(&format!("&value={}", self.pick(&VALUES))),
            _ => {}
        }
        self.split("PUT", &key, &form)
    }

    fn get(&mut self) -> Request {
        let method = if self.random.one_in(10) { "HEAD" } else { "GET" };
        let mut query = Vec::new();
        for flag in ["recursive", "sorted", "quorum"] {
            if self.random.one_in(2) {
                query.push(format!("{flag}={}", self.pick(&BOOLEANS)));
            }
        }
        // The length of an unsorted listing is the same, so HEAD needs no care.
        Request::new(method, format!("/v2/keys{}?{}", self.key(), query.join("&")))
    }

    /// A watch whose answer is in history already, or is long gone from it.
    fn watch(&mut self) -> Option<Request> {
        let position = self.random.below(self.events.len() as u64) as usize;
        let chosen = self.events.get(position).filter(|event| !event.silent)?.clone();
        let recursive = self.random.one_in(2);
        let since = chosen.index.saturating_sub(self.random.below(4)).max(1);
        let target = encoded(&chosen.key);
        // Near the edge of what is kept, internal writes decide; they are the same on both sides, but not known here.
        let oldest = self.index.saturating_sub(HISTORY) + 1;
        let contested = self.events.iter().any(|event| {
            (since..=chosen.index).contains(&event.index) && departs(event, &chosen.key, recursive)
        });
        let reachable = since >= oldest || since + 1 < oldest;
        (reachable && !contested).then(|| {
            Request::get(format!(
                "/v2/keys{target}?wait=true&recursive={recursive}&waitIndex={since}"
            ))
        })
    }

    fn odd(&mut self) -> Request {
        let key = self.key();
        let target = match self.random.below(8) {
            0 => format!("/v2/keys{key}?recursive=maybe"),
            1 => format!("/v2/keys{key}?prevIndex=-1"),
            2 => format!("/v2/keys{key}?a;b"),
            3 => format!("/v2/keys{key}?x=%zz"),
            4 => format!("/v2/keys/{key}"),
            5 => format!("/v2/keys{key}/../b"),
            6 => format!("/v2/keys{key}?prevValue="),
            _ => format!("/v2/keys{key}?unknown=1&dir"),
        };
        let method = *self.random.pick(&["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"]);
        Request::new(method, target)
    }

    fn form(&mut self) -> String {
        let mut form = format!("value={}", self.pick(&VALUES));
        if self.random.one_in(4) {
            form.push_str(&format!("&ttl={}", self.pick(&TTLS)));
        }
        if self.random.one_in(5) {
            form.push_str(&format!("&dir={}", self.pick(&BOOLEANS)));
        }
        form
    }

    /// A key and a condition on it that holds about every second time.
    fn condition(&mut self) -> (String, String) {
        let known = self.last_modified.len() as u64;
        if known > 0 && self.random.one_in(2) {
            let (key, index, value) = self.last_modified[self.random.below(known) as usize].clone();
            let by_index = self.random.one_in(2) || value.is_empty();
            let condition = if by_index {
                format!("prevIndex={index}")
            } else {
                format!("prevValue={}", encoded(&value))
            };
            return (encoded(&key), condition);
        }
        let condition = match self.random.below(3) {
            0 => format!("prevValue={}", self.pick(&VALUES)),
            1 => format!("prevIndex={}", self.random.below(self.index + 2)),
            _ => format!("prevValue={}&prevIndex={}", self.pick(&VALUES), self.index),
        };
        (self.key(), condition)
    }

    /// The parameters as a form, as a query, or the first half here and the rest there.
    fn split(&mut self, method: &str, key: &str, form: &str) -> Request {
        const FORM: &str = "application/x-www-form-urlencoded";
        match self.random.below(4) {
            0 => Request::new(method, format!("/v2/keys{key}?{form}")),
            1 => {
                let (first, rest) = form.split_once('&').unwrap_or((form, ""));
                Request::new(method, format!("/v2/keys{key}?{rest}")).body(FORM, first)
            }
            _ => Request::new(method, format!("/v2/keys{key}")).body(FORM, form),
        }
    }

    fn key(&mut self) -> String {
        let known = self.last_modified.len() as u64;
        if known > 0 && self.random.one_in(8) {
            return encoded(&self.last_modified[self.random.below(known) as usize].0);
        }
        self.pick(&KEYS).to_owned()
    }

    fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        let chosen: &&'static str = self.random.pick(choices);
        chosen
    }
}

/// Whether the two programs are known to treat this event differently for a watch on `key` from history.
fn departs(event: &Happened, key: &str, recursive: bool) -> bool {
    let below = event.key.strip_prefix(key).filter(|rest| rest.starts_with('/'));
    let hidden_below = recursive && below.is_some_and(|rest| rest.contains("/_"));
    let prefix_only =
        event.removes_directory && key.starts_with(&event.key) && !is_at_or_below(key, &event.key);
    hidden_below || prefix_only
}

fn is_at_or_below(key: &str, directory: &str) -> bool {
    key == directory || key.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.".contains(&byte);
    let show =
        |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(show).collect()
}

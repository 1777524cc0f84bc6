//! Two servers that are asked the same things, and the report of all they answered differently.
//!
//! A difference does not end the comparison: the whole script runs, and the test fails at its end with every difference.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use quorate_harness::{
    Answer, Builder, Cluster, Ending, Http, HttpError, Line, Program, Request, Stream,
    skip_without_etcd,
};

use crate::normal::{Normal, changed_lines};
use crate::side::{Side, subject_program};

/// Differences beyond this many are counted, not shown: they are most likely consequences of the first ones.
const SHOWN_MAX: usize = 25;
/// Above the 500 ms between two expiry rounds, by what a loaded machine may add.
const EVENT_WITHIN: Duration = Duration::from_secs(10);
/// Padding that takes longer than this many writes means that the two do not count alike.
const PADDING_MAX: u64 = 20;

/// A reference and a subject.
pub struct Pair {
    /// etcd.
    pub reference: Side,
    /// What is compared with it.
    pub subject: Side,
    /// How many seconds two TTLs may differ; 0 unless set.
    pub ttl_tolerance: i64,
    /// Whether HEAD must announce the same length; true unless set. Expirations have nanoseconds without trailing zeros,
    /// so that listings with a TTL in them have lengths that differ by chance.
    pub exact_head_length: bool,
    differences: Vec<String>,
    compared: usize,
}

/// The answers of both sides to one request.
#[derive(Clone, Debug)]
pub struct Both {
    /// etcd's answer.
    pub reference: Answer,
    /// The subject's answer.
    pub subject: Answer,
}

/// The same watch on both sides.
pub struct PairWatch {
    request: Request,
    reference: Stream,
    subject: Stream,
}

/// Runs `script` against one fresh member of each program. Prints why and does nothing when etcd is not installed.
#[track_caller]
pub fn compare(script: impl FnOnce(&mut Pair)) {
    compare_with(|builder| builder, script);
}

/// As [`compare`], with clusters set up by `setup`.
#[track_caller]
pub fn compare_with(setup: impl Fn(Builder) -> Builder, script: impl FnOnce(&mut Pair)) {
    if skip_without_etcd() {
        return;
    }
    let mut pair = Pair::start(setup);
    script(&mut pair);
    pair.finish();
}

impl Pair {
    /// Starts both sides and brings their store indexes to the same number.
    #[track_caller]
    pub fn start(setup: impl Fn(Builder) -> Builder) -> Self {
        let prepare = |program: Program| Arc::new(setup(Cluster::builder(program)).prepare());
        let (reference, subject) = (prepare(Program::Etcd), prepare(subject_program()));
        for cluster in [&reference, &subject] {
            cluster.start();
        }
        for cluster in [&reference, &subject] {
            cluster.wait_ready();
        }
        let mut pair = Self::of(Side::new("reference", reference), Side::new("subject", subject));
        pair.pad_indexes();
        pair
    }

    /// Compares two sides as they are.
    pub fn of(reference: Side, subject: Side) -> Self {
        Self {
            reference,
            subject,
            ttl_tolerance: 0,
            exact_head_length: true,
            differences: Vec::new(),
            compared: 0,
        }
    }

    /// Ends the comparison. Panics with a report when anything differed, or when nothing was compared.
    #[track_caller]
    pub fn finish(self) {
        assert!(self.compared > 0, "nothing was compared");
        assert!(self.differences.is_empty(), "{}", self.report());
    }

    /// Every difference so far.
    pub fn differences(&self) -> &[String] {
        &self.differences
    }

    /// Sends a request to both and compares the answers.
    #[track_caller]
    pub fn send(&mut self, request: &Request) -> Both {
        let both = self.send_unjudged(request);
        self.judge(request, &both);
        both
    }

    /// Sends a request to both and leaves the comparison to the caller.
    #[track_caller]
    pub fn send_unjudged(&mut self, request: &Request) -> Both {
        Both {
            reference: answer_of(&mut self.reference, request),
            subject: answer_of(&mut self.subject, request),
        }
    }

    /// As [`Pair::send`], for requests whose answer shows an id that did not exist before.
    #[track_caller]
    pub fn send_and_learn(&mut self, request: &Request) -> Both {
        self.learn_names();
        let both = Both {
            reference: answer_of(&mut self.reference, request),
            subject: answer_of(&mut self.subject, request),
        };
        self.learn_names();
        self.judge(request, &both);
        both
    }

    /// Sends the same bytes to both and compares the answers.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) -> Both {
        let send =
            |http: &Http| http.send_raw(bytes).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
        let both =
            Both { reference: send(self.reference.http()), subject: send(self.subject.http()) };
        self.judge(&Request::get(format!("(raw) {}", String::from_utf8_lossy(bytes))), &both);
        both
    }

    /// Opens the same watch on both and compares the heads of the answers.
    #[track_caller]
    pub fn watch(&mut self, target: &str) -> PairWatch {
        let request = Request::get(target);
        let open = |side: &Side| {
            let stream = side.http().stream(&particular(side, &request));
            stream.unwrap_or_else(|error| panic!("{}: {request}: {error}", side.label()))
        };
        let (reference, subject) = (open(&self.reference), open(&self.subject));
        let both = Both { reference: reference.head().clone(), subject: subject.head().clone() };
        let complete = |mut answer: Answer| {
            answer.ending = Ending::Complete;
            answer
        };
        self.judge(
            &request,
            &Both { reference: complete(both.reference), subject: complete(both.subject) },
        );
        PairWatch { request, reference, subject }
    }

    /// Takes the next event from both and compares them. Returns the reference's event.
    #[track_caller]
    pub fn next(&mut self, watch: &mut PairWatch) -> String {
        let line = |stream: &mut Stream| shown(stream.next_line(EVENT_WITHIN));
        let (reference, subject) = (line(&mut watch.reference), line(&mut watch.subject));
        self.compared += 1;
        let found = Normal::of_event(&reference, &self.reference)
            .differences(&Normal::of_event(&subject, &self.subject), self.ttl_tolerance);
        if !found.is_empty() {
            let raw = format!("reference: {reference}\nsubject:   {subject}");
            self.note(&format!("event of {}", watch.request), &found, &raw);
        }
        assert!(
            reference.starts_with('{'),
            "the reference gave no event to {}: {reference}",
            watch.request
        );
        reference
    }

    /// Both bodies must be over, in the same way.
    #[track_caller]
    pub fn end(&mut self, watch: &mut PairWatch) {
        let line = |stream: &mut Stream| shown(stream.next_line(EVENT_WITHIN));
        let (reference, subject) = (line(&mut watch.reference), line(&mut watch.subject));
        assert!(reference.starts_with("(end"), "the reference's body goes on: {reference}");
        self.same(&format!("end of {}", watch.request), &reference, &subject);
    }

    /// Compares two texts that were got in some other way, line by line, after taking ids and ports out.
    pub fn same(&mut self, what: &str, reference: &str, subject: &str) {
        let (reference, subject) =
            (self.reference.anonymous(reference), self.subject.anonymous(subject));
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        self.compared += 1;
        let found = changed_lines(&lines(&reference), &lines(&subject));
        if !found.is_empty() {
            self.note(what, &found, &format!("reference:\n{reference}\n\nsubject:\n{subject}"));
        }
    }

    /// The same question to both sides, answered by a function of a side; the answers are compared as text.
    #[track_caller]
    pub fn ask(&mut self, what: &str, question: impl Fn(&Side) -> String) -> String {
        let (reference, subject) = (question(&self.reference), question(&self.subject));
        self.same(what, &reference, &subject);
        reference
    }

    /// Learns ids and URLs anew on both sides, after a change of membership.
    pub fn learn_names(&mut self) {
        self.reference.learn_names();
        self.subject.learn_names();
    }

    /// Clusters of several members start with an index that depends on who was late; writes bring them level.
    #[track_caller]
    fn pad_indexes(&mut self) {
        for _ in 0..PADDING_MAX {
            let index = |side: &Side| side.cluster().keys().get("/").ok().and_then(|it| it.index());
            let (reference, subject) = (index(&self.reference), index(&self.subject));
            let behind = match (reference, subject) {
                (Some(one), Some(two)) if one == two => return,
                _ if self.reference.cluster().members().len() == 1 => {
                    panic!(
                        "a fresh member shows X-Etcd-Index {reference:?} as reference and {subject:?} as subject"
                    )
                }
                (Some(one), Some(two)) if one < two => &self.reference,
                _ => &self.subject,
            };
            let pad = behind.cluster().keys().put("/_padding", "");
            pad.unwrap_or_else(|error| panic!("{}: {error}", behind.label()));
        }
        panic!("{PADDING_MAX} writes did not bring the store indexes level");
    }

    fn judge(&mut self, request: &Request, both: &Both) {
        self.compared += 1;
        let mut reference = Normal::of(&both.reference, request, &self.reference);
        let mut subject = Normal::of(&both.subject, request, &self.subject);
        if request.method() == "HEAD" && !self.exact_head_length {
            for normal in [&mut reference, &mut subject] {
                let framing = ["Content-Length: ", "Transfer-Encoding: "];
                normal.lines.retain(|line| !framing.iter().any(|it| line.starts_with(it)));
            }
        }
        let found = reference.differences(&subject, self.ttl_tolerance);
        if !found.is_empty() {
            let raw = format!("reference:\n{}\n\nsubject:\n{}", both.reference, both.subject);
            self.note(&request.to_string(), &found, &raw);
        }
    }

    fn note(&mut self, what: &str, found: &[String], raw: &str) {
        let mut text = format!("{what}\n");
        for line in found {
            let _ = writeln!(text, "  {line}");
        }
        for line in raw.lines() {
            let _ = writeln!(text, "      | {line}");
        }
        self.differences.push(text);
    }

    fn report(&self) -> String {
        let total = self.differences.len();
        let mut text =
            format!("{total} of {} comparisons differ (- reference, + subject)\n", self.compared);
        for (number, difference) in self.differences.iter().take(SHOWN_MAX).enumerate() {
            let _ = writeln!(text, "\n[{}] {difference}", number + 1);
        }
        if total > SHOWN_MAX {
            let _ = writeln!(text, "... and {} more", total - SHOWN_MAX);
        }
        text
    }
}

#[track_caller]
fn answer_of(side: &mut Side, request: &Request) -> Answer {
    let request = particular(side, request);
    let answer = side
        .http()
        .send(&request)
        .unwrap_or_else(|error| panic!("{}: {request}: {error}", side.label()));
    side.note(&answer.json());
    answer
}

/// The request with what is particular to a side filled in: `{modified}` and names such as `<peer m1>`.
fn particular(side: &Side, request: &Request) -> Request {
    let filled = request.clone().replace("{modified}", &side.modified().to_string());
    side.names().iter().fold(filled, |request, (own, name)| request.replace(name, own))
}

fn shown(line: Result<Line, HttpError>) -> String {
    match line {
        Ok(Line::Text(text)) => text,
        Ok(Line::Quiet) => format!("(nothing within {EVENT_WITHIN:?})"),
        Ok(Line::End(ending)) => format!("(end: {ending:?})"),
        Err(error) => format!("({error})"),
    }
}

//! A crowd of long-poll watchers, in this process or, when they are more than its file limit allows, in workers.
//!
//! A worker is this program again (`watch-worker`), spoken to in lines: it prints `ready` when all its watchers wait,
//! is told `sent NANOS` after the event, prints `told NANOS COUNT` for every latency, then `end MISSING`, and starts
//! over when told `again`.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::clock::Moment;
use crate::drive::{Connection, Latency, Poller, Progress, READ_BYTES};
use crate::interrupt;

/// Watchers not accepted after this long never will be.
const ARM_MAX: Duration = Duration::from_secs(120);

/// Watchers not told after this long never will be.
pub(crate) const EVENT_MAX: Duration = Duration::from_secs(60);

/// Longest wait between looks at deadlines and interrupts.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What an event came to.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Latencies of those who were told, from the event's sending.
    pub(crate) latency: Latency,
    /// How many were not told in time, or lost their connection.
    pub(crate) missing: u64,
}

/// Watchers of this process.
#[derive(Debug)]
pub(crate) struct Pool {
    poller: Poller,
    connections: Vec<Connection>,
    requests: Vec<Vec<u8>>,
    buffer: Vec<u8>,
    /// When each was told, in no order.
    arrivals: Vec<Moment>,
}

/// Watchers of other processes.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    reports: BufReader<ChildStdout>,
}

impl Pool {
    /// Connects `count` watchers, spread over `endpoints`. They do not wait yet.
    pub(crate) fn open(
        endpoints: &[SocketAddr],
        count: usize,
        directory: &str,
    ) -> anyhow::Result<Self> {
        let poller = Poller::new().context("could not make an epoll instance")?;
        let mut connections = Vec::with_capacity(count);
        let targets = endpoints.iter().cycle().take(count);
        for (token, endpoint) in targets.enumerate() {
            let connection = Connection::open(*endpoint, &poller, token).with_context(|| {
                format!("could not connect watcher {} to {endpoint}", token + 1)
            })?;
            connections.push(connection);
        }
        let requests = endpoints.iter().map(|endpoint| {
            format!("GET /v2/keys/{directory}?wait=true&recursive=true HTTP/1.1\r\nHost: {endpoint}\r\n\r\n").into_bytes()
        });
        let requests = requests.collect();
        Ok(Self {
            poller,
            connections,
            requests,
            buffer: vec![0; READ_BYTES],
            arrivals: Vec::with_capacity(count),
        })
    }

    /// Sends every watch and waits until the servers have accepted all.
    pub(crate) fn arm(&mut self) -> anyhow::Result<()> {
        let deadline = Moment::now().after(ARM_MAX);
        self.arrivals.clear();
        let requests = self.requests.iter().cycle();
        for (connection, request) in self.connections.iter_mut().zip(requests) {
            connection
                .send(request, &self.poller)
                .context("a server closed a watcher's connection")?;
        }
        let mut accepted = 0;
        let mut ready = Vec::new();
        while accepted < self.connections.len() {
            interrupt::check()?;
            if Moment::now() > deadline {
                bail!(
                    "only {accepted} of {} watchers were accepted in {} s",
                    self.connections.len(),
                    ARM_MAX.as_secs()
                );
            }
            self.poller.wait(LOOK_EVERY, &mut ready).context("epoll failed")?;
            for token in &ready {
                let Some(connection) = self.connections.get_mut(*token) else { continue };
                let had_head = connection.has_head();
                match connection.advance(&mut self.buffer, &self.poller) {
                    Progress::Partial if connection.has_head() && !had_head => accepted += 1,
                    Progress::Partial => {}
                    other => bail!(
                        "a watch ended before any event ({other:?}, status {})",
                        connection.status()
                    ),
                }
            }
        }
        Ok(())
    }

    /// Waits until all have been told, or never will be. Returns how many were not.
    pub(crate) fn gather(&mut self) -> anyhow::Result<u64> {
        let deadline = Moment::now().after(EVENT_MAX);
        let mut broken = 0;
        let mut ready = Vec::new();
        while self.arrivals.len() + broken < self.connections.len() && Moment::now() < deadline {
            interrupt::check()?;
            self.poller.wait(LOOK_EVERY, &mut ready).context("epoll failed")?;
            for token in &ready {
                let Some(connection) = self.connections.get_mut(*token) else { continue };
                match connection.advance(&mut self.buffer, &self.poller) {
                    Progress::Partial => {}
                    Progress::Answered { status: 200, .. } => self.arrivals.push(Moment::now()),
                    Progress::Answered { .. } | Progress::Broken | Progress::Malformed => {
                        broken += 1;
                    }
                }
            }
        }
        Ok((self.connections.len() - self.arrivals.len()) as u64)
    }

    /// Latencies of those told, from `sent` on.
    pub(crate) fn latency(&self, sent: Moment) -> Latency {
        let mut latency = Latency::new();
        for arrival in &self.arrivals {
            latency.record(arrival.since(sent));
        }
        latency
    }
}

impl Worker {
    /// Starts this program as a worker.
    pub(crate) fn start(
        endpoints: &[SocketAddr],
        count: usize,
        directory: &str,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program does not know where it is")?;
        let mut command = Command::new(program);
        command
            .arg("watch-worker")
            .arg(format!("--watchers={count}"))
            .arg(format!("--directory={directory}"));
        command.args(endpoints.iter().map(|endpoint| format!("--endpoint={endpoint}")));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start a watch worker")?;
        let orders = child.stdin.take();
        let reports = child.stdout.take().context("a watch worker has no output")?;
        Ok(Self { child, orders, reports: BufReader::new(reports) })
    }

    /// Waits until all its watchers wait.
    pub(crate) fn await_ready(&mut self) -> anyhow::Result<()> {
        let line = self.line()?;
        anyhow::ensure!(line == "ready", "a watch worker said {line:?} instead of ready");
        Ok(())
    }

    /// Tells it when the event was sent.
    pub(crate) fn tell(&mut self, sent: Moment) -> anyhow::Result<()> {
        self.order(&format!("sent {}", sent.as_nanos()))
    }

    /// Tells it to have its watchers wait anew.
    pub(crate) fn arm(&mut self) -> anyhow::Result<()> {
        self.order("again")
    }

    /// Reads its report.
    pub(crate) fn report(&mut self, told: &mut Told) -> anyhow::Result<()> {
        loop {
            let line = self.line()?;
            let mut words = line.split(' ');
            match (words.next(), number(words.next()), number(words.next())) {
                (Some("told"), Some(nanoseconds), Some(count)) => {
                    told.latency.record_count(nanoseconds, count);
                }
                (Some("end"), Some(missing), None) => {
                    told.missing += missing;
                    return Ok(());
                }
                _ => bail!("a watch worker said {line:?}"),
            }
        }
    }

    fn order(&mut self, order: &str) -> anyhow::Result<()> {
        let orders = self.orders.as_mut().context("a watch worker has no input")?;
        writeln!(orders, "{order}").context("a watch worker has ended; its own message is above")
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let count =
            self.reports.read_line(&mut line).context("could not read from a watch worker")?;
        anyhow::ensure!(count > 0, "a watch worker ended early; its own message is above");
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The worker's side.
///
/// # Errors
/// When the watchers cannot be opened, or the parent does not speak as expected.
pub fn work(endpoints: &[SocketAddr], count: usize, directory: &str) -> anyhow::Result<()> {
    let mut pool = Pool::open(endpoints, count, directory)?;
    let mut orders = std::io::stdin().lock().lines();
    let mut reports = std::io::stdout().lock();
    loop {
        pool.arm()?;
        writeln!(reports, "ready").context("the parent has gone")?;
        reports.flush().context("the parent has gone")?;
        let missing = pool.gather()?;
        let Some(order) = orders.next() else { return Ok(()) };
        let order = order.context("the parent has gone")?;
        let Some(sent) = order.strip_prefix("sent ").and_then(|sent| sent.parse().ok()) else {
            bail!("the parent said {order:?} instead of when the event was sent");
        };
        for (nanoseconds, times) in pool.latency(Moment::from_nanos(sent)).counts() {
            writeln!(reports, "told {nanoseconds} {times}").context("the parent has gone")?;
        }
        writeln!(reports, "end {missing}").context("the parent has gone")?;
        match orders.next() {
            Some(Ok(order)) if order == "again" => {}
            Some(order) => bail!("the parent said {order:?} instead of again"),
            None => return Ok(()),
        }
    }
}

fn number(word: Option<&str>) -> Option<u64> {
    word?.parse().ok()
}

//! Runs a plan: keeps every connection as busy as the pace allows, and tallies.
//!
//! Invariants: no allocation per request; a connection is in `idle` exactly when it is open and has nothing in flight;
//! after the window everything in flight is waited for (at most the request timeout), so a stall at the end is seen.
//! Leaves out pipelining: v2 clients don't.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context as _;

use super::chance::Chance;
use super::connection::{Connection, Progress, READ_BYTES};
use super::pacer::Pacer;
use super::plan::{KeyOrder, Kind, Pace, Plan};
use super::poller::Poller;
use super::tally::Tally;
use crate::clock::{Moment, thread_cpu};
use crate::interrupt;
use crate::servers::Processes;
use crate::wire::Template;

/// How often timeouts, reconnections and interrupts are looked at.
const CHORES_EVERY: Duration = Duration::from_millis(20);

/// Pause before a refused connection is tried again: a dead member must not eat the generator's time.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Runs `plan`; `servers` are the processes whose CPU time is charged to it.
///
/// # Errors
/// When no connection can be made at the start, or the plan is impossible.
pub fn run(plan: &Plan, servers: &Processes) -> anyhow::Result<Tally> {
    anyhow::ensure!(
        !plan.endpoints.is_empty(),
        "no endpoint to load: name one with --endpoint or launch a subject"
    );
    anyhow::ensure!(plan.connections > 0, "a load needs at least one connection");
    if let Pace::Open { rate } = plan.pace {
        anyhow::ensure!(rate > 0.0 && rate.is_finite(), "the rate must be above zero");
    }
    Engine::new(plan, servers)?.run()
}

struct Engine<'plan> {
    plan: &'plan Plan,
    servers: &'plan Processes,
    poller: Poller,
    slots: Vec<Slot>,
    /// Open connections with nothing to do, the longest idle first so that members share the load evenly.
    idle: VecDeque<usize>,
    in_flight: usize,
    templates: Vec<Templates>,
    chance: Chance,
    sequence: u64,
    pacer: Pacer,
    window_start: Moment,
    end: Moment,
    buffer: Vec<u8>,
    tally: Tally,
    at_start: Option<CpuSample>,
    at_end: Option<CpuSample>,
}

struct Slot {
    endpoint: usize,
    connection: Option<Connection>,
    flight: Option<Flight>,
    retry_at: Moment,
}

#[derive(Clone, Copy)]
struct Flight {
    kind: Kind,
    counts_from: Moment,
    sent_at: Moment,
}

struct Templates {
    put: Template,
    read: Template,
}

#[derive(Clone, Copy)]
struct CpuSample {
    at: Moment,
    own: Duration,
    servers: Option<Duration>,
}

impl<'plan> Engine<'plan> {
    fn new(plan: &'plan Plan, servers: &'plan Processes) -> anyhow::Result<Self> {
        let poller = Poller::new().context("could not make an epoll instance")?;
        let mut slots = Vec::with_capacity(plan.connections);
        for token in 0..plan.connections {
            let endpoint = token % plan.endpoints.len();
            let address = plan.endpoints[endpoint];
            let connection = Connection::open(address, &poller, token).with_context(|| {
                format!("could not connect to {address} (connection {})", token + 1)
            })?;
            let retry_at = Moment::now();
            slots.push(Slot { endpoint, connection: Some(connection), flight: None, retry_at });
        }
        let mix = &plan.mix;
        let templates = plan.endpoints.iter().map(|endpoint| Templates {
            put: Template::put(*endpoint, &mix.prefix, mix.value_bytes),
            read: Template::read(*endpoint, &mix.prefix, mix.quorum),
        });
        let start = Moment::now();
        let window_start = start.after(plan.warmup);
        let end = window_start.after(plan.duration);
        Ok(Self {
            plan,
            servers,
            poller,
            idle: (0..slots.len()).collect(),
            slots,
            in_flight: 0,
            templates: templates.collect(),
            chance: Chance::new(plan.seed),
            sequence: 0,
            pacer: Pacer::new(plan.pace, start, end, plan.requests_max),
            window_start,
            end,
            buffer: vec![0; READ_BYTES],
            tally: Tally::new(),
            at_start: None,
            at_end: None,
        })
    }

    fn run(mut self) -> anyhow::Result<Tally> {
        let drain_end = self.end.after(self.plan.request_timeout);
        let mut ready = Vec::new();
        let mut chores_at = Moment::now();
        loop {
            let now = Moment::now();
            self.sample(now);
            self.send_due(now);
            if now >= chores_at {
                interrupt::check()?;
                self.chores(now);
                chores_at = now.after(CHORES_EVERY);
            }
            if (self.pacer.is_spent(now) && self.in_flight == 0) || now >= drain_end {
                break;
            }
            let wake_at =
                self.pacer.next_due().filter(|_| !self.idle.is_empty()).unwrap_or(chores_at);
            self.poller
                .wait(wake_at.min(chores_at).since(now), &mut ready)
                .context("epoll failed")?;
            for token in &ready {
                self.advance(*token);
            }
        }
        Ok(self.finish())
    }

    /// Takes the CPU samples as the window opens and closes.
    fn sample(&mut self, now: Moment) {
        let closed = now >= self.end || self.pacer.is_spent(now);
        if self.at_start.is_none() && (now >= self.window_start || closed) {
            self.at_start = Some(self.cpu_sample());
        }
        if self.at_end.is_none() && closed {
            self.at_end = Some(self.cpu_sample());
        }
    }

    fn cpu_sample(&self) -> CpuSample {
        CpuSample { at: Moment::now(), own: thread_cpu(), servers: self.servers.cpu() }
    }

    fn send_due(&mut self, now: Moment) {
        while !self.idle.is_empty() {
            let Some(counts_from) = self.pacer.claim(now) else { break };
            if let Some(token) = self.idle.pop_front() {
                self.send(token, counts_from, now);
            }
        }
    }

    #[inline]
    fn send(&mut self, token: usize, counts_from: Moment, now: Moment) {
        let mix = &self.plan.mix;
        let kind = if self.chance.below(100) < u64::from(mix.read_percent) {
            Kind::Read
        } else {
            Kind::Write
        };
        let key = match mix.order {
            KeyOrder::Random => self.chance.below(mix.keys),
            KeyOrder::Sequential => self.sequence % mix.keys.max(1),
        };
        self.sequence += 1;
        let slot = &mut self.slots[token];
        let templates = &mut self.templates[slot.endpoint];
        let template = if kind == Kind::Read { &mut templates.read } else { &mut templates.put };
        slot.flight = Some(Flight { kind, counts_from, sent_at: now });
        self.in_flight += 1;
        let sent = match &mut slot.connection {
            Some(connection) => {
                connection.send(template.fill(key, self.sequence), &self.poller).is_ok()
            }
            None => false,
        };
        if !sent {
            self.fail(token, now, |tally| tally.errors.broken += 1);
        }
    }

    #[inline]
    fn advance(&mut self, token: usize) {
        let Some(slot) = self.slots.get_mut(token) else { return };
        let Some(connection) = &mut slot.connection else { return };
        if slot.flight.is_none() {
            // Only a server that closes an idle connection makes it readable.
            self.idle.retain(|idle| *idle != token);
            self.reconnect(token, Moment::now());
            return;
        }
        match connection.advance(&mut self.buffer, &self.poller) {
            Progress::Partial => {}
            Progress::Answered { status, closes } => self.answered(token, status, closes),
            Progress::Broken => self.fail(token, Moment::now(), |tally| tally.errors.broken += 1),
            Progress::Malformed => {
                self.fail(token, Moment::now(), |tally| tally.errors.malformed += 1);
            }
        }
    }

    #[inline]
    fn answered(&mut self, token: usize, status: u16, closes: bool) {
        let now = Moment::now();
        let Some(flight) = self.slots[token].flight.take() else { return };
        self.in_flight -= 1;
        if matches!(status, 200 | 201) {
            if self.at_start.is_some() && self.at_end.is_none() {
                self.tally.completed += 1;
            }
            let measured = match self.plan.pace {
                // What was in flight when the window opened or closed belongs to it, or a long stall would not.
                Pace::Closed => now >= self.window_start,
                Pace::Open { .. } => flight.counts_from >= self.window_start,
            };
            if measured {
                self.tally.record(flight.kind, now.since(flight.counts_from));
            }
        } else if now >= self.window_start {
            *self.tally.errors.status.entry(status).or_default() += 1;
        }
        if closes {
            self.reconnect(token, now);
        } else {
            // Its next request goes out with the others', once all answers that are there have been read: servers and
            // generator wake each other less often.
            self.idle.push_back(token);
        }
    }

    /// The request in flight failed and took its connection with it.
    fn fail(&mut self, token: usize, now: Moment, count: impl FnOnce(&mut Tally)) {
        if now >= self.window_start {
            count(&mut self.tally);
        }
        if self.slots[token].flight.take().is_some() {
            self.in_flight -= 1;
        }
        self.reconnect(token, now);
    }

    fn reconnect(&mut self, token: usize, now: Moment) {
        let slot = &mut self.slots[token];
        slot.connection = None;
        match Connection::open(self.plan.endpoints[slot.endpoint], &self.poller, token) {
            Ok(connection) => {
                slot.connection = Some(connection);
                self.idle.push_back(token);
            }
            Err(_) => {
                slot.retry_at = now.after(RECONNECT_PAUSE);
                if now >= self.window_start {
                    self.tally.errors.connect += 1;
                }
            }
        }
    }

    fn chores(&mut self, now: Moment) {
        for token in 0..self.slots.len() {
            let slot = &self.slots[token];
            let late = slot
                .flight
                .is_some_and(|flight| now.since(flight.sent_at) > self.plan.request_timeout);
            if late {
                self.fail(token, now, |tally| tally.errors.timeout += 1);
            } else if slot.connection.is_none() && now >= slot.retry_at {
                self.reconnect(token, now);
            }
        }
    }

    fn finish(mut self) -> Tally {
        let now = Moment::now();
        self.tally.errors.timeout += self.in_flight as u64;
        self.tally.errors.unsent += self.pacer.overdue(now);
        if let (Some(start), Some(end)) = (self.at_start, self.at_end) {
            self.tally.window = end.at.since(start.at);
            self.tally.own_cpu = end.own.saturating_sub(start.own);
            self.tally.server_cpu =
                end.servers.zip(start.servers).map(|(end, start)| end.saturating_sub(start));
        }
        self.tally
    }
}

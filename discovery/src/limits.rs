//! What one address may ask for, and what all may: token buckets and counts, held by this replica alone.
//!
//! They keep one misconfigured fleet or one stranger from using up what is there for all; they are no protection of secrets, which
//! are too long to be guessed. Invariants: the tables are bounded, and who is forgotten begins anew; a registration with a valid
//! secret is never refused for the sake of its address, since an etcd node does not try that again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::registry::{Refusal, TokenId};

/// Addresses that are remembered. A botnet may be larger: then the ones that waited longest are forgotten.
const ADDRESSES_MAX: usize = 65_536;
/// An address that asked for nothing for so long has its full allowance again.
const FORGET_AFTER: Duration = Duration::from_secs(120);
/// How many seconds of its rate an address may use at once: machines of one site start together behind one address.
const BURST_SECONDS: f64 = 10.0;
/// Secrets that open nothing, per second and address. A machine with a wrong URL asks once and gives up.
const FAILURES_PER_SECOND: f64 = 5.0;
/// Writes per second to one token, reports mostly: nine members that report twice a second.
const WRITES_PER_SECOND: f64 = 20.0;
/// Polls that one token's members and readers may hold open. Twice the largest cluster, and as many browsers again.
pub const POLLS_PER_TOKEN_MAX: usize = 64;

/// How much is allowed; 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Requests per second and address.
    pub requests_per_second: u32,
    /// New tokens per minute and address.
    pub tokens_per_minute: u32,
    /// Open polls and event streams per address.
    pub polls_per_address: u32,
    /// Open polls and event streams in all.
    pub polls: u32,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Limits {
    allowance: Allowance,
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    addresses: HashMap<IpAddr, Usage>,
    writes: HashMap<TokenId, Bucket>,
    polls: u32,
}

struct Usage {
    requests: Bucket,
    failures: Bucket,
    tokens: Bucket,
    polls: u32,
    seen: Instant,
}

/// Fills at a rate up to a burst; each use takes one.
struct Bucket {
    level: f64,
    at: Instant,
}

/// Why something is not allowed at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// A request.
    Request,
    /// A request with a secret that opens nothing.
    Failure,
    /// A new token.
    Token,
}

impl Limits {
    /// Nobody has asked for anything yet.
    #[must_use]
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, table: Arc::default() }
    }

    /// Takes one of `what` from what `address` may have. A unix socket has no address and no limit.
    ///
    /// # Errors
    /// [`Refusal::Busy`], when there is none left.
    pub fn take(&self, what: What, address: Option<IpAddr>, now: Instant) -> Result<(), Refusal> {
        let (rate, burst, text) = self.rate(what);
        let Some(address) = address.filter(|_| rate > 0.0).map(site) else { return Ok(()) };
        let mut table = self.table.lock();
        let usage = table.usage(address, now);
        let bucket = match what {
            What::Request => &mut usage.requests,
            What::Failure => &mut usage.failures,
            What::Token => &mut usage.tokens,
        };
        if bucket.take(rate, burst, now) { Ok(()) } else { Err(busy(text, rate)) }
    }

    /// Whether `address` has used up the failures it may have.
    ///
    /// # Errors
    /// [`Refusal::Busy`], when it has.
    pub fn check_failures(&self, address: Option<IpAddr>, now: Instant) -> Result<(), Refusal> {
        let (rate, burst, text) = self.rate(What::Failure);
        let Some(address) = address.filter(|_| rate > 0.0).map(site) else { return Ok(()) };
        let mut table = self.table.lock();
        let Some(usage) = table.addresses.get_mut(&address) else { return Ok(()) };
        if usage.failures.level(rate, burst, now) >= 1.0 { Ok(()) } else { Err(busy(text, rate)) }
    }

    /// Takes one of the writes that may be made to a token.
    ///
    /// # Errors
    /// [`Refusal::Busy`], when there is none left.
    pub fn write(&self, token: &TokenId, now: Instant) -> Result<(), Refusal> {
        let mut table = self.table.lock();
        if table.writes.len() >= ADDRESSES_MAX && !table.writes.contains_key(token) {
            table.writes.clear();
        }
        let bucket = table.writes.entry(token.clone()).or_insert_with(|| Bucket::full(now));
        if bucket.take(WRITES_PER_SECOND, WRITES_PER_SECOND * BURST_SECONDS, now) {
            return Ok(());
        }
        Err(busy("too many changes of this token", WRITES_PER_SECOND))
    }

    /// Takes one of the open polls that `address` may hold.
    ///
    /// # Errors
    /// [`Refusal::Busy`], when there is none left.
    pub fn poll(&self, address: Option<IpAddr>, now: Instant) -> Result<OpenPoll, Refusal> {
        /// A poll ends within a minute.
        const AFTER_S: u64 = 5;
        let busy = |what| Refusal::Busy { what, after_s: AFTER_S };
        let address = address.map(site);
        let mut table = self.table.lock();
        if table.polls >= bound(self.allowance.polls) {
            return Err(busy("too many requests wait here"));
        }
        if let Some(address) = address {
            let usage = table.usage(address, now);
            if usage.polls >= bound(self.allowance.polls_per_address) {
                return Err(busy("too many requests from this address wait here"));
            }
            usage.polls += 1;
        }
        table.polls += 1;
        Ok(OpenPoll { limits: self.clone(), address })
    }

    /// Rate, burst and what to say.
    fn rate(&self, what: What) -> (f64, f64, &'static str) {
        let requests = f64::from(self.allowance.requests_per_second);
        match what {
            What::Request => {
                (requests, requests * BURST_SECONDS, "too many requests from this address")
            }
            // Whoever lifts the limit on requests lifts this one, too.
            What::Failure => {
                let rate = requests.min(FAILURES_PER_SECOND);
                (
                    rate,
                    rate * BURST_SECONDS,
                    "too many requests from this address with secrets that open nothing",
                )
            }
            What::Token => {
                let minute = f64::from(self.allowance.tokens_per_minute);
                (minute / 60.0, minute, "too many new tokens from this address")
            }
        }
    }

    /// How many polls are open.
    #[must_use]
    pub fn open_polls(&self) -> u32 {
        self.table.lock().polls
    }
}

/// An open poll; given back when dropped.
pub struct OpenPoll {
    limits: Limits,
    address: Option<IpAddr>,
}

impl Drop for OpenPoll {
    fn drop(&mut self) {
        let mut table = self.limits.table.lock();
        table.polls = table.polls.saturating_sub(1);
        if let Some(usage) = self.address.and_then(|address| table.addresses.get_mut(&address)) {
            usage.polls = usage.polls.saturating_sub(1);
        }
    }
}

impl Table {
    fn usage(&mut self, address: IpAddr, now: Instant) -> &mut Usage {
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&address) {
            self.make_room(now);
        }
        let usage = self.addresses.entry(address).or_insert_with(|| Usage {
            requests: Bucket::full(now),
            failures: Bucket::full(now),
            tokens: Bucket::full(now),
            polls: 0,
            seen: now,
        });
        usage.seen = now;
        usage
    }

    /// Forgets who has not asked for long; if all have, half of those who hold nothing open.
    fn make_room(&mut self, now: Instant) {
        self.addresses.retain(|_, usage| {
            usage.polls > 0 || now.saturating_duration_since(usage.seen) < FORGET_AFTER
        });
        if self.addresses.len() < ADDRESSES_MAX {
            return;
        }
        let mut keeps = false;
        self.addresses.retain(|_, usage| {
            keeps = !keeps;
            usage.polls > 0 || keeps
        });
    }
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { level: f64::INFINITY, at: now }
    }

    /// What is in it now.
    fn level(&mut self, rate: f64, burst: f64, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * rate).min(burst.max(1.0));
        self.at = now;
        self.level
    }

    fn take(&mut self, rate: f64, burst: f64, now: Instant) -> bool {
        if self.level(rate, burst, now) < 1.0 {
            return false;
        }
        self.level -= 1.0;
        true
    }
}

fn busy(what: &'static str, rate: f64) -> Refusal {
    // Below one day, since no rate is below one a minute.
    Refusal::Busy { what, after_s: (1.0 / rate).ceil() as u64 }
}

fn bound(allowed: u32) -> u32 {
    if allowed == 0 { u32::MAX } else { allowed }
}

/// Whom an address stands for: a whole /64 belongs to one subscriber, so that counting its addresses singly is no limit.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance =
        Allowance { requests_per_second: 1, tokens_per_minute: 2, polls_per_address: 2, polls: 3 };

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_address_gets_what_it_may_have_and_then_what_flows_back() {
        let limits = Limits::new(ALLOWANCE);
        let start = Instant::now();
        let one = address("2001:db8::1");
        assert!((0..2).all(|_| limits.take(What::Token, one, start).is_ok()));
        assert!(limits.take(What::Token, one, start).is_err());
        // The same site by another address, and somebody else.
        assert!(limits.take(What::Token, address("2001:db8::2"), start).is_err());
        assert!(limits.take(What::Token, address("2001:db8:1::1"), start).is_ok());
        let later = start + Duration::from_secs(31);
        assert!(limits.take(What::Token, one, later).is_ok());
        assert!(limits.take(What::Token, one, later).is_err());
        assert!((0..1000).all(|_| limits.take(What::Token, None, later).is_ok()));
    }

    #[test]
    fn guessing_is_slowed_down_and_one_token_cannot_keep_the_store_busy() {
        let limits = Limits::new(ALLOWANCE);
        let (now, one) = (Instant::now(), address("10.0.0.1"));
        assert!(limits.check_failures(one, now).is_ok());
        while limits.take(What::Failure, one, now).is_ok() {}
        assert!(limits.check_failures(one, now).is_err());
        assert!(limits.check_failures(address("10.0.0.2"), now).is_ok());
        assert!(limits.check_failures(one, now + Duration::from_secs(2)).is_ok());
        let token = TokenId::parse(&"0".repeat(24)).unwrap();
        let writes = (0..1000).filter(|_| limits.write(&token, now).is_ok()).count();
        assert_eq!(writes, 200);
    }

    #[test]
    fn polls_are_given_back() {
        let limits = Limits::new(ALLOWANCE);
        let now = Instant::now();
        let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
        let held: Vec<_> = (0..2).map(|_| limits.poll(one, now).ok().unwrap()).collect();
        assert!(limits.poll(one, now).is_err());
        let third = limits.poll(other, now).ok().unwrap();
        assert!(limits.poll(other, now).is_err(), "three in all");
        drop((held, third));
        assert_eq!(limits.open_polls(), 0);
        assert!(limits.poll(one, now).is_ok());
    }

    #[test]
    fn the_table_is_bounded() {
        let limits = Limits::new(ALLOWANCE);
        let now = Instant::now();
        for number in 0..(ADDRESSES_MAX as u32 + 10) {
            let _ = limits.take(What::Request, Some(IpAddr::V4(number.into())), now);
        }
        assert!(limits.table.lock().addresses.len() <= ADDRESSES_MAX);
    }
}

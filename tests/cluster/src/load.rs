//! Clients that write through all members while a test does harm, and keep account of every answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate_harness::{Cluster, Ending, Http, HttpError, Member, Request, wait_until};

use crate::account::{Account, Ack, PLAIN, QUEUE};

/// How long a client waits for an answer before it goes on to another member.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// How long a client that has to bring a write through waits for an answer: longer than any server takes to give one.
const PATIENT_WITHIN: Duration = Duration::from_secs(20);
/// Between two attempts when no member answers.
const PAUSE: Duration = Duration::from_millis(5);
/// A client that must not fail gives up after this many connections that were refused or closed.
const RETRIES_MAX: usize = 2000;

/// When a client sends the same write again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// Never: the next write has a new value.
    Never,
    /// When the connection was refused, or closed before the first byte of an answer, as HTTP clients do by themselves. A
    /// server that closes like that after taking the write shows as a write carried out twice. Any other failure is noted.
    Unsent,
}

/// A running load. Stops when dropped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    acked: Arc<AtomicUsize>,
    account: Arc<Mutex<Account>>,
    clients: Vec<JoinHandle<()>>,
}

struct Client {
    number: usize,
    addresses: Vec<SocketAddr>,
    retry: Retry,
    pace: Duration,
    stop: Arc<AtomicBool>,
    acked: Arc<AtomicUsize>,
}

enum Sent {
    Acknowledged {
        key: String,
        index: u64,
    },
    NotTaken(String),
    /// The connection ended before the first byte of an answer.
    Closed(String),
    Unknown(String),
}

impl Load {
    /// Starts `clients` clients, which write through all of `cluster`'s members in turn.
    pub fn start(cluster: &Cluster, clients: usize, retry: Retry) -> Self {
        Self::through(&cluster.members(), clients, retry, Duration::ZERO)
    }

    /// Starts clients that write through `members`, each with a pause of `pace` between two writes.
    pub fn through(members: &[Arc<Member>], clients: usize, retry: Retry, pace: Duration) -> Self {
        let addresses: Vec<SocketAddr> =
            members.iter().map(|member| member.client_address()).collect();
        let (stop, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let account = Arc::new(Mutex::new(Account::default()));
        let clients = (0..clients).map(|number| {
            let client = Client {
                number,
                addresses: addresses.clone(),
                retry,
                pace,
                stop: Arc::clone(&stop),
                acked: Arc::clone(&acked),
            };
            let account = Arc::clone(&account);
            thread::spawn(move || {
                let own = client.run();
                account.lock().unwrap_or_else(PoisonError::into_inner).absorb(own);
            })
        });
        let clients = clients.collect();
        Self { stop, acked, account, clients }
    }

    /// Acknowledged writes so far.
    pub fn acknowledged(&self) -> usize {
        self.acked.load(Ordering::Relaxed)
    }

    /// Waits until `count` more writes have been acknowledged. Panics at the deadline.
    #[track_caller]
    pub fn wait_more(&self, count: usize, within: Duration) {
        let before = self.acknowledged();
        let what = format!("{count} more writes are acknowledged");
        wait_until(&what, within, || self.acknowledged() >= before + count);
    }

    /// Ends the clients and returns what they did.
    pub fn stop(mut self) -> Account {
        self.end();
        std::mem::take(&mut *self.account.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            // A client that panicked has printed why; its writes are missing from the account, which the checks notice.
            let _ = client.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

impl Client {
    fn run(&self) -> Account {
        let mut account = Account::default();
        let within = if self.retry == Retry::Never { ANSWER_WITHIN } else { PATIENT_WITHIN };
        let connections: Vec<Http> =
            self.addresses.iter().map(|at| Http::new(*at).keep_alive().timeout(within)).collect();
        let mut at = self.number;
        for write in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let value = format!("c{}-{write}", self.number);
            self.write(&connections, &mut at, &value, write % 4 == 3, &mut account);
            at += 1;
            if !self.pace.is_zero() {
                thread::sleep(self.pace);
            }
        }
        account
    }

    fn write(
        &self,
        connections: &[Http],
        at: &mut usize,
        value: &str,
        in_queue: bool,
        account: &mut Account,
    ) {
        let request = if in_queue {
            Request::post(format!("/v2/keys{QUEUE}"), &format!("value={value}"))
        } else {
            Request::put(format!("/v2/keys{PLAIN}/{value}"), &format!("value={value}"))
        };
        let begun = Instant::now();
        for _ in 0..RETRIES_MAX {
            match send(&connections[*at % connections.len()], &request) {
                Sent::Acknowledged { key, index } => {
                    let now = Instant::now();
                    self.acked.fetch_add(1, Ordering::Relaxed);
                    account.acks.push(Ack {
                        key,
                        value: value.to_owned(),
                        index,
                        at: now,
                        took: now - begun,
                    });
                    return;
                }
                Sent::NotTaken(_) | Sent::Closed(_) if self.retry == Retry::Unsent => {
                    *at += 1;
                    thread::sleep(PAUSE);
                }
                Sent::NotTaken(reason) => {
                    account.refused.insert(value.to_owned());
                    account.failures.push(reason);
                    thread::sleep(PAUSE);
                    return;
                }
                Sent::Closed(reason) | Sent::Unknown(reason) => {
                    account.open.insert(value.to_owned());
                    account.failures.push(format!("after {:?}: {reason}", begun.elapsed()));
                    return;
                }
            }
        }
        account.failures.push(format!("no member took `{value}` in {RETRIES_MAX} attempts"));
    }
}

fn send(http: &Http, request: &Request) -> Sent {
    match http.send(request) {
        Ok(answer) if (200..300).contains(&answer.status) && answer.ending == Ending::Complete => {
            let json = answer.json();
            let key = json["node"]["key"].as_str().unwrap_or_default().to_owned();
            Sent::Acknowledged { key, index: json["node"]["modifiedIndex"].as_u64().unwrap_or(0) }
        }
        Ok(answer) => Sent::Unknown(format!("{}: {answer}", http.address())),
        Err(error @ HttpError::Connect { .. }) => Sent::NotTaken(error.to_string()),
        Err(error @ (HttpError::Closed | HttpError::Broken(_))) => {
            Sent::Closed(format!("{}: {error}", http.address()))
        }
        Err(error) => Sent::Unknown(format!("{}: {error}", http.address())),
    }
}

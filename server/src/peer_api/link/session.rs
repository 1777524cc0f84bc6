//! One connection of a [`PeerLink`](super::PeerLink), from its upgrade to its end.
//!
//! A single task reads and writes. Request IDs count up from 1, so the calls in flight are a queue indexed by ID and
//! need no map. Every end is reported with its reason and none is a panic.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::{fmt, io};

use bytes::Bytes;
use quorate_core::MemberId;
use quorate_transport::http_client::Upgraded;
use quorate_transport::stream::{ReadHalf, WriteHalf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::Class;
use super::frame::{Decoder, Frame, FrameError, FrameType, ReplyError};
use super::hello::Hello;
use super::limits::LinkLimits;
use super::observer::LinkObserver;
use super::outbound::{Call, LinkError, Shared};
use super::outbox::Outbox;

/// Bytes that wait to be written before more calls are taken from the queue: enough for one large write.
const OUTBOX_BYTES_MAX: usize = 256 * 1024;
/// A silent connection is looked at this often within its allowed silence; it is pinged from the second look on.
const LOOKS_PER_SILENCE: u32 = 4;

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer closed it.
    Hangup,
    /// It broke.
    Broken(io::Error),
    /// What came could not be understood.
    Nonsense(FrameError),
    /// Nothing came for too long.
    Silence,
    /// Nobody holds the link any more.
    Unused,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hangup => f.write_str("the peer closed it"),
            Self::Broken(error) => write!(f, "it broke: {error}"),
            Self::Nonsense(error) => write!(f, "the peer sent what no peer sends: {error}"),
            Self::Silence => f.write_str("nothing came from the peer for too long"),
            Self::Unused => f.write_str("it is not needed any more"),
        }
    }
}

struct InFlight {
    reply: oneshot::Sender<Result<Bytes, LinkError>>,
    written: Instant,
}

/// The state of one connection.
pub(crate) struct Session<'a> {
    read: ReadHalf,
    write: WriteHalf,
    decoder: Decoder,
    outbox: Outbox,
    /// Whether TLS may keep bytes back that were written.
    is_unflushed: bool,
    /// Calls by ID, the first of which has the ID `first_id`. `None` is answered.
    in_flight: VecDeque<Option<InFlight>>,
    first_id: u64,
    last_received: Instant,
    look: Interval,
    limits: &'a LinkLimits,
    observer: &'a dyn LinkObserver,
    peer: MemberId,
    class: Class,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        upgraded: Upgraded,
        hello: &Hello,
        limits: &'a LinkLimits,
        observer: &'a dyn LinkObserver,
    ) -> Self {
        // A socket that refuses this is broken, which the first read tells.
        let _ = upgraded.stream.limit_unacknowledged(limits.silence_max * 2);
        let (read, write) = upgraded.stream.into_split();
        let mut look = interval(limits.silence_max / LOOKS_PER_SILENCE);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            read,
            write,
            decoder: Decoder::new(&upgraded.early, limits.body_max),
            outbox: Outbox::default(),
            is_unflushed: false,
            in_flight: VecDeque::new(),
            first_id: 1,
            last_received: Instant::now(),
            look,
            limits,
            observer,
            peer: hello.to,
            class: hello.class,
        }
    }

    /// Writes calls and hands out replies until the connection ends.
    pub(crate) async fn run(&mut self, calls: &mut mpsc::Receiver<Call>, shared: &Shared) -> End {
        loop {
            if let Err(error) = self.dispatch() {
                return End::Nonsense(error);
            }
            while self.has_room() {
                match calls.try_recv() {
                    Ok(call) => self.write_call(call, shared),
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => return End::Unused,
                }
            }
            let (has_room, has_output) = (self.has_room(), !self.outbox.is_empty());
            let must_flush = self.is_unflushed && !has_output;
            tokio::select! {
                biased;
                read = self.read.read_buf(self.decoder.space()) => match read {
                    Ok(0) => return End::Hangup,
                    Ok(bytes) => {
                        self.last_received = Instant::now();
                        self.observer.received(self.peer, self.class, bytes);
                    }
                    Err(error) => return End::Broken(error),
                },
                written = write_some(&mut self.write, &mut self.outbox), if has_output || must_flush => {
                    match written {
                        Ok(bytes) => {
                            self.is_unflushed = bytes > 0 && self.write.is_buffered();
                            self.observer.sent(self.peer, self.class, bytes);
                        }
                        Err(error) => return End::Broken(error),
                    }
                },
                call = calls.recv(), if has_room => match call {
                    Some(call) => self.write_call(call, shared),
                    None => return End::Unused,
                },
                _ = self.look.tick() => if self.is_silent() {
                    return End::Silence;
                },
            }
        }
    }

    /// Fails all calls in flight and returns how many those were.
    pub(crate) fn abandon(&mut self) -> usize {
        let mut failed = 0;
        for call in self.in_flight.drain(..).flatten() {
            // Nobody waits any more: then nobody has to be told.
            let _ = call.reply.send(Err(LinkError::Closed));
            failed += 1;
        }
        failed
    }

    fn has_room(&mut self) -> bool {
        if self.in_flight.len() >= self.limits.in_flight {
            // Calls that were given up need no place.
            while self.in_flight.front().is_some_and(is_forgotten) {
                self.in_flight.pop_front();
                self.first_id += 1;
            }
        }
        self.in_flight.len() < self.limits.in_flight && self.outbox.length() < OUTBOX_BYTES_MAX
    }

    fn write_call(&mut self, call: Call, shared: &Shared) {
        shared.queued_bytes.fetch_sub(call.body.len(), Ordering::Relaxed);
        if call.reply.is_closed() {
            return;
        }
        let id = self.first_id + self.in_flight.len() as u64;
        self.outbox.push(FrameType::Request, call.kind, id, call.body);
        self.in_flight.push_back(Some(InFlight { reply: call.reply, written: Instant::now() }));
    }

    fn dispatch(&mut self) -> Result<(), FrameError> {
        while let Some(frame) = self.decoder.next_frame()? {
            match frame.frame_type {
                FrameType::Reply | FrameType::ErrorReply => self.answer(frame)?,
                FrameType::Pong => {}
                FrameType::Request | FrameType::Ping => return Err(FrameError::WrongDirection),
            }
        }
        Ok(())
    }

    fn answer(&mut self, frame: Frame) -> Result<(), FrameError> {
        let unknown = FrameError::UnknownReply { id: frame.id };
        let Some(at) = frame.id.checked_sub(self.first_id) else {
            // Answered or given up long ago; 0 was never an ID.
            return if frame.id == 0 { Err(unknown) } else { Ok(()) };
        };
        let slot =
            usize::try_from(at).ok().and_then(|at| self.in_flight.get_mut(at)).ok_or(unknown)?;
        if let Some(call) = slot.take() {
            self.observer.round_trip(self.peer, self.class, call.written.elapsed());
            let result = match frame.frame_type {
                FrameType::Reply => Ok(frame.body),
                _ => Err(LinkError::Failed(ReplyError::decode(&frame.body))),
            };
            // A caller that no longer waits loses nothing but this.
            let _ = call.reply.send(result);
        }
        while self.in_flight.front().is_some_and(Option::is_none) {
            self.in_flight.pop_front();
            self.first_id += 1;
        }
        Ok(())
    }

    /// Whether the peer has been silent for too long; pings it on the way there.
    fn is_silent(&mut self) -> bool {
        let silence = self.last_received.elapsed();
        if silence >= self.limits.silence_max {
            return true;
        }
        // A full outbox asks louder than a ping.
        if silence >= self.limits.silence_max / LOOKS_PER_SILENCE && self.outbox.is_empty() {
            self.outbox.push(FrameType::Ping, 0, 0, Bytes::new());
        }
        false
    }
}

/// Writes what goes at once; when there is nothing, pushes out what TLS kept back. Returns the bytes taken.
async fn write_some(write: &mut WriteHalf, outbox: &mut Outbox) -> io::Result<usize> {
    if outbox.is_empty() {
        return write.flush().await.map(|()| 0);
    }
    write.write_buf(outbox).await
}

fn is_forgotten(call: &Option<InFlight>) -> bool {
    call.as_ref().is_none_or(|call| call.reply.is_closed())
}

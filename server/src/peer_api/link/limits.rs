//! The bounds of a link, by class.

use std::time::Duration;

use super::Class;

/// Largest frame body of a heartbeat link: its messages are tens of bytes, a forwarded membership at most thousands.
const HEARTBEAT_BODY_MAX: usize = 1 << 20;
/// Largest frame body of a log link: one append of the most entries that are sent together.
const LOG_BODY_MAX: usize = 64 << 20;
/// Largest frame body of a snapshot link: a chunk of 1 MiB and what describes it.
const SNAPSHOT_BODY_MAX: usize = 2 << 20;
/// Calls that may wait to be written. More means that the peer doesn't keep up, and waiting longer helps nobody.
const QUEUE_FRAMES_MAX: usize = 16_384;
/// Calls written and not yet answered: what a fast LAN holds at one millisecond's round trip and 4 million calls/s.
const IN_FLIGHT_MAX: usize = 4_096;
/// A peer on the same continent connects in a tenth of this; a dead address must not hold up the next one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// First pause after a failed attempt: a restarting process is back in this order of time.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// Longest pause: a peer that is back is met within this time, and an attempt costs one packet.
const BACKOFF_MAX: Duration = Duration::from_millis(80);
/// Pause after a refusal, which only a change of membership or configuration ends.
const REFUSED_BACKOFF: Duration = Duration::from_millis(250);

/// The bounds of one link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LinkLimits {
    /// Largest body of a frame, in bytes; a larger one closes the connection.
    pub body_max: usize,
    /// Calls waiting to be written.
    pub queue_frames: usize,
    /// Bytes of bodies waiting to be written. One body is always accepted into an empty queue.
    pub queue_bytes: usize,
    /// Calls written and not yet answered.
    pub in_flight: usize,
    /// For connecting and the upgrade, for each URL.
    pub connect_timeout: Duration,
    /// A connection on which nothing arrives for this long, though the peer was pinged meanwhile, is given up.
    pub silence_max: Duration,
    /// First pause between attempts to connect; doubles.
    pub backoff_min: Duration,
    /// Longest pause between attempts to connect.
    pub backoff_max: Duration,
    /// Pause between attempts when the peer refuses.
    pub refused_backoff: Duration,
}

impl LinkLimits {
    /// The limits for links of `class`.
    #[must_use]
    pub fn of(class: Class) -> Self {
        let (body_max, queue_bytes, silence_secs) = match class {
            // Resetting a silent connection beats waiting for TCP's doubling retransmissions after a partition.
            Class::Heartbeat => (HEARTBEAT_BODY_MAX, 4 << 20, 2),
            // A stalled disk at the peer silences it too, and must not cost the connection at once.
            Class::Log => (LOG_BODY_MAX, LOG_BODY_MAX, 4),
            Class::Snapshot => (SNAPSHOT_BODY_MAX, 8 << 20, 20),
        };
        Self {
            body_max,
            queue_frames: QUEUE_FRAMES_MAX,
            queue_bytes,
            in_flight: IN_FLIGHT_MAX,
            connect_timeout: CONNECT_TIMEOUT,
            silence_max: Duration::from_secs(silence_secs),
            backoff_min: BACKOFF_MIN,
            backoff_max: BACKOFF_MAX,
            refused_backoff: REFUSED_BACKOFF,
        }
    }
}

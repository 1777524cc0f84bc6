//! Where Quorate answers differently from etcd on purpose.
//!
//! Every entry has a test of the same name in `tests/departures.rs`, which asserts what etcd does and what Quorate does
//! in its place. A difference that is not in this table is a fault.

use quorate_harness::Program;

/// A difference that is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Departure {
    /// The name of its test.
    pub name: &'static str,
    /// What etcd 3.4 does.
    pub etcd: &'static str,
    /// What Quorate does.
    pub quorate: &'static str,
    /// Why that is better, and for whom.
    pub reason: &'static str,
}

/// All of them.
pub const DEPARTURES: [Departure; 17] = [
    Departure {
        name: "history_hides_hidden_keys",
        etcd: "a recursive watch from history returns events of hidden keys below",
        quorate: "hidden keys below the watched key stay hidden, live and in history",
        reason: "a watcher that was late by a moment must not see what one in time does not see",
    },
    Departure {
        name: "history_matches_whole_segments",
        etcd: "from history, the removal of directory /pd matches a watch on /pdother, by string prefix",
        quorate: "only watches at /pd or below it match",
        reason: "/pdother is another key; its watcher would be told of a removal that never happened to it",
    },
    Departure {
        name: "removal_is_told_to_absent_keys_below",
        etcd: "a live watch on a key that does not exist is not told that a directory above it was removed",
        quorate: "every watch at or below a removed directory is told",
        reason: "one rule for live watches and for history, so that being late changes nothing",
    },
    Departure {
        name: "a_stream_goes_on_after_history",
        etcd: "a stream with a past waitIndex delivers one event from history and is silent ever after",
        quorate: "it delivers every event since waitIndex, then live ones",
        reason: "that is what the stream was asked for; nobody can depend on the silence",
    },
    Departure {
        name: "a_removal_is_streamed_once",
        etcd: "a stream on exactly the removed key receives the delete or expire event twice",
        quorate: "it receives it once",
        reason: "one change is one event; a second copy makes a client act twice",
    },
    Departure {
        name: "a_huge_ttl_is_not_forever",
        etcd: "a TTL too large for its arithmetic silently makes the key permanent, or already expired",
        quorate: "the expiration is the true one, up to the beginning of the year 2500",
        reason: "a key that was given a TTL must show one",
    },
    Departure {
        name: "a_requested_end_is_a_success",
        etcd: "after SIGTERM the process ends itself by that same signal, which shells show as 143",
        quorate: "it returns exit code 0",
        reason: "an end that was asked for and went well is no failure, to any supervisor",
    },
    Departure {
        name: "a_failed_compare_and_delete_counts_as_failed",
        etcd: "/v2/stats/store counts a compare-and-delete whose condition does not hold as a success",
        quorate: "it is counted in compareAndDeleteFail",
        reason: "the field is there for that, and compare-and-swap is counted that way",
    },
    Departure {
        name: "a_refused_membership_change_says_why",
        etcd: "refuses changes of membership with 500 and the message `Internal Server Error`",
        quorate: "the status is the same, the message gives the reason",
        reason: "the person who is growing a cluster needs the reason, and reads the answer, not a member's log",
    },
    Departure {
        name: "an_addition_repeated_is_a_conflict",
        etcd: "adding a peer URL again before that member has started is refused with 500, since the cluster is not healthy",
        quorate: "it is refused with 409 and `membership: peerURL exists`, as for any member",
        reason: "whoever repeats an addition whose answer was lost learns that it was made",
    },
    Departure {
        name: "a_removed_member_does_not_start_again",
        etcd: "a removed member that is started again asks its peers, and ends with exit code 0",
        quorate: "it refuses to start, with exit code 1",
        reason: "its end was no failure, but a start that cannot succeed is one, and must be noticed",
    },
    Departure {
        name: "bytes_survive_a_snapshot",
        etcd: "bytes of a value that are not UTF-8 become U+FFFD once the member restarts from a snapshot, which is JSON",
        quorate: "a value keeps its bytes",
        reason: "a restart must not change data: a compare that held before it fails after it",
    },
    Departure {
        name: "a_coded_request_ends_its_connection",
        etcd: "the connection goes on after a request with a Transfer-Encoding",
        quorate: "the answer says `Connection: close`, and the connection ends",
        reason: "where a proxy and a server disagree about where such a body ends, the rest of it passes for the next \
                 request; there is no next one if the connection ends",
    },
    Departure {
        name: "a_flag_beats_its_variable",
        etcd: "a flag and its environment variable given together stop the start, with exit code 1",
        quorate: "the flag wins, and a warning names the variable",
        reason: "a start script may set what a machine's environment sets for everyone; etcd's own manual promises it",
    },
    Departure {
        name: "one_timing_makes_the_other_fit",
        etcd: "--election-timeout below five default heartbeats stops the start, with exit code 1",
        quorate: "the heartbeat interval that was not given is made to fit",
        reason: "there is one right answer, so there is nothing to ask back",
    },
    Departure {
        name: "a_guest_reads_no_more_than_is_permitted",
        etcd: "a guest who may read exactly /d may read all below it with recursive=true",
        quorate: "that needs a pattern which covers it, as for named users",
        reason: "what is permitted is what is written",
    },
    Departure {
        name: "a_watch_ends_with_the_right_to_read",
        etcd: "a watch is judged when it begins, and goes on when its user, the role or the password is taken away",
        quorate: "it ends, without another event, and so do watches of guests when users begin to count",
        reason: "rights that were taken away are gone, and not only for those who ask anew",
    },
];

impl Departure {
    /// The departure with this name. Panics when the table has none.
    pub fn named(name: &str) -> Self {
        let found = DEPARTURES.iter().find(|it| it.name == name);
        *found.unwrap_or_else(|| panic!("`{name}` is not in the table of departures"))
    }

    /// Panics unless `departed`, which is what was seen of `program`, is as the table says.
    #[track_caller]
    pub fn assert(&self, program: Program, departed: bool, seen: &str) {
        let (expected, text) = match program {
            Program::Etcd => (false, self.etcd),
            Program::Quorate => (true, self.quorate),
            Program::Discovery => panic!("the table is about members, not about {program}"),
        };
        assert_eq!(
            departed, expected,
            "{program}: expected that {text}, because {}; seen: {seen}",
            self.reason
        );
    }
}

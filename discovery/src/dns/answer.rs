//! From a message and what is known of the cluster it asks for to the answer. Pure.
//!
//! Invariants: an answer is never longer than the asker can take; whatever bytes come, the worst is an error as its answer; an answer is
//! never answered; and a name whose cluster cannot be looked up is a failure, never said not to exist.

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::HINFO;
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::zone::{Place, RECORD_TTL, Zone};

/// Bytes of a header: less than this is no message.
const HEADER_BYTES: usize = 12;
/// What is sent over UDP at most: it passes every network without being cut into pieces.
pub const UDP_BYTES_MAX: u16 = 1232;
/// What an asker can take that does not say.
const UDP_BYTES_OLD: u16 = 512;

/// How a message came, and the answer will go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// In one datagram.
    Udp,
    /// On a connection.
    Tcp,
}

/// What is known of the cluster that is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// Its records.
    Cluster(&'a [Record]),
    /// There is none of this label.
    Nothing,
    /// It cannot be looked up at the moment.
    Unavailable,
}

/// An answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The message.
    pub bytes: Vec<u8>,
    /// What was asked for, for metrics.
    pub kind: &'static str,
    /// What came of it, for metrics.
    pub result: &'static str,
}

/// A question that can be answered.
#[derive(Clone, Debug)]
pub struct Asked {
    metadata: Metadata,
    query: Query,
    edns: Option<Edns>,
}

/// Reads a message.
///
/// # Errors
/// It is no question for a name server: with the answer it gets, if it gets any.
pub fn read(bytes: &[u8]) -> Result<Asked, Option<Reply>> {
    let head = bytes.get(..HEADER_BYTES).ok_or(None)?;
    let flags = head.get(2).copied().unwrap_or_default();
    // Answering answers makes two servers talk for ever.
    if flags & 0x80 != 0 {
        return Err(None);
    }
    if flags & 0x78 != 0 {
        return Err(Some(bare(head, ResponseCode::NotImp, "not_implemented")));
    }
    let malformed = || Some(bare(head, ResponseCode::FormErr, "malformed"));
    let message = Message::from_vec(bytes).map_err(|_| malformed())?;
    let [query] = message.queries.as_slice() else { return Err(malformed()) };
    Ok(Asked { metadata: message.metadata, query: query.clone(), edns: message.edns })
}

impl Asked {
    /// The label of the cluster that has to be looked up for an answer, if any has.
    #[must_use]
    pub fn label(&self, zone: &Zone) -> Option<String> {
        match zone.place(&self.query.name) {
            Place::Cluster(label) if self.problem().is_none() => Some(label),
            _ => None,
        }
    }

    /// Answers. `known` is what is known of the cluster of [`Self::label`].
    #[must_use]
    pub fn reply(&self, zone: &Zone, known: Known<'_>, transport: Transport) -> Reply {
        let place = zone.place(&self.query.name);
        let (code, result) = match (self.problem(), &place, known) {
            (Some(code), ..) => (code, "refused"),
            (None, Place::Elsewhere, _) => (ResponseCode::Refused, "refused"),
            (None, Place::Cluster(_), Known::Unavailable) => (ResponseCode::ServFail, "failed"),
            (None, Place::Own, _) => return self.look_up(zone, zone.own(), transport),
            (None, Place::Cluster(_), Known::Cluster(records)) => {
                return self.look_up(zone, records, transport);
            }
            (None, Place::Cluster(_), Known::Nothing) => return self.look_up(zone, &[], transport),
        };
        let mut message = self.message();
        message.metadata.response_code = code;
        self.sealed(message, transport, result)
    }

    /// The answer that says: ask again on a connection. It is the question with another head, so that nobody gets much more than was
    /// sent in their name: a few bytes, if the question had its name compressed.
    #[must_use]
    pub fn come_by_tcp(&self) -> Reply {
        let mut message = self.message();
        message.metadata.truncation = true;
        self.sealed(message, Transport::Udp, "limited")
    }

    /// What it asks for, for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.query.query_type {
            RecordType::SRV => "srv",
            RecordType::A => "a",
            RecordType::AAAA => "aaaa",
            RecordType::SOA => "soa",
            RecordType::NS => "ns",
            RecordType::ANY => "any",
            RecordType::AXFR | RecordType::IXFR => "transfer",
            _ => "other",
        }
    }

    /// Why it is refused whatever it asks about.
    fn problem(&self) -> Option<ResponseCode> {
        if self.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            return Some(ResponseCode::BADVERS);
        }
        let is_transfer = matches!(self.query.query_type, RecordType::AXFR | RecordType::IXFR);
        (is_transfer || self.query.query_class != DNSClass::IN).then_some(ResponseCode::Refused)
    }

    /// Answers from the records of the place that the name belongs to.
    fn look_up(&self, zone: &Zone, records: &[Record], transport: Transport) -> Reply {
        let (name, kind) = (&self.query.name, self.query.query_type);
        let mut message = self.message();
        message.metadata.authoritative = true;
        let here: Vec<&Record> = records.iter().filter(|record| record.name == *name).collect();
        // A name exists when something has it, or a name below it.
        let exists = records.iter().any(|record| name.zone_of(&record.name));
        if kind == RecordType::ANY && exists {
            // All of it would be a gift for those who ask in others' names; this is the short answer that RFC 8482 has for them.
            let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
            message.add_answer(Record::from_rdata(name.clone(), RECORD_TTL, data));
            return self.sealed(message, transport, "answered");
        }
        for record in here.iter().filter(|record| record.record_type() == kind) {
            // Spelt as it was asked.
            let mut record = (*record).clone();
            record.name = name.clone();
            message.add_answer(record);
        }
        if message.answers.is_empty() {
            let soa = zone.own().first().filter(|record| record.record_type() == RecordType::SOA);
            message.authorities.extend(soa.cloned());
            if !exists {
                message.metadata.response_code = ResponseCode::NXDomain;
            }
            return self.sealed(message, transport, if exists { "no_data" } else { "no_name" });
        }
        let additional = additional(&message.answers, records);
        message.add_additionals(additional);
        self.sealed(message, transport, "answered")
    }

    /// An answer with nothing in it yet.
    fn message(&self) -> Message {
        let mut message = Message::new(self.metadata.id, MessageType::Response, OpCode::Query);
        message.metadata = Metadata::response_from_request(&self.metadata);
        message.metadata.checking_disabled = false;
        message.queries.push(self.query.clone());
        if self.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_BYTES_MAX);
            message.set_edns(edns);
        }
        message
    }

    /// The bytes of an answer, made to fit: without what it has besides the answer, or else with a word that there is more.
    fn sealed(&self, mut message: Message, transport: Transport, result: &'static str) -> Reply {
        let kind = self.kind();
        let bytes_max = self.bytes_max(transport);
        let fits = |message: &Message| {
            message.to_vec().ok().filter(|bytes| bytes.len() <= bytes_max && !is_cut(bytes))
        };
        let is_cut_already = message.metadata.truncation;
        let bytes = if is_cut_already { None } else { fits(&message) };
        let bytes = bytes.or_else(|| {
            message.additionals.clear();
            if is_cut_already { None } else { fits(&message) }
        });
        // A question and a header are always short enough.
        let bytes = bytes.or_else(|| message.truncate().to_vec().ok());
        Reply { bytes: bytes.unwrap_or_default(), kind, result }
    }

    fn bytes_max(&self, transport: Transport) -> usize {
        let taken = self.edns.as_ref().map_or(UDP_BYTES_OLD, Edns::max_payload);
        usize::from(match transport {
            Transport::Udp => taken.clamp(UDP_BYTES_OLD, UDP_BYTES_MAX),
            Transport::Tcp => u16::MAX,
        })
    }
}

/// The addresses of the hosts that the answers name, as far as they are here.
fn additional(answers: &[Record], records: &[Record]) -> Vec<Record> {
    let targets = answers.iter().filter_map(|record| match &record.data {
        RData::SRV(srv) => Some(&srv.target),
        RData::NS(ns) => Some(&ns.0),
        _ => None,
    });
    let targets: std::collections::BTreeSet<_> = targets.collect();
    let is_address = |record: &&Record| {
        matches!(record.record_type(), RecordType::A | RecordType::AAAA)
            && targets.contains(&record.name)
    };
    records.iter().filter(is_address).cloned().collect()
}

/// Whether the encoder had to leave something out.
fn is_cut(bytes: &[u8]) -> bool {
    bytes.get(2).is_some_and(|flags| flags & 0x02 != 0)
}

/// A header alone, with the ID, the operation and the wish for recursion of the question.
fn bare(head: &[u8], code: ResponseCode, result: &'static str) -> Reply {
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let mut bytes = vec![byte(0), byte(1), 0x80 | (byte(2) & 0x79), code.low()];
    bytes.resize(HEADER_BYTES, 0);
    Reply { bytes, kind: "none", result }
}

//! Random histories: the log must always answer as a plain list would, now and after a restart.

mod storage;

use quorate_server::storage::log::{Log, LogOptions};
use quorate_server::storage::record::{Entry, EntryId, Vote};
use storage::{Random, begin, contents, entry, options, seed};

/// What a log is: a list, and three numbers.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    purged: Option<EntryId>,
    vote: Option<Vote>,
    term: u64,
}

impl Model {
    fn next(&self) -> u64 {
        let last = self.entries.last().map(Entry::id).max(self.purged);
        last.map_or(0, |last| last.index + 1)
    }

    fn check(&self, log: &Log, context: &str) {
        let (state, entries) = contents(log);
        assert!(entries == self.entries, "{context}: {} entries", entries.len());
        assert_eq!(state.last, self.entries.last().map(Entry::id).or(self.purged), "{context}");
        assert_eq!((state.purged, state.vote), (self.purged, self.vote), "{context}");
    }

    fn check_range(&self, log: &Log, random: &mut Random, context: &str) {
        let start = random.below(self.next() + 2);
        let end = start + random.below(30);
        let read = log.read(start..end, random.below(2000) as usize).expect("readable");
        let first = self.entries.first().map_or(0, |entry| entry.index);
        let expected: Vec<_> =
            self.entries.iter().filter(|entry| (start..end).contains(&entry.index)).collect();
        let same = read.iter().zip(&expected).all(|(read, expected)| read == *expected);
        assert!(same && read.len() <= expected.len(), "{context}: {start}..{end} from {first}");
        assert_eq!(read.is_empty(), expected.is_empty(), "{context}: {start}..{end}");
    }
}

async fn step(log: &Log, model: &mut Model, random: &mut Random) {
    match random.below(20) {
        0 => {
            model.term += 1;
            let vote = Vote { term: model.term, candidate: random.below(5), committed: false };
            model.vote = Some(vote);
            log.save_vote(vote).await.expect("vote");
        }
        1..=2 => {
            let keep = random.below(model.entries.len() as u64 + 1) as usize;
            model.entries.truncate(keep);
            let after = model.entries.last().map(Entry::id).or(model.purged);
            log.truncate_after(after).expect("truncate");
            model.term += 1;
        }
        3 => {
            let upto = model.next().saturating_sub(random.below(40)) + random.below(3);
            if model.purged.is_none_or(|purged| purged.index < upto) {
                let known = model.entries.iter().find(|entry| entry.index == upto);
                let upto = known.map_or(EntryId::new(model.term, upto), Entry::id);
                model.entries.retain(|entry| entry.index > upto.index);
                model.purged = Some(upto);
                log.purge(upto).expect("purge");
            }
        }
        _ => {
            let next = model.next();
            let entries: Vec<Entry> = (next..next + 1 + random.below(6))
                .map(|index| entry(model.term, index, 1 + random.below(300) as usize))
                .collect();
            model.entries.extend(entries.iter().cloned());
            let done = begin(log, entries).await;
            if random.one_in(3) {
                done.await.expect("reported").expect("on the device");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_match_a_list() {
    let seed = seed();
    for round in 0..40 {
        let mut random = Random(seed.wrapping_add(round));
        let dir = tempfile::tempdir().expect("dir");
        let cache_bytes = random.below(4000) as usize;
        let open = |create| {
            let options = LogOptions { cache_bytes, ..options(create) };
            Log::open(dir.path(), options).expect("opens")
        };
        let mut log = open(true);
        let mut model = Model::default();
        for number in 0..300 {
            let context = format!("round {round}, step {number}");
            step(&log, &mut model, &mut random).await;
            model.check_range(&log, &mut random, &context);
            if random.one_in(40) {
                model.check(&log, &context);
                log.close();
                log = open(false);
                model.check(&log, &format!("{context}, reopened"));
            }
        }
    }
}

#![allow(clippy::unwrap_used)]

use conflict::Write;
use extractor::Held;
use log_store::{Identity, Options, Store};
use tokio::sync::Notify;
use transaction::binlog::{EventError, Item, Tables, for_each_item};
use transaction::record::{Lineage, PositionBody, TransactionBody};
use transaction::{Context, Epoch, Gtid, Incarnation, KeyHash, Weights, WriteId, key_of};

use super::*;

#[path = "../../../../conflict/tests/simulation/runs.rs"]
mod runs;

/// Real events: DDL, then a transaction of 5 row changes, of which the first 3 are of shop.stock.
const SHOP: &[u8] = include_bytes!("../../commands/log/shop.bin");

fn name(text: &str) -> RegionName {
    RegionName::new(text).unwrap()
}

/// The events of the transaction.
fn rows() -> &'static [u8] {
    let mut rest = SHOP;
    for _ in 0..2 {
        rest = &rest[u32::from_le_bytes(rest[9..13].try_into().unwrap()) as usize..];
    }
    rest
}

/// The key of its first row change.
fn key() -> KeyHash {
    let mut found = None;
    for_each_item::<EventError>(rows(), true, &mut Tables::default(), &mut 0, &mut |item| {
        if let Item::Change { table, index: 0, change, .. } = item {
            found = key_of(table, change.after.unwrap(), &Weights::default(), &mut Vec::new()).ok();
        }
        Ok(())
    })
    .unwrap();
    found.unwrap()
}

/// Region eu's logs of eu, us and ap.
struct Region {
    _dir: tempfile::TempDir,
    logs: LogSet,
}

impl Region {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity { mesh: "shop".to_owned(), region: name("eu") };
        let store = Store::open(dir.path(), identity, Options::default()).unwrap();
        let regions = ["eu", "us", "ap"].map(name);
        let logs = LogSet::open(&store, name("eu"), regions.into_iter(), &Arc::new(Notify::new())).unwrap();
        Self { _dir: dir, logs }
    }

    fn append(&self, origin: &str, sequence: u64, hlc: u64, body: Body<'_>) {
        let log = &self.logs.get(name(origin)).log;
        let record = Record {
            number: log.last_appended().next(),
            sequence: Sequence(sequence),
            hlc: Hlc(hlc),
            lineage: Lineage { incarnation: Incarnation(1), epoch: Epoch(1) },
            event_checksums: true,
            body,
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        log.append(&bytes).unwrap();
    }

    fn sync(&self) {
        for origin in ["eu", "us", "ap"] {
            self.logs.get(name(origin)).log.sync().unwrap();
        }
    }

    fn transaction(&self, origin: &str, sequence: u64, hlc: u64, context: &[(&str, u64)]) {
        self.append(origin, sequence, hlc, Body::Transaction(body(context)));
    }

    /// Repairs of all rows, after the first write of a transaction.
    fn repair(&self, origin: &str, sequence: u64, hlc: u64, context: &[(&str, u64)], after: WriteId) {
        let places = vec![RepairPlace { root: after, level: 1 }; 5];
        self.append(origin, sequence, hlc, Body::Repair { places, transaction: body(context) });
    }

    fn position(&self, origin: &str, last_sequence: u64, hlc: u64, context: &[(&str, u64)]) {
        let position = PositionBody {
            context: seen(context),
            suspended: Default::default(),
            last_sequence: Sequence(last_sequence),
            wall_us: 0,
            executed: String::new(),
            file: String::new(),
            offset: 0,
        };
        self.append(origin, 0, hlc, Body::Position(position));
    }

    /// What a restart makes of the logs; all of every log is applied. Nearly all of the index may go to runs.
    async fn rebuilt(&self, spills: bool) -> (Shared, Rebuilt) {
        self.sync();
        let regions = ["eu", "us", "ap"].map(name);
        let mut index = Index::new(&regions, name("eu")).unwrap();
        if spills {
            let limits = conflict::SpillLimits { bytes: 20_000, run_writes_max: 10_000, eager: false };
            index = index.spilling(Arc::new(runs::MemoryRuns::default()), limits);
        }
        let shared = Shared::new(index, Weights::default());
        let scope = Scope {
            carries: Arc::new(|_, table| table == "stock"),
            ddl: applier::ddl::always(applier::ddl::DdlPolicy::Halt),
        };
        let applied = regions.map(|region| (region, Sequence(u64::MAX))).to_vec();
        let mut ask = async |_: Vec<Need>| -> Result<(), transaction::Halt> { panic!("no text is a key") };
        let done = rebuild(&self.logs, &applied, None, &shared, &scope, &Default::default(), &mut ask)
            .await
            .unwrap();
        (shared, done)
    }

    /// The history of the first row, rebuilt.
    async fn story(&self) -> Option<conflict::Story> {
        let (shared, _) = self.rebuilt(false).await;
        let story = shared.index.lock().story(key()).unwrap();
        let (shared, _) = self.rebuilt(true).await;
        assert_eq!(shared.index.lock().story(key()).unwrap(), story);
        story
    }

    async fn history(&self) -> Vec<Write> {
        self.story().await.map_or(Vec::new(), |story| writes(&story))
    }
}

fn writes(story: &conflict::Story) -> Vec<Write> {
    story.writes.iter().map(|chapter| chapter.write).collect()
}

fn seen(context: &[(&str, u64)]) -> Context {
    context.iter().map(|(origin, sequence)| (name(origin), Sequence(*sequence))).collect()
}

fn body(context: &[(&str, u64)]) -> TransactionBody<'static> {
    TransactionBody {
        context: seen(context),
        suspended: Default::default(),
        gtid: Gtid::default(),
        commit_us: 1,
        chunks: 0,
        events: rows(),
    }
}

fn write(origin: &str, sequence: u64, hlc: u64) -> WriteId {
    WriteId { hlc: Hlc(hlc), origin: name(origin), sequence: Sequence(sequence), index: 0 }
}

fn told(history: &[Write]) -> Vec<(&str, u64, bool)> {
    history
        .iter()
        .map(|write| (write.id.origin.as_str(), write.id.sequence.0, write.repair.is_some()))
        .collect()
}

#[tokio::test]
async fn a_repair_stands_after_its_root_again() {
    let region = Region::new();
    region.transaction("us", 1, 10, &[]);
    region.transaction("ap", 1, 20, &[]);
    region.repair("eu", 1, 100, &[("us", 1)], write("us", 1, 10));
    let history = region.history().await;
    assert_eq!(told(&history), [("us", 1, false), ("eu", 1, true), ("ap", 1, false)]);
    assert_eq!(history[1].repair, Some(RepairPlace { root: write("us", 1, 10), level: 1 }));
}

#[tokio::test]
async fn what_comes_after_an_unstable_repair_in_fold_order_is_read_again_though_it_is_stable() {
    let region = Region::new();
    region.transaction("us", 1, 10, &[]);
    region.transaction("us", 2, 20, &[]);
    region.position("us", 2, 20, &[]);
    region.position("ap", 0, 20, &[("us", 2)]);
    // It has seen both, and no other region has seen it.
    region.repair("eu", 1, 100, &[("us", 2)], write("us", 1, 10));
    assert_eq!(told(&region.history().await), [("eu", 1, true), ("us", 2, false)]);
}

#[tokio::test]
async fn a_chain_that_was_abandoned_before_a_repair_is_no_part_of_it() {
    let region = Region::new();
    region.append("eu", 0, 50, Body::Chunk { index: 0, events: rows() });
    region.repair("eu", 1, 100, &[], write("us", 1, 10));
    assert_eq!(told(&region.history().await), [("eu", 1, true)]);
}

#[test]
fn a_restart_goes_on_behind_the_repairs_that_the_log_holds() {
    let region = Region::new();
    region.position("eu", 3, 50, &[("us", 1)]);
    region.transaction("eu", 4, 60, &[("us", 1)]);
    region.repair("eu", 5, 70, &[("us", 2)], write("us", 1, 10));
    region.sync();
    let log = &region.logs.own().log;
    let sources: applier::ddl::DdlSources = Arc::new(|_| Default::default());
    let resume = super::super::resume::from_log(
        log,
        name("eu"),
        Epoch(1),
        true,
        Vec::new(),
        Held::default(),
        &sources,
    )
    .unwrap()
    .unwrap();
    let logged: Vec<u64> = resume.logged.iter().map(|(sequence, _)| sequence.0).collect();
    assert_eq!((logged, resume.next_record), (vec![4, 5], RecordNumber(4)));
    assert_eq!(resume.stamper.last_sequence, Sequence(3));
}

/// What a history makes of the row if us owns it.
fn owned_by_us(story: &conflict::Story) -> WriteId {
    let policy = conflict::RegionOwned::Fixed(name("us"));
    match conflict::fold(&policy, story, &conflict::NoImages).unwrap() {
        conflict::Outcome::As(place) => story.writes[place].write.id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stable_write_that_only_another_stable_write_has_not_seen_decides_after_a_restart_as_before() {
    let region = Region::new();
    // The owner writes, and everyone has it; ap writes the row without having seen that, and everyone has that as well.
    region.transaction("us", 1, 10, &[]);
    region.transaction("ap", 1, 30, &[]);
    // This region has seen the owner's write, and no one else has seen this one.
    region.transaction("eu", 1, 20, &[("us", 1)]);
    region.position("us", 1, 40, &[("ap", 1)]);
    region.position("ap", 1, 40, &[("us", 1)]);
    region.position("eu", 1, 40, &[("us", 1), ("ap", 1)]);
    let story = region.story().await.unwrap();
    assert_eq!(owned_by_us(&story), write("eu", 1, 20), "ap's write loses against the owner's");
    assert_eq!(told(&writes(&story)), [("us", 1, false), ("eu", 1, false), ("ap", 1, false)]);
}

#[tokio::test]
async fn a_chain_of_stable_writes_that_have_not_seen_each_other_is_read_to_its_beginning() {
    let region = Region::new();
    // us and ap write in turn, neither having seen the other's last: far more links than the rebuild reads at a time.
    const LINKS: u64 = 2_000;
    for link in 1..=LINKS {
        let before = link.saturating_sub(1);
        region.transaction("us", link, 20 * link, &[("ap", before.saturating_sub(1))]);
        region.transaction("ap", link, 20 * link + 10, &[("us", before)]);
    }
    let seen: &[(&str, u64)] = &[("us", LINKS), ("ap", LINKS - 1)];
    region.transaction("eu", 1, 30 * LINKS, seen);
    region.position("us", LINKS, 40 * LINKS, &[("ap", LINKS)]);
    region.position("ap", LINKS, 40 * LINKS, &[("us", LINKS)]);
    region.position("eu", 1, 40 * LINKS, &[("us", LINKS), ("ap", LINKS)]);
    for spills in [false, true] {
        let (shared, done) = region.rebuilt(spills).await;
        let stats = shared.index.lock().stats();
        assert_eq!(stats.writes as u64, 3 * (2 * LINKS + 1), "three rows each");
        assert_eq!(stats.runs > 0, spills);
        assert_eq!(done.transactions, 2 * LINKS + 1, "each is read once");
    }
}

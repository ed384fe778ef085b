//! The binlog of a simulated server.

use transaction::{Gtid, GtidSet, RegionName, Source, Tag, Uuid};

use super::synthetic::{event, gtid, query, tagged_gtid, xid};

/// The events of one transaction, each with the offset of its end.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) gtid: Gtid,
    /// Number of the file.
    pub(crate) file: u64,
    pub(crate) events: Vec<(Vec<u8>, u64)>,
    /// Whether a client committed it.
    pub(crate) client: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Binlog {
    server: u8,
    pub(crate) groups: Vec<Group>,
    pub(crate) executed: GtidSet,
    pub(crate) file: u64,
    pub(crate) offset: u64,
    numbers: std::collections::BTreeMap<Tag, u64>,
}

impl Binlog {
    pub(crate) fn new(server: u8) -> Self {
        let (groups, executed, numbers) = Default::default();
        let mut binlog = Self { server, groups, executed, file: 0, offset: 0, numbers };
        binlog.begin_file();
        binlog
    }

    /// It is another server's from now on: its GTIDs have another UUID.
    pub(crate) fn become_another(&mut self) {
        self.server += 16;
        self.numbers.clear();
    }

    /// As after a restart.
    pub(crate) fn begin_file(&mut self) {
        self.file += 1;
        self.offset = 4 + Self::beginning().len() as u64;
    }

    /// The event that a file begins with.
    pub(crate) fn beginning() -> Vec<u8> {
        const FORMAT_DESCRIPTION: u8 = 15;
        event(FORMAT_DESCRIPTION, 1, &[0; 32])
    }

    pub(crate) fn append(
        &mut self,
        tag: Option<RegionName>,
        commit_us: u64,
        changes: Vec<Vec<u8>>,
        client: bool,
    ) -> Gtid {
        let tag_text = tag.map_or(String::new(), |tag| tag.to_string());
        let tag = Tag::new(&tag_text).unwrap();
        let number = self.numbers.entry(tag).or_default();
        *number += 1;
        let number = *number;
        let begins = match tag.is_empty() {
            true => gtid(self.server, number, commit_us),
            false => tagged_gtid(self.server, tag.as_str(), number, commit_us),
        };
        let gtid = Gtid { source: Source { uuid: Uuid([self.server; 16]), tag }, number };
        self.executed.insert(gtid);
        let all = [begins, query("s", "BEGIN")].into_iter().chain(changes).chain([xid()]);
        let events = split(&all.collect::<Vec<_>>().concat())
            .into_iter()
            .map(|event| {
                self.offset += event.len() as u64;
                (event, self.offset)
            })
            .collect();
        self.groups.push(Group { gtid, file: self.file, events, client });
        gtid
    }
}

/// Single events.
fn split(mut events: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while !events.is_empty() {
        let len = u32::from_le_bytes(events[9..13].try_into().unwrap()) as usize;
        all.push(events[..len].to_vec());
        events = &events[len..];
    }
    all
}

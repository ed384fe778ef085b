//! GTIDs and sets of them, with tags (MySQL 8.3 and later).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::region::NAME_MAX;

/// Highest transaction number of a GTID plus one: numbers run from 1 to 2^63 - 2.
pub(crate) const NUMBER_END: u64 = i64::MAX as u64;

/// Why a text or a byte string is no GTID or GTID set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a GTID set: {reason} in {near:?}")]
pub struct GtidError {
    reason: &'static str,
    near: String,
}

fn error(reason: &'static str, near: &str) -> GtidError {
    GtidError { reason, near: near.chars().take(80).collect() }
}

/// A server's UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = GtidError;
    fn from_str(text: &str) -> Result<Self, GtidError> {
        let digits: Vec<u32> = text.chars().filter(|c| *c != '-').map_while(|c| c.to_digit(16)).collect();
        if digits.len() != 32 || text.chars().filter(|c| *c != '-').count() != 32 {
            return Err(error("malformed UUID", text));
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = (pair[0] * 16 + pair[1]) as u8;
        }
        Ok(Self(bytes))
    }
}

/// The tag of a GTID; empty for an untagged one. At most 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tag([u8; NAME_MAX]);

impl Tag {
    /// A tag; the empty text is "no tag".
    pub fn new(text: &str) -> Result<Self, GtidError> {
        let bytes = text.as_bytes();
        let valid = bytes.len() <= NAME_MAX
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
            && !bytes.first().is_some_and(u8::is_ascii_digit);
        if !valid {
            return Err(error("malformed tag", text));
        }
        let mut inline = [0; NAME_MAX];
        for (to, from) in inline.iter_mut().zip(bytes) {
            *to = from.to_ascii_lowercase();
        }
        Ok(Self(inline))
    }

    /// The tag as text, empty for none.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|b| *b == 0).unwrap_or(NAME_MAX);
        std::str::from_utf8(&self.0[..len]).unwrap_or_default()
    }

    /// Whether there is no tag.
    pub fn is_empty(&self) -> bool {
        self.0[0] == 0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What numbers GTIDs: a server's UUID with a tag or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Source {
    /// The server.
    pub uuid: Uuid,
    /// The tag, or the empty one.
    pub tag: Tag,
}

/// A global transaction identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Gtid {
    /// Who numbered it.
    pub source: Source,
    /// The number, from 1.
    pub number: u64,
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.source.uuid)?;
        if !self.source.tag.is_empty() {
            write!(f, "{}:", self.source.tag.as_str())?;
        }
        write!(f, "{}", self.number)
    }
}

impl FromStr for Gtid {
    type Err = GtidError;
    fn from_str(text: &str) -> Result<Self, GtidError> {
        let set: GtidSet = text.parse()?;
        let mut single = set.intervals();
        match (single.next(), single.next()) {
            (Some((source, start, end)), None) if end == start + 1 => Ok(Gtid { source, number: start }),
            _ => Err(error("expected one GTID", text)),
        }
    }
}

/// A set of GTIDs, as intervals per source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GtidSet(BTreeMap<Source, Vec<(u64, u64)>>);

impl GtidSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one GTID; returns whether it was new.
    pub fn insert(&mut self, gtid: Gtid) -> bool {
        if self.contains(gtid) {
            return false;
        }
        self.insert_interval(gtid.source, gtid.number, gtid.number.saturating_add(1));
        true
    }

    /// Adds the numbers `start..end` of `source`.
    pub fn insert_interval(&mut self, source: Source, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let intervals = self.0.entry(source).or_default();
        // All intervals that touch start..end merge with it; they are adjacent in the sorted vector.
        let from = intervals.partition_point(|(_, e)| *e < start);
        let to = intervals.partition_point(|(s, _)| *s <= end);
        let merged =
            intervals[from..to].iter().fold((start, end), |(s, e), (is, ie)| (s.min(*is), e.max(*ie)));
        intervals.splice(from..to, [merged]);
    }

    /// Adds every GTID of `other`.
    pub fn union(&mut self, other: &GtidSet) {
        for (source, start, end) in other.intervals() {
            self.insert_interval(source, start, end);
        }
    }

    /// Whether `gtid` is in the set.
    pub fn contains(&self, gtid: Gtid) -> bool {
        self.0.get(&gtid.source).is_some_and(|intervals| {
            let at = intervals.partition_point(|(_, end)| *end <= gtid.number);
            intervals.get(at).is_some_and(|(start, _)| *start <= gtid.number)
        })
    }

    /// Whether every GTID of `other` is in this set.
    pub fn contains_all(&self, other: &GtidSet) -> bool {
        other.intervals().all(|(source, start, end)| {
            self.0.get(&source).is_some_and(|own| own.iter().any(|(s, e)| *s <= start && *e >= end))
        })
    }

    /// What is in this set and not in `other`.
    pub fn minus(&self, other: &GtidSet) -> GtidSet {
        let mut rest = GtidSet::new();
        for (source, mut start, end) in self.intervals() {
            for (s, e) in other.0.get(&source).into_iter().flatten() {
                if *e <= start || *s >= end {
                    continue;
                }
                rest.insert_interval(source, start, *s);
                start = *e;
            }
            rest.insert_interval(source, start, end);
        }
        rest
    }

    /// Every interval as (source, first number, last number + 1), sorted.
    pub fn intervals(&self) -> impl Iterator<Item = (Source, u64, u64)> + '_ {
        self.0.iter().flat_map(|(source, list)| list.iter().map(|(s, e)| (*source, *s, *e)))
    }

    /// Number of GTIDs in the set.
    pub fn count(&self) -> u64 {
        self.intervals().map(|(_, start, end)| end - start).sum()
    }

    /// The binary form that COM_BINLOG_DUMP_GTID takes: the plain form if no source has a tag, the tagged one otherwise.
    ///
    /// Plain: u64 count of UUIDs, then per UUID 16 bytes, u64 count of intervals, pairs of u64 (start, end exclusive).
    /// Tagged (8.3 and later): the count sits in bits 8..56 of the first word, whose lowest and highest bytes are 1,
    /// and after each UUID stands the tag: its length times two in one byte, then its text
    /// (`sql/rpl_gtid_set.cc`, `Gtid_set::encode`; the length is a `mysql::serialization` variable-length integer).
    pub fn to_bytes(&self) -> Vec<u8> {
        let tagged = self.0.keys().any(|source| !source.tag.is_empty());
        let count = self.0.len() as u64;
        let head = if tagged { (1 << 56) | (count << 8) | 1 } else { count };
        let mut out = head.to_le_bytes().to_vec();
        for (source, intervals) in &self.0 {
            out.extend_from_slice(&source.uuid.0);
            if tagged {
                let tag = source.tag.as_str();
                out.push((tag.len() as u8) << 1);
                out.extend_from_slice(tag.as_bytes());
            }
            out.extend_from_slice(&(intervals.len() as u64).to_le_bytes());
            for (start, end) in intervals {
                out.extend_from_slice(&start.to_le_bytes());
                out.extend_from_slice(&end.to_le_bytes());
            }
        }
        out
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last: Option<Uuid> = None;
        for (source, intervals) in &self.0 {
            match last {
                Some(uuid) if uuid == source.uuid => {}
                Some(_) => write!(f, ",{}", source.uuid)?,
                None => write!(f, "{}", source.uuid)?,
            }
            last = Some(source.uuid);
            if !source.tag.is_empty() {
                write!(f, ":{}", source.tag.as_str())?;
            }
            for (start, end) in intervals {
                write!(f, ":{start}")?;
                if *end > start + 1 {
                    write!(f, "-{}", end - 1)?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for GtidSet {
    type Err = GtidError;

    /// Parses the server's text form: `uuid[:tag]:1-5:7[:tag2:1],uuid2:…`, white space ignored.
    fn from_str(text: &str) -> Result<Self, GtidError> {
        let mut set = GtidSet::new();
        for group in text.split(',').map(str::trim).filter(|group| !group.is_empty()) {
            let mut parts = group.split(':').map(str::trim);
            let uuid: Uuid = parts.next().unwrap_or_default().parse()?;
            let mut source = Source { uuid, tag: Tag::default() };
            for part in parts {
                if part.starts_with(|c: char| c.is_ascii_digit()) {
                    let (first, last) = part.split_once('-').unwrap_or((part, part));
                    let number = |digits: &str| {
                        digits.trim().parse::<u64>().map_err(|_| error("malformed number", part))
                    };
                    let (first, last) = (number(first)?, number(last)?);
                    if first == 0 || last < first || last >= NUMBER_END {
                        return Err(error("interval out of range", part));
                    }
                    set.insert_interval(source, first, last + 1);
                } else {
                    source.tag = Tag::new(part)?;
                }
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const U: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn text_form_is_the_servers_canonical_one() {
        let set: GtidSet =
            format!("{U}:1-3:5:4:eu:7,\n3e11fa47-71ca-11e1-9e33-c80aa9429563:1").parse().unwrap();
        assert_eq!(set.to_string(), format!("{U}:1-5:eu:7,3e11fa47-71ca-11e1-9e33-c80aa9429563:1"));
        assert_eq!(set.count(), 7);
        for bad in [format!("{U}:0"), format!("{U}:5-4"), "x:1".into(), format!("{U}:1-")] {
            assert!(bad.parse::<GtidSet>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_set_of_numbers(a in prop::collection::vec((1u64..40, 1u64..8), 0..8), b in prop::collection::vec((1u64..40, 1u64..8), 0..8)) {
            let source = Source { uuid: U.parse().unwrap(), tag: Tag::new("t").unwrap() };
            let build = |list: &[(u64, u64)]| {
                let mut set = GtidSet::new();
                let mut model = std::collections::BTreeSet::new();
                for (start, len) in list {
                    set.insert_interval(source, *start, start + len);
                    model.extend(*start..start + len);
                }
                (set, model)
            };
            let ((x, mx), (y, my)) = (build(&a), build(&b));
            for number in 0..60 {
                prop_assert_eq!(x.contains(Gtid { source, number }), mx.contains(&number));
            }
            prop_assert_eq!(x.count(), mx.len() as u64);
            prop_assert_eq!(x.contains_all(&y), my.is_subset(&mx));
            prop_assert_eq!(x.minus(&y).count(), mx.difference(&my).count() as u64);
            prop_assert_eq!(x.to_string().parse::<GtidSet>().unwrap(), x.clone());
            let mut both = x.clone();
            both.union(&y);
            prop_assert_eq!(both.count(), mx.union(&my).count() as u64);
        }
    }
}

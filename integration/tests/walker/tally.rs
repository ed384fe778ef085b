//! What was compared with one rival.

use std::collections::BTreeMap;
use std::fmt;

/// How many differences are shown.
const SHOWN_MAX: usize = 40;
/// How many characters of a value are shown.
const SHOWN_CHARS_MAX: usize = 200;

/// What came of one value.
pub(crate) enum Verdict {
    /// Both say the same.
    Same,
    /// The rival cannot say it, or says it wrongly, by this rule.
    Skipped(&'static str),
    /// They differ: what we say, and what the rival says.
    Differs(String, String),
}

/// Counts, and the first differences.
pub(crate) struct Tally {
    rival: &'static str,
    pub(crate) events: u64,
    pub(crate) rows: u64,
    pub(crate) values: u64,
    pub(crate) nulls: u64,
    skipped: BTreeMap<&'static str, u64>,
    pub(crate) differences: Vec<String>,
    pub(crate) count: u64,
}

impl Tally {
    pub(crate) fn of(rival: &'static str) -> Self {
        Self {
            rival,
            events: 0,
            rows: 0,
            values: 0,
            nulls: 0,
            skipped: BTreeMap::new(),
            differences: Vec::new(),
            count: 0,
        }
    }

    /// How many values were left out.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Leaves out `count` things by a rule.
    pub(crate) fn skip(&mut self, rule: &'static str, count: u64) {
        *self.skipped.entry(rule).or_default() += count;
    }

    /// Takes note of one value; `place` names it.
    pub(crate) fn value(&mut self, verdict: Verdict, null: bool, place: impl FnOnce() -> String) {
        match verdict {
            Verdict::Same => {
                self.values += 1;
                self.nulls += u64::from(null);
            }
            Verdict::Skipped(rule) => self.skip(rule, 1),
            Verdict::Differs(ours, theirs) => {
                let same =
                    ours.chars().zip(theirs.chars()).take_while(|(ours, theirs)| ours == theirs).count();
                let [ours, theirs] = [ours, theirs].map(|text| cut(&text, same));
                self.differ(format!("{}: ours {ours}, theirs {theirs}", place()));
            }
        }
    }

    /// Takes note of a difference.
    pub(crate) fn differ(&mut self, what: String) {
        self.count += 1;
        if self.differences.len() < SHOWN_MAX {
            self.differences.push(what);
        }
    }
}

/// What of a text is shown; the first `same` characters are the same on both sides.
fn cut(text: &str, same: usize) -> String {
    let from = same.saturating_sub(SHOWN_CHARS_MAX / 2);
    let shown: String = text.chars().skip(from).take(SHOWN_CHARS_MAX).collect();
    let [before, after] =
        [from > 0, text.chars().count() > from + SHOWN_CHARS_MAX].map(|more| if more { "…" } else { "" });
    format!("{before}{shown}{after}")
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "beside {}: {} row events, {} rows, {} values ({} of them NULL) are the same; {} differ",
            self.rival, self.events, self.rows, self.values, self.nulls, self.count
        )?;
        for (rule, count) in &self.skipped {
            write!(out, "\n  left out {count}: {rule}")?;
        }
        Ok(())
    }
}

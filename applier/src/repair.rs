//! Repairs: writes that Concord itself makes, on their way into this region's own log.
//!
//! They travel as rows of `concord.repair` that live only within the target transaction: the extractor makes one record of
//! the region's own log of them.

use std::fmt::Write as _;

use conflict::Image;
use transaction::RepairPlace;
use transaction::binlog::RowsKind;

use crate::code;
use crate::contest::Desired;
use crate::effect::rows_kind;
use crate::session::SqlFailure;
use crate::text::RowsText;

/// One row change that no client made, and where it stands in the fold order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repair {
    pub(crate) place: RepairPlace,
    /// One table map and one rows event with one row change.
    pub(crate) events: Vec<u8>,
}

impl Repair {
    /// The repair by which a row becomes what it is wanted to be, after what its history alone makes of it; `None` if that
    /// is the same.
    pub(crate) fn of(row: &Desired) -> Result<Option<Self>, SqlFailure> {
        if row.wanted == row.folded && !row.forced {
            return Ok(None);
        }
        let kind = match rows_kind(row.folded.is_some(), row.wanted.is_some()) {
            Some(kind) => kind,
            None if row.forced => RowsKind::Delete,
            None => return Ok(None),
        };
        let halt =
            |what: &str| code::INTERNAL_ERROR.halt(format_args!("a row of {} {what}", row.table.full_name()));
        let place = row.after.ok_or_else(|| halt("was repaired 255 times over; please report this"))?;
        // Two images of one event have one layout.
        let image = |image: &Option<Image>| image.as_ref().map(|image| image.bytes.clone());
        let (table, images): (_, Vec<Vec<u8>>) = match (kind, &row.folded, &row.wanted) {
            (RowsKind::Update, Some(before), Some(after)) if before.table != after.table => {
                (after.table.clone(), vec![after.bytes.clone(), after.bytes.clone()])
            }
            (RowsKind::Delete, None, None) => (row.stand_in.table.clone(), vec![row.stand_in.bytes.clone()]),
            (_, folded, wanted) => {
                let table = wanted.as_ref().or(folded.as_ref()).map_or(&row.table, |image| &image.table);
                (table.clone(), [image(folded), image(wanted)].into_iter().flatten().collect())
            }
        };
        let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
        let mut text = RowsText::default();
        // Whoever applies it looks after what refers to the row as this region did.
        text.push(&table, kind, 0, row.timestamp, &images);
        Ok(Some(Self { place, events: text.take_events() }))
    }
}

/// The statements that put repairs where the extractor finds them, and take them away again.
pub(crate) fn statements(repairs: &[Repair]) -> Vec<String> {
    let mut statements: Vec<String> = repairs
        .iter()
        .enumerate()
        .map(|(id, repair)| {
            let RepairPlace { root, level } = repair.place;
            let mut text = format!(
                "INSERT INTO concord.repair VALUES ({id}, {}, '{}', {}, {}, {level}, x'",
                root.hlc, root.origin, root.sequence, root.index
            );
            for byte in &repair.events {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
            text.push_str("')");
            text
        })
        .collect();
    if !statements.is_empty() {
        statements.push("DELETE FROM concord.repair".into());
    }
    statements
}

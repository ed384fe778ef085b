//! A transaction as people read it.

use std::io::Write;

use transaction::binlog::{QueryEvent, utc_text};
use transaction::{RegionName, RepairPlace};

use super::show::{Change, Form};
use super::transactions::{Stamps, Written, shown_statement};

const CHANGED: &str = "\x1b[1;33m";
const TITLE: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// Text, changed columns highlighted if the terminal can.
pub(super) struct People {
    color: bool,
    rows: u64,
}

impl People {
    pub(super) fn new(color: bool) -> Self {
        Self { color, rows: 0 }
    }

    fn style(&self, style: &'static str, text: &str) -> String {
        if self.color { format!("{style}{text}{PLAIN}") } else { text.to_owned() }
    }
}

impl Form for People {
    fn begin(&mut self, origin: RegionName, stamps: &Stamps, out: &mut dyn Write) -> Written {
        let number = if stamps.sequence.0 > 0 { format!(" {}", stamps.sequence) } else { String::new() };
        let title = format!("{}{number} of {origin}", stamps.kind_name());
        writeln!(out, "{}", self.style(TITLE, &title))?;
        match stamps.chunks {
            0 => writeln!(out, "  record       {}", stamps.record)?,
            chunks => {
                writeln!(
                    out,
                    "  records      {} to {} ({chunks} chunks and the end)",
                    stamps.first_record(),
                    stamps.record
                )?;
            }
        }
        if let Some(gtid) = stamps.gtid {
            writeln!(out, "  GTID         {gtid}")?;
        }
        if let Some(xid) = &stamps.xid {
            writeln!(out, "  XID          {}", shown_statement(xid.as_bytes()))?;
        }
        if let Some(us) = stamps.commit_us {
            writeln!(out, "  committed    {} UTC", utc_text(us))?;
        }
        writeln!(out, "  stamp (HLC)  {} UTC", utc_text(stamps.hlc.0))?;
        let context = stamps.context.to_string();
        writeln!(
            out,
            "  context      {}",
            if context.is_empty() { "nothing of other regions" } else { &context }
        )?;
        writeln!(out, "  incarnation  {}, epoch {}", stamps.incarnation, stamps.epoch)
    }

    fn change(&mut self, change: &Change<'_>, out: &mut dyn Write) -> Written {
        self.rows += 1;
        let action = match (&change.before, &change.after) {
            (None, _) => "INSERT",
            (_, None) => "DELETE",
            _ => "UPDATE",
        };
        let name = shown_statement(change.table.full_name().as_bytes());
        writeln!(out, "\n{}", self.style(TITLE, &format!("#{} {action} {name}", change.index)))?;
        if let Some(RepairPlace { root, level }) = change.repair {
            let time = utc_text(root.hlc.0);
            let after = format!(
                "write {} of transaction {} of {} ({time} UTC)",
                root.index, root.sequence, root.origin
            );
            match level {
                0 => writeln!(out, "    -- brings a row together with what a failover had lost of it")?,
                1 => writeln!(out, "    -- stands right after {after}")?,
                _ => writeln!(out, "    -- stands {level} repairs after {after}")?,
            }
        }
        let columns = &change.table.columns;
        let width = columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0);
        for (place, column) in columns.iter().enumerate() {
            let value =
                |row: &Option<Vec<_>>| row.as_ref().and_then(|row| row.get(place)).map(ToString::to_string);
            let text = match (value(&change.before), value(&change.after)) {
                (Some(before), Some(after)) if change.changed[place] => {
                    self.style(CHANGED, &format!("{before} → {after}"))
                }
                (Some(only), _) | (None, Some(only)) => only,
                (None, None) => continue,
            };
            writeln!(out, "    {:width$}  {text}", shown_statement(column.name.as_bytes()))?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &QueryEvent<'_>, out: &mut dyn Write) -> Written {
        let title = match statement.schema {
            "" => "statement".to_owned(),
            schema => format!("statement in {}", shown_statement(schema.as_bytes())),
        };
        writeln!(out, "\n{}\n    {}", self.style(TITLE, &title), shown_statement(statement.statement))
    }

    fn end(&mut self, out: &mut dyn Write) -> Written {
        writeln!(out, "\n{} row change{}", self.rows, if self.rows == 1 { "" } else { "s" })
    }
}

//! Conflicts as the journal has them, made of the writes that met.

use conflict::{Image, Write};
use transaction::binlog::{EventError, Value, row_values};
use transaction::{Context, RegionName};

use crate::journal::{Columns, Entry, Found, Kind, Side, Verb, Winner, id_of};

/// What is known of one of the two writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) before: Option<Image>,
    pub(crate) after: Option<Image>,
    pub(crate) context: Context,
    pub(crate) gtid: String,
    pub(crate) commit_us: u64,
}

/// A conflict that was decided.
#[derive(Debug)]
pub(crate) struct Finding<'a> {
    pub(crate) region: RegionName,
    pub(crate) found_us: u64,
    /// An image of the row that the entry is about.
    pub(crate) row: &'a Image,
    /// `None`: as the two writes say.
    pub(crate) constraint: Option<Kind>,
    pub(crate) found: Found,
    pub(crate) policy: String,
    pub(crate) incoming: (&'a Write, &'a Known),
    pub(crate) existing: (&'a Write, &'a Known),
    pub(crate) winner: Winner,
    pub(crate) result: Option<&'a Image>,
    pub(crate) repairs: u32,
    pub(crate) detect_only: bool,
}

impl Finding<'_> {
    /// The entry, with every value as text.
    pub(crate) fn entry(&self) -> Result<Entry, EventError> {
        let table = &self.row.table;
        let values = row_values(table, &self.row.bytes)?;
        let mut key = Vec::with_capacity(table.primary_key.len());
        for (place, _) in &table.primary_key {
            let column = &table.columns[*place];
            let literal = Value::decode(column, values[*place])?.sql_literal(column);
            key.push((column.name.clone(), literal));
        }
        let (incoming, existing) = (side(self.incoming)?, side(self.existing)?);
        let id = id_of(&table.schema, &table.table, &key, incoming.position(), existing.position());
        let kind = self.constraint.unwrap_or_else(|| Kind::of(verb(self.incoming), verb(self.existing)));
        Ok(Entry {
            id,
            found_us: self.found_us,
            region: self.region,
            schema: table.schema.clone(),
            table: table.table.clone(),
            key,
            kind,
            found: self.found,
            policy: self.policy.clone(),
            incoming,
            existing,
            winner: self.winner,
            result: self.result.map(columns).transpose()?,
            repairs: self.repairs,
            detect_only: self.detect_only,
        })
    }
}

fn verb((write, known): (&Write, &Known)) -> Verb {
    match (write.live, &known.before) {
        (false, _) => Verb::Delete,
        (true, None) => Verb::Insert,
        (true, Some(_)) => Verb::Update,
    }
}

fn side((write, known): (&Write, &Known)) -> Result<Side, EventError> {
    Ok(Side {
        origin: write.id.origin,
        sequence: write.id.sequence,
        hlc: write.id.hlc,
        index: write.id.index,
        commit_us: known.commit_us,
        gtid: known.gtid.clone(),
        context: known.context.iter().collect(),
        before: known.before.as_ref().map(columns).transpose()?,
        after: known.after.as_ref().map(columns).transpose()?,
        repair: write.repair.is_some(),
    })
}

/// A row, column by column, as SQL literals. Columns that the image does not have are left out.
pub(crate) fn columns(image: &Image) -> Result<Columns, EventError> {
    let values = row_values(&image.table, &image.bytes)?;
    let named = image.table.columns.iter().zip(values).enumerate();
    named
        .filter(|(place, _)| image.table.has(*place))
        .map(|(_, (column, value))| {
            let literal = match value {
                None => None,
                Some(_) => Some(Value::decode(column, value)?.sql_literal(column)),
            };
            Ok((column.name.clone(), literal))
        })
        .collect()
}

/// The primary key of a row, for people: `id = 7, part = 'a'`.
pub(crate) fn key_text(image: &Image) -> Result<String, EventError> {
    let values = row_values(&image.table, &image.bytes)?;
    let columns = image.table.primary_key.iter().map(|(place, _)| {
        let column = &image.table.columns[*place];
        Ok(format!("{} = {}", column.name, Value::decode(column, values[*place])?.sql_literal(column)))
    });
    Ok(columns.collect::<Result<Vec<_>, EventError>>()?.join(", "))
}

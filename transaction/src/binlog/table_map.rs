//! The layout of a table, as the event before its rows gives it.

use super::EventError;
use super::column::{Column, ColumnType};
use super::input::Input;
use super::temporal::DIGITS_MAX;

/// A `Table_map` event with FULL metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMap {
    /// Number that the rows events use.
    pub table_id: u64,
    /// Schema.
    pub schema: String,
    /// Table.
    pub table: String,
    /// Columns in order.
    pub columns: Vec<Column>,
    /// Places of the primary key's columns in key order, each with its prefix length in characters (0: whole). Empty if
    /// the table has no primary key.
    pub primary_key: Vec<(usize, u32)>,
    /// Which columns its row images have, as the rows events' column bitmaps say it, least significant bit first. Bits
    /// beyond the last column may be set (seen on 9.7.4).
    pub present: Vec<u8>,
    /// The event's body after the table id, to send it on under another number.
    pub body_after_id: Vec<u8>,
}

/// `bits` ones, least significant first, as the column bitmaps of rows events have them.
pub fn full_bitmap(bits: usize) -> Vec<u8> {
    let mut bitmap = vec![0xff; bits.div_ceil(8)];
    if let (Some(last), 1..) = (bitmap.last_mut(), bits % 8) {
        *last = (1 << (bits % 8)) - 1;
    }
    bitmap
}

impl TableMap {
    /// `schema.table`, for messages.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    /// The table id of a table map's body, without reading the rest.
    pub fn peek_id(body: &[u8]) -> Result<u64, EventError> {
        Input::new(body, "Table_map").uint(6)
    }

    /// Whether row images have the column at `place`.
    pub fn has(&self, place: usize) -> bool {
        self.present.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1)
    }

    /// Names of the columns that row images lack.
    pub fn absent(&self) -> impl Iterator<Item = &str> {
        self.columns
            .iter()
            .enumerate()
            .filter(|(place, _)| !self.has(*place))
            .map(|(_, column)| column.name.as_str())
    }

    /// Length of the null bitmap of a row image, in bytes: a bit per column that it has.
    pub(super) fn nulls_len(&self) -> usize {
        // Counted bytewise, as this is done for each image; bits behind the last column count for nothing.
        let (whole, rest) = (self.columns.len() / 8, self.columns.len() % 8);
        let (head, tail) = self.present.split_at(whole.min(self.present.len()));
        let of_tail = tail.first().map_or(0, |byte| byte & ((1 << rest) - 1));
        let ones: u32 = head.iter().map(|byte| byte.count_ones()).sum();
        (ones + of_tail.count_ones()).div_ceil(8) as usize
    }

    /// Reads the body of the event.
    pub fn decode(body: &[u8]) -> Result<Self, EventError> {
        let mut input = Input::new(body, "Table_map");
        let table_id = input.uint(6)?;
        let body_after_id = input.rest.to_vec();
        input.take(2)?;
        let len = input.lenenc_len()?;
        let schema = input.text(len)?.to_owned();
        input.byte()?;
        let len = input.lenenc_len()?;
        let table = input.text(len)?.to_owned();
        input.byte()?;
        let width = input.lenenc_len()?;
        let codes = input.take(width)?;
        let metadata_len = input.lenenc_len()?;
        let mut metadata = Input::new(input.take(metadata_len)?, "Table_map");
        let nullable = input.take(width.div_ceil(8))?;
        let full_name = || format!("{schema}.{table}");
        let mut columns = Vec::with_capacity(width);
        for (at, code) in codes.iter().enumerate() {
            let kind = column_type(*code, &mut metadata)?
                .ok_or_else(|| EventError::UnknownColumnType { table: full_name(), code: *code })?;
            columns.push(Column {
                name: String::new(),
                kind,
                nullable: nullable[at / 8] >> (at % 8) & 1 == 1,
                unsigned: false,
                collation: 0,
                members: Vec::new(),
            });
        }
        let present = full_bitmap(columns.len());
        let mut map =
            Self { table_id, schema, table, columns, primary_key: Vec::new(), present, body_after_id };
        let named = map.read_metadata(input)?;
        for column in map.columns.iter_mut().filter(|column| matches!(column.kind, ColumnType::Vector(_))) {
            column.collation = 0;
        }
        if !named && !map.columns.is_empty() {
            return Err(EventError::MinimalMetadata { table: map.full_name() });
        }
        Ok(map)
    }

    /// Reads the optional metadata: type, length, value. Returns whether column names were there.
    fn read_metadata(&mut self, mut input: Input<'_>) -> Result<bool, EventError> {
        let mut named = false;
        while !input.rest.is_empty() {
            let field = input.byte()?;
            let len = input.lenenc_len()?;
            let mut value = Input::new(input.take(len)?, "Table_map");
            match field {
                1 => self.read_signs(&mut value)?,
                2 => self.read_default_collation(&mut value, ColumnType::lists_collation)?,
                3 => self.read_collations(&mut value, ColumnType::lists_collation)?,
                4 => {
                    for column in &mut self.columns {
                        let len = value.lenenc_len()?;
                        column.name = value.text(len)?.to_owned();
                    }
                    named = true;
                }
                5 => self.read_members(&mut value, |kind| matches!(kind, ColumnType::Set(_)))?,
                6 => self.read_members(&mut value, |kind| matches!(kind, ColumnType::Enum(_)))?,
                8 => {
                    while !value.rest.is_empty() {
                        let place = value.lenenc()? as usize;
                        self.push_key_part(place, 0, &value)?;
                    }
                }
                9 => {
                    while !value.rest.is_empty() {
                        let place = value.lenenc()? as usize;
                        let prefix = value.lenenc()? as u32;
                        self.push_key_part(place, prefix, &value)?;
                    }
                }
                10 => self.read_default_collation(&mut value, ColumnType::has_members)?,
                11 => self.read_collations(&mut value, ColumnType::has_members)?,
                // Geometry types, column visibility and vector dimensions change nothing in how a row is carried.
                7 | 12 | 13 => {}
                _ => return Err(value.malformed("a metadata field of it is not known")),
            }
        }
        Ok(named)
    }

    fn push_key_part(&mut self, place: usize, prefix: u32, input: &Input<'_>) -> Result<(), EventError> {
        if place >= self.columns.len() {
            return Err(input.malformed("its primary key names a column that it does not have"));
        }
        self.primary_key.push((place, prefix));
        Ok(())
    }

    /// One bit per numeric column, most significant first.
    fn read_signs(&mut self, value: &mut Input<'_>) -> Result<(), EventError> {
        let numeric = self.columns.iter_mut().filter(|column| column.kind.has_sign());
        for (at, column) in numeric.enumerate() {
            let byte = *value.rest.get(at / 8).ok_or(value.malformed("its signs are too few"))?;
            column.unsigned = byte >> (7 - at % 8) & 1 == 1;
        }
        Ok(())
    }

    /// A default, then pairs of (place among such columns, collation).
    fn read_default_collation(
        &mut self,
        value: &mut Input<'_>,
        which: fn(ColumnType) -> bool,
    ) -> Result<(), EventError> {
        let default = value.lenenc()? as u16;
        let mut columns: Vec<&mut Column> =
            self.columns.iter_mut().filter(|column| which(column.kind)).collect();
        for column in &mut columns {
            column.collation = default;
        }
        while !value.rest.is_empty() {
            let (place, collation) = (value.lenenc()? as usize, value.lenenc()? as u16);
            let column = columns
                .get_mut(place)
                .ok_or(value.malformed("a collation is for a column it does not have"))?;
            column.collation = collation;
        }
        Ok(())
    }

    fn read_collations(
        &mut self,
        value: &mut Input<'_>,
        which: fn(ColumnType) -> bool,
    ) -> Result<(), EventError> {
        for column in self.columns.iter_mut().filter(|column| which(column.kind)) {
            column.collation = value.lenenc()? as u16;
        }
        Ok(())
    }

    fn read_members(
        &mut self,
        value: &mut Input<'_>,
        which: fn(ColumnType) -> bool,
    ) -> Result<(), EventError> {
        for column in self.columns.iter_mut().filter(|column| which(column.kind)) {
            let count = value.lenenc_len()?;
            for _ in 0..count {
                let len = value.lenenc_len()?;
                column.members.push(value.take(len)?.to_vec());
            }
        }
        Ok(())
    }
}

/// The type of a column from its type byte and its metadata; `None` for an unknown one.
fn column_type(code: u8, metadata: &mut Input<'_>) -> Result<Option<ColumnType>, EventError> {
    Ok(Some(match code {
        1 => ColumnType::Int(1),
        2 => ColumnType::Int(2),
        9 => ColumnType::Int(3),
        3 => ColumnType::Int(4),
        8 => ColumnType::Int(8),
        4 => {
            metadata.byte()?;
            ColumnType::Float
        }
        5 => {
            metadata.byte()?;
            ColumnType::Double
        }
        13 => ColumnType::Year,
        10 | 14 => ColumnType::Date,
        17 => ColumnType::Timestamp(fraction_digits(metadata)?),
        18 => ColumnType::DateTime(fraction_digits(metadata)?),
        19 => ColumnType::Time(fraction_digits(metadata)?),
        15 | 253 => ColumnType::VarChar(metadata.uint(2)? as u16),
        16 => {
            let (bits, bytes) = (metadata.byte()?, metadata.byte()?);
            ColumnType::Bit(bytes.saturating_mul(8).saturating_add(bits))
        }
        242 => ColumnType::Vector(length_of_length(metadata)?),
        245 => ColumnType::Json(length_of_length(metadata)?),
        252 => ColumnType::Blob(length_of_length(metadata)?),
        255 => ColumnType::Geometry(length_of_length(metadata)?),
        246 => {
            let (precision, scale) = (metadata.byte()?, metadata.byte()?);
            if scale > precision {
                return Err(metadata.malformed("a DECIMAL has more digits after the point than in all"));
            }
            ColumnType::Decimal { precision, scale }
        }
        254 => {
            // The first byte holds the real type; for long CHARs two bits of the length are in it, inverted.
            let (real, len) = (metadata.byte()?, metadata.byte()?);
            match real {
                247 => ColumnType::Enum(len),
                248 => ColumnType::Set(len),
                _ => ColumnType::Char(u16::from(len) | u16::from(real & 0x30 ^ 0x30) << 4),
            }
        }
        _ => return Ok(None),
    }))
}

fn fraction_digits(metadata: &mut Input<'_>) -> Result<u8, EventError> {
    match metadata.byte()? {
        digits @ 0..=DIGITS_MAX => Ok(digits),
        _ => Err(metadata.malformed("a time has more than six digits after the second")),
    }
}

fn length_of_length(metadata: &mut Input<'_>) -> Result<u8, EventError> {
    match metadata.byte()? {
        len @ 1..=4 => Ok(len),
        _ => Err(metadata.malformed("the length of a length is not 1 to 4")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn collations(body: &str) -> Vec<(String, u16)> {
        let bytes: Vec<u8> =
            (0..body.len()).step_by(2).map(|at| u8::from_str_radix(&body[at..at + 2], 16).unwrap()).collect();
        let map = TableMap::decode(&bytes).unwrap();
        let again = TableMap::of(
            &map.schema,
            &map.table,
            map.columns.clone(),
            map.primary_key.clone(),
            map.present.clone(),
        );
        let body = [&[0; 6], again.body_after_id.as_slice()].concat();
        assert_eq!(TableMap::decode(&body).unwrap(), again, "what is written is read back");
        map.columns.into_iter().map(|column| (column.name, column.collation)).collect()
    }

    #[test]
    fn a_vector_takes_a_place_among_the_collations_and_has_none() {
        // Of MySQL 9.7.4: INT, VECTOR(3), VARCHAR(10) utf8mb4_0900_as_cs, VARCHAR(10) latin1.
        let first = "6a000000000001000164000176000403f20f0f050428000a000e01010003053ffc1601080d010304090269640161016201630801000c01f0";
        // INT, JSON, VARCHAR(10) utf8mb4_0900_as_cs, VECTOR(2), VARCHAR(10) latin1.
        let later = "6e000000000001000164000177000503f50ff20f06042800040a001e0101000305fc16013f080d0102040b02696401610162017601630801000c01f8";
        let named = |names: &[(&str, u16)]| -> Vec<(String, u16)> {
            names.iter().map(|(name, collation)| ((*name).to_owned(), *collation)).collect()
        };
        assert_eq!(collations(first), named(&[("id", 0), ("a", 0), ("b", 278), ("c", 8)]));
        assert_eq!(collations(later), named(&[("id", 0), ("a", 0), ("b", 278), ("v", 0), ("c", 8)]));
    }
}

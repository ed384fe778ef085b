//! The table map of a layout that no event was read of: what [`TableMap::decode`] takes apart.

use super::charset::BINARY;
use super::column::{Column, ColumnType};
use super::table_map::TableMap;

impl TableMap {
    /// The table map of these columns. `primary_key`: places in key order, with prefix lengths; `present`: which columns its row images
    /// have.
    ///
    /// Written with FULL metadata, so that it says all that decoding it needs.
    pub fn of(
        schema: &str,
        table: &str,
        columns: Vec<Column>,
        primary_key: Vec<(usize, u32)>,
        present: Vec<u8>,
    ) -> Self {
        let mut body = vec![1, 0];
        push_lenenc(&mut body, schema.len() as u64);
        body.extend_from_slice(schema.as_bytes());
        body.push(0);
        push_lenenc(&mut body, table.len() as u64);
        body.extend_from_slice(table.as_bytes());
        body.push(0);
        push_lenenc(&mut body, columns.len() as u64);
        let mut metadata = Vec::new();
        for column in &columns {
            body.push(push_type(&mut metadata, column.kind));
        }
        push_lenenc(&mut body, metadata.len() as u64);
        body.extend_from_slice(&metadata);
        let mut nullable = vec![0; columns.len().div_ceil(8)];
        for (at, _) in columns.iter().enumerate().filter(|(_, column)| column.nullable) {
            nullable[at / 8] |= 1 << (at % 8);
        }
        body.extend_from_slice(&nullable);
        push_fields(&mut body, &columns, &primary_key);
        let (schema, table) = (schema.to_owned(), table.to_owned());
        Self { table_id: 0, schema, table, columns, primary_key, present, body_after_id: body }
    }
}

/// The optional metadata: type, length, value of each field.
fn push_fields(body: &mut Vec<u8>, columns: &[Column], primary_key: &[(usize, u32)]) {
    let mut field = |kind: u8, value: Vec<u8>| {
        if !value.is_empty() {
            body.push(kind);
            push_lenenc(body, value.len() as u64);
            body.extend_from_slice(&value);
        }
    };
    let signed: Vec<&Column> = columns.iter().filter(|column| column.kind.has_sign()).collect();
    let mut signs = vec![0; signed.len().div_ceil(8)];
    for (at, _) in signed.iter().enumerate().filter(|(_, column)| column.unsigned) {
        signs[at / 8] |= 0x80 >> (at % 8);
    }
    field(1, signs);
    let collations = |which: fn(ColumnType) -> bool| {
        let mut value = Vec::new();
        for column in columns.iter().filter(|column| which(column.kind)) {
            let listed = if matches!(column.kind, ColumnType::Vector(_)) { BINARY } else { column.collation };
            push_lenenc(&mut value, listed.into());
        }
        value
    };
    field(3, collations(ColumnType::lists_collation));
    let mut names = Vec::new();
    for column in columns {
        push_lenenc(&mut names, column.name.len() as u64);
        names.extend_from_slice(column.name.as_bytes());
    }
    field(4, names);
    let members = |which: fn(ColumnType) -> bool| {
        let mut value = Vec::new();
        for column in columns.iter().filter(|column| which(column.kind)) {
            push_lenenc(&mut value, column.members.len() as u64);
            for member in &column.members {
                push_lenenc(&mut value, member.len() as u64);
                value.extend_from_slice(member);
            }
        }
        value
    };
    field(5, members(|kind| matches!(kind, ColumnType::Set(_))));
    field(6, members(|kind| matches!(kind, ColumnType::Enum(_))));
    let mut key = Vec::new();
    let prefixed = primary_key.iter().any(|(_, prefix)| *prefix > 0);
    for (place, prefix) in primary_key {
        push_lenenc(&mut key, *place as u64);
        if prefixed {
            push_lenenc(&mut key, (*prefix).into());
        }
    }
    field(if prefixed { 9 } else { 8 }, key);
    field(11, collations(ColumnType::has_members));
}

/// The type byte of a column; its metadata is appended.
fn push_type(metadata: &mut Vec<u8>, kind: ColumnType) -> u8 {
    let (code, more): (u8, &[u8]) = match kind {
        ColumnType::Int(1) => (1, &[]),
        ColumnType::Int(2) => (2, &[]),
        ColumnType::Int(3) => (9, &[]),
        ColumnType::Int(4) => (3, &[]),
        ColumnType::Int(_) => (8, &[]),
        ColumnType::Float => (4, &[4]),
        ColumnType::Double => (5, &[8]),
        ColumnType::Year => (13, &[]),
        ColumnType::Date => (10, &[]),
        ColumnType::Timestamp(digits) => (17, &[digits]),
        ColumnType::DateTime(digits) => (18, &[digits]),
        ColumnType::Time(digits) => (19, &[digits]),
        ColumnType::VarChar(max) => (15, &max.to_le_bytes()),
        ColumnType::Bit(bits) => (16, &[bits % 8, bits / 8]),
        ColumnType::Vector(len) => (242, &[len]),
        ColumnType::Json(len) => (245, &[len]),
        ColumnType::Blob(len) => (252, &[len]),
        ColumnType::Geometry(len) => (255, &[len]),
        ColumnType::Decimal { precision, scale } => (246, &[precision, scale]),
        ColumnType::Enum(len) => (254, &[247, len]),
        ColumnType::Set(len) => (254, &[248, len]),
        // Two bits of the length are in the type, inverted.
        ColumnType::Char(max) => (254, &[254 ^ (max >> 4 & 0x30) as u8, max as u8]),
    };
    metadata.extend_from_slice(more);
    code
}

/// Appends a length-encoded integer of the client protocol.
pub(super) fn push_lenenc(out: &mut Vec<u8>, value: u64) {
    match value {
        0..251 => out.push(value as u8),
        251..0x1_0000 => {
            out.push(0xfc);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..0x100_0000 => {
            out.push(0xfd);
            out.extend_from_slice(&value.to_le_bytes()[..3]);
        }
        _ => {
            out.push(0xfe);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::full_bitmap;
    use super::*;

    fn column(name: &str, kind: ColumnType, collation: u16, members: &[&[u8]]) -> Column {
        let members = members.iter().map(|member| member.to_vec()).collect();
        Column { name: name.into(), kind, nullable: name.len() == 1, unsigned: false, collation, members }
    }

    #[test]
    fn a_layout_is_read_back_as_it_was_made() {
        let kinds = [
            ColumnType::Int(1),
            ColumnType::Int(2),
            ColumnType::Int(3),
            ColumnType::Int(4),
            ColumnType::Int(8),
            ColumnType::Float,
            ColumnType::Double,
            ColumnType::Decimal { precision: 65, scale: 30 },
            ColumnType::Year,
            ColumnType::Date,
            ColumnType::Time(3),
            ColumnType::DateTime(6),
            ColumnType::Timestamp(0),
            ColumnType::Json(4),
            ColumnType::Geometry(4),
            ColumnType::Vector(4),
            ColumnType::Bit(1),
            ColumnType::Bit(64),
        ];
        let mut columns: Vec<Column> =
            kinds.iter().enumerate().map(|(at, kind)| column(&format!("c{at}"), *kind, 0, &[])).collect();
        columns[1].unsigned = true;
        columns[7].unsigned = true;
        for max in [1, 40, 255, 256, 765, 1020] {
            columns.push(column(&format!("char{max}"), ColumnType::Char(max), 255, &[]));
            columns.push(column(&format!("varchar{max}"), ColumnType::VarChar(max), 63, &[]));
        }
        columns.push(column("b", ColumnType::Blob(3), 46, &[]));
        columns.push(column("e", ColumnType::Enum(1), 8, &[b"x", b"\xe9", b""]));
        columns.push(column(&"n".repeat(64), ColumnType::Set(8), 255, &[b"s".as_slice(); 64]));
        for primary_key in [vec![], vec![(4, 0)], vec![(3, 0), (18, 10)]] {
            let present = full_bitmap(columns.len());
            let map = TableMap::of("s", "täble", columns.clone(), primary_key, present);
            let mut body = 0u64.to_le_bytes()[..6].to_vec();
            body.extend_from_slice(&map.body_after_id);
            assert_eq!(TableMap::decode(&body).unwrap(), map);
        }
        let wide: Vec<Column> =
            (0..4000).map(|at| column(&format!("c{at}"), ColumnType::Int(4), 0, &[])).collect();
        let map = TableMap::of("s", "t", wide, vec![(3999, 0)], full_bitmap(4000));
        let mut body = vec![0; 6];
        body.extend_from_slice(&map.body_after_id);
        assert_eq!(TableMap::decode(&body).unwrap(), map);
    }
}

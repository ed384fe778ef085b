//! Binlog events put together by hand, with a CRC32 each, as a server would write them. Shared by the tests of several crates.
#![allow(dead_code, unreachable_pub, missing_docs)]

use transaction::binlog::{EventKind, RowsKind};

/// A column of a table made here; the first one is the primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Col {
    /// INT.
    Int,
    /// BIGINT UNSIGNED.
    Big,
    /// VARCHAR of at most 200 bytes in a collation.
    Text(u8),
}

pub fn event(kind: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = timestamp.to_le_bytes().to_vec();
    bytes.push(kind);
    bytes.extend(7u32.to_le_bytes());
    bytes.extend((19 + body.len() as u32 + 4).to_le_bytes());
    bytes.extend([0; 6]);
    bytes.extend(body);
    let sum = crc32fast::hash(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// An untagged GTID event of the server `[server; 16]`.
pub fn gtid(server: u8, number: u64, commit_us: u64) -> Vec<u8> {
    let mut body = vec![0];
    body.extend([server; 16]);
    body.extend(number.to_le_bytes());
    body.push(2);
    body.extend([0; 16]);
    body.extend(&commit_us.to_le_bytes()[..7]);
    body.push(40);
    body.extend(80_036u32.to_le_bytes());
    event(EventKind::Gtid as u8, 1, &body)
}

/// A variable-length integer of `mysql::serialization`.
pub fn varlen(value: u64) -> Vec<u8> {
    for further in 0..8u32 {
        if value < 1 << (7 * (further + 1)) {
            let word = value << (further + 1) | ((1 << further) - 1);
            return word.to_le_bytes()[..=further as usize].to_vec();
        }
    }
    let mut bytes = vec![0xff];
    bytes.extend(value.to_le_bytes());
    bytes
}

/// A tagged GTID event.
pub fn tagged_gtid(server: u8, tag: &str, number: u64, commit_us: u64) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut field = |number: u64, values: &[u64]| {
        fields.extend(varlen(number));
        values.iter().for_each(|value| fields.extend(varlen(*value)));
    };
    field(0, &[0]);
    field(1, &[u64::from(server); 16]);
    field(2, &[number << 1]);
    let mut text = vec![tag.len() as u64];
    field(3, &text);
    fields.extend(tag.as_bytes());
    text.clear();
    let mut field = |number: u64, value: u64| {
        fields.extend(varlen(number));
        fields.extend(varlen(value));
    };
    field(4, 0);
    field(5, 2);
    field(6, commit_us);
    field(8, 40);
    field(9, 80_036);
    // Version, the length of all this, and the last field that a reader must know.
    let mut body = varlen(1);
    let len_len = if fields.len() + 3 < 128 { 1 } else { 2 };
    body.extend(varlen((fields.len() + 2 + len_len) as u64));
    body.extend(varlen(0));
    body.extend(fields);
    event(EventKind::GtidTagged as u8, 1, &body)
}

pub fn query(schema: &str, statement: &str) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.push(schema.len() as u8);
    body.extend([0; 4]);
    body.extend(schema.as_bytes());
    body.push(0);
    body.extend(statement.as_bytes());
    event(EventKind::Query as u8, 1, &body)
}

pub fn xid() -> Vec<u8> {
    event(EventKind::Xid as u8, 1, &[0; 8])
}

fn short(out: &mut Vec<u8>, text: &[u8]) {
    out.push(text.len() as u8);
    out.extend(text);
}

/// A table map with full metadata; the first column is the primary key.
pub fn table_map(id: u64, schema: &str, table: &str, columns: &[(&str, Col)]) -> Vec<u8> {
    let mut body = id.to_le_bytes()[..6].to_vec();
    body.extend([1, 0]);
    for name in [schema, table] {
        short(&mut body, name.as_bytes());
        body.push(0);
    }
    let (mut codes, mut lengths, mut collations, mut names) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (name, column) in columns {
        match column {
            Col::Int => codes.push(3),
            Col::Big => codes.push(8),
            Col::Text(collation) => {
                codes.push(15);
                lengths.extend(200u16.to_le_bytes());
                collations.extend(lenenc(u64::from(*collation)));
            }
        }
        short(&mut names, name.as_bytes());
    }
    let numeric = columns.iter().filter(|(_, column)| !matches!(column, Col::Text(_)));
    let mut signs = vec![0u8; columns.len().div_ceil(8)];
    for (at, _) in numeric.enumerate().filter(|(_, (_, column))| *column == Col::Big) {
        signs[at / 8] |= 0x80 >> (at % 8);
    }
    short(&mut body, &codes);
    short(&mut body, &lengths);
    body.extend(vec![0xff; columns.len().div_ceil(8)]);
    for (field, value) in [(1, signs), (3, collations), (4, names), (8, vec![0])] {
        body.push(field);
        short(&mut body, &value);
    }
    event(EventKind::TableMap as u8, 1, &body)
}

/// A length-encoded integer of the client protocol.
pub fn lenenc(value: u64) -> Vec<u8> {
    match value {
        0..=250 => vec![value as u8],
        251..=0xffff => [&[0xfc][..], &value.to_le_bytes()[..2]].concat(),
        _ => [&[0xfe][..], &value.to_le_bytes()].concat(),
    }
}

/// A rows event that ends its statement; `images` one after the other.
pub fn rows(kind: RowsKind, id: u64, width: usize, images: &[Vec<u8>]) -> Vec<u8> {
    let mut body = id.to_le_bytes()[..6].to_vec();
    body.extend([1, 0, 2, 0, width as u8]);
    let bitmap = vec![0xff; width.div_ceil(8)];
    body.extend(&bitmap);
    let code = match kind {
        RowsKind::Write => EventKind::WriteRows,
        RowsKind::Delete => EventKind::DeleteRows,
        RowsKind::Update => {
            body.extend(&bitmap);
            EventKind::UpdateRows
        }
    };
    body.extend(images.concat());
    event(code as u8, 1, &body)
}

/// A value of an image.
pub enum Val<'a> {
    Null,
    Int(i32),
    Big(u64),
    Text(&'a str),
}

pub fn image(values: &[Val<'_>]) -> Vec<u8> {
    let mut out = vec![0; values.len().div_ceil(8)];
    for (at, value) in values.iter().enumerate() {
        match value {
            Val::Null => out[at / 8] |= 1 << (at % 8),
            Val::Int(number) => out.extend(number.to_le_bytes()),
            Val::Big(number) => out.extend(number.to_le_bytes()),
            Val::Text(text) => short(&mut out, text.as_bytes()),
        }
    }
    out
}

/// The table `r.t (id INT PRIMARY KEY, v INT)` under id 1.
pub fn plain_map() -> Vec<u8> {
    table_map(1, "r", "t", &[("id", Col::Int), ("v", Col::Int)])
}

/// Table map and insert of one row of `r.t`.
pub fn insert(id: i32, v: i32) -> Vec<u8> {
    let row = image(&[Val::Int(id), Val::Int(v)]);
    [plain_map(), rows(RowsKind::Write, 1, 2, &[row])].concat()
}

/// Table map and change of a row of `concord.marker`.
pub fn marker(origin: &str, sequence: u64, hlc: u64) -> Vec<u8> {
    let columns = [
        ("lane", Col::Int),
        ("origin", Col::Text(65)),
        ("sequence", Col::Big),
        ("record", Col::Big),
        ("hlc", Col::Big),
        ("changes", Col::Big),
    ];
    let row = |changes| {
        image(&[
            Val::Int(0),
            Val::Text(origin),
            Val::Big(sequence),
            Val::Big(sequence * 2),
            Val::Big(hlc),
            Val::Big(changes),
        ])
    };
    let map = table_map(2, "concord", "marker", &columns);
    [map, rows(RowsKind::Update, 2, columns.len(), &[row(1), row(2)])].concat()
}

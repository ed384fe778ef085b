//! The rows of the simulated table, as values and as the images that the binlog would have.

use std::sync::{Arc, LazyLock};

use conflict::Image;
use transaction::binlog::{Column, ColumnType, TableMap, Value, row_values};

use super::change::{REGIONS_MAX, name};

/// A row without its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) a: i32,
    pub(crate) b: i32,
    /// Merged as counters: SMALLINT and DECIMAL(6,2).
    pub(crate) count: i16,
    pub(crate) cents: i32,
    /// Merged as maximum and minimum.
    pub(crate) high: i32,
    pub(crate) low: i32,
    /// Merged as a set.
    pub(crate) tags: u8,
    /// The region that owns the row.
    pub(crate) owner: usize,
    /// Unique, NULL allowed.
    pub(crate) u: Option<u8>,
    pub(crate) v: Option<u8>,
}

/// Beyond it, a DECIMAL(6,2) overflows.
pub(crate) const CENTS_MAX: i64 = 999_999;

impl Row {
    /// Whether two rows cannot both be in the table.
    pub(crate) fn clashes(&self, other: &Row) -> bool {
        (self.u.is_some() && self.u == other.u) || (self.v.is_some() && self.v == other.v)
    }

    /// The table's CHECK constraint: a merge of rows that pass need not pass.
    pub(crate) fn passes(&self) -> bool {
        (i64::from(self.a) + i64::from(self.b)).rem_euclid(5) != 2
    }

    pub(crate) fn image(&self) -> Arc<Image> {
        let mut bytes = vec![0, 0];
        for (bit, null) in [(8, self.u.is_none()), (9, self.v.is_none())] {
            bytes[bit / 8] |= u8::from(null) << (bit % 8);
        }
        bytes.extend(self.a.to_le_bytes());
        bytes.extend(self.b.to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(decimal(self.cents));
        bytes.extend(self.high.to_le_bytes());
        bytes.extend(self.low.to_le_bytes());
        bytes.push(self.tags);
        let owner = name(self.owner);
        bytes.push(owner.as_str().len() as u8);
        bytes.extend(owner.as_str().as_bytes());
        bytes.extend(self.u);
        bytes.extend(self.v);
        Arc::new(Image { table: table(), bytes })
    }

    pub(crate) fn read(image: &Image) -> Self {
        let values = row_values(&image.table, &image.bytes).unwrap();
        let value = |place: usize| Value::decode(&image.table.columns[place], values[place]).unwrap();
        let int = |place| match value(place) {
            Value::Int(int) => int as i32,
            other => panic!("{other:?}"),
        };
        let small = |place| match value(place) {
            Value::Null => None,
            Value::UInt(int) => Some(int as u8),
            other => panic!("{other:?}"),
        };
        let Value::Decimal(cents) = value(3) else { panic!() };
        let Value::Set { mask, .. } = value(6) else { panic!() };
        let Value::Text(owner) = value(7) else { panic!() };
        Self {
            a: int(0),
            b: int(1),
            count: int(2) as i16,
            cents: cents.replace('.', "").parse().unwrap(),
            high: int(4),
            low: int(5),
            tags: mask as u8,
            owner: (0..REGIONS_MAX).find(|region| name(*region).as_str() == owner).unwrap(),
            u: small(8),
            v: small(9),
        }
    }
}

/// DECIMAL(6,2): two bytes before the point, one after it.
fn decimal(cents: i32) -> [u8; 3] {
    let (whole, rest) = ((cents.abs() / 100) as u16, (cents.abs() % 100) as u8);
    let mut bytes = [whole.to_be_bytes()[0], whole.to_be_bytes()[1], rest];
    if cents < 0 {
        bytes = bytes.map(|byte| !byte);
    }
    bytes[0] ^= 0x80;
    bytes
}

fn table() -> Arc<TableMap> {
    static TABLE: LazyLock<Arc<TableMap>> = LazyLock::new(|| {
        let column = |name: &str, kind, unsigned| Column {
            name: name.into(),
            kind,
            nullable: true,
            unsigned,
            collation: 255,
            members: Vec::new(),
        };
        let columns = vec![
            column("a", ColumnType::Int(4), false),
            column("b", ColumnType::Int(4), false),
            column("count", ColumnType::Int(2), false),
            column("cents", ColumnType::Decimal { precision: 6, scale: 2 }, false),
            column("high", ColumnType::Int(4), false),
            column("low", ColumnType::Int(4), false),
            column("tags", ColumnType::Set(1), false),
            column("owner", ColumnType::VarChar(40), false),
            column("u", ColumnType::Int(1), true),
            column("v", ColumnType::Int(1), true),
        ];
        Arc::new(TableMap {
            table_id: 1,
            schema: "shop".into(),
            table: "stock".into(),
            present: vec![0xff; 2],
            columns,
            primary_key: Vec::new(),
            body_after_id: Vec::new(),
        })
    });
    TABLE.clone()
}

#[test]
fn an_image_holds_the_row_it_was_made_of() {
    let row = Row {
        a: -5,
        b: 7,
        count: -300,
        cents: -12_345,
        high: 3,
        low: -9,
        tags: 0b101,
        owner: 1,
        u: Some(200),
        v: None,
    };
    for row in [row, Row { cents: 999_999, u: None, v: Some(0), ..row }, Row { cents: -1, ..row }] {
        assert_eq!(Row::read(&row.image()), row);
    }
}

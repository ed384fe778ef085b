//! Values and row images put together again, compared with the bytes that a real server wrote (`values/rows.sql`) and with
//! what it sends for the same rows (`values/protocol.sql`).
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;
use transaction::binlog::{
    Column, ColumnType, EventError, Item, TableMap, Tables, Value, encode_value, for_each_item, row_image,
    row_values,
};

const EVENTS: &[u8] = include_bytes!("values/events.bin");
const PROTOCOL: &[u8] = include_bytes!("values/protocol.bin");

/// Every image of a fixture with its table.
fn images(events: &[u8]) -> Vec<(Arc<TableMap>, Vec<u8>)> {
    let mut found = Vec::new();
    for_each_item::<EventError>(events, true, &mut Tables::default(), &mut 0, &mut |item| {
        if let Item::Change { table, change, .. } = item {
            let table = Arc::new(TableMap::clone(table));
            found.extend(
                [change.before, change.after].into_iter().flatten().map(|i| (table.clone(), i.to_vec())),
            );
        }
        Ok(())
    })
    .unwrap();
    found
}

#[test]
fn an_image_taken_apart_and_put_together_is_what_the_server_wrote() {
    let plain = include_bytes!("events/plain.bin");
    // Images that lack columns: those of a session with binlog_row_image = MINIMAL.
    let minimal = include_bytes!("events/minimal_delete.bin");
    let mut count = 0;
    for (table, image) in [EVENTS, plain, minimal].into_iter().flat_map(images) {
        let values = row_values(&table, &image).unwrap();
        assert_eq!(row_image(&table, &values), Some(image.clone()), "{}", table.full_name());
        count += 1;
    }
    assert!(count > 50, "{count}");
}

#[test]
fn what_the_server_sends_becomes_what_it_wrote_to_its_binlog() {
    let rows = images(EVENTS).into_iter().filter(|(table, _)| table.table != "js");
    let mut lines = PROTOCOL.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n');
    let mut count = 0;
    for (table, image) in rows {
        let line = lines.next().unwrap();
        let values = row_values(&table, &image).unwrap();
        // Columns of mem that no key holds are the last ones and were not asked for.
        for ((column, value), text) in table.columns.iter().zip(values).zip(line.split(|byte| *byte == b'\t'))
        {
            let text = (text != b"NULL").then_some(text);
            let encoded = text.map(|text| encode_value(column, text));
            assert_eq!(encoded, value.map(|value| Some(value.to_vec())), "{}: {text:?}", column.name);
            count += 1;
        }
    }
    assert_eq!((lines.next(), count), (None, 4 * 21 + 4 * 17 + 4 * 13 + 3 * 4));
}

fn column(kind: ColumnType, unsigned: bool, collation: u16) -> Column {
    let members = ["a", "b", "it's", "é"].map(|member| member.as_bytes().to_vec()).to_vec();
    Column { name: "c".into(), kind, nullable: true, unsigned, collation, members }
}

/// What a column shows after it took `text`.
fn shown(column: &Column, text: &str) -> Option<String> {
    let bytes = encode_value(column, text.as_bytes())?;
    Some(Value::decode(column, Some(&bytes)).unwrap().full_text())
}

#[test]
fn the_far_ends_of_every_type_are_shown_as_they_were_sent() {
    let nines = format!("-{}.{}", "9".repeat(35), "9".repeat(30));
    let decimal = ColumnType::Decimal { precision: 65, scale: 30 };
    for (kind, text) in [
        (ColumnType::Int(8), "-9223372036854775808"),
        (ColumnType::Int(3), "-8388608"),
        (decimal, nines.as_str()),
        (decimal, &nines[1..]),
        (decimal, "-0.000000000000000000000000000001"),
        (ColumnType::Decimal { precision: 30, scale: 30 }, "-0.000000000000000000000000000001"),
        (ColumnType::Year, "0000"),
        (ColumnType::Date, "0000-00-00"),
        (ColumnType::Date, "2024-00-00"),
        (ColumnType::Time(0), "-838:59:59"),
        (ColumnType::Time(1), "-00:00:00.1"),
        (ColumnType::Time(3), "-01:59:59.001"),
        (ColumnType::Time(6), "-838:59:58.999999"),
        (ColumnType::DateTime(0), "0000-00-00 00:00:00"),
        (ColumnType::DateTime(5), "9999-12-31 23:59:59.49999"),
        (ColumnType::Timestamp(6), "0000-00-00 00:00:00.000000"),
        (ColumnType::Timestamp(3), "2038-01-19 03:14:07.499"),
        (ColumnType::Enum(1), "it's"),
        (ColumnType::Enum(2), ""),
        (ColumnType::Set(1), "a,it's,é"),
        (ColumnType::Set(1), ""),
        (ColumnType::VarChar(300), "trailing  "),
    ] {
        assert_eq!(shown(&column(kind, false, 255), text).as_deref(), Some(text), "{kind:?}");
    }
    let unsigned = column(ColumnType::Int(8), true, 0);
    assert_eq!(shown(&unsigned, "18446744073709551615").as_deref(), Some("18446744073709551615"));
}

/// Any table of up to 20 columns of all types, and a row of it.
fn row() -> impl Strategy<Value = (TableMap, Vec<Option<Vec<u8>>>)> {
    let prefixed = |max| prop::collection::vec(any::<u8>(), 0..=max);
    let fixed = |kind: ColumnType, len: usize| {
        prop::collection::vec(any::<u8>(), len).prop_map(move |value| (kind, value))
    };
    let value = prop_oneof![
        prop::sample::select(vec![1u8, 2, 3, 4, 8])
            .prop_flat_map(move |len| fixed(ColumnType::Int(len), len.into())),
        (1u8..=8).prop_flat_map(move |len| fixed(ColumnType::Set(len), len.into())),
        (1u8..=64).prop_flat_map(move |bits| fixed(ColumnType::Bit(bits), bits.div_ceil(8).into())),
        (0u8..=6).prop_flat_map(move |n| fixed(ColumnType::Time(n), 3 + usize::from(n.div_ceil(2)))),
        (0u8..=6).prop_flat_map(move |n| fixed(ColumnType::DateTime(n), 5 + usize::from(n.div_ceil(2)))),
        Just((ColumnType::Decimal { precision: 10, scale: 2 }, vec![0x80, 0, 0, 1, 5])),
        prefixed(9).prop_map(|value| (ColumnType::Char(9), value)),
        prefixed(300).prop_map(|value| (ColumnType::VarChar(300), value)),
        (prefixed(255), 1u8..=4).prop_map(|(value, len)| (ColumnType::Blob(len), value)),
        prefixed(40).prop_map(|value| (ColumnType::Json(4), value)),
        prefixed(40).prop_map(|value| (ColumnType::Geometry(4), value)),
    ];
    // NULL, absent from the images, or there.
    let column = (value, 0u8..4);
    prop::collection::vec(column, 1..20).prop_map(|columns| {
        let mut present = vec![0u8; columns.len().div_ceil(8)];
        let mut values = Vec::new();
        for (place, ((_, value), state)) in columns.iter().enumerate() {
            if *state > 0 {
                present[place / 8] |= 1 << (place % 8);
            }
            values.push((*state > 1).then(|| value.clone()));
        }
        let columns = columns.into_iter().map(|((kind, _), _)| column_of(kind)).collect();
        let table = TableMap {
            table_id: 1,
            schema: "s".into(),
            table: "t".into(),
            columns,
            primary_key: Vec::new(),
            present,
            body_after_id: Vec::new(),
        };
        (table, values)
    })
}

fn column_of(kind: ColumnType) -> Column {
    column(kind, false, 63)
}

proptest! {
    #[test]
    fn a_row_comes_back_from_its_image((table, values) in row()) {
        let borrowed: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
        let image = row_image(&table, &borrowed).unwrap();
        prop_assert_eq!(row_values(&table, &image).unwrap(), borrowed);
        // No byte more and no byte less: the image ends where its reader ends.
        prop_assert!(image.is_empty() || row_values(&table, &image[..image.len() - 1]).is_err());
    }

    #[test]
    fn numbers_are_shown_as_they_were_sent(signed: i64, double: f64, float: f32) {
        for len in [1u8, 2, 3, 4, 8] {
            let bits = 64 - 8 * u32::from(len);
            let (small, large) = ((signed >> bits).to_string(), (signed as u64 >> bits).to_string());
            prop_assert_eq!(shown(&column(ColumnType::Int(len), false, 0), &small), Some(small));
            prop_assert_eq!(shown(&column(ColumnType::Int(len), true, 0), &large), Some(large));
        }
        let of_double = encode_value(&column_of(ColumnType::Double), format!("{double:e}").as_bytes());
        prop_assert_eq!(of_double, double.is_finite().then(|| double.to_le_bytes().to_vec()));
        // As CAST(x AS DOUBLE) shows it.
        let of_float = encode_value(&column_of(ColumnType::Float), format!("{:e}", f64::from(float)).as_bytes());
        prop_assert_eq!(of_float, float.is_finite().then(|| float.to_le_bytes().to_vec()));
    }

    #[test]
    fn no_text_makes_an_encoder_panic_and_what_it_takes_can_be_read(
        text in prop_oneof![
            "[-0-9:. e,]{0,40}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..12),
        ],
        number in 0u8..=9,
        unsigned: bool,
        collation in prop::sample::select(vec![0u16, 8, 54, 60, 62, 63, 255]),
    ) {
        for kind in [
            ColumnType::Int(number), ColumnType::Float, ColumnType::Double, ColumnType::Year, ColumnType::Date,
            ColumnType::Decimal { precision: number, scale: number / 2 }, ColumnType::Time(number),
            ColumnType::DateTime(number), ColumnType::Timestamp(number), ColumnType::Enum(number),
            ColumnType::Set(number), ColumnType::Bit(number), ColumnType::Char(number.into()),
        ] {
            let column = column(kind, unsigned, collation);
            if let Some(bytes) = encode_value(&column, &text) {
                prop_assert!(Value::decode(&column, Some(&bytes)).is_ok(), "{:?} {:?}", kind, bytes);
            }
        }
    }
}

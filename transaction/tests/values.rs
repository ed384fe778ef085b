//! Values of every type, from row events that a real server wrote (`values/rows.sql` says how), compared with what the same
//! server shows for them.
#![allow(clippy::unwrap_used)]

use transaction::binlog::{Column, EventError, Item, Tables, Value, for_each_item, row_values};

const EVENTS: &[u8] = include_bytes!("values/events.bin");
const EXPECTED: &str = include_str!("values/expected.tsv");

/// Takes table, columns and values of a row.
type Visit<'v> = dyn FnMut(&str, &[Column], &[Option<&[u8]>]) + 'v;

/// Calls `visit` for every inserted row.
fn for_each_value(visit: &mut Visit<'_>) {
    let (mut tables, mut index) = (Tables::default(), 0);
    for_each_item::<EventError>(EVENTS, true, &mut tables, &mut index, &mut |item| {
        if matches!(item, Item::Begin(_)) {
            return Ok(());
        }
        let Item::Change { table, change, .. } = item else { panic!("only rows are in the fixture") };
        visit(&table.table, &table.columns, &row_values(table, change.after.unwrap())?);
        Ok(())
    })
    .unwrap();
}

/// Undoes the escapes of `mysql --batch`.
fn unescaped(field: &str) -> String {
    let (mut out, mut chars) = (String::new(), field.chars());
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next().unwrap() {
                'n' => '\n',
                't' => '\t',
                '0' => '\0',
                other => other,
            },
            c => c,
        });
    }
    out
}

#[test]
fn every_type_reads_as_the_server_shows_it() {
    let mut rows = Vec::new();
    for_each_value(&mut |table, columns, values| {
        let texts = columns
            .iter()
            .zip(values)
            .map(|(column, value)| Value::decode(column, *value).unwrap().full_text());
        rows.push(std::iter::once(table.to_owned()).chain(texts).collect::<Vec<_>>());
    });
    let expected: Vec<Vec<String>> =
        EXPECTED.lines().map(|line| line.split('\t').map(unescaped).collect()).collect();
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
}

#[test]
fn damaged_values_are_an_error_or_another_value_but_never_a_panic() {
    let check = |column: &Column, bytes: &[u8]| {
        if let Ok(value) = Value::decode(column, Some(bytes)) {
            let (text, literal) = (value.to_string(), value.sql_literal(column));
            // A malformed document must not be able to fill the memory.
            assert!(text.len() < 1000 && literal.len() < 100 * (bytes.len() + 100), "{literal}");
        }
    };
    for_each_value(&mut |_, columns, values| {
        for (column, bytes) in columns.iter().zip(values) {
            let Some(bytes) = bytes else { continue };
            for at in 0..bytes.len() {
                check(column, &bytes[..at]);
                for flip in [0x01, 0x10, 0x80, 0xff] {
                    let mut damaged = bytes.to_vec();
                    damaged[at] ^= flip;
                    check(column, &damaged);
                }
            }
            check(column, &[*bytes, b"x"].concat());
            check(column, &[0xff; 9]);
        }
    });
}

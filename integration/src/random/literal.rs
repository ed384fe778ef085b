//! Values as SQL, of every type.

use super::column::Kind;
use super::letters;
use crate::shop::dice::Dice;

/// A value out of a small range, so that keys are met again.
pub(super) fn of_key(kind: &Kind, dice: &mut Dice) -> String {
    match kind {
        Kind::Int { .. } => (1 + dice.below(60)).to_string(),
        Kind::Bit(bits) => format!("b'{:b}'", dice.below(1 << (*bits).min(6))),
        Kind::Decimal { digits, scale, .. } => {
            let whole = dice.below(if digits > scale { 10 } else { 1 });
            format!("{whole}.{}", dice.below(4))
        }
        Kind::Float | Kind::Double => format!("{}e0", dice.below(20) as f64 / 4.0),
        Kind::Year => (2000 + dice.below(50)).to_string(),
        Kind::Date => format!("'2024-02-{:02}'", 1 + dice.below(29)),
        Kind::Time(_) => format!("'{:02}:00:00.5'", dice.below(40)),
        Kind::DateTime(_) | Kind::Timestamp(_) => format!("'2024-02-{:02} 10:20:30.25'", 1 + dice.below(28)),
        Kind::Char { letters, .. } | Kind::VarChar { letters, .. } | Kind::Text { letters, .. } => {
            letters::literal(&letters.word(dice))
        }
        Kind::Binary(_) | Kind::VarBinary(_) | Kind::Blob(_) => format!("x'{:02x}'", dice.below(40)),
        Kind::Enum { members, .. } => (1 + dice.below(*members as u64)).to_string(),
        _ => some(kind, dice),
    }
}

/// Any value, the ends of the range often; now and then one that does not fit.
pub(super) fn some(kind: &Kind, dice: &mut Dice) -> String {
    match kind {
        Kind::Int { bits, unsigned, .. } => integer(*bits, *unsigned, dice),
        Kind::Bit(bits) => {
            let bits = (*bits).min(64);
            format!("b'{:b}'", dice.throw() >> (64 - bits))
        }
        Kind::Decimal { digits, scale, unsigned } => decimal(*digits, *scale, *unsigned, dice),
        Kind::Float => {
            float(dice, &["3.402823e38", "-3.402823e38", "1.17549435e-38", "1e-45", "0.1", "16777217"])
        }
        Kind::Double => float(
            dice,
            &["1.7976931348623157e308", "2.2250738585072014e-308", "5e-324", "0.1", "9007199254740993"],
        ),
        Kind::Year => match dice.below(5) {
            0 => "0".to_owned(),
            1 => "1901".to_owned(),
            2 => "2155".to_owned(),
            _ => (1901 + dice.below(255)).to_string(),
        },
        Kind::Date => format!("'{}'", date(dice)),
        Kind::Time(_) => {
            let sign = if dice.below(3) == 0 { "-" } else { "" };
            format!(
                "'{sign}{:02}:{:02}:{:02}.{:06}'",
                dice.below(839),
                dice.below(60),
                dice.below(59),
                dice.below(1_000_000)
            )
        }
        Kind::DateTime(_) => format!("'{} {}'", date(dice), clock(dice)),
        // The whole range in most zones.
        Kind::Timestamp(_) => match dice.below(12) {
            0 => "'1970-01-02 00:00:01'".to_owned(),
            1 => "'2038-01-18 03:14:07'".to_owned(),
            2 => "'2025-03-30 02:30:00'".to_owned(),
            _ => format!(
                "'{}-{:02}-{:02} {}'",
                1971 + dice.below(66),
                1 + dice.below(12),
                1 + dice.below(28),
                clock(dice)
            ),
        },
        Kind::Char { len, letters, .. } | Kind::VarChar { len, letters, .. } => {
            letters::literal(&letters.text(dice, (*len).min(60)))
        }
        Kind::Text { letters, name, .. } => match dice.below(12) {
            0 if *name != "TINYTEXT" => {
                format!("REPEAT({}, {})", letters::literal(&letters.text(dice, 9)), 1 + dice.below(4000))
            }
            _ => letters::literal(&letters.text(dice, 50)),
        },
        Kind::Binary(len) | Kind::VarBinary(len) => bytes(dice, (*len).min(40)),
        Kind::Blob(name) => match dice.below(12) {
            0 if *name != "TINYBLOB" => format!("REPEAT({}, {})", bytes(dice, 9), 1 + dice.below(4000)),
            _ => bytes(dice, 200),
        },
        Kind::Enum { members, .. } => (1 + dice.below(*members as u64)).to_string(),
        Kind::Set { members, .. } => (dice.throw() >> (64 - *members as u64)).to_string(),
        Kind::Json => json(dice),
        Kind::Geometry(name) => geometry(name, dice),
        Kind::Vector(len) => {
            let members: Vec<String> =
                (0..*len).map(|_| float(dice, &["1", "-2.5", "3e38", "1e-30"])).collect();
            format!("TO_VECTOR('[{}]')", members.join(","))
        }
    }
}

fn integer(bits: u32, unsigned: bool, dice: &mut Dice) -> String {
    let range = 1i128 << bits;
    let (low, high) = if unsigned { (0, range - 1) } else { (-range / 2, range / 2 - 1) };
    let value = match dice.below(16) {
        0 | 1 => low,
        2 | 3 => high,
        4 => 0,
        // One that does not fit.
        5 if dice.below(4) == 0 => high + 1,
        6..=9 => i128::from(dice.below(100)),
        _ => low + i128::from(dice.throw()) % range,
    };
    value.to_string()
}

fn decimal(digits: u64, scale: u64, unsigned: bool, dice: &mut Dice) -> String {
    let number = |dice: &mut Dice, len: u64, nines: bool| -> String {
        (0..len).map(|_| if nines { '9' } else { char::from(b'0' + dice.below(10) as u8) }).collect()
    };
    let nines = dice.below(5) == 0;
    let len = dice.below(digits - scale + 1);
    let whole = number(dice, len, nines);
    let fraction = number(dice, scale, nines);
    let sign = if !unsigned && dice.below(2) == 0 { "-" } else { "" };
    format!("{sign}0{whole}.{fraction}0")
}

fn float(dice: &mut Dice, ends: &[&str]) -> String {
    match dice.below(4) {
        0 => dice.pick(ends).copied().unwrap_or("0").to_owned(),
        1 => format!("-{}.5e{}", dice.below(1000), dice.below(20)),
        2 => "0".to_owned(),
        _ => format!("{}.{}e-{}", dice.below(10), dice.below(100_000), dice.below(10)),
    }
}

fn date(dice: &mut Dice) -> String {
    match dice.below(12) {
        // Taken in some modes only.
        0 => "0000-00-00".to_owned(),
        1 => "2024-00-15".to_owned(),
        2 => "1000-01-01".to_owned(),
        3 => "9999-12-31".to_owned(),
        _ => format!("{:04}-{:02}-{:02}", 1000 + dice.below(9000), 1 + dice.below(12), 1 + dice.below(28)),
    }
}

fn clock(dice: &mut Dice) -> String {
    format!("{:02}:{:02}:{:02}.{:06}", dice.below(24), dice.below(60), dice.below(60), dice.below(1_000_000))
}

fn bytes(dice: &mut Dice, max: u64) -> String {
    let len = dice.below(max + 1);
    let hex: String = (0..len).map(|_| format!("{:02x}", dice.throw() as u8)).collect();
    format!("x'{hex}'")
}

fn json(dice: &mut Dice) -> String {
    match dice.below(14) {
        0 => "CAST(TIMESTAMP'2024-05-06 07:08:09.101112' AS JSON)".to_owned(),
        1 => "CAST(CAST('12.50' AS DECIMAL(10,2)) AS JSON)".to_owned(),
        2 => "JSON_OBJECT('a', TIMESTAMP'2024-05-06 07:08:09.5', 'b', x'00ff')".to_owned(),
        3 => "CAST(18446744073709551615 AS JSON)".to_owned(),
        4 => "CAST('null' AS JSON)".to_owned(),
        5 => format!("JSON_ARRAY({}, REPEAT('x', {}))", dice.below(100_000), dice.below(3000)),
        _ => {
            let text = document(dice, 3);
            format!("CAST({} AS JSON)", letters::literal(&text))
        }
    }
}

/// The text of a document, nested at most so deep.
fn document(dice: &mut Dice, depth: u32) -> String {
    let sides = if depth == 0 { 6 } else { 10 };
    match dice.below(sides) {
        0 => dice.throw().cast_signed().to_string(),
        1 => dice.below(100).to_string(),
        2 => format!("{}.{}", dice.below(1000), 1 + dice.below(99)),
        3 => "true".to_owned(),
        4 => "null".to_owned(),
        5 => format!("\"{}\"", ["", "a", "é😀", "\\n\\\"", "日本"][dice.below(5) as usize]),
        6 | 7 => {
            let len = dice.below(4);
            let members: Vec<String> = (0..len).map(|_| document(dice, depth - 1)).collect();
            format!("[{}]", members.join(","))
        }
        _ => {
            let len = dice.below(5);
            let names = ["a", "b", "name", "é", ""];
            let members: Vec<String> = (0..len)
                .map(|at| format!("\"{}\":{}", names[at as usize % names.len()], document(dice, depth - 1)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

fn geometry(name: &str, dice: &mut Dice) -> String {
    let mut point = || format!("{} {}", dice.below(100) as f64 / 8.0 - 5.0, dice.below(100));
    let line = format!("LINESTRING({},{},{})", point(), point(), point());
    let square = "POLYGON((0 0,10 0,10 10,0 10,0 0))".to_owned();
    let dot = format!("POINT({})", point());
    let text = match name {
        "POINT" => dot,
        "LINESTRING" => line,
        "POLYGON" => square,
        "GEOMETRYCOLLECTION" => format!("GEOMETRYCOLLECTION({dot},{line})"),
        _ => match dice.below(3) {
            0 => dot,
            1 => line,
            _ => square,
        },
    };
    format!("ST_GeomFromText('{text}')")
}

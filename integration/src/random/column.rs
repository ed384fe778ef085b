//! Columns: their types and what is said of them.

use super::letters::{self, Letters};
use super::literal;
use crate::shop::dice::Dice;

/// The type of a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Int { name: &'static str, bits: u32, unsigned: bool },
    Bit(u64),
    Decimal { digits: u64, scale: u64, unsigned: bool },
    Float,
    Double,
    Year,
    Date,
    Time(u64),
    DateTime(u64),
    Timestamp(u64),
    Char { len: u64, letters: &'static Letters, collation: &'static str },
    VarChar { len: u64, letters: &'static Letters, collation: &'static str },
    Text { name: &'static str, letters: &'static Letters, collation: &'static str },
    Binary(u64),
    VarBinary(u64),
    Blob(&'static str),
    Enum { members: usize, letters: &'static Letters },
    Set { members: usize, letters: &'static Letters },
    Json,
    Geometry(&'static str),
    Vector(u64),
}

const INTS: &[(&str, u32)] =
    &[("TINYINT", 8), ("SMALLINT", 16), ("MEDIUMINT", 24), ("INT", 32), ("BIGINT", 64)];

impl Kind {
    /// Any type.
    pub(super) fn some(dice: &mut Dice) -> Self {
        if dice.below(3) == 0 {
            return Self::of_key(dice);
        }
        let (letters, collation) = letters::some(dice);
        match dice.below(9) {
            0 | 1 => {
                let names = ["TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT"];
                Self::Text { name: dice.pick(&names).copied().unwrap_or("TEXT"), letters, collation }
            }
            2 => {
                let names = ["TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB"];
                Self::Blob(dice.pick(&names).copied().unwrap_or("BLOB"))
            }
            3 => Self::Set { members: dice.pick(&[1, 3, 8, 9, 33, 64]).copied().unwrap_or(3), letters },
            4 | 5 => Self::Json,
            6 => {
                let names = ["GEOMETRY", "POINT", "LINESTRING", "POLYGON", "GEOMETRYCOLLECTION"];
                Self::Geometry(dice.pick(&names).copied().unwrap_or("POINT"))
            }
            7 => Self::Vector(1 + dice.below(5)),
            _ => Self::VarChar { len: 300 + dice.below(500), letters, collation },
        }
    }

    /// A type that a primary key can be of without more ado.
    pub(super) fn of_key(dice: &mut Dice) -> Self {
        let (letters, collation) = letters::some(dice);
        let fraction = dice.below(7);
        match dice.below(16) {
            0..=2 => {
                let (name, bits) = dice.pick(INTS).copied().unwrap_or(("INT", 32));
                Self::Int { name, bits, unsigned: dice.below(3) == 0 }
            }
            3 => Self::Bit(1 + dice.below(64)),
            4 | 5 => {
                let scale = dice.below(11);
                Self::Decimal { digits: 1 + scale + dice.below(30), scale, unsigned: dice.below(4) == 0 }
            }
            6 => Self::Float,
            7 => Self::Double,
            8 => Self::Year,
            9 => Self::Date,
            10 => Self::Time(fraction),
            11 => Self::DateTime(fraction),
            12 => Self::Timestamp(fraction),
            13 => match dice.below(3) {
                0 => Self::Binary(1 + dice.below(20)),
                1 => Self::VarBinary(1 + dice.below(40)),
                _ => Self::Enum { members: dice.pick(&[2, 5, 300]).copied().unwrap_or(2), letters },
            },
            14 => Self::Char { len: 1 + dice.below(30), letters, collation },
            _ => Self::VarChar { len: 1 + dice.below(90), letters, collation },
        }
    }

    /// Whether a key of it needs a length.
    pub(super) fn needs_prefix(&self) -> bool {
        matches!(self, Self::Text { .. } | Self::Blob(_))
    }

    /// Whether a key may have only the start of it.
    pub(super) fn takes_prefix(&self) -> bool {
        self.needs_prefix()
            || matches!(self, Self::Char { .. } | Self::VarChar { .. } | Self::Binary(_) | Self::VarBinary(_))
    }

    /// Whether a primary key of a prefix of it is carried: in other sets of letters of several bytes it is refused.
    pub(super) fn has_utf8_letters(&self) -> bool {
        match self {
            Self::Text { letters, .. } => letters.charset.starts_with("utf8"),
            _ => true,
        }
    }

    /// Whether no ordinary key can be of it.
    pub(super) fn has_no_key(&self) -> bool {
        matches!(self, Self::Json | Self::Geometry(_) | Self::Vector(_))
    }

    /// Most bytes that a key has of it, of a prefix of `prefix` letters if given.
    pub(super) fn key_bytes(&self, prefix: Option<u64>) -> u64 {
        match self {
            Self::Char { len, letters, .. } | Self::VarChar { len, letters, .. } => {
                prefix.unwrap_or(*len) * u64::from(letters.bytes_max)
            }
            Self::Text { letters, .. } => prefix.unwrap_or(1000) * u64::from(letters.bytes_max),
            Self::Binary(len) | Self::VarBinary(len) => prefix.unwrap_or(*len),
            Self::Blob(_) => prefix.unwrap_or(1000),
            Self::Decimal { .. } => 32,
            _ => 10,
        }
    }

    fn sql(&self) -> String {
        let fraction =
            |name: &str, digits: u64| if digits == 0 { name.to_owned() } else { format!("{name}({digits})") };
        let unsigned = |is: bool| if is { " UNSIGNED" } else { "" };
        let members = |count: usize, letters: &Letters| {
            let member = |place: usize| {
                // The first three are of the set's own letters; names must differ under its collation.
                let own: Vec<char> = letters.text(&mut Dice::new(place as u64), 1).chars().collect();
                let own: String = if place < 3 {
                    own.into_iter().filter(|c| c.is_alphabetic()).collect()
                } else {
                    String::new()
                };
                format!("'m{place}{own}'")
            };
            (0..count).map(member).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Int { name, unsigned: is, .. } => format!("{name}{}", unsigned(*is)),
            Self::Bit(bits) => format!("BIT({bits})"),
            Self::Decimal { digits, scale, unsigned: is } => {
                format!("DECIMAL({digits},{scale}){}", unsigned(*is))
            }
            Self::Float => "FLOAT".to_owned(),
            Self::Double => "DOUBLE".to_owned(),
            Self::Year => "YEAR".to_owned(),
            Self::Date => "DATE".to_owned(),
            Self::Time(digits) => fraction("TIME", *digits),
            Self::DateTime(digits) => fraction("DATETIME", *digits),
            Self::Timestamp(digits) => fraction("TIMESTAMP", *digits),
            Self::Char { len, letters, collation } => {
                format!("CHAR({len}) CHARACTER SET {} COLLATE {collation}", letters.charset)
            }
            Self::VarChar { len, letters, collation } => {
                format!("VARCHAR({len}) CHARACTER SET {} COLLATE {collation}", letters.charset)
            }
            Self::Text { name, letters, collation } => {
                format!("{name} CHARACTER SET {} COLLATE {collation}", letters.charset)
            }
            Self::Binary(len) => format!("BINARY({len})"),
            Self::VarBinary(len) => format!("VARBINARY({len})"),
            Self::Blob(name) => (*name).to_owned(),
            Self::Enum { members: count, letters } => {
                format!("ENUM({}) CHARACTER SET {}", members(*count, letters), letters.charset)
            }
            Self::Set { members: count, letters } => {
                format!("SET({}) CHARACTER SET {}", members(*count, letters), letters.charset)
            }
            Self::Json => "JSON".to_owned(),
            Self::Geometry(name) => (*name).to_owned(),
            Self::Vector(len) => format!("VECTOR({len})"),
        }
    }
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its name, in backticks.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) nullable: bool,
    pub(super) auto_increment: bool,
    /// The expression that makes it; no statement sets such a column.
    pub(super) generated: Option<String>,
    /// What follows the type.
    attributes: String,
}

const NAMES: &[&str] =
    &["`a b`", "`ä`", "`日本`", "`from`", "`x``y`", "`it's`", "`\"q\"`", "`Upper`", "`100%`", "`$1`"];

impl Column {
    /// A column that belongs to a key: it is never NULL.
    pub(super) fn of_key(name: String, kind: Kind) -> Self {
        let attributes = " NOT NULL".to_owned();
        Self { name, kind, nullable: false, auto_increment: false, generated: None, attributes }
    }

    /// Lets it be NULL after all.
    pub(super) fn set_nullable(&mut self) {
        self.nullable = true;
        self.attributes.clear();
    }

    /// An INT that counts by itself.
    pub(super) fn counting(name: String, kind: Kind) -> Self {
        let attributes = " NOT NULL AUTO_INCREMENT".to_owned();
        Self { name, kind, nullable: false, auto_increment: true, generated: None, attributes }
    }

    /// Any other column, the one with number `place` of its table.
    pub(super) fn some(dice: &mut Dice, place: usize) -> Self {
        let kind = Kind::some(dice);
        let name = match (dice.below(6), dice.pick(NAMES)) {
            (0, Some(name)) => format!("{}{place}`", name.trim_end_matches('`')),
            _ => format!("c{place}"),
        };
        let nullable = dice.below(3) > 0;
        let mut attributes = if nullable { String::new() } else { " NOT NULL".to_owned() };
        let moment = matches!(kind, Kind::DateTime(_) | Kind::Timestamp(_));
        match dice.below(6) {
            0 if moment => {
                let digits = match kind {
                    Kind::DateTime(digits) | Kind::Timestamp(digits) if digits > 0 => format!("({digits})"),
                    _ => String::new(),
                };
                attributes.push_str(&format!(" DEFAULT CURRENT_TIMESTAMP{digits}"));
                if dice.below(2) == 0 {
                    attributes.push_str(&format!(" ON UPDATE CURRENT_TIMESTAMP{digits}"));
                }
            }
            0 | 1 => attributes.push_str(&format!(" DEFAULT ({})", literal::some(&kind, dice))),
            _ => {}
        }
        if dice.below(10) == 0 {
            attributes.push_str(" INVISIBLE");
        }
        if dice.below(12) == 0 {
            attributes.push_str(" COMMENT 'a column'");
        }
        if let Kind::Int { bits, .. } = kind
            && bits > 8
            && dice.below(5) == 0
        {
            attributes.push_str(&format!(" CHECK ({name} <> 13)"));
        }
        Self { name, kind, nullable, auto_increment: false, generated: None, attributes }
    }

    /// A column made of another one.
    ///
    /// Some depend on the session's `sql_mode`. None is a quotient, which depends on `div_precision_increment`, of which the binlog says
    /// nothing; nor is one made of a TIMESTAMP: of `time_zone` the binlog speaks only if the transaction's first statement has used it, and an
    /// ALTER that makes the column anew never does.
    pub(super) fn generated(dice: &mut Dice, place: usize, from: &Self) -> Option<Self> {
        let source = &from.name;
        let (kind, expression) = match from.kind {
            Kind::Int { .. } => (Kind::Double, format!("{source} * 0.3e0")),
            Kind::Decimal { .. } | Kind::Double => (Kind::Double, format!("{source} * 0.5")),
            Kind::Char { .. } => {
                (Kind::Int { name: "INT", bits: 32, unsigned: false }, format!("CHAR_LENGTH({source})"))
            }
            Kind::VarChar { .. } | Kind::Text { .. } => {
                let (letters, collation) = letters::some(&mut Dice::new(3));
                match dice.below(2) {
                    0 => (
                        Kind::Int { name: "INT", bits: 32, unsigned: false },
                        format!("CHAR_LENGTH({source})"),
                    ),
                    _ => (Kind::VarChar { len: 80, letters, collation }, format!("SHA2({source}, 256)")),
                }
            }
            Kind::Binary(_) | Kind::VarBinary(_) | Kind::Blob(_) => {
                (Kind::VarBinary(32), format!("UNHEX(SHA2({source}, 256))"))
            }
            Kind::Json => (Kind::Json, format!("JSON_EXTRACT({source}, '$.a')")),
            Kind::DateTime(digits) if digits > 0 => (Kind::DateTime(0), source.clone()),
            Kind::Date | Kind::DateTime(_) => {
                (Kind::Int { name: "INT", bits: 32, unsigned: false }, format!("TO_DAYS({source})"))
            }
            Kind::Set { .. } | Kind::Enum { .. } => {
                (Kind::Int { name: "BIGINT", bits: 64, unsigned: true }, format!("{source} + 0"))
            }
            _ => return None,
        };
        let how = dice.pick(&["VIRTUAL", "STORED"]).copied().unwrap_or("STORED");
        // An index over a virtual column that depends on the session, MySQL 9.7.4 itself makes corrupt.
        let depends = matches!(from.kind, Kind::Char { .. } | Kind::DateTime(1..));
        let how = if depends { "STORED" } else { how };
        let attributes = format!(" AS ({expression}) {how}");
        Some(Self {
            name: format!("g{place}"),
            kind,
            nullable: true,
            auto_increment: false,
            generated: Some(expression),
            attributes,
        })
    }

    /// Its line in a `CREATE TABLE`.
    pub(super) fn definition(&self) -> String {
        format!("{} {}{}", self.name, self.kind.sql(), self.attributes)
    }
}

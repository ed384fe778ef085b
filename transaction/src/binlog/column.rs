//! Columns, and how long a value is in a row image.

/// The type of a column as the binlog writes it (`enum_field_types`), with the metadata that its values need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// TINYINT … BIGINT, by length in bytes: 1, 2, 3, 4, 8.
    Int(u8),
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// DECIMAL(precision, scale).
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// YEAR.
    Year,
    /// DATE.
    Date,
    /// TIME with fractional digits.
    Time(u8),
    /// DATETIME with fractional digits.
    DateTime(u8),
    /// TIMESTAMP with fractional digits.
    Timestamp(u8),
    /// CHAR or BINARY, by its longest value in bytes.
    Char(u16),
    /// VARCHAR or VARBINARY, by its longest value in bytes.
    VarChar(u16),
    /// TEXT or BLOB, by the length of its length, in bytes.
    Blob(u8),
    /// JSON, likewise.
    Json(u8),
    /// GEOMETRY and its kin, likewise.
    Geometry(u8),
    /// VECTOR, likewise.
    Vector(u8),
    /// ENUM, by the length of its ordinal: 1 or 2 bytes.
    Enum(u8),
    /// SET, by the length of its bit mask: 1 to 8 bytes.
    Set(u8),
    /// BIT(n).
    Bit(u8),
}

/// Bytes of `digits` decimal digits: nine take four bytes.
const DIGIT_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

impl ColumnType {
    /// Length of the value at the start of `bytes`, and of the length field before it; `None` if `bytes` is too short.
    #[inline]
    pub fn value_len(self, bytes: &[u8]) -> Option<(usize, usize)> {
        let fixed = |len: usize| Some((0, len));
        let prefixed = |prefix: usize| {
            let len =
                bytes.get(..prefix)?.iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
            Some((prefix, len))
        };
        let fraction = |digits: u8| usize::from(digits.div_ceil(2));
        let (prefix, len) = match self {
            Self::Int(len) | Self::Enum(len) | Self::Set(len) => fixed(len.into()),
            Self::Float => fixed(4),
            Self::Double => fixed(8),
            Self::Decimal { precision, scale } => {
                let (whole, scale) = (usize::from(precision.saturating_sub(scale)), usize::from(scale));
                fixed(whole / 9 * 4 + DIGIT_BYTES[whole % 9] + scale / 9 * 4 + DIGIT_BYTES[scale % 9])
            }
            Self::Year => fixed(1),
            Self::Date => fixed(3),
            Self::Time(digits) => fixed(3 + fraction(digits)),
            Self::DateTime(digits) => fixed(5 + fraction(digits)),
            Self::Timestamp(digits) => fixed(4 + fraction(digits)),
            Self::Char(max) | Self::VarChar(max) => prefixed(if max > 255 { 2 } else { 1 }),
            Self::Blob(prefix) | Self::Json(prefix) | Self::Geometry(prefix) | Self::Vector(prefix) => {
                prefixed(prefix.into())
            }
            Self::Bit(bits) => fixed(usize::from(bits.div_ceil(8))),
        }?;
        (bytes.len() >= prefix + len).then_some((prefix, len))
    }

    /// Whether the table map lists its sign (YEAR is among them, seen on 9.7.4).
    pub(super) fn has_sign(self) -> bool {
        matches!(self, Self::Int(_) | Self::Float | Self::Double | Self::Decimal { .. } | Self::Year)
    }

    /// Whether the table map lists a collation for it among those of character columns. A VECTOR is among them, always
    /// with the binary one, which means nothing (seen on 9.7.4).
    pub(super) fn lists_collation(self) -> bool {
        self.has_collation() || matches!(self, Self::Vector(_))
    }

    /// Whether its collation means something, and is none of an ENUM or SET.
    pub(super) fn has_collation(self) -> bool {
        matches!(self, Self::Char(_) | Self::VarChar(_) | Self::Blob(_))
    }

    /// Whether the table map lists its collation among those of ENUM and SET columns.
    pub(super) fn has_members(self) -> bool {
        matches!(self, Self::Enum(_) | Self::Set(_))
    }
}

/// A column of a table map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// UNSIGNED.
    pub unsigned: bool,
    /// Collation id (`information_schema.COLLATIONS.ID`); 63 is binary, 0 for types without one.
    pub collation: u16,
    /// Members of an ENUM or SET, in the column's character set.
    pub members: Vec<Vec<u8>>,
}

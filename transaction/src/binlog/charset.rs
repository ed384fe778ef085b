//! Which character set a collation id stands for.
//!
//! Source: `information_schema.COLLATIONS` of MySQL 9.7. The ids are fixed for ever; a release only adds new ones.

/// The binary collation.
pub(super) const BINARY: u16 = 63;

/// Name of the character set of a collation id, as an introducer (`_latin1`) has it; `None` for an id that the server
/// did not have when this was written.
pub fn charset_name(collation: u16) -> Option<&'static str> {
    Some(match collation {
        45 | 46 | 224..=247 | 255..=323 => "utf8mb4",
        33 | 76 | 83 | 192..=215 | 223 => "utf8mb3",
        11 | 65 => "ascii",
        BINARY => "binary",
        5 | 8 | 15 | 31 | 47..=49 | 94 => "latin1",
        2 | 9 | 21 | 27 | 77 => "latin2",
        30 | 78 => "latin5",
        20 | 41 | 42 | 79 => "latin7",
        35 | 90 | 128..=151 | 159 => "ucs2",
        54 | 55 | 101..=124 => "utf16",
        56 | 62 => "utf16le",
        60 | 61 | 160..=183 => "utf32",
        32 | 64 => "armscii8",
        1 | 84 => "big5",
        26 | 34 | 44 | 66 | 99 => "cp1250",
        14 | 23 | 50..=52 => "cp1251",
        57 | 67 => "cp1256",
        29 | 58 | 59 => "cp1257",
        4 | 80 => "cp850",
        40 | 81 => "cp852",
        36 | 68 => "cp866",
        95 | 96 => "cp932",
        3 | 69 => "dec8",
        97 | 98 => "eucjpms",
        19 | 85 => "euckr",
        248..=250 => "gb18030",
        24 | 86 => "gb2312",
        28 | 87 => "gbk",
        92 | 93 => "geostd8",
        25 | 70 => "greek",
        16 | 71 => "hebrew",
        6 | 72 => "hp8",
        37 | 73 => "keybcs2",
        7 | 74 => "koi8r",
        22 | 75 => "koi8u",
        38 | 43 => "macce",
        39 | 53 => "macroman",
        13 | 88 => "sjis",
        10 | 82 => "swe7",
        18 | 89 => "tis620",
        12 | 91 => "ujis",
        _ => return None,
    })
}

/// The text of `bytes` if it can be shown without a conversion table: UTF-8 (and ASCII), or only ASCII letters, digits
/// and signs in a character set in which those are themselves.
pub(super) fn text(bytes: &[u8], collation: u16) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    match charset_name(collation)? {
        "utf8mb4" => Some(text),
        "utf8mb3" => text.chars().all(|c| u32::from(c) < 0x1_0000).then_some(text),
        "binary" | "ucs2" | "utf16" | "utf16le" | "utf32" | "swe7" => None,
        _ => text.is_ascii().then_some(text),
    }
}

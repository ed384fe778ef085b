//! Character sets, with collations and letters that they have.

use crate::shop::dice::Dice;

/// A character set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Letters {
    /// Its name.
    pub(super) charset: &'static str,
    collations: &'static [&'static str],
    letters: &'static str,
    /// Most bytes that a letter takes.
    pub(super) bytes_max: u32,
}

const SETS: &[Letters] = &[
    Letters {
        charset: "utf8mb4",
        collations: &[
            "utf8mb4_0900_ai_ci",
            "utf8mb4_bin",
            "utf8mb4_general_ci",
            "utf8mb4_0900_as_cs",
            "utf8mb4_unicode_ci",
            "utf8mb4_de_pb_0900_ai_ci",
            "utf8mb4_0900_bin",
            "utf8mb4_ja_0900_as_cs",
        ],
        letters: "aAbBzZ09 _-'\"\\%éÉäÄßøñ日本語😀\u{200b}\t",
        bytes_max: 4,
    },
    Letters {
        charset: "latin1",
        collations: &["latin1_swedish_ci", "latin1_bin", "latin1_german1_ci", "latin1_general_cs"],
        letters: "aAbzZ09 '\\éÉäÄßøÿ",
        bytes_max: 1,
    },
    Letters {
        charset: "gbk",
        collations: &["gbk_chinese_ci", "gbk_bin"],
        letters: "aAz 9'中文汉字誠",
        bytes_max: 2,
    },
    Letters {
        charset: "sjis",
        collations: &["sjis_japanese_ci", "sjis_bin"],
        letters: "aAz 9'日本語ソ表能",
        bytes_max: 2,
    },
    Letters {
        charset: "cp1251",
        collations: &["cp1251_general_ci", "cp1251_bin", "cp1251_general_cs"],
        letters: "aAz 9'привЕТё",
        bytes_max: 1,
    },
    Letters {
        charset: "ascii",
        collations: &["ascii_general_ci", "ascii_bin"],
        letters: "aAbBzZ09 _-'\\%",
        bytes_max: 1,
    },
    Letters {
        charset: "utf8mb3",
        collations: &["utf8mb3_general_ci", "utf8mb3_bin"],
        letters: "aAz 9'éäß日本",
        bytes_max: 3,
    },
    Letters {
        charset: "ucs2",
        collations: &["ucs2_general_ci", "ucs2_bin"],
        letters: "aAz 9'éß日本",
        bytes_max: 2,
    },
    Letters {
        charset: "utf16",
        collations: &["utf16_general_ci", "utf16_bin"],
        letters: "aAz 9'éß日本😀",
        bytes_max: 4,
    },
    Letters {
        charset: "utf32", collations: &["utf32_general_ci"], letters: "aAz 9éß日本😀", bytes_max: 4
    },
    Letters { charset: "euckr", collations: &["euckr_korean_ci"], letters: "aAz 9한국어", bytes_max: 2 },
    Letters {
        charset: "koi8r",
        collations: &["koi8r_general_ci", "koi8r_bin"],
        letters: "aAz 9привЕТё",
        bytes_max: 1,
    },
];

/// One of the character sets and one of its collations; half of the time it is utf8mb4, as out there.
pub(super) fn some(dice: &mut Dice) -> (&'static Letters, &'static str) {
    let letters = if dice.below(2) == 0 { &SETS[0] } else { dice.pick(SETS).unwrap_or(&SETS[0]) };
    (letters, dice.pick(letters.collations).copied().unwrap_or("utf8mb4_bin"))
}

impl Letters {
    /// A text of up to `max` letters.
    pub(super) fn text(&self, dice: &mut Dice, max: u64) -> String {
        let letters: Vec<char> = self.letters.chars().collect();
        let len = dice.below(max + 1);
        (0..len).filter_map(|_| dice.pick(&letters).copied()).collect()
    }

    /// One of a few short texts, some of which are equal to others under some collation.
    pub(super) fn word(&self, dice: &mut Dice) -> String {
        let letters: Vec<char> = self.letters.chars().collect();
        let first = dice.pick(&letters).copied().unwrap_or('a');
        match dice.below(4) {
            0 => String::new(),
            1 => format!("{first} "),
            2 => format!("{first}{first}"),
            _ => first.to_string(),
        }
    }
}

/// A text literal that means the same in every session: its bytes in utf8mb4, which the server converts.
pub(super) fn literal(text: &str) -> String {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("_utf8mb4 x'{hex}'")
}

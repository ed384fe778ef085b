//! Paths into a document, as the server writes them (`Json_path::to_string` in `sql-common/json_path.cc`).

use std::borrow::Cow;

use super::DEPTH_MAX;

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leg<'a> {
    /// To the member of this name.
    Member(Cow<'a, [u8]>),
    /// To an element of an array.
    Cell(Cell),
}

/// Which element of an array: counted from its beginning, or from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    index: usize,
    from_end: bool,
}

impl Cell {
    /// Its place in an array of `len` elements; `None` beyond it.
    pub(super) fn within(self, len: usize) -> Option<usize> {
        (self.index < len).then(|| self.clamped(len))
    }

    /// Its place in an array of `len` elements, or the end that it lies beyond.
    pub(super) fn clamped(self, len: usize) -> usize {
        if self.from_end { len.saturating_sub(self.index.saturating_add(1)) } else { self.index.min(len) }
    }
}

/// Reads a path: `$`, and `.name`, `."quoted name"`, `[5]`, `[last]` or `[last-5]` for each leg. `None` if it is none of these;
/// wildcards and ranges are not in differences.
pub(super) fn parse(path: &[u8]) -> Option<Vec<Leg<'_>>> {
    let mut rest = path.strip_prefix(b"$")?;
    let mut legs = Vec::new();
    while let Some((sign, after)) = rest.split_first() {
        // No document is deeper, so none can have it; and what is nested can be walked without running out of stack.
        if legs.len() == DEPTH_MAX {
            return None;
        }
        let leg;
        (leg, rest) = match sign {
            b'.' => member(after)?,
            b'[' => cell(after)?,
            _ => return None,
        };
        legs.push(leg);
    }
    Some(legs)
}

fn member(text: &[u8]) -> Option<(Leg<'_>, &[u8])> {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        let mut escaped = false;
        let end = quoted.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        return Some((Leg::Member(unescaped(&quoted[..end])?), &quoted[end + 1..]));
    }
    let end = text.iter().position(|byte| matches!(byte, b'.' | b'[')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    // A name with another sign in it is quoted.
    let bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..);
    (!name.is_empty() && name.iter().all(bare)).then_some((Leg::Member(Cow::Borrowed(name)), rest))
}

fn cell(text: &[u8]) -> Option<(Leg<'_>, &[u8])> {
    let end = text.iter().position(|byte| *byte == b']')?;
    let (index, rest) = (std::str::from_utf8(&text[..end]).ok()?, &text[end + 1..]);
    let number = |digits: &str| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let index = plain.then(|| digits.parse::<u32>().ok())??;
        usize::try_from(index).ok()
    };
    let cell = match index.strip_prefix("last") {
        Some("") => Cell { index: 0, from_end: true },
        Some(back) => Cell { index: number(back.strip_prefix('-')?)?, from_end: true },
        None => Cell { index: number(index)?, from_end: false },
    };
    Some((Leg::Cell(cell), rest))
}

/// What stands between the quotes of a JSON string, its escapes resolved.
fn unescaped(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.contains(&b'\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let (sign, after) = rest.split_first()?;
        rest = after;
        out.push(match sign {
            b'"' | b'\\' | b'/' => *sign,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut units = vec![hex(&mut rest)?];
                if let (0xd800..0xdc00, Some(after)) = (units[0], rest.strip_prefix(b"\\u")) {
                    rest = after;
                    units.push(hex(&mut rest)?);
                }
                out.extend_from_slice(String::from_utf16(&units).ok()?.as_bytes());
                continue;
            }
            _ => return None,
        });
    }
    Some(Cow::Owned(out))
}

/// Takes four hexadecimal digits.
fn hex(rest: &mut &[u8]) -> Option<u16> {
    let (digits, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)? as u16))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(path: &str) -> Option<Vec<String>> {
        let legs = parse(path.as_bytes())?.into_iter();
        Some(
            legs.map(|leg| match leg {
                Leg::Member(name) => String::from_utf8(name.into_owned()).unwrap(),
                Leg::Cell(Cell { index, from_end }) => format!("{}{index}", if from_end { "-" } else { "" }),
            })
            .collect(),
        )
    }

    #[test]
    fn every_form_of_a_leg_is_read() {
        for (path, want) in [
            ("$", &[][..]),
            ("$.a.b_c$1", &["a", "b_c$1"]),
            ("$[0][17].ключ[last][last-3]", &["0", "17", "ключ", "-0", "-3"]),
            (r#"$."".x"#, &["", "x"]),
            (r#"$."a.b[0]\"q\"\\"."\n\u0001 \/""#, &["a.b[0]\"q\"\\", "\n\u{1} /"]),
            (r#"$."\ud83d\ude00é""#, &["😀é"]),
        ] {
            assert_eq!(shown(path).unwrap(), want, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_of_one_place_is_refused() {
        for path in [
            "",
            "a",
            "$a",
            "$.",
            "$. a",
            "$.*",
            "$**.a",
            "$[*]",
            "$[1 to 2]",
            "$[",
            "$[]",
            "$[-1]",
            "$[+1]",
            "$[last-]",
            "$[4294967296]",
            "$.\"a",
            r#"$."\"#,
            r#"$."\x""#,
            r#"$."\u12""#,
            r#"$."\ud83d""#,
            r#"$."\ud83d\u0041""#,
            "$.a b",
        ] {
            assert_eq!(shown(path), None, "{path}");
        }
        assert!(shown(&format!("${}", "[0]".repeat(100))).is_some());
        assert_eq!(shown(&format!("${}", "[0]".repeat(101))), None);
    }

    #[test]
    fn a_cell_beyond_an_array_is_the_end_that_it_is_beyond() {
        let cell = |index, from_end| Cell { index, from_end };
        let places = |cell: Cell| (cell.within(3), cell.clamped(3));
        assert_eq!(places(cell(2, false)), (Some(2), 2));
        assert_eq!(places(cell(3, false)), (None, 3));
        assert_eq!(places(cell(usize::MAX, false)), (None, 3));
        assert_eq!(places(cell(0, true)), (Some(2), 2));
        assert_eq!(places(cell(2, true)), (Some(0), 0));
        assert_eq!(places(cell(usize::MAX, true)), (None, 0));
    }
}

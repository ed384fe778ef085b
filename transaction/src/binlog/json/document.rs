//! A stored document taken apart as far as a change of it reaches, and put together again.
//!
//! What no path leads into stays the bytes that the server wrote: an opaque value or a double keeps each of its bits, and a
//! document of 64 MB with one changed member is not made into millions of small things.

use std::borrow::Cow;

use super::{
    INT16, INT32, INT64, LARGE_ARRAY, LARGE_OBJECT, LITERAL, OPAQUE, SMALL_ARRAY, SMALL_OBJECT, STRING,
    UINT16, UINT32, UINT64, is_inline, prefixed, uint,
};

/// Largest number that the small layout has room for.
const SMALL_MAX: usize = 0xffff;

/// A value in a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    /// As it is stored: its type, and its bytes as they are outside of a value entry.
    Stored { kind: u8, bytes: &'a [u8] },
    /// An object or array that a path has led into.
    Open(Box<Container<'a>>),
}

/// An object or array.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Container<'a> {
    /// Of an object, a key for each value, shorter ones first, then by their bytes; `None` for an array.
    keys: Option<Vec<Cow<'a, [u8]>>>,
    /// The values.
    values: Vec<Node<'a>>,
    /// Length of it in its layout, bytes; set by `measure`.
    len: usize,
    /// Whether it needs the large layout; set by `measure`.
    large: bool,
}

/// Length of the value of type `kind` at the start of `bytes`; `None` if they are none.
fn stored_len(kind: u8, bytes: &[u8]) -> Option<usize> {
    let container = |width: usize| {
        let len = usize::try_from(uint(bytes, width, width)?).ok()?;
        (len >= 2 * width).then_some(len)
    };
    let string = |bytes: &[u8]| {
        let prefix = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
        Some(prefix + prefixed(bytes)?.len())
    };
    let len = match kind {
        SMALL_OBJECT | SMALL_ARRAY => container(2)?,
        LARGE_OBJECT | LARGE_ARRAY => container(4)?,
        LITERAL => 1,
        INT16 | UINT16 => 2,
        INT32 | UINT32 => 4,
        INT64 | UINT64 | super::DOUBLE => 8,
        STRING => string(bytes)?,
        OPAQUE => 1 + string(bytes.get(1..)?)?,
        _ => return None,
    };
    (len <= bytes.len()).then_some(len)
}

impl<'a> Node<'a> {
    /// A whole document: a type and its value. `None` if the bytes are none.
    pub(super) fn document(bytes: &'a [u8]) -> Option<Self> {
        // No bytes at all are the JSON null that the server takes them for.
        let (kind, bytes) = bytes.split_first().unwrap_or((&LITERAL, &[0]));
        Some(Self::Stored { kind: *kind, bytes: &bytes[..stored_len(*kind, bytes)?] })
    }

    /// The object or array that this is; the error says that it is neither, or malformed.
    pub(super) fn open(&mut self) -> Result<&mut Container<'a>, &'static str> {
        if let Self::Stored { kind, bytes } = *self {
            if kind > LARGE_ARRAY {
                return Err("its path leads into a value that is neither object nor array");
            }
            let container = Container::read(kind, bytes).ok_or("the document before it is malformed")?;
            *self = Self::Open(Box::new(container));
        }
        match self {
            Self::Open(container) => Ok(container),
            Self::Stored { .. } => Err("the document before it is malformed"),
        }
    }

    /// The document as the server stores it; `None` if it is longer than a document can be.
    pub(super) fn into_document(mut self) -> Option<Vec<u8>> {
        self.measure()?;
        let mut out = Vec::with_capacity(1 + self.len());
        out.push(self.kind());
        self.write(&mut out);
        Some(out)
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Stored { kind, .. } => *kind,
            Self::Open(container) => match (container.keys.is_some(), container.large) {
                (true, false) => SMALL_OBJECT,
                (true, true) => LARGE_OBJECT,
                (false, false) => SMALL_ARRAY,
                (false, true) => LARGE_ARRAY,
            },
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Stored { bytes, .. } => bytes.len(),
            Self::Open(container) => container.len,
        }
    }

    fn measure(&mut self) -> Option<()> {
        match self {
            Self::Stored { .. } => Some(()),
            Self::Open(container) => container.measure(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Stored { bytes, .. } => out.extend_from_slice(bytes),
            Self::Open(container) => container.write(out),
        }
    }
}

/// The order in which an object has its keys.
fn order(key: &[u8]) -> (usize, &[u8]) {
    (key.len(), key)
}

impl<'a> Container<'a> {
    /// Reads what `bytes` hold: count, size, key entries (offset, length of 2), value entries (type, value or offset), keys,
    /// values; offsets count from the start, numbers are of 2 bytes or 4.
    fn read(kind: u8, bytes: &'a [u8]) -> Option<Self> {
        let width = if matches!(kind, LARGE_OBJECT | LARGE_ARRAY) { 4 } else { 2 };
        let object = matches!(kind, SMALL_OBJECT | LARGE_OBJECT);
        let number = |at: usize| usize::try_from(uint(bytes, at, width)?).ok();
        let count = number(0)?;
        let bytes = bytes.get(..number(width)?)?;
        let (key_entry, value_entry) = (if object { width + 2 } else { 0 }, 1 + width);
        let first_value = (2 * width).checked_add(count.checked_mul(key_entry)?)?;
        // What its parts take must fit it: otherwise offsets lead to the same bytes again and again, and what is written of it
        // would be many times as long.
        let mut left = bytes.len().checked_sub(first_value.checked_add(count.checked_mul(value_entry)?)?)?;
        let mut keys = object.then(|| Vec::with_capacity(count));
        let mut values = Vec::with_capacity(count);
        for place in 0..count {
            if let Some(keys) = &mut keys {
                let entry = 2 * width + place * key_entry;
                let (at, len) = (number(entry)?, uint(bytes, entry + width, 2)? as usize);
                left = left.checked_sub(len)?;
                keys.push(Cow::Borrowed(bytes.get(at..at.checked_add(len)?)?));
            }
            let entry = first_value + place * value_entry;
            let kind = *bytes.get(entry)?;
            let value = if is_inline(kind, width) {
                bytes.get(entry + 1..entry + 1 + width)?
            } else {
                bytes.get(number(entry + 1)?..)?
            };
            let value = &value[..stored_len(kind, value)?];
            if !is_inline(kind, width) {
                left = left.checked_sub(value.len())?;
            }
            values.push(Node::Stored { kind, bytes: value });
        }
        Some(Self { keys, values, len: 0, large: false })
    }

    /// Its values, if it is an array.
    pub(super) fn as_array(&mut self) -> Option<&mut Vec<Node<'a>>> {
        self.keys.is_none().then_some(&mut self.values)
    }

    /// Where an object has a key, or where it belongs; `None` for an array.
    fn place(&self, key: &[u8]) -> Option<Result<usize, usize>> {
        Some(self.keys.as_ref()?.binary_search_by(|other| order(other).cmp(&order(key))))
    }

    /// The value of an object's key.
    pub(super) fn member(&mut self, key: &[u8]) -> Option<&mut Node<'a>> {
        let place = self.place(key)?.ok()?;
        self.values.get_mut(place)
    }

    /// Adds a member to an object; `None` if it has the key, or is an array.
    pub(super) fn insert_member(&mut self, key: Cow<'a, [u8]>, value: Node<'a>) -> Option<()> {
        let place = self.place(&key)?.err()?;
        self.keys.as_mut()?.insert(place, key);
        self.values.insert(place, value);
        Some(())
    }

    /// Takes a member out of an object; `None` if it has no such key, or is an array.
    pub(super) fn remove_member(&mut self, key: &[u8]) -> Option<()> {
        let place = self.place(key)?.ok()?;
        self.keys.as_mut()?.remove(place);
        self.values.remove(place);
        Some(())
    }

    /// Finds layout and length of it and of what is in it. `None` if it or one of its keys is too long.
    ///
    /// The server takes the small layout wherever it fits, and the large one for all that holds something in the large one.
    fn measure(&mut self) -> Option<()> {
        for value in &mut self.values {
            value.measure()?;
        }
        if self.keys.iter().flatten().any(|key| key.len() > SMALL_MAX) {
            return None;
        }
        let holds_large = |value: &Node<'_>| matches!(value.kind(), LARGE_OBJECT | LARGE_ARRAY);
        self.len = self.len_of(2);
        self.large = self.len > SMALL_MAX || self.values.iter().any(holds_large);
        if self.large {
            self.len = self.len_of(4);
        }
        u32::try_from(self.len).ok().map(|_| ())
    }

    /// Its length where numbers are of `width` bytes.
    fn len_of(&self, width: usize) -> usize {
        let keys: usize = self.keys.iter().flatten().map(|key| width + 2 + key.len()).sum();
        let values = self.values.iter().map(|value| match is_inline(value.kind(), width) {
            true => 1 + width,
            false => 1 + width + value.len(),
        });
        2 * width + keys + values.sum::<usize>()
    }

    /// Appends it. It has been measured.
    fn write(&self, out: &mut Vec<u8>) {
        let width = if self.large { 4 } else { 2 };
        let put =
            |out: &mut Vec<u8>, number: usize| out.extend_from_slice(&(number as u64).to_le_bytes()[..width]);
        let start = out.len();
        put(out, self.values.len());
        put(out, self.len);
        let keys = self.keys.iter().flatten();
        let entries = self.values.len() * (1 + width);
        let mut at = 2 * width + self.keys.as_ref().map_or(0, Vec::len) * (width + 2) + entries;
        for key in keys.clone() {
            put(out, at);
            out.extend_from_slice(&(key.len() as u16).to_le_bytes());
            at += key.len();
        }
        let mut entry = out.len();
        out.resize(entry + entries, 0);
        keys.for_each(|key| out.extend_from_slice(key));
        for value in &self.values {
            let kind = value.kind();
            let inlined = match value {
                Node::Stored { bytes, .. } if is_inline(kind, width) => inlined(kind, bytes),
                _ => {
                    let offset = (out.len() - start) as u32;
                    value.write(out);
                    offset
                }
            };
            out[entry] = kind;
            out[entry + 1..=entry + width].copy_from_slice(&inlined.to_le_bytes()[..width]);
            entry += 1 + width;
        }
    }
}

/// A value as it stands in its entry: a narrow integer is widened by its sign.
fn inlined(kind: u8, bytes: &[u8]) -> u32 {
    let value = bytes.iter().rev().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
    if kind == INT16 { value as u16 as i16 as i32 as u32 } else { value }
}

/// The document without the gaps that changes in place leave in it; for tests.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(in super::super) fn without_gaps(bytes: &[u8]) -> Vec<u8> {
    fn open_all(node: &mut Node<'_>) {
        if node.kind() <= LARGE_ARRAY {
            node.open().unwrap().values.iter_mut().for_each(open_all);
        }
    }
    let mut node = Node::document(bytes).unwrap();
    open_all(&mut node);
    node.into_document().unwrap()
}

#[cfg(test)]
impl<'a> Container<'a> {
    /// An object of members in any order, or an array.
    pub(super) fn of(keys: Option<Vec<&'a [u8]>>, values: Vec<Node<'a>>) -> Self {
        let Some(keys) = keys else { return Self { keys: None, values, len: 0, large: false } };
        let mut object = Self { keys: Some(Vec::new()), values: Vec::new(), len: 0, large: false };
        for (key, value) in keys.into_iter().zip(values) {
            let _ = object.insert_member(Cow::Borrowed(key), value);
        }
        object
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::{ColumnType, EventError, Item, Tables, for_each_item, row_values};
    use super::*;

    #[test]
    fn documents_of_a_server_taken_apart_entirely_are_put_together_bit_for_bit() {
        let events = include_bytes!("../../../tests/values/events.bin");
        let mut opened = 0;
        for_each_item::<EventError>(events, true, &mut Tables::default(), &mut 0, &mut |item| {
            let Item::Change { table, change, .. } = item else { return Ok(()) };
            for image in [change.before, change.after].into_iter().flatten() {
                for (column, value) in table.columns.iter().zip(row_values(table, image)?) {
                    if let (ColumnType::Json(_), Some(bytes @ [kind, ..])) = (column.kind, value) {
                        assert_eq!(without_gaps(bytes), bytes);
                        opened += u32::from(*kind <= LARGE_ARRAY);
                    }
                }
            }
            Ok(())
        })
        .unwrap();
        assert!(opened > 5, "{opened} objects and arrays");
    }

    #[test]
    fn an_integer_is_widened_by_its_sign_where_its_entry_is_wider() {
        let mut small = vec![SMALL_ARRAY, 3, 0, 13, 0, INT16, 0xfe, 0xff, UINT16, 0xfe, 0xff, LITERAL, 2, 0];
        let long = [&[STRING, 0x80, 0x80, 0x04][..], &[b'x'; 0x1_0000]].concat();
        let mut node = Node::document(&small).unwrap();
        node.open().unwrap().as_array().unwrap().push(Node::document(&long).unwrap());
        let bytes = node.into_document().unwrap();
        assert_eq!(bytes[0], LARGE_ARRAY);
        assert_eq!(
            bytes[9..24],
            [INT16, 0xfe, 0xff, 0xff, 0xff, UINT16, 0xfe, 0xff, 0, 0, LITERAL, 2, 0, 0, 0]
        );
        let mut node = Node::document(&bytes).unwrap();
        node.open().unwrap().as_array().unwrap().pop();
        assert_eq!(node.into_document().unwrap(), small);
        // Bytes behind a document are none of it.
        small.push(7);
        assert_eq!(Node::document(&small).unwrap().into_document().unwrap(), small[..small.len() - 1]);
    }

    #[test]
    fn an_integer_of_four_bytes_stands_in_a_large_entry_and_behind_a_small_one() {
        let number = [&[INT32][..], &(-70_000i32).to_le_bytes()].concat();
        let small = [&[SMALL_ARRAY, 1, 0, 11, 0, INT32, 7, 0][..], &number[1..]].concat();
        let long = [&[STRING, 0x80, 0x80, 0x04][..], &[b'x'; 0x1_0000]].concat();
        let mut node = Node::document(&small).unwrap();
        node.open().unwrap().as_array().unwrap().push(Node::document(&long).unwrap());
        let large = node.into_document().unwrap();
        assert_eq!(large[9..14], number);
        let mut node = Node::document(&large).unwrap();
        node.open().unwrap().as_array().unwrap().pop();
        assert_eq!(node.into_document().unwrap(), small);
    }

    #[test]
    fn the_small_layout_is_taken_up_to_its_last_byte() {
        // As a server says by `JSON_STORAGE_SIZE(JSON_ARRAY(REPEAT('x', 65525)))`, which is 65536, and of one more, 65543.
        for (len, kind, stored) in [(65_525, SMALL_ARRAY, 65_536), (65_526, LARGE_ARRAY, 65_543)] {
            let long =
                [&[STRING, len as u8 | 0x80, (len >> 7) as u8 | 0x80, 3], &vec![b'x'; len][..]].concat();
            let mut node = Node::document(&[SMALL_ARRAY, 0, 0, 4, 0]).unwrap();
            node.open().unwrap().as_array().unwrap().push(Node::document(&long).unwrap());
            let bytes = node.into_document().unwrap();
            assert_eq!((bytes[0], bytes.len()), (kind, stored));
        }
    }

    #[test]
    fn a_document_whose_values_share_their_bytes_is_refused() {
        let mut shared = vec![SMALL_ARRAY, 2, 0, 20, 0, STRING, 10, 0, STRING, 10, 0, 9];
        shared.extend(b"123456789");
        shared.truncate(21);
        let mut node = Node::document(&shared).unwrap();
        assert_eq!(node.open().unwrap_err(), "the document before it is malformed");
    }
}

//! The changes of a document that a partial update carries (`sql/json_diff.cc` in the server).

use super::super::input::Input;
use super::document::Node;
use super::path::{self, Leg};

const REPLACE: u8 = 0;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;

const MALFORMED: &str = "its differences are malformed";
const NO_PLACE: &str = "its path leads to nothing in the document before it";

/// The document that `diffs`, applied in order, make of `document`. `diffs` is a list of operation, path with its length, and but for
/// removals a value with its length. The error is the reason.
///
/// Without any difference the document stays as it is, bit for bit.
pub(in super::super) fn apply(document: &[u8], diffs: &[u8]) -> Result<Vec<u8>, &'static str> {
    if diffs.is_empty() {
        return Ok(document.to_vec());
    }
    let mut root = Node::document(document).ok_or("the document before it is malformed")?;
    let mut input = Input::new(diffs, "rows");
    while !input.rest.is_empty() {
        let operation = input.byte().map_err(|_| MALFORMED)?;
        let legs = path::parse(field(&mut input)?).ok_or("a path in it is not one that the server writes")?;
        // The root is never replaced in part.
        let (last, way) = legs.split_last().ok_or(MALFORMED)?;
        let mut parent = &mut root;
        for leg in way {
            parent = seek(parent, leg)?;
        }
        match operation {
            REPLACE => *seek(parent, last)? = value(&mut input)?,
            INSERT => insert(parent, last, value(&mut input)?)?,
            REMOVE => remove(parent, last)?,
            _ => return Err("an operation in it is not known"),
        }
    }
    root.into_document().ok_or("the document after it is too long")
}

/// Bytes with their length before them.
fn field<'a>(input: &mut Input<'a>) -> Result<&'a [u8], &'static str> {
    let len = input.lenenc_len().map_err(|_| MALFORMED)?;
    input.take(len).map_err(|_| MALFORMED)
}

fn value<'a>(input: &mut Input<'a>) -> Result<Node<'a>, &'static str> {
    Node::document(field(input)?).ok_or("a value in it is malformed")
}

fn seek<'n, 'a>(node: &'n mut Node<'a>, leg: &Leg<'_>) -> Result<&'n mut Node<'a>, &'static str> {
    let container = node.open()?;
    match leg {
        Leg::Member(name) => container.member(name),
        Leg::Cell(cell) => container.as_array().and_then(|values| {
            let place = cell.within(values.len())?;
            values.get_mut(place)
        }),
    }
    .ok_or(NO_PLACE)
}

fn insert<'a>(parent: &mut Node<'a>, leg: &Leg<'a>, value: Node<'a>) -> Result<(), &'static str> {
    let container = parent.open()?;
    match leg {
        Leg::Member(_) if container.as_array().is_some() => Err(NO_PLACE),
        Leg::Member(name) => container
            .insert_member(name.clone(), value)
            .ok_or("it inserts a member that the document before it has already"),
        Leg::Cell(cell) => {
            let values = container.as_array().ok_or(NO_PLACE)?;
            values.insert(cell.clamped(values.len()), value);
            Ok(())
        }
    }
}

fn remove(parent: &mut Node<'_>, leg: &Leg<'_>) -> Result<(), &'static str> {
    let container = parent.open()?;
    match leg {
        Leg::Member(name) => container.remove_member(name),
        Leg::Cell(cell) => container.as_array().and_then(|values| {
            let place = cell.within(values.len())?;
            values.remove(place);
            Some(())
        }),
    }
    .ok_or(NO_PLACE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

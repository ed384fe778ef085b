//! Differences against a model of documents that shares no code with them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::document::Container;
use super::super::{DOUBLE, INT16, INT64, LITERAL, OPAQUE, STRING, UINT16, UINT32, decode, without_gaps};
use super::*;

/// A document, and how it is shown.
#[derive(Debug, Clone)]
enum Model {
    Scalar(u8, Vec<u8>, String),
    Array(Vec<Model>),
    /// By the order of keys.
    Object(BTreeMap<(usize, String), Model>),
}

impl Model {
    fn text(&self) -> String {
        match self {
            Self::Scalar(.., text) => text.clone(),
            Self::Array(values) => {
                format!("[{}]", values.iter().map(Self::text).collect::<Vec<_>>().join(", "))
            }
            Self::Object(members) => {
                let member = |((_, key), value): (&(usize, String), &Self)| {
                    format!("{}: {}", quoted(key), value.text())
                };
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn node(&self) -> Node<'_> {
        let (keys, values) = match self {
            Self::Scalar(kind, bytes, _) => return Node::Stored { kind: *kind, bytes },
            Self::Array(values) => (None, values.iter().map(Self::node).collect()),
            Self::Object(members) => {
                // Not in their order, so that it is this crate's doing.
                let keys = members.keys().rev().map(|(_, key)| key.as_bytes()).collect();
                (Some(keys), members.values().rev().map(Self::node).collect())
            }
        };
        Node::Open(Box::new(Container::of(keys, values)))
    }

    fn stored(&self) -> Vec<u8> {
        self.node().into_document().unwrap()
    }

    fn len(&self) -> usize {
        match self {
            Self::Scalar(..) => 0,
            Self::Array(values) => values.len(),
            Self::Object(members) => members.len(),
        }
    }

    fn child(&mut self, place: usize) -> &mut Self {
        match self {
            Self::Array(values) => &mut values[place],
            Self::Object(members) => members.values_mut().nth(place).unwrap(),
            Self::Scalar(..) => unreachable!(),
        }
    }

    /// The leg of a path that leads to a child.
    fn leg(&self, place: usize) -> String {
        match self {
            Self::Object(members) => name_leg(&members.keys().nth(place).unwrap().1),
            Self::Array(values) if place % 2 == 1 => match values.len() - place - 1 {
                0 => "[last]".into(),
                back => format!("[last-{back}]"),
            },
            _ => format!("[{place}]"),
        }
    }
}

fn name_leg(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    if bare { format!(".{name}") } else { format!(".{}", quoted(name)) }
}

fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".into(),
        '\u{1}' => "\\u0001".into(),
        _ => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

fn key() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop::sample::select(vec!['a', 'b', '.', '"', '\\', '[', ' ', 'é', '日', '\n', '\u{1}']),
        0..4,
    )
    .prop_map(String::from_iter)
}

fn string(text: String) -> Model {
    let mut bytes = Vec::new();
    let mut len = text.len();
    while len > 0x7f {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend(text.as_bytes());
    Model::Scalar(STRING, bytes, quoted(&text))
}

fn scalar() -> impl Strategy<Value = Model> {
    let fixed = |kind, bytes: &[u8], text: &str| Just(Model::Scalar(kind, bytes.to_vec(), text.into()));
    prop_oneof![
        4 => any::<i16>().prop_map(|n| Model::Scalar(INT16, n.to_le_bytes().into(), n.to_string())),
        4 => any::<u16>().prop_map(|n| Model::Scalar(UINT16, n.to_le_bytes().into(), n.to_string())),
        4 => any::<i32>().prop_map(|n| Model::Scalar(super::super::INT32, n.to_le_bytes().into(), n.to_string())),
        4 => any::<u32>().prop_map(|n| Model::Scalar(UINT32, n.to_le_bytes().into(), n.to_string())),
        4 => any::<i64>().prop_map(|n| Model::Scalar(INT64, n.to_le_bytes().into(), n.to_string())),
        4 => fixed(LITERAL, &[0], "null"),
        4 => fixed(LITERAL, &[1], "true"),
        4 => fixed(DOUBLE, &(-0.0f64).to_le_bytes(), "-0.0"),
        4 => fixed(DOUBLE, &2.5f64.to_le_bytes(), "2.5"),
        // 1.5 as DECIMAL(2,1).
        4 => fixed(OPAQUE, &[246, 4, 2, 1, 0x81, 5], "1.5"),
        4 => key().prop_map(string),
        4 => (0..300usize).prop_map(|len| string("s".repeat(len))),
        // Around what the small layout holds.
        1 => (65_000..66_000usize).prop_map(|len| string("l".repeat(len))),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    scalar().prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Model::Array),
            prop::collection::vec((key(), inner), 0..6).prop_map(|members| {
                Model::Object(members.into_iter().map(|(key, value)| ((key.len(), key), value)).collect())
            }),
        ]
    })
}

#[derive(Debug, Clone)]
struct Edit {
    way: Vec<Index>,
    operation: u8,
    place: Index,
    key: String,
    value: Model,
}

fn edit() -> impl Strategy<Value = Edit> {
    let way = prop::collection::vec(any::<Index>(), 0..5);
    (way, REPLACE..=REMOVE, any::<Index>(), key(), model())
        .prop_map(|(way, operation, place, key, value)| Edit { way, operation, place, key, value })
}

fn push_field(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        len @ 0..251 => out.push(len as u8),
        len => {
            out.push(0xfe);
            out.extend((len as u64).to_le_bytes());
        }
    }
    out.extend(bytes);
}

/// Makes the edit in the model and appends it as the server would write it; nothing if there is no place for it.
fn make(mut model: &mut Model, edit: Edit, out: &mut Vec<u8>) {
    let mut path = "$".to_owned();
    for step in edit.way {
        let len = model.len();
        if len == 0 || model.child(step.index(len)).len() == 0 {
            break;
        }
        path += &model.leg(step.index(len));
        model = model.child(step.index(len));
    }
    let len = model.len();
    if edit.operation == INSERT {
        let value = edit.value.clone();
        match model {
            Model::Scalar(..) => return,
            Model::Array(values) => {
                // Beyond the end is the end.
                let place = edit.place.index(len + 3);
                path += &format!("[{place}]");
                values.insert(place.min(len), value);
            }
            Model::Object(members) => {
                let key = (edit.key.len(), edit.key);
                if members.contains_key(&key) {
                    return;
                }
                path += &name_leg(&key.1);
                members.insert(key, value);
            }
        }
    } else {
        if len == 0 {
            return;
        }
        let place = edit.place.index(len);
        path += &model.leg(place);
        match (edit.operation, model) {
            (REPLACE, model) => *model.child(place) = edit.value.clone(),
            (_, Model::Array(values)) => drop(values.remove(place)),
            (_, Model::Object(members)) => {
                let key = members.keys().nth(place).unwrap().clone();
                members.remove(&key);
            }
            _ => return,
        }
    }
    out.push(edit.operation);
    push_field(out, path.as_bytes());
    if edit.operation != REMOVE {
        push_field(out, &edit.value.stored());
    }
}

fn shown(document: &[u8]) -> String {
    decode(document).unwrap().text().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn differences_make_of_a_document_what_they_make_of_its_model(
        mut model in model(), edits in prop::collection::vec(edit(), 1..8),
    ) {
        let document = model.stored();
        prop_assert_eq!(shown(&document), model.text());
        let mut diffs = Vec::new();
        for edit in edits {
            make(&mut model, edit, &mut diffs);
        }
        let changed = apply(&document, &diffs).unwrap();
        prop_assert_eq!(shown(&changed), model.text());
        prop_assert_eq!(without_gaps(&changed), model.stored());
    }

    #[test]
    fn arbitrary_differences_of_damaged_documents_make_a_document_of_bounded_length_or_none(
        model in model(), damage in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        mut diffs in prop::collection::vec(any::<u8>(), 0..40), edits in prop::collection::vec(edit(), 0..4),
        diff_damage in prop::collection::vec((any::<Index>(), any::<u8>()), 0..3),
    ) {
        let mut document = model.stored();
        let mut changed = model.clone();
        let mut right = Vec::new();
        for edit in edits {
            make(&mut changed, edit, &mut right);
        }
        right.append(&mut diffs);
        for (bytes, damage) in [(&mut document, damage), (&mut right, diff_damage)] {
            for (place, byte) in damage {
                if !bytes.is_empty() {
                    let at = place.index(bytes.len());
                    bytes[at] = byte;
                }
            }
        }
        if let Ok(whole) = apply(&document, &right) {
            prop_assert!(whole.len() <= 2 * (document.len() + right.len()) + 16);
        }
    }
}

#[test]
fn differences_that_do_not_fit_their_document_are_refused() {
    let document = Model::Object([((1, "a".to_owned()), Model::Array(vec![]))].into()).stored();
    let diff = |operation: u8, path: &str, value: &[u8]| {
        let mut diff = vec![operation];
        push_field(&mut diff, path.as_bytes());
        if operation != REMOVE {
            push_field(&mut diff, value);
        }
        apply(&document, &diff)
    };
    let null: &[u8] = &[LITERAL, 0];
    for (operation, path, value, want) in [
        (REPLACE, "$.b", null, NO_PLACE),
        (REPLACE, "$.a[0]", null, NO_PLACE),
        (REPLACE, "$[0]", null, NO_PLACE),
        (REMOVE, "$.b", null, NO_PLACE),
        (REMOVE, "$.a[0]", null, NO_PLACE),
        (REMOVE, "$.a.b", null, NO_PLACE),
        (INSERT, "$[0]", null, NO_PLACE),
        (INSERT, "$.a", null, "already"),
        (INSERT, "$.a.b", null, NO_PLACE),
        (REPLACE, "$", null, MALFORMED),
        (REPLACE, "a", null, "not one that the server writes"),
        (INSERT, "$.b", &[OPAQUE, 7], "a value in it is malformed"),
        (3, "$.a", null, "not known"),
    ] {
        let error = diff(operation, path, value).unwrap_err();
        assert!(error.contains(want), "{operation} {path}: {error}");
    }
    assert!(apply(&document, &[REMOVE, 9, b'$']).is_err(), "a path beyond its end");
    assert_eq!(apply(&[], &[]), Ok(vec![]));
    assert_eq!(
        apply(&[STRING, 1, b'x'], b"\x02\x03$.a").unwrap_err(),
        "its path leads into a value that is neither object nor array"
    );
}

//! What `concord conflicts list` says. This is the one place that knows the shape of its answer.

use crate::{Concord, Error, Result};
use serde_json::Value;

/// One conflict on record, as far as tests ask for it. Words are as printed: `update-delete`, `under-lock`, `incoming`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Its id, the same in every region.
    pub id: String,
    /// Where it was found.
    pub region: String,
    /// The table, as `schema.table`.
    pub table: String,
    /// The values of the primary key as SQL literals, with commas between them.
    pub key: String,
    /// What met what, the incoming write first.
    pub kind: String,
    /// When it was found: `first-look`, `under-lock` or `constraint`.
    pub found: String,
    /// The rule that decided.
    pub policy: String,
    /// `incoming`, `existing`, `merged` or `halted`.
    pub winner: String,
    /// The origins of the two writes, the incoming one first.
    pub origins: (String, String),
    /// Whether it was only reported.
    pub detect_only: bool,
}

/// All conflicts that a region has on record, in the order of the answer.
pub fn list(concord: &Concord) -> Result<Vec<Conflict>> {
    parse(&concord.say(&["conflicts", "list", "--limit", "100000", "--json"])?)
}

/// One JSON value per conflict, one after the other, or arrays of them.
fn parse(printed: &str) -> Result<Vec<Conflict>> {
    let mut found = Vec::new();
    for value in serde_json::Deserializer::from_str(printed).into_iter::<Value>() {
        let value = value.map_err(|error| {
            Error::Unexpected(format!("`conflicts list --json` is no JSON: {error}\n{printed}"))
        })?;
        match value {
            Value::Array(values) => found.extend(values.iter().map(conflict)),
            one => found.push(conflict(&one)),
        }
    }
    Ok(found)
}

fn conflict(value: &Value) -> Conflict {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let key = match &value["key"] {
        Value::Object(columns) => columns.values().map(text).collect::<Vec<_>>(),
        Value::Array(pairs) => pairs.iter().map(|pair| text(&pair[1])).collect(),
        other => vec![text(other)],
    };
    let schema = value["schema"].as_str().map(|schema| format!("{schema}.")).unwrap_or_default();
    Conflict {
        id: text(&value["id"]),
        region: text(&value["region"]),
        table: format!("{schema}{}", text(&value["table"])),
        key: key.join(","),
        kind: text(&value["kind"]),
        found: text(&value["found"]),
        policy: text(&value["policy"]),
        winner: text(&value["winner"]),
        origins: (text(&value["incoming"]["origin"]), text(&value["existing"]["origin"])),
        detect_only: value["detect_only"].as_bool().unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::parse;

    #[test]
    fn lines_and_arrays_are_understood() {
        let one = r#"{"id":"a","schema":"s","table":"t","key":{"id":"1"},"kind":"update-delete","found":"first-look",
            "policy":"last-writer-wins","winner":"incoming","incoming":{"origin":"us"},"existing":{"origin":"eu"}}"#;
        let other = one.replace(r#"{"id":"1"}"#, r#"[["id","1"],["n","'x'"]]"#);
        for printed in [format!("{one}\n{other}\n"), format!("[{one},{other}]")] {
            let found = parse(&printed).unwrap();
            assert_eq!((found[0].table.as_str(), found[0].key.as_str()), ("s.t", "1"));
            assert_eq!((found[1].key.as_str(), found[1].origins.0.as_str()), ("1,'x'", "us"));
        }
        assert_eq!(parse("").unwrap(), []);
        assert!(parse("no conflicts").is_err());
    }
}

//! What can be wrong with a configuration, and where.

use std::path::{Path, PathBuf};

/// Why a configuration is refused. Every message ends with what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file itself.
    #[error(
        "cannot read configuration {}: {source}; name another file with --config or CONCORD_CONFIG, or write one with \
         `concord init`", file.display()
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Text that is no TOML, a key that is not known, or a value that does not fit.
    #[error("{}:{line}: {reason}; {remedy}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, with the key.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// A file that the configuration names.
    #[error("{key}: cannot read {}: {source}; correct the path, or let this account read it", file.display())]
    Named {
        /// The key that names it.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A flaw of a parsed configuration: which key, why, and what to do. Its line is looked up by [`Flaw::at`]. A part of the
/// key that is a number, from 1, is a place in an array; no key of ours begins with a digit.
#[derive(Debug)]
pub(super) struct Flaw {
    key: Vec<String>,
    reason: String,
    remedy: String,
}

impl Flaw {
    pub(super) fn new(key: &[&str], reason: String, remedy: String) -> Self {
        Self { key: key.iter().map(|part| (*part).to_owned()).collect(), reason, remedy }
    }

    pub(super) fn at(self, file: &Path, text: &str) -> ConfigError {
        ConfigError::Refused {
            file: file.to_owned(),
            line: line_of_key(text, &self.key),
            reason: format!("{}: {}", written_key(&self.key), self.reason),
            remedy: self.remedy,
        }
    }
}

impl ConfigError {
    /// The parser's own complaint, with a remedy of ours.
    pub(super) fn from_toml(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().trim().replace('\n', ", ");
        let offset = error.span().map_or(0, |span| span.start);
        let duplicate_line = line_at(text, offset);
        let (reason, remedy) = if let Some((unknown, known)) = unknown_key(&message) {
            let nearest = nearest(unknown, &known);
            let remedy = match nearest {
                Some(nearest) => format!("did you mean `{nearest}`? Known here: {}", known.join(", ")),
                None if known.is_empty() => "remove it".to_owned(),
                None => format!("remove it; known here: {}", known.join(", ")),
            };
            (format!("key `{unknown}` is not known"), remedy)
        } else if message.contains("duplicate key") {
            let line = text.lines().nth(duplicate_line.saturating_sub(1)).unwrap_or_default().trim();
            if line.starts_with("[mesh.regions") {
                (
                    format!("two regions have the same name: {line} stands twice"),
                    "give each region its own name".to_owned(),
                )
            } else {
                (format!("`{line}` stands twice"), "keep one of them".to_owned())
            }
        } else if let Some(missing) = message.strip_prefix("missing field ") {
            (format!("key {missing} is missing"), "add it; `concord init` writes a complete file".to_owned())
        } else {
            (message, "correct the value; `concord init` writes a file that explains every key".to_owned())
        };
        ConfigError::Refused { file: file.to_owned(), line: duplicate_line, reason, remedy }
    }
}

/// The key and its known siblings, if the message is the parser's complaint about an unknown key.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest =
        message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))?;
    let mut quoted = rest.split('`');
    let unknown = quoted.next()?;
    // What follows alternates between separators and the known names.
    let known = quoted.skip(1).step_by(2).collect();
    message.starts_with("unknown field").then_some((unknown, known))
}

/// The known name that most likely was meant: at most a third of its letters differ.
pub(crate) fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(unknown, name), *name))
        .filter(|(distance, name)| *distance * 3 <= name.len().max(unknown.len()))
        .min()
        .map(|(_, name)| name)
}

/// The line, from 1, in which the byte at `offset` stands.
fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// The key as messages have it: `mesh.policy[2].owner`.
fn written_key(key: &[String]) -> String {
    let mut text = String::new();
    for part in key {
        match part.parse::<usize>() {
            Ok(place) => text.push_str(&format!("[{place}]")),
            Err(_) if text.is_empty() => text.push_str(part),
            Err(_) => text.push_str(&format!(".{part}")),
        }
    }
    text
}

/// The line of the deepest part of `key` that stands in the text; 1 if none does.
fn line_of_key(text: &str, key: &[String]) -> usize {
    use toml::de::DeValue;
    let Ok(document) = toml::de::DeTable::parse(text) else { return 1 };
    let mut offset = 0;
    let mut value: Option<&DeValue<'_>> = None;
    for part in key {
        let found = match (value, part.parse::<usize>()) {
            (Some(DeValue::Array(elements)), Ok(place)) => {
                place.checked_sub(1).and_then(|at| elements.get(at)).map(|element| (element.span(), element))
            }
            (None, _) => entry(document.get_ref(), part),
            (Some(DeValue::Table(table)), _) => entry(table, part),
            _ => None,
        };
        let Some((span, inner)) = found else { break };
        offset = span.start;
        value = Some(inner.get_ref());
    }
    line_at(text, offset)
}

/// Where a key stands in a table, and its value.
fn entry<'a, 'i>(
    table: &'a toml::de::DeTable<'i>,
    key: &str,
) -> Option<(std::ops::Range<usize>, &'a toml::Spanned<toml::de::DeValue<'i>>)> {
    let (name, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    Some((name.span(), value))
}

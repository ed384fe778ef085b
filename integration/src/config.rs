//! The configuration file of a region.

use crate::{Error, Result};
use std::path::Path;

/// Sets a value at a dotted path, and makes the tables on the way.
pub fn set(table: &mut toml::Table, path: &str, value: impl Into<toml::Value>) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value.into());
        }
        Some((first, rest)) => {
            let entry =
                table.entry(first.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if !entry.is_table() {
                *entry = toml::Value::Table(toml::Table::new());
            }
            if let Some(inner) = entry.as_table_mut() {
                set(inner, rest, value);
            }
        }
    }
}

/// Writes a configuration.
pub fn write_config(path: &Path, table: &toml::Table) -> Result<()> {
    let text =
        toml::to_string_pretty(table).map_err(|error| Error::Unexpected(format!("write TOML: {error}")))?;
    std::fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}

/// Writes a secret into a file that only we can read; who reads it meanwhile finds the one before it, whole.
pub(crate) fn write_secret(path: &Path, secret: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let write = || -> std::io::Result<()> {
        let new = path.with_extension("new");
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        writeln!(file, "{secret}")?;
        std::fs::rename(new, path)
    };
    write().map_err(Error::io(format!("write {}", path.display())))
}

//! Aligned columns, and values as people read them.

use std::io::{self, Write};

use transaction::binlog::printable;

/// Longest value in a column, in characters.
const CELL_CHARS_MAX: usize = 60;

/// Prints rows with their columns aligned to the left, after `indent` blanks.
pub(super) fn print(rows: &[Vec<String>], indent: usize, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let mut line = " ".repeat(indent);
        for (cell, width) in row.iter().zip(&widths) {
            line += &format!("{cell:<width$}  ");
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A literal as it is shown: without what only the server needs, and not too long.
pub(super) fn shown(literal: Option<&str>) -> String {
    let Some(literal) = literal else { return "NULL".to_owned() };
    let json = literal.strip_prefix("CAST(").and_then(|inner| inner.strip_suffix(" AS JSON)"));
    let bare = json.unwrap_or(literal);
    let bare = bare.strip_prefix("_utf8mb4").filter(|rest| rest.starts_with('\'')).unwrap_or(bare);
    match bare.char_indices().nth(CELL_CHARS_MAX) {
        None => bare.to_owned(),
        Some((at, _)) => format!("{}…", &bare[..at]),
    }
}

//! The same row events by `mysqlbinlog -vv`.
//!
//! It prints the heads of a statement's row events first and then the rows of all of them, so both sides are taken
//! statement by statement. Nothing of its text is parsed into values: what it must print is made from our value, where
//! its form is exact.

use crate::mysql_common::epoch;
use crate::ours::{Change, Rows};
use crate::tally::{Tally, Verdict};
use std::io::{BufRead, BufReader, Split};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use transaction::binlog::{Column, ColumnType, EventKind, Value};

/// It prints a FLOAT, alone or in a VECTOR, with six digits.
const SIX_DIGITS: f64 = 5.1e-6;
const GEOMETRY: &str =
    "rows from the first GEOMETRY of an event on: it cannot print one and drops the event's rest";
const YEAR_ZERO: &str = "YEAR 0, which it prints as 1900";
const PARTIAL: &str = "row events with JSON differences";
const NO_DOCUMENT: &str = "JSON without any bytes, of which it prints nothing";

/// Compares all row events of a file.
pub(crate) fn compare(path: &Path, events: &[Rows], tally: &mut Tally) {
    let mut child = Command::new(program())
        .args(["-vv", "--base64-output=decode-rows"])
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = Text::of(child.stdout.take().unwrap());
    let mut rest = events;
    while !rest.is_empty() {
        let last = rest.iter().position(|event| event.ends_statement).unwrap_or(rest.len() - 1);
        let (statement, later) = rest.split_at(last + 1);
        rest = later;
        let printed = text.statement();
        if heads(statement) != printed.heads {
            let what = format!("{:?}, theirs {:?}", heads(statement), printed.heads);
            tally.differ(format!("the row events of a statement are {what}; the rest is not compared"));
            break;
        }
        compare_statement(statement, printed.rows, tally);
    }
    if rest.is_empty() && !text.statement().heads.is_empty() {
        tally.differ("they print row events that we do not read".to_owned());
    }
    // What is left must be read, or it could not end.
    while text.next_line().is_some() {}
    let status = child.wait().unwrap();
    assert!(status.success(), "mysqlbinlog {}: {status}", path.display());
}

/// The program beside the server, or the one on PATH.
fn program() -> PathBuf {
    let beside = integration::server::installation().unwrap().join("mysqlbinlog");
    if beside.exists() { beside } else { PathBuf::from("mysqlbinlog") }
}

/// Kind and table id of a row event.
type Head = (EventKind, u64);

fn heads(statement: &[Rows]) -> Vec<Head> {
    statement.iter().map(|event| (event.kind, event.table_id)).collect()
}

/// What it prints of one statement.
struct Statement {
    heads: Vec<Head>,
    rows: Vec<Printed>,
}

/// What it prints of one row change.
#[derive(Default)]
struct Printed {
    /// The verb and the table.
    title: Vec<u8>,
    /// Before and after; for each column from its `@` on.
    before: Option<Vec<Vec<u8>>>,
    after: Option<Vec<Vec<u8>>>,
    /// It gave up in this row.
    broken: bool,
}

struct Text {
    lines: Split<BufReader<ChildStdout>>,
    /// The line that ended the statement before.
    ahead: Option<Vec<u8>>,
}

impl Text {
    fn of(output: ChildStdout) -> Self {
        // A line break inside a value is printed as an escape.
        Self { lines: BufReader::with_capacity(1 << 20, output).split(b'\n'), ahead: None }
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        self.ahead.take().or_else(|| self.lines.next().map(Result::unwrap))
    }

    /// The next statement that changes rows; empty at the end.
    fn statement(&mut self) -> Statement {
        let mut found = Statement { heads: Vec::new(), rows: Vec::new() };
        let mut ended = false;
        while let Some(line) = self.next_line() {
            if let Some((head, ends)) = head(&line) {
                if ended {
                    self.ahead = Some(line);
                    return found;
                }
                found.heads.push(head);
                ended = ends;
            } else if let Some(line) = line.strip_prefix(b"### ") {
                found.push(line);
            }
        }
        found
    }
}

/// The head of a row event, and whether it ends its statement.
fn head(line: &[u8]) -> Option<(Head, bool)> {
    if line.first() != Some(&b'#') || !line.get(1..7)?.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let line = std::str::from_utf8(line).ok()?;
    let (kind, rest) = line.rsplit_once('\t')?.1.split_once(": table id ")?;
    let kind = match kind {
        "Write_rows" => EventKind::WriteRows,
        "Update_rows" => EventKind::UpdateRows,
        "Delete_rows" => EventKind::DeleteRows,
        "Update_rows_partial" => EventKind::PartialUpdateRows,
        _ => return None,
    };
    let table_id = rest.split(' ').next()?.parse().ok()?;
    Some(((kind, table_id), rest.contains("STMT_END_F")))
}

impl Statement {
    /// Takes one line of the printed rows.
    fn push(&mut self, line: &[u8]) {
        let verbs: [&[u8]; 3] = [b"INSERT INTO ", b"UPDATE ", b"DELETE FROM "];
        if verbs.iter().any(|verb| line.starts_with(verb)) {
            self.rows.push(Printed { title: line.to_vec(), ..Printed::default() });
            return;
        }
        let Some(row) = self.rows.last_mut() else { return };
        match line {
            b"WHERE" => row.before = Some(Vec::new()),
            b"SET" => row.after = Some(Vec::new()),
            _ => {
                let Some(cell) = line.strip_prefix(b"  @") else { return };
                row.broken |= cell.windows(4).any(|four| four == b"=!! ");
                if let Some(image) = row.after.as_mut().or(row.before.as_mut()) {
                    image.push(cell.to_vec());
                }
            }
        }
    }
}

fn compare_statement(statement: &[Rows], printed: Vec<Printed>, tally: &mut Tally) {
    let mut printed = printed.into_iter().peekable();
    for event in statement {
        let name = event.table.full_name();
        let [schema, table] = [&event.table.schema, &event.table.table].map(|name| name.replace('`', "``"));
        let table = format!("`{schema}`.`{table}`");
        let title = match event.kind {
            EventKind::WriteRows => format!("INSERT INTO {table}"),
            EventKind::DeleteRows => format!("DELETE FROM {table}"),
            _ => format!("UPDATE {table}"),
        };
        if event.is_partial() {
            tally.skip(PARTIAL, 1);
            while printed.next_if(|row| row.title == title.as_bytes()).is_some() {}
            continue;
        }
        tally.events += 1;
        for (at, change) in event.changes.iter().enumerate() {
            let Some(row) = printed.next_if(|row| row.title == title.as_bytes()) else {
                tally.differ(format!("{name}: {title} is not what they print next"));
                return;
            };
            compare_row(event, change, &row, tally);
            if row.broken {
                tally.skip(GEOMETRY, (event.changes.len() - at) as u64);
                break;
            }
            tally.rows += 1;
        }
    }
    if let Some(row) = printed.next() {
        tally.differ(format!("they print a row more: {}", String::from_utf8_lossy(&row.title)));
    }
}

fn compare_row(event: &Rows, change: &Change, row: &Printed, tally: &mut Tally) {
    for (ours, theirs) in [(&change.before, &row.before), (&change.after, &row.after)] {
        let (Some(ours), Some(theirs)) = (ours, theirs) else {
            if ours.is_some() != theirs.is_some() && !row.broken {
                tally.differ(format!("{}: an image is not there", event.table.full_name()));
            }
            continue;
        };
        let mut cells = theirs.iter();
        for (place, column) in event.columns() {
            let named = || format!("{}.{}", event.table.full_name(), column.name);
            let value = &ours[place];
            match cells.next() {
                None if row.broken => return,
                Some(_) if row.broken && cells.len() == 0 => return,
                None => tally.differ(format!("{} is not printed", named())),
                Some(cell) => tally.value(verdict(place, column, value, cell), *value == Value::Null, named),
            }
        }
        if cells.len() > 0 {
            tally.differ(format!("{}: they print more columns", event.table.full_name()));
        }
    }
}

/// Compares what follows the `@` of one column.
fn verdict(place: usize, column: &Column, value: &Value, cell: &[u8]) -> Verdict {
    let nulls =
        format!("nullable={} is_null={} */", u8::from(column.nullable), u8::from(*value == Value::Null));
    let number = format!("{}=", place + 1);
    let shown = cell
        .strip_suffix(nulls.as_bytes())
        .and_then(|cell| cell.strip_prefix(number.as_bytes()))
        // The comment with the type is the last on the line.
        .and_then(|cell| Some(&cell[..cell.windows(4).rposition(|four| four == b" /* ")?]));
    let differs = |ours: &[u8]| {
        let [ours, theirs] = [ours, cell].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        Verdict::Differs(format!("{number}{ours} {nulls}"), theirs)
    };
    let Some(shown) = shown else { return differs(value.full_text().as_bytes()) };
    let near = |ours: f64, theirs: &str| {
        theirs.trim().parse::<f64>().is_ok_and(|theirs| (theirs - ours).abs() <= ours.abs() * SIX_DIGITS)
    };
    let text = String::from_utf8_lossy(shown);
    let same = match value {
        Value::Year(0) => return Verdict::Skipped(YEAR_ZERO),
        Value::Json(json) if json.text() == "null" && shown == b"''" => return Verdict::Skipped(NO_DOCUMENT),
        Value::Float(ours) => near(f64::from(*ours), &text),
        // Twenty digits tell every double.
        Value::Double(ours) => {
            text.trim().parse().is_ok_and(|theirs: f64| theirs.to_bits() == ours.to_bits())
        }
        Value::Bytes(ours) if matches!(column.kind, ColumnType::Vector(_)) => {
            let members = ours.chunks(4).map(|four| four.try_into().map_or(f32::NAN, f32::from_le_bytes));
            let members: Vec<f64> = members.map(f64::from).collect();
            let theirs = text.trim_start_matches('[').trim_end_matches(']').split(',');
            theirs.clone().count() == members.len()
                && theirs.zip(members).all(|(theirs, ours)| near(ours, theirs))
        }
        _ => {
            let expected = exact(column, value);
            return if expected == shown { Verdict::Same } else { differs(&expected) };
        }
    };
    if same { Verdict::Same } else { differs(value.full_text().as_bytes()) }
}

/// What it must print for a value.
fn exact(column: &Column, value: &Value) -> Vec<u8> {
    let text = match value {
        Value::Null => "NULL".to_owned(),
        Value::Int(value) => integer(column, i128::from(*value)),
        Value::UInt(value) => integer(column, i128::from(*value)),
        Value::Decimal(text) => text.clone(),
        Value::Year(year) => year.to_string(),
        Value::Date(text) => format!("'{}'", text.replace('-', ":")),
        Value::Time(text) | Value::DateTime(text) => format!("'{text}'"),
        Value::Timestamp(text) => {
            epoch(text).map_or_else(|| text.clone(), |(whole, fraction)| format!("{whole}{fraction}"))
        }
        Value::Enum { ordinal, .. } => ordinal.to_string(),
        Value::Set { mask, .. } => match column.kind {
            // Byte by byte as they are stored, the lowest first.
            ColumnType::Set(len) => {
                let bytes = mask.to_le_bytes();
                let bits: String = bytes.iter().take(len.into()).map(|byte| format!("{byte:08b}")).collect();
                format!("b'{bits}'")
            }
            _ => mask.to_string(),
        },
        Value::Bit(bits) => match column.kind {
            ColumnType::Bit(len) => format!("b'{bits:0width$b}'", width = usize::from(len)),
            _ => bits.to_string(),
        },
        Value::Json(json) => return quoted_json(json.text()),
        Value::Text(text) => return quoted(text.as_bytes()),
        Value::Bytes(bytes) => {
            let padded = matches!(column.kind, ColumnType::Char(_)) && column.collation == 63;
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            // The binlog leaves out the zeros at the end of a BINARY, which ours has.
            return quoted(if padded { &bytes[..end] } else { bytes });
        }
        Value::Float(_) | Value::Double(_) => String::new(),
    };
    text.into_bytes()
}

/// It takes every integer for a signed one, and adds what a negative one would be without a sign.
fn integer(column: &Column, value: i128) -> String {
    let ColumnType::Int(len) = column.kind else { return value.to_string() };
    let range = 1i128 << (8 * u32::from(len));
    let signed = if value >= range / 2 { value - range } else { value };
    if signed < 0 { format!("{signed} ({})", signed + range) } else { signed.to_string() }
}

/// Bytes as it quotes them.
fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'\''];
    for byte in bytes {
        match byte {
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            b'\x08' => out.extend(b"\\b"),
            b'\x0c' => out.extend(b"\\f"),
            0..0x20 => out.extend(format!("\\x{byte:02x}").bytes()),
            b'\'' | b'\\' => out.extend([b'\\', *byte]),
            other => out.push(*other),
        }
    }
    out.push(b'\'');
    out
}

/// A document as it quotes it; a scalar of text has no quotes of its own there.
fn quoted_json(text: &str) -> Vec<u8> {
    let bare = text.starts_with('"').then(|| serde_json::from_str::<String>(text).ok()).flatten();
    quoted(bare.as_deref().unwrap_or(text).as_bytes())
}

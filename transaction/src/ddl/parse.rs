//! What a statement changes, read off its tokens.

use super::token::{Placed, Quotes, Token, tokens};
use super::{Object, ObjectKind};
use crate::binlog::{SessionState, charset_name};

/// What is known of a statement.
pub(super) struct Parsed {
    pub(super) objects: Vec<Object>,
    pub(super) if_exists: bool,
    pub(super) loses: bool,
    /// The text to run elsewhere.
    pub(super) text: Vec<u8>,
}

/// Bits of `sql_mode` (source: MySQL, `sql/system_variables.h`).
const ANSI_QUOTES: u64 = 1 << 2;
/// In `sql_mode`: a backslash in a string is a letter.
pub const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

/// Character sets whose second bytes can look like quotes or backslashes.
const UNSAFE: [&str; 5] = ["big5", "cp932", "gbk", "gb18030", "sjis"];

/// Reads a statement; the error is the reason.
pub(super) fn parse(statement: &[u8], schema: &str, session: &SessionState) -> Result<Parsed, &'static str> {
    let charset = session.charsets.map_or(Some("utf8mb4"), |[client, ..]| charset_name(client));
    let charset = charset.ok_or("an unknown character set of the client")?;
    if !statement.is_ascii() && UNSAFE.contains(&charset) {
        return Err("letters beyond ASCII in a character set of the client that hides quotes");
    }
    let quotes = Quotes {
        ansi: session.sql_mode.is_some_and(|mode| mode & ANSI_QUOTES != 0),
        backslash: session.sql_mode.is_none_or(|mode| mode & NO_BACKSLASH_ESCAPES == 0),
    };
    let tokens = tokens(statement, quotes)?;
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        schema,
        utf8: charset.starts_with("utf8"),
        objects: Vec::new(),
        if_exists: false,
        loses: false,
        text: statement.to_vec(),
    };
    reader.statement()?;
    let Reader { mut objects, if_exists, loses, text, .. } = reader;
    let mut seen = std::collections::BTreeSet::new();
    objects.retain(|object| seen.insert(object.clone()));
    match objects.is_empty() {
        true => Err("no name of an object"),
        false => Ok(Parsed { objects, if_exists, loses, text }),
    }
}

struct Reader<'a> {
    tokens: &'a [Placed],
    at: usize,
    /// The default schema.
    schema: &'a str,
    utf8: bool,
    objects: Vec<Object>,
    if_exists: bool,
    loses: bool,
    text: Vec<u8>,
}

type Read<T = ()> = Result<T, &'static str>;

impl Reader<'_> {
    fn statement(&mut self) -> Read {
        match self.word().as_deref() {
            Some("CREATE") => self.create(),
            Some("ALTER") => self.alter(),
            Some("DROP") => self.drop(),
            Some("TRUNCATE") => {
                self.eat("TABLE");
                self.loses = true;
                self.object(ObjectKind::Table)
            }
            Some("RENAME") => {
                if !self.eat("TABLE") && !self.eat("TABLES") {
                    return Err(UNKNOWN);
                }
                self.loses = true;
                loop {
                    self.object(ObjectKind::Table)?;
                    self.need("TO")?;
                    self.object(ObjectKind::Table)?;
                    if !self.eat_sign(b',') {
                        return Ok(());
                    }
                }
            }
            _ => Err(UNKNOWN),
        }
    }

    fn create(&mut self) -> Read {
        if self.eat("OR") {
            self.need("REPLACE")?;
        }
        self.attributes()?;
        match self.word().as_deref() {
            Some("TABLE") => {
                self.if_exists();
                self.object(ObjectKind::Table)?;
                self.without_start_transaction();
                Ok(())
            }
            Some("UNIQUE" | "FULLTEXT" | "SPATIAL") => {
                self.need("INDEX")?;
                self.index()
            }
            Some("INDEX") => self.index(),
            Some("DATABASE" | "SCHEMA") => self.schema(),
            Some("VIEW") => {
                self.if_exists();
                self.object(ObjectKind::View)
            }
            Some("TRIGGER") => {
                self.if_exists();
                self.object(ObjectKind::Trigger)
            }
            Some("FUNCTION") => {
                self.if_exists();
                self.object(ObjectKind::Function)?;
                match self.is_word(0, "RETURNS") && self.is_word(2, "SONAME") {
                    true => Err("a loadable function, which is a file of the server,"),
                    false => Ok(()),
                }
            }
            Some("PROCEDURE") => {
                self.if_exists();
                self.object(ObjectKind::Procedure)
            }
            Some("EVENT") => {
                self.if_exists();
                self.object(ObjectKind::Event)?;
                self.disabled(true)
            }
            _ => Err(UNKNOWN),
        }
    }

    fn alter(&mut self) -> Read {
        self.attributes()?;
        match self.word().as_deref() {
            Some("TABLE") => {
                self.object(ObjectKind::Table)?;
                self.clauses()
            }
            Some("DATABASE" | "SCHEMA") => match self.default_schema() {
                true => Ok(()),
                false => self.schema(),
            },
            Some("VIEW") => self.object(ObjectKind::View),
            Some("FUNCTION") => self.object(ObjectKind::Function),
            Some("PROCEDURE") => self.object(ObjectKind::Procedure),
            Some("EVENT") => {
                self.object(ObjectKind::Event)?;
                self.disabled(false)
            }
            _ => Err(UNKNOWN),
        }
    }

    fn drop(&mut self) -> Read {
        match self.word().as_deref() {
            Some("TABLE" | "TABLES") => {
                self.loses = true;
                self.if_exists = self.is_word(0, "IF");
                self.list(ObjectKind::Table)
            }
            Some("VIEW") => self.list(ObjectKind::View),
            Some("INDEX") => self.index(),
            Some("DATABASE" | "SCHEMA") => {
                self.loses = true;
                self.schema()
            }
            Some("TRIGGER") => self.list(ObjectKind::Trigger),
            Some("FUNCTION") => self.list(ObjectKind::Function),
            Some("PROCEDURE") => self.list(ObjectKind::Procedure),
            Some("EVENT") => self.list(ObjectKind::Event),
            _ => Err(UNKNOWN),
        }
    }

    /// `name ON table …`
    fn index(&mut self) -> Read {
        // The primary key says which row is which.
        self.loses |= self.name()?.eq_ignore_ascii_case("PRIMARY");
        while !self.eat("ON") {
            // USING BTREE may come first.
            self.word().ok_or(UNKNOWN)?;
        }
        self.object(ObjectKind::Table)
    }

    fn schema(&mut self) -> Read {
        self.if_exists();
        let schema = self.name()?;
        self.objects.push(Object { kind: ObjectKind::Schema, schema, name: String::new() });
        Ok(())
    }

    /// ALTER DATABASE without a name means the default one.
    fn default_schema(&mut self) -> bool {
        let options = ["DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "ENCRYPTION", "READ"];
        let means_default = options.iter().any(|option| self.is_word(0, option)) && !self.schema.is_empty();
        if means_default {
            let schema = self.schema.to_owned();
            self.objects.push(Object { kind: ObjectKind::Schema, schema, name: String::new() });
        }
        means_default
    }

    fn list(&mut self, kind: ObjectKind) -> Read {
        self.if_exists();
        loop {
            self.object(kind)?;
            if !self.eat_sign(b',') {
                return Ok(());
            }
        }
    }

    /// A name, perhaps with its schema.
    fn object(&mut self, kind: ObjectKind) -> Read {
        let first = self.name()?;
        let (schema, name) = match self.eat_sign(b'.') {
            true => (first, self.name()?),
            false if self.schema.is_empty() => return Err("a name without a schema"),
            false => (self.schema.to_owned(), first),
        };
        self.objects.push(Object { kind, schema, name });
        Ok(())
    }

    fn name(&mut self) -> Read<String> {
        let Some(Placed { token: Token::Word(name) | Token::Quoted(name), .. }) = self.tokens.get(self.at)
        else {
            return Err("no name where one is due");
        };
        self.at += 1;
        if !self.utf8 && !name.is_ascii() {
            return Err("a name beyond ASCII in a character set of the client other than UTF-8");
        }
        String::from_utf8(name.clone()).map_err(|_| "a name that is not UTF-8")
    }

    /// `ALGORITHM = x`, `DEFINER = x`, `SQL SECURITY x`, `AGGREGATE`, `TEMPORARY`
    fn attributes(&mut self) -> Read {
        loop {
            if self.eat("ALGORITHM") {
                self.eat_sign(b'=');
                self.word().ok_or(UNKNOWN)?;
            } else if self.eat("DEFINER") {
                self.eat_sign(b'=');
                self.definer()?;
            } else if self.eat("SQL") {
                self.need("SECURITY")?;
                self.word().ok_or(UNKNOWN)?;
            } else if self.eat("AGGREGATE") {
                return Err("a loadable function, which is a file of the server,");
            } else {
                return Ok(());
            }
        }
    }

    /// `user@host`, `CURRENT_USER`, `CURRENT_USER()`
    fn definer(&mut self) -> Read {
        let is_part = |token: Option<&Placed>| {
            matches!(token, Some(Placed { token: Token::Word(_) | Token::Quoted(_) | Token::Text, .. }))
        };
        if !is_part(self.tokens.get(self.at)) {
            return Err(UNKNOWN);
        }
        self.at += 1;
        if self.eat_sign(b'(') {
            self.eat_sign(b')');
        } else if self.eat_sign(b'@') {
            if !is_part(self.tokens.get(self.at)) {
                return Err(UNKNOWN);
            }
            self.at += 1;
        }
        Ok(())
    }

    /// The clauses of ALTER TABLE.
    fn clauses(&mut self) -> Read {
        let (mut depth, mut begins) = (0usize, true);
        while let Some(placed) = self.tokens.get(self.at) {
            if begins {
                self.clause()?;
                begins = false;
                continue;
            }
            match placed.token {
                Token::Sign(b'(') => depth += 1,
                Token::Sign(b')') => depth = depth.checked_sub(1).ok_or(UNKNOWN)?,
                Token::Sign(b',') => begins = depth == 0,
                _ => {}
            }
            self.at += 1;
        }
        Ok(())
    }

    fn clause(&mut self) -> Read {
        let Some(first) = self.word() else { return Err(UNKNOWN) };
        let second = self.peek().unwrap_or_default();
        match (first.as_str(), second.as_str()) {
            ("RENAME", "COLUMN") => self.loses = true,
            ("RENAME", "INDEX" | "KEY") => {}
            ("RENAME", _) => {
                self.loses = true;
                let _ = self.eat("TO") || self.eat("AS") || self.eat_sign(b'=');
                self.object(ObjectKind::Table)?;
            }
            // A primary key says which row is which.
            ("ADD", _) | ("DROP", "INDEX" | "KEY" | "FOREIGN" | "CHECK" | "CONSTRAINT") => {
                self.loses |= self.clause_has("PRIMARY");
            }
            (
                "ALTER" | "ENGINE" | "COMMENT" | "AUTO_INCREMENT" | "ORDER" | "FORCE" | "ALGORITHM" | "LOCK"
                | "ENABLE" | "DISABLE" | "ROW_FORMAT" | "KEY_BLOCK_SIZE" | "STATS_PERSISTENT"
                | "STATS_AUTO_RECALC" | "STATS_SAMPLE_PAGES" | "AVG_ROW_LENGTH" | "MAX_ROWS" | "MIN_ROWS"
                | "COMPRESSION" | "ENCRYPTION" | "CHECKSUM" | "DELAY_KEY_WRITE" | "PACK_KEYS" | "WITH"
                | "WITHOUT" | "DEFAULT" | "CHARACTER" | "CHARSET" | "COLLATE" | "PARTITION" | "REMOVE"
                | "REORGANIZE" | "REBUILD" | "COALESCE" | "ANALYZE" | "CHECK" | "OPTIMIZE" | "REPAIR"
                | "AUTOEXTEND_SIZE" | "SECONDARY_LOAD" | "SECONDARY_UNLOAD" | "INSERT_METHOD",
                _,
            ) => {}
            // MODIFY, CHANGE, CONVERT, DROP COLUMN, DROP, TRUNCATE, EXCHANGE, DISCARD, IMPORT PARTITION, and what is not known.
            ("EXCHANGE", "PARTITION") => {
                self.loses = true;
                while !self.eat("WITH") {
                    self.at += 1;
                    if self.at >= self.tokens.len() {
                        return Err(UNKNOWN);
                    }
                }
                self.need("TABLE")?;
                self.object(ObjectKind::Table)?;
            }
            _ => self.loses = true,
        }
        Ok(())
    }

    /// Whether a word comes in what is left of the clause, as a keyword or as a name.
    fn clause_has(&self, word: &str) -> bool {
        self.clause_range().any(|at| match &self.tokens[at].token {
            Token::Word(found) | Token::Quoted(found) => found.eq_ignore_ascii_case(word.as_bytes()),
            Token::Text | Token::Sign(_) => false,
        })
    }

    /// The places of the tokens that are left of the clause.
    fn clause_range(&self) -> std::ops::Range<usize> {
        let (mut end, mut depth) = (self.at, 0i32);
        while let Some(placed) = self.tokens.get(end) {
            match placed.token {
                Token::Sign(b'(') => depth += 1,
                Token::Sign(b')') => depth -= 1,
                Token::Sign(b',') if depth == 0 => break,
                _ => {}
            }
            end += 1;
        }
        self.at..end
    }

    /// CREATE TABLE … SELECT is in the binlog as CREATE TABLE … START TRANSACTION, and its rows (8.0.21 and later): the
    /// table is made by itself, and the rows come after it like others.
    fn without_start_transaction(&mut self) {
        let Some(last) = self.tokens.len().checked_sub(2) else { return };
        if self.is_upper(last, "START") && self.is_upper(last + 1, "TRANSACTION") {
            self.text.truncate(self.tokens[last].start);
        }
    }

    /// An event runs where it was made and nowhere else: it arrives as the server's own replication has it, disabled.
    fn disabled(&mut self, always: bool) -> Read {
        let mut place = None;
        let mut at = self.at;
        while at < self.tokens.len() {
            match self.upper(at).as_deref() {
                Some("ENABLE" | "DISABLE") => {
                    let mut end = at + 1;
                    if self.is_upper(end, "ON") {
                        end += 2;
                    }
                    let end = self.tokens.get(end - 1).ok_or(UNKNOWN)?.end;
                    place = Some((self.tokens[at].start, end));
                    break;
                }
                Some("COMMENT" | "DO") => {
                    place = always.then_some((self.tokens[at].start, self.tokens[at].start));
                    break;
                }
                _ => at += 1,
            }
        }
        match place {
            // `-- ` begins a comment, which would hide the rest.
            Some((start, _)) if self.text[..start].ends_with(b"--") => Err(UNKNOWN),
            Some((start, end)) => {
                self.text.splice(start..end, b" DISABLE ON REPLICA ".iter().copied());
                Ok(())
            }
            None if always => Err("an event without a body"),
            None => Ok(()),
        }
    }

    fn if_exists(&mut self) {
        if self.eat("IF") {
            self.eat("NOT");
            self.eat("EXISTS");
        }
    }

    fn upper(&self, at: usize) -> Option<String> {
        match self.tokens.get(at)? {
            Placed { token: Token::Word(word), .. } => {
                Some(String::from_utf8_lossy(word).to_ascii_uppercase())
            }
            _ => None,
        }
    }

    fn is_upper(&self, at: usize, word: &str) -> bool {
        self.upper(at).as_deref() == Some(word)
    }

    fn peek(&self) -> Option<String> {
        self.upper(self.at)
    }

    fn is_word(&self, further: usize, word: &str) -> bool {
        self.is_upper(self.at + further, word)
    }

    fn word(&mut self) -> Option<String> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.is_word(0, word);
        self.at += usize::from(found);
        found
    }

    fn need(&mut self, word: &str) -> Read {
        if self.eat(word) { Ok(()) } else { Err(UNKNOWN) }
    }

    fn eat_sign(&mut self, sign: u8) -> bool {
        let found =
            matches!(self.tokens.get(self.at), Some(Placed { token: Token::Sign(s), .. }) if *s == sign);
        self.at += usize::from(found);
        found
    }
}

const UNKNOWN: &str = "a form of statement that this version does not know";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

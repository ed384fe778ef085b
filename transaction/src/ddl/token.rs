//! A statement cut into words, names and signs; comments are left out, `/*! … */` counts as its content.

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a name without quotes, as it stands.
    Word(Vec<u8>),
    /// A name in quotes, without them.
    Quoted(Vec<u8>),
    /// A string.
    Text,
    /// One sign.
    Sign(u8),
}

/// A token and where it stands in the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// How the session reads quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quotes {
    /// `"` quotes names (`ANSI_QUOTES`).
    pub(super) ansi: bool,
    /// `\` escapes within strings (not with `NO_BACKSLASH_ESCAPES`).
    pub(super) backslash: bool,
}

/// All tokens; the error is the reason.
pub(super) fn tokens(text: &[u8], quotes: Quotes) -> Result<Vec<Placed>, &'static str> {
    let mut all = Vec::new();
    let mut at = 0;
    // Inside of `/*! … */`.
    let mut versioned = false;
    while let Some(byte) = text.get(at).copied() {
        let rest = &text[at..];
        let start = at;
        let token = if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        } else if rest.starts_with(b"/*!") {
            at += 3 + rest[3..].iter().take_while(|b| b.is_ascii_digit()).count();
            versioned = true;
            continue;
        } else if versioned && rest.starts_with(b"*/") {
            at += 2;
            versioned = false;
            continue;
        } else if rest.starts_with(b"/*") {
            let end = rest[2..].windows(2).position(|pair| pair == b"*/").ok_or("a comment does not end")?;
            at += end + 4;
            continue;
        } else if byte == b'#' || is_dashes(rest) {
            at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            continue;
        } else if byte == b'`' || (byte == b'"' && quotes.ansi) {
            let (name, len) = quoted(rest, byte, false)?;
            at += len;
            Token::Quoted(name)
        } else if byte == b'\'' || byte == b'"' {
            at += quoted(rest, byte, quotes.backslash)?.1;
            Token::Text
        } else if is_word(byte) {
            let len = rest.iter().take_while(|b| is_word(**b)).count();
            at += len;
            Token::Word(rest[..len].to_vec())
        } else {
            at += 1;
            Token::Sign(byte)
        };
        all.push(Placed { token, start, end: at });
    }
    Ok(all)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

fn is_dashes(rest: &[u8]) -> bool {
    rest.strip_prefix(b"--").is_some_and(|after| {
        after.first().is_none_or(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
    })
}

/// What stands between quotes, and how long it is with them.
fn quoted(rest: &[u8], quote: u8, backslash: bool) -> Result<(Vec<u8>, usize), &'static str> {
    let mut inside = Vec::new();
    let mut at = 1;
    while let Some(byte) = rest.get(at).copied() {
        at += 1;
        if byte == b'\\' && backslash {
            at += 1;
        } else if byte == quote {
            if rest.get(at) != Some(&quote) {
                return Ok((inside, at));
            }
            inside.push(quote);
            at += 1;
        } else {
            inside.push(byte);
        }
    }
    Err("a quote does not end")
}

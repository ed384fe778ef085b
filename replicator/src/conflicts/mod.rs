//! The conflict journal as it is asked for: by the commands, from the files; over HTTP, from the running region.

mod filter;
#[cfg(test)]
pub(crate) mod sample;

use applier::journal::Entry;
use log_store::{JournalReader, Standing};

pub(crate) use filter::{Filter, parse_kind};

/// Shortest beginning of an id that stands for it, in digits.
const PREFIX_MIN: usize = 4;

/// Why the journal does not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    /// The files.
    #[error("[{code}] {0}", code = .0.code())]
    Store(#[from] log_store::Error),
    /// An intact entry that this version does not understand.
    #[error(
        "entry {number} of the conflict journal is not understood ({source}); was it written by a newer version of Concord?"
    )]
    Entry {
        /// Its number.
        number: u64,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No entry has this id.
    #[error(
        "no conflict {0} is in this region's journal; it may be past keep_age in [region.journal], or have been found in another region only"
    )]
    Unknown(String),
    /// What is asked for makes no sense.
    #[error("{0}")]
    Argument(String),
}

/// The entry in a payload.
pub(crate) fn decode(standing: &Standing) -> Result<Entry, LookError> {
    serde_json::from_slice(&standing.payload)
        .map_err(|source| LookError::Entry { number: standing.number, source })
}

/// The newest `filter.limit` entries that match, oldest first, and why there may be more than these: what could not be read
/// is never passed over in silence.
pub(crate) fn list(mut reader: JournalReader, filter: &Filter) -> (Vec<Entry>, Option<LookError>) {
    let (mut found, mut trouble) = (Vec::new(), None);
    while found.len() < filter.limit {
        match reader.next_older() {
            Ok(None) => break,
            Ok(Some(standing)) if filter.is_before(standing.time_us) => {
                // Clocks are set back now and then, so an old entry may have younger ones before it; not many.
                if filter.is_long_before(standing.time_us) {
                    break;
                }
            }
            Ok(Some(standing)) => match decode(&standing) {
                Ok(entry) if filter.takes(&entry) => found.push(entry),
                Ok(_) => {}
                Err(error) => trouble = trouble.or(Some(error)),
            },
            // What is intact before the damage still comes.
            Err(error) => trouble = trouble.or(Some(error.into())),
        }
    }
    found.reverse();
    (found, trouble)
}

/// The entry whose id begins with `id`.
pub(crate) fn find(mut reader: JournalReader, id: &str) -> Result<Entry, LookError> {
    let id = id.to_ascii_lowercase();
    let digits = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits || !(PREFIX_MIN..=32).contains(&id.len()) {
        let reason = format!(
            "{id:?} is no id of a conflict: write its 32 hexadecimal digits, or the first of them, at least {PREFIX_MIN}"
        );
        return Err(LookError::Argument(reason));
    }
    let (mut found, mut trouble): (Option<Standing>, _) = (None, None);
    loop {
        match reader.next_older() {
            Ok(None) => break,
            Ok(Some(standing)) if hex(&standing.id).starts_with(&id) => {
                if let Some(first) = &found {
                    let both = format!("{} and {}", hex(&first.id), hex(&standing.id));
                    return Err(LookError::Argument(format!(
                        "{id} is the beginning of {both}: write more of it"
                    )));
                }
                found = Some(standing);
                if id.len() == 32 {
                    break;
                }
            }
            Ok(Some(_)) => {}
            Err(error) => trouble = Some(error),
        }
    }
    match (found, trouble) {
        (Some(standing), _) => decode(&standing),
        // It may stand where nothing can be read.
        (None, Some(error)) => Err(error.into()),
        (None, None) => Err(LookError::Unknown(id)),
    }
}

fn hex(id: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}

#[cfg(test)]
mod tests;

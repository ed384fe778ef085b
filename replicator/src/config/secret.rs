//! What must not be shown.

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::ConfigError;

/// A password or a token. It shows itself in no message.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Secret(pub(super) String);

impl Secret {
    /// The content of a file, which `key` names. One newline at its end is not part of it.
    pub(super) fn read(key: &'static str, file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Named {
            key,
            file: file.to_owned(),
            source,
        })?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Self(text.strip_suffix('\r').unwrap_or(text).to_owned()))
    }

    /// The text itself, to be handed to a login and nowhere else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether someone has shown this secret. How long it takes tells nothing of it.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        Sha256::digest(self.0.as_bytes()) == Sha256::digest(shown)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(hidden)" })
    }
}

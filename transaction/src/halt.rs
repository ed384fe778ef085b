//! A halt: what a part of Concord says that goes on only when a person has acted.

use std::fmt;

/// The stable name of what a person must act on, in kebab case. Status, metrics and the log show it, and deploy/RUNBOOK.md explains each
/// under a heading of that name.
///
/// Each crate declares those that it finds with [`halt_codes!`](crate::halt_codes). A code says what is to be done, not where it was found;
/// its name never changes, since alerts and notes of operators go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HaltCode(&'static str);

impl HaltCode {
    /// For [`halt_codes!`](crate::halt_codes), which also lists what it declares.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// A halt with this code. `reason` names the thing, the reason and the remedy.
    pub fn halt(self, reason: impl fmt::Display) -> Halt {
        Halt { code: self, reason: reason.to_string() }
    }
}

impl fmt::Display for HaltCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl PartialEq<&str> for HaltCode {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

/// Why something stands still until a person has acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// What kind of thing is to be done.
    pub code: HaltCode,
    /// What, why, and what to do.
    pub reason: String,
}

impl Halt {
    /// The same, with more said in its reason.
    pub fn map_reason(self, say: impl FnOnce(String) -> String) -> Self {
        Self { code: self.code, reason: say(self.reason) }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Halt {}

/// Declares the halt codes of a crate, each with its documentation, and `ALL`, which has every one of them.
#[macro_export]
macro_rules! halt_codes {
    ($($(#[$about:meta])+ $name:ident = $code:literal;)+) => {
        $($(#[$about])+ pub const $name: $crate::HaltCode = $crate::HaltCode::new($code);)+

        /// Every code declared here.
        pub const ALL: &[$crate::HaltCode] = &[$($name),+];
    };
}

//! An address to connect to: a host name or IP address, and a port.

use std::fmt;

/// `host:port`, with an IPv6 address in brackets. Not resolved: names may come to mean another machine while a
/// process runs, so each connection asks anew.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    host: String,
    port: u16,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address {text:?} {reason}: write host:port, for example eu.example:7400 or [2001:db8::1]:7400")]
pub(crate) struct InvalidAddress {
    text: String,
    reason: &'static str,
}

impl std::str::FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| InvalidAddress { text: text.to_owned(), reason };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| refuse("has no port"))?;
        let host = match host.strip_prefix('[') {
            Some(inner) => {
                inner.strip_suffix(']').ok_or_else(|| refuse("opens a bracket and does not close it"))?
            }
            None if host.contains(':') => return Err(refuse("is an IPv6 address without brackets")),
            None => host,
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c == '/' || c == '@') {
            return Err(refuse("has no usable host"));
        }
        match port.parse() {
            Ok(port) if port != 0 => Ok(Self { host: host.to_owned(), port }),
            _ => Err(refuse("has no port between 1 and 65535")),
        }
    }
}

impl Address {
    /// Host name or IP address, without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("eu.example:7400", "eu.example", 7400),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("[::1]:7400", "::1", 7400),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), text);
        }
        for bad in [
            "eu.example",
            "eu.example:",
            "eu.example:0",
            "eu:65536",
            ":7400",
            "::1:7400",
            "[::1:7400",
            "a b:1",
            "tcp://a:1",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}

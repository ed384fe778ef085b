//! What can go wrong while servers and processes are driven.

use std::path::PathBuf;

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the harness: it names what was done and what the other side said.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a process could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A server refused a statement or a connection.
    #[error("{what}: {source}")]
    Sql {
        /// The statement or the address.
        what: String,
        /// What the server said.
        source: Box<mysql_async::Error>,
    },
    /// Something did not happen in time.
    #[error("waited {seconds} s for {what}; last seen: {last}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long, in seconds.
        seconds: u64,
        /// The last thing that was seen instead.
        last: String,
    },
    /// A command ended with a failure.
    #[error("`{command}` failed ({status}):\n{output}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
        /// What it printed on both streams.
        output: String,
    },
    /// A process that should run has ended.
    #[error("{what} ended ({status}); the end of {log}:\n{tail}", log = log.display())]
    Ended {
        /// Which process.
        what: String,
        /// Its exit status.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// Something answered, but not what it should.
    #[error("{0}")]
    Unexpected(String),
}

impl Error {
    /// For `map_err`: an IO error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// For `map_err`: a server's error with the statement.
    pub fn sql(what: impl Into<String>) -> impl FnOnce(mysql_async::Error) -> Self {
        let what = what.into();
        move |source| Error::Sql { what: what.chars().take(300).collect(), source: Box::new(source) }
    }

    /// The number of the server's error, if that is what it is.
    pub fn server_code(&self) -> Option<u16> {
        match self {
            Error::Sql { source, .. } => match source.as_ref() {
                mysql_async::Error::Server(error) => Some(error.code),
                _ => None,
            },
            _ => None,
        }
    }
}

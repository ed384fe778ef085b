//! Certificates that are renewed while the process runs: their files are looked at from time to time, and what was
//! agreed on with the old ones ends.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{error, info};
use transaction::RegionName;

use crate::error::LinkError;
use crate::tls::{Loaded, Security, TlsFiles};

/// The certificates in force. Cheap to clone; clones share what is in force.
#[derive(Clone)]
pub struct Tls {
    shared: Arc<Shared>,
}

struct Shared {
    files: TlsFiles,
    region: RegionName,
    state: Mutex<State>,
    /// Counts renewals.
    renewals: watch::Sender<u64>,
}

struct State {
    loaded: Loaded,
    /// Of the files as they were last looked at, good or not.
    stamps: Stamps,
}

/// What tells that a file is another one than before: inode, length, and when it was written and put in place, in seconds
/// and nanoseconds.
type Stamp = (u64, u64, [i64; 4]);
/// Of the three files; `None` for one that cannot be looked at.
type Stamps = [Option<Stamp>; 3];

/// What a look at the files found.
#[derive(Debug)]
pub enum Renewal {
    /// They are those that were looked at last.
    Unchanged,
    /// New ones are in force. Connections made under the old ones end, and are made again.
    Renewed,
    /// They have changed and cannot be used; the old ones stay in force. Said once for each change.
    Refused(LinkError),
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Loads the files and checks, as a peer would, that they are good for `region`.
    pub fn load(files: &TlsFiles, region: RegionName) -> Result<Self, LinkError> {
        // Stamped before reading: a change in between is seen as one.
        let stamps = stamps(files);
        let loaded = Loaded::read(files, region)?;
        let state = Mutex::new(State { loaded, stamps });
        let shared = Shared { files: files.clone(), region, state, renewals: watch::Sender::new(0) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Looks at the files, and puts them in force if they have changed and are good.
    pub fn renew(&self) -> Renewal {
        let Shared { files, region, state, renewals } = &*self.shared;
        let now = stamps(files);
        let mut state = state.lock();
        if now == state.stamps {
            return Renewal::Unchanged;
        }
        state.stamps = now;
        match Loaded::read(files, *region) {
            Ok(loaded) => {
                state.loaded = loaded;
                renewals.send_modify(|count| *count += 1);
                Renewal::Renewed
            }
            Err(error) => Renewal::Refused(error),
        }
    }

    pub(crate) fn in_force(&self) -> Loaded {
        self.shared.state.lock().loaded.clone()
    }
}

impl Security {
    /// [`Tls::renew`], said in the log.
    pub(crate) fn renew(&self) {
        let Self::Mutual(tls) = self else { return };
        match tls.renew() {
            Renewal::Unchanged => {}
            Renewal::Renewed => info!("the link's certificates are renewed; connections are made again"),
            Renewal::Refused(error) => {
                error!(%error, "the link's certificate files have changed and cannot be used; the former ones stay in force")
            }
        }
    }

    /// The term that begins now. Take it before connecting or accepting, lest a renewal in between be missed.
    pub(crate) fn term(&self) -> Term {
        Term(match self {
            Self::Plain => None,
            Self::Mutual(tls) => Some(tls.shared.renewals.subscribe()),
        })
    }
}

/// For how long what the certificates have shown holds: until they are renewed. Without certificates, for ever.
pub(crate) struct Term(Option<watch::Receiver<u64>>);

impl Term {
    /// Waits for the end of this term; the next one begins with it.
    pub(crate) async fn ended(&mut self) {
        if let Some(renewals) = &mut self.0 {
            // The sender lives as long as the link.
            if renewals.changed().await.is_ok() {
                return;
            }
        }
        std::future::pending().await
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    // Through symbolic links, by which Kubernetes exchanges all files of a secret at once.
    [&files.ca, &files.cert, &files.key].map(|path| fs::metadata(path).map(stamp).ok())
}

fn stamp(found: fs::Metadata) -> Stamp {
    let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
    (found.ino(), found.len(), times)
}

//! `[region]`: what is this region's own business. Turning a key here changes no row's fate, only speed, space and reach.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use transaction::RegionName;

use super::apply::Apply;
use super::error::{ConfigError, Flaw};
use super::filter::RegionFilters;
use super::{ByteSize, HumanDuration, Mysql, Secret, resolve};

/// This region.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Region {
    /// Which entry of `[mesh.regions]` this is. No default.
    pub(crate) name: RegionName,
    /// Where logs are kept, a folder of this process alone. Default `/var/lib/concord`. Put it on a disk whose fsync is
    /// honest and fast: every commit waits for it before a peer hears of it.
    #[serde(default = "data_dir")]
    pub(crate) data_dir: PathBuf,
    /// Memory for the histories of rows, that is, for the writes that not every region has yet; at least 4 MiB. Default 32 MiB,
    /// some 400,000 writes. What is beyond moves to files in `data_dir`, which takes a quarter of this more for what is read
    /// of them, and a byte or two per write for finding them, up to as much again. Larger means that a long outage
    /// of a peer is met with less reading and writing of files; no row is decided otherwise.
    #[serde(default = "history_memory")]
    pub(crate) history_memory: ByteSize,
    /// The region's MySQL primary.
    #[serde(default)]
    pub(crate) mysql: Mysql,
    /// Where peers connect, and with which certificates.
    pub(crate) link: Link,
    /// Status, health and metrics.
    #[serde(default)]
    pub(crate) http: Http,
    /// The transaction log.
    #[serde(default)]
    pub(crate) log: Log,
    /// How work of other regions is written here.
    #[serde(default)]
    pub(crate) apply: Apply,
    /// The conflict journal.
    #[serde(default)]
    pub(crate) journal: Journal,
    /// How tables of other regions are seen here. Default: as they are. A region where clients write can only rename.
    #[serde(default)]
    pub(crate) filter: RegionFilters,
}

/// `[region.link]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    /// IP address and port to listen on. Default `0.0.0.0:7400`, since peers are on other machines.
    #[serde(default = "link_listen")]
    pub(crate) listen: SocketAddr,
    /// Mutual TLS with peers. Default true. With false rows travel readable, and whoever reaches the port can read and
    /// write them; all regions must then have false.
    #[serde(default = "yes")]
    pub(crate) tls: bool,
    /// The mesh's certificate authority, PEM. Needed with tls. A peer whose certificate it did not sign is refused.
    pub(crate) ca: Option<PathBuf>,
    /// This region's certificate, PEM, with the region's name as DNS name. Needed with tls.
    pub(crate) cert: Option<PathBuf>,
    /// The certificate's key, PEM. Needed with tls.
    pub(crate) key: Option<PathBuf>,
}

/// The three files of mutual TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The authority's certificate.
    pub(crate) ca: PathBuf,
    /// The own certificate.
    pub(crate) cert: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
}

/// `[region.http]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    /// IP address and port of status, health and metrics, and of pause and resume. Default `127.0.0.1:7480`, which every user
    /// of this machine reaches. Another address needs `token_file`.
    pub(crate) listen: SocketAddr,
    /// File with a token, one line of at least 16 characters. With it everything but `/healthz` and `/readyz` is told only to
    /// whoever shows it (`Authorization: Bearer TOKEN`), and these two give no reasons without it. It is read again at
    /// every request, so that a rotated secret needs no restart. Default: none.
    pub(crate) token_file: Option<PathBuf>,
    /// Whether `/v1/conflicts` shows keys and values of rows. Default false, since whoever reaches the port may ask; without
    /// them it says tables, kinds, stamps and winners. `concord conflicts`, which reads the files, always shows them.
    pub(crate) conflict_rows: bool,
}

/// `[region.log]`: how much history is kept. Whatever is set here, nothing goes that a peer or a conflict may still
/// need: a log grows beyond what is to be kept while a peer is away, up to its quota.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// Size at which a log file is closed and the next begun; 1 MiB to 1 GiB. Default 64 MiB. Larger means fewer files,
    /// and that space is given back in larger steps.
    pub(crate) segment_size: ByteSize,
    /// A file is kept at least this long after its last record. Default 3 d, so that a weekend's question can be answered.
    pub(crate) keep_age: HumanDuration,
    /// Files beyond this sum may go before `keep_age`, oldest first, per origin. Default 20 GiB.
    pub(crate) keep_bytes: ByteSize,
    /// What a log may take, per origin, while a region is away, halted or paused: beyond it this region stops to extract, and so to
    /// apply, until all are at work again. It is never longer than twice that, so the disk needs this much for each region
    /// of the mesh. From 60 % on status and metrics warn. Default 40 GiB; at least one and a half times `keep_bytes`, so that
    /// what is kept without need never stops anything, and room for eight files.
    pub(crate) quota: ByteSize,
}

/// `[region.journal]`: how long conflicts can be looked up. No row depends on it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Journal {
    /// How long an entry is kept, in steps of one file (16 MiB). Default 30 d. Entries hold the values of rows, so a
    /// rule on how long personal data may be kept counts here too.
    pub(crate) keep_age: HumanDuration,
    /// Beyond this sum the oldest files go before `keep_age`; at least 32 MiB. Default 1 GiB, some 500,000 conflicts of
    /// small rows.
    pub(crate) keep_bytes: ByteSize,
}

fn data_dir() -> PathBuf {
    PathBuf::from("/var/lib/concord")
}

fn history_memory() -> ByteSize {
    ByteSize(32 << 20)
}

fn link_listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 7400))
}

fn yes() -> bool {
    true
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7480)), token_file: None, conflict_rows: false }
    }
}

/// A shorter token could be found by trying.
const TOKEN_CHARACTERS_MIN: usize = 16;

impl Http {
    /// The token that requests must show, if one is configured.
    pub(crate) fn token(&self) -> Result<Option<Secret>, ConfigError> {
        const KEY: &str = "region.http.token_file";
        let Some(file) = &self.token_file else { return Ok(None) };
        let token = Secret::read(KEY, file)?;
        if token.reveal().chars().count() >= TOKEN_CHARACTERS_MIN {
            return Ok(Some(token));
        }
        let few = format!("it has fewer than {TOKEN_CHARACTERS_MIN} characters, write a random token");
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, few);
        Err(ConfigError::Named { key: KEY, file: file.clone(), source })
    }

    fn judge(&self) -> Result<(), Flaw> {
        if self.token_file.is_none() && !self.listen.ip().is_loopback() {
            return Err(Flaw::new(
                &["region", "http", "listen"],
                format!("{} is reached from other machines, and there is no token", self.listen),
                "name a token_file, which requests must then show (`openssl rand -hex 32` makes a token), or listen on 127.0.0.1"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            segment_size: ByteSize(64 << 20),
            keep_age: HumanDuration::from_secs(3 * 24 * 3600),
            keep_bytes: ByteSize(20 << 30),
            quota: ByteSize(40 << 30),
        }
    }
}

impl Log {
    fn quota_min(&self) -> ByteSize {
        ByteSize((self.keep_bytes.0 / 2).saturating_mul(3).max(self.segment_size.0.saturating_mul(8)))
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self { keep_age: HumanDuration::from_secs(30 * 24 * 3600), keep_bytes: ByteSize(1 << 30) }
    }
}

impl Link {
    /// The files of mutual TLS, or `None` if the configuration says plainly that there is none.
    pub(crate) fn tls_files(&self) -> Option<TlsFiles> {
        match (self.tls, &self.ca, &self.cert, &self.key) {
            (true, Some(ca), Some(cert), Some(key)) => {
                Some(TlsFiles { ca: ca.clone(), cert: cert.clone(), key: key.clone() })
            }
            // `judge` refuses tls without its three files, so this is `tls = false`.
            _ => None,
        }
    }

    fn judge(&self) -> Result<(), Flaw> {
        let files = [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)];
        for (key, file) in files {
            match (self.tls, file) {
                (true, None) => {
                    return Err(Flaw::new(
                        &["region", "link"],
                        format!("tls is on, but key `{key}` is missing"),
                        "add ca, cert and key (`concord certs` makes them), or write tls = false to send rows readable"
                            .to_owned(),
                    ));
                }
                (false, Some(_)) => {
                    return Err(Flaw::new(
                        &["region", "link", key],
                        "a certificate is named although tls = false".to_owned(),
                        "remove it, or set tls = true".to_owned(),
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Region {
    pub(super) fn judge(&self) -> Result<(), Flaw> {
        self.link.judge()?;
        self.http.judge()?;
        self.mysql.judge()?;
        self.apply.judge()?;
        let refuse = |key: [&str; 3], value: String, low: String, high: String| {
            Flaw::new(&key, format!("{value} is out of range"), format!("use {low} to {high}"))
        };
        let sizes = [
            (["region", "log", "segment_size"], self.log.segment_size, ByteSize(1 << 20), ByteSize(1 << 30)),
            (["region", "log", "keep_bytes"], self.log.keep_bytes, self.log.segment_size, ByteSize(1 << 60)),
            (["region", "log", "quota"], self.log.quota, self.log.quota_min(), ByteSize(1 << 60)),
            (
                ["region", "journal", "keep_bytes"],
                self.journal.keep_bytes,
                // The file that is being written always stays.
                ByteSize(2 * log_store::JOURNAL_FILE_BYTES_DEFAULT),
                ByteSize(1 << 60),
            ),
        ];
        let memory = self.history_memory;
        let (low, high) = (ByteSize(4 << 20), ByteSize(1 << 40));
        if memory < low || memory > high {
            return Err(Flaw::new(
                &["region", "history_memory"],
                format!("{memory} is out of range"),
                format!("use {low} to {high}"),
            ));
        }
        for (key, value, low, high) in sizes {
            if value < low || value > high {
                return Err(refuse(key, value.to_string(), low.to_string(), high.to_string()));
            }
        }
        if self.link.listen == self.http.listen && self.http.listen.port() != 0 {
            return Err(Flaw::new(
                &["region", "http", "listen"],
                format!("link and http both listen on {}", self.http.listen),
                "give them two ports".to_owned(),
            ));
        }
        Ok(())
    }

    /// Makes relative paths start at the folder of the configuration file, wherever the process was started.
    pub(super) fn resolve_paths(&mut self, base: &Path) {
        resolve(base, &mut self.data_dir);
        for path in [&mut self.link.ca, &mut self.link.cert, &mut self.link.key] {
            path.iter_mut().for_each(|path| resolve(base, path));
        }
        for path in [&mut self.mysql.password_file, &mut self.mysql.ca, &mut self.http.token_file] {
            path.iter_mut().for_each(|path| resolve(base, path));
        }
    }
}

//! The link of one region: what every connection shares.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use transaction::RegionName;

use crate::contract::{Control, LogProvider, RecordSink};
use crate::error::LinkError;
use crate::handshake;
use crate::identity::{Identity, label};
use crate::question::AnswerStream;
use crate::renewal::Term;
use crate::tls::Security;
use crate::wire::Io;
use crate::{question, receiver, server};

/// What may be tuned. Peers need not agree on any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes of records that may be on their way to this region per connection. More keeps a long fat path full, and is
    /// memory that a backlog takes. A path needs its bandwidth times its round trip.
    pub window: u64,
    /// A batch is cut at this many bytes. Larger ones compress better, smaller ones let heartbeats and others through sooner.
    pub batch_bytes_max: usize,
    /// Whether to compress what this region sends.
    pub compress: bool,
    /// A sign of life leaves this often on each connection.
    pub heartbeat: Duration,
    /// A peer from which nothing came, or which took nothing, for so long is taken for dead. Several heartbeats.
    pub timeout: Duration,
    /// Bound on connecting, per attempt.
    pub connect_timeout: Duration,
    /// Bound on TLS and on the exchange of hellos, each.
    pub handshake_timeout: Duration,
    /// Certificate files are looked at for changes this often, while [`Link::serve`] runs.
    pub renew_every: Duration,
    /// Connections of known peers that are served at a time; further ones wait to be accepted.
    pub connections_max: usize,
    /// Connections at a time that have not said yet who they are; one more ends the oldest of them.
    pub greetings_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: 8 << 20,
            batch_bytes_max: 512 << 10,
            compress: true,
            heartbeat: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            renew_every: Duration::from_secs(5),
            connections_max: 256,
            greetings_max: 64,
        }
    }
}

/// Whom to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The region that must answer there.
    pub region: RegionName,
    /// Host and port.
    pub address: String,
}

impl Target {
    pub(crate) fn label(&self) -> String {
        label(self.region, &self.address)
    }
}

/// The link of one region. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    pub(crate) identity: Arc<Identity>,
    pub(crate) security: Security,
    pub(crate) options: Arc<Options>,
    pub(crate) control: Arc<dyn Control>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.identity.region)
    }
}

impl Link {
    /// The link of the region that `identity` says.
    pub fn new(identity: Identity, security: Security, options: Options, control: Arc<dyn Control>) -> Self {
        Self { identity: Arc::new(identity), security, options: Arc::new(options), control }
    }

    /// Serves peers until `shutdown` becomes true or its sender is gone, then says goodbye and returns within a second.
    ///
    /// Meanwhile it takes up new certificates when their files change, for all connections of this link ([`Tls::renew`](crate::Tls::renew)).
    /// Errors of single connections are logged and given to [`Control::on_server_error`].
    pub async fn serve(
        &self,
        listener: TcpListener,
        provider: Arc<dyn LogProvider>,
        shutdown: watch::Receiver<bool>,
    ) {
        server::serve(self, listener, provider, shutdown).await;
    }

    /// Serves one connection that is already secured, as between the ends of a pipe in a simulation.
    pub async fn serve_on<I>(
        &self,
        io: I,
        address: SocketAddr,
        provider: Arc<dyn LogProvider>,
        shutdown: watch::Receiver<bool>,
    ) -> Result<(), LinkError>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let session = handshake::accept(self, Box::new(io), address, None).await?;
        server::request(self, session, provider.as_ref(), shutdown).await
    }

    /// Pulls `origin`'s log from the peer into `sink`, from [`RecordSink::next_number`] on.
    ///
    /// Runs until something fails; the caller owns the retry. The peer need not be the origin: any region serves any
    /// log that it holds. When it returns, no call of [`RecordSink::store`] is under way, and all that had arrived whole
    /// is stored. Dropping the future closes the connection at once.
    pub async fn pull(
        &self,
        target: &Target,
        origin: RegionName,
        sink: &dyn RecordSink,
    ) -> Result<Infallible, LinkError> {
        let term = self.security.term();
        let io = self.connect(target).await?;
        self.pull_on_secured(io, term, target, origin, sink).await
    }

    /// [`pull`](Self::pull) over a connection that is already secured.
    pub async fn pull_on<I>(
        &self,
        io: I,
        target: &Target,
        origin: RegionName,
        sink: &dyn RecordSink,
    ) -> Result<Infallible, LinkError>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.pull_on_secured(Box::new(io), self.security.term(), target, origin, sink).await
    }

    async fn pull_on_secured(
        &self,
        io: Io,
        term: Term,
        target: &Target,
        origin: RegionName,
        sink: &dyn RecordSink,
    ) -> Result<Infallible, LinkError> {
        let session = handshake::dial(self, io, target).await?;
        receiver::pull(self, session, term, origin, sink).await
    }

    /// Asks the peer a question of some `kind`; the answer comes as a stream of parts.
    ///
    /// The question (kind and payload) has at most 1 MiB. What the peer sends ahead of the reader stays within the window.
    pub async fn ask(
        &self,
        target: &Target,
        kind: &str,
        payload: Vec<u8>,
    ) -> Result<AnswerStream, LinkError> {
        let io = self.connect(target).await?;
        self.ask_on_secured(io, target, kind, payload).await
    }

    /// [`ask`](Self::ask) over a connection that is already secured.
    pub async fn ask_on<I>(
        &self,
        io: I,
        target: &Target,
        kind: &str,
        payload: Vec<u8>,
    ) -> Result<AnswerStream, LinkError>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.ask_on_secured(Box::new(io), target, kind, payload).await
    }

    async fn ask_on_secured(
        &self,
        io: Io,
        target: &Target,
        kind: &str,
        payload: Vec<u8>,
    ) -> Result<AnswerStream, LinkError> {
        let session = handshake::dial(self, io, target).await?;
        question::ask(self, session, kind, payload).await
    }

    async fn connect(&self, target: &Target) -> Result<Io, LinkError> {
        handshake::connect(&self.security, &self.options, target).await
    }
}

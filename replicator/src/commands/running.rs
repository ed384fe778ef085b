//! The region that runs, asked over HTTP by the commands that look at it or wish something of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use transaction::RegionName;
use ureq::RequestBuilder;
use ureq::typestate::WithBody;

use super::CommandError;
use crate::config::{Config, Secret};
use crate::status::Status;

/// How long an answer may take: it is made at once, from memory and a few looks into the log.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the region's process is reached.
pub(crate) struct Running {
    region: RegionName,
    address: SocketAddr,
    agent: ureq::Agent,
    /// What the process wants to be shown.
    token: Option<Secret>,
}

impl Running {
    /// The process that the configuration describes, whether it runs or not.
    pub(crate) fn of(config: &Config) -> Result<Self, CommandError> {
        let listen = config.region.http.listen;
        if listen.port() == 0 {
            return Err(CommandError::Refused(format!(
                "listen = \"{listen}\" in [region.http] takes another port at each start, so commands cannot find it; name a port"
            )));
        }
        let token = config.region.http.token().map_err(|error| CommandError::Refused(error.to_string()))?;
        Ok(Self::at(config.region.name, reachable(listen), token))
    }

    /// The process of `region` at an address, asked with a token if it wants one.
    pub(crate) fn at(region: RegionName, address: SocketAddr, token: Option<Secret>) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            // The process is on this machine, whatever proxy the environment names.
            .proxy(None)
            .build()
            .new_agent();
        Self { region, address, agent, token }
    }

    /// Its status.
    pub(crate) fn status(&self) -> Result<Status, CommandError> {
        let request = self.signed(self.agent.get(format!("http://{}/v1/status", self.address)));
        let text = self.answer(request.call())?;
        let status: Status = serde_json::from_str(&text).map_err(|error| {
            self.refused(format!(
                "answers no status that this version understands ({error}); use the concord that runs there"
            ))
        })?;
        if status.region != self.region {
            return Err(self.refused(format!(
                "is region {}; correct listen in [region.http], or use that region's configuration",
                status.region
            )));
        }
        Ok(status)
    }

    /// Sends a wish that concerns `origin` or all; returns whom it concerned.
    pub(crate) fn wish(
        &self,
        path: &str,
        origin: Option<RegionName>,
    ) -> Result<Vec<RegionName>, CommandError> {
        let request = self.post(path)?;
        let request = match origin {
            Some(origin) => request.query("origin", origin.as_str()),
            None => request,
        };
        #[derive(serde::Deserialize)]
        struct Granted {
            origins: Vec<RegionName>,
        }
        let text = self.answer(request.send_empty())?;
        let granted: Granted = serde_json::from_str(&text).map_err(|error| {
            self.refused(format!("answers {path} in a way that is not understood ({error})"))
        })?;
        Ok(granted.origins)
    }

    /// Sends a wish that concerns a table; what comes of it shows in the status.
    pub(crate) fn wish_for_table(
        &self,
        path: &str,
        table: &str,
        decide: Option<&str>,
    ) -> Result<(), CommandError> {
        let request = self.post(path)?.query("table", table);
        let request = match decide {
            Some(decide) => request.query("decide", decide),
            None => request,
        };
        self.answer(request.send_empty()).map(drop)
    }

    /// Has one transaction passed over; returns what that came to, in words.
    pub(crate) fn skip(
        &self,
        origin: RegionName,
        sequence: Option<u64>,
        gtid: Option<&str>,
        suspend: bool,
    ) -> Result<String, CommandError> {
        let request = self.post("/v1/skip")?;
        let mut request = request.query("origin", origin.as_str()).query("suspend", suspend.to_string());
        if let Some(sequence) = sequence {
            request = request.query("sequence", sequence.to_string());
        }
        if let Some(gtid) = gtid {
            request = request.query("gtid", gtid);
        }
        self.done(request)
    }

    /// Has stamps of an origin applied that are ahead of the clock; returns what that means, in words.
    pub(crate) fn accept_skew(&self, origin: RegionName) -> Result<String, CommandError> {
        let request = self.post("/v1/accept-skew")?;
        self.done(request.query("origin", origin.as_str()))
    }

    /// A wish to be sent. Another process's region may be reached there, so it is looked at before anything is wished of it.
    fn post(&self, path: &str) -> Result<RequestBuilder<WithBody>, CommandError> {
        self.status()?;
        Ok(self.signed(self.agent.post(format!("http://{}{path}", self.address))))
    }

    /// Sends a wish; what was done, in words.
    fn done(&self, request: RequestBuilder<WithBody>) -> Result<String, CommandError> {
        #[derive(serde::Deserialize)]
        struct Done {
            done: String,
        }
        let text = self.answer(request.send_empty())?;
        let Done { done } = serde_json::from_str(&text).map_err(|error| {
            self.refused(format!("answers a wish in a way that is not understood ({error})"))
        })?;
        Ok(done)
    }

    fn signed<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {}", token.reveal())),
            None => request,
        }
    }

    /// The body of a good answer.
    fn answer(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, CommandError> {
        let mut response = response.map_err(|error| {
            self.refused(format!(
                "does not answer ({}); start it with `concord run`, or correct listen in [region.http]",
                cause(&error)
            ))
        })?;
        let text = response.body_mut().read_to_string().map_err(|error| {
            self.refused(format!(
                "broke its answer off ({}); look at the log of `concord run`",
                cause(&error)
            ))
        })?;
        if response.status().is_success() {
            return Ok(text);
        }
        let said: Option<String> = serde_json::from_str::<serde_json::Value>(&text)
            .ok()
            .and_then(|json| json.get("error").and_then(|error| error.as_str().map(str::to_owned)));
        Err(match said {
            Some(said) => CommandError::Refused(said),
            None => self.refused(format!(
                "answers {}, so it is no concord; correct listen in [region.http]",
                response.status()
            )),
        })
    }

    fn refused(&self, what: String) -> CommandError {
        CommandError::Refused(format!("region {} at {}: {what}", self.region, self.address))
    }
}

/// The system's own words where there are some.
fn cause(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::ConnectionFailed => "connection refused".to_owned(),
        error => error.to_string(),
    }
}

/// Where to connect to reach a listener: one that listens everywhere is reached by loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_by_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:7480", "127.0.0.1:7480"),
            ("[::]:7480", "[::1]:7480"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), reached);
        }
    }
}

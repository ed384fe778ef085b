//! One `concord` process and the commands of its binary.

use crate::mesh::{set, write_config};
use crate::process::{Lifetime, Process, tail};
use crate::wait::{Look, wait_for};
use crate::wan::Place;
use crate::{Error, Result, Status};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// How long a process may take to answer `/readyz`; a server's recovery may be part of it.
pub const READY_BOUND: Duration = Duration::from_secs(90);
/// How long a process may take to end after SIGTERM.
pub const STOP_BOUND: Duration = Duration::from_secs(20);

/// A region's Concord: its configuration file and, while it runs, its process.
#[derive(Debug)]
pub struct Concord {
    region: String,
    binary: PathBuf,
    config: PathBuf,
    http: u16,
    log: PathBuf,
    environment: Vec<(String, String)>,
    lifetime: Lifetime,
    place: Option<Place>,
    process: Option<Process>,
}

/// What its HTTP asks for where it listens beyond loopback.
pub(crate) const HTTP_TOKEN: &str = "only-for-tests-and-no-secret";

/// What came back over HTTP: the status code and the body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The body as text.
    pub body: String,
}

impl Concord {
    /// A Concord that does not run yet. `http` is the port of its `region.http.listen`.
    pub fn new(region: &str, config: &Path, http: u16, log: &Path) -> Result<Self> {
        Ok(Self {
            region: region.to_owned(),
            binary: crate::binary::concord()?,
            config: config.to_owned(),
            http,
            log: log.to_owned(),
            environment: Vec::new(),
            lifetime: Lifetime::Ours,
            place: None,
            process: None,
        })
    }

    /// Whether it may outlive this process.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// It runs in this place of a WAN; without one, where we are.
    pub fn place(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// A variable for its environment.
    pub fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The region's name.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The configuration as it stands in the file.
    pub fn read_config(&self) -> Result<toml::Table> {
        let path = &self.config;
        let text = std::fs::read_to_string(path).map_err(Error::io(format!("read {}", path.display())))?;
        text.parse().map_err(|error| Error::Unexpected(format!("{}: {error}", path.display())))
    }

    /// Sets a value at a dotted path of the configuration, as from the next start.
    pub fn configure(&self, path: &str, value: impl Into<toml::Value>) -> Result<()> {
        let mut table = self.read_config()?;
        set(&mut table, path, value);
        write_config(&self.config, &table)
    }

    /// The log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The port of its HTTP.
    pub fn http(&self) -> u16 {
        self.http
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::pid)
    }

    /// The resident memory's highest mark in KiB, from the kernel.
    pub fn resident_kib_max(&self) -> Result<u64> {
        let pid = self
            .pid()
            .ok_or_else(|| Error::Unexpected(format!("concord of {} does not run", self.region)))?;
        let path = format!("/proc/{pid}/status");
        let text = std::fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok())
            .ok_or_else(|| Error::Unexpected(format!("no VmHWM in {path}")))
    }

    /// `concord run`, without waiting for anything.
    pub fn spawn(&mut self) -> Result<()> {
        self.process = None;
        let (program, arguments) = self.line(&["run"]);
        let name = format!("concord of {}", self.region);
        let process =
            Process::start(&name, &program, &arguments, &self.environment, &self.log, self.lifetime)?;
        self.process = Some(process);
        Ok(())
    }

    /// `concord run`, and waits until `/readyz` says yes.
    pub async fn start(&mut self) -> Result<()> {
        self.spawn()?;
        self.ready(READY_BOUND).await
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&mut self, bound: Duration) -> Result<()> {
        let what = format!("concord of {} to be ready", self.region);
        let waited = wait_for(&what, bound, async || {
            self.check_running()?;
            Ok(match self.get("/readyz").await {
                Ok(answer) => Look::when(answer.code == 200, (), format!("{} {}", answer.code, answer.body)),
                Err(error) => Look::NotYet(error.to_string()),
            })
        });
        match (waited.await, &self.process) {
            (Err(Error::Timeout { what, seconds, last }), Some(process)) => {
                Err(Error::Timeout { what, seconds, last: format!("{last}\n{}", process.look()) })
            }
            (waited, _) => waited,
        }
    }

    /// An error with the end of its log if it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        match self.process.as_mut() {
            Some(process) => process.check_running(),
            None => Err(Error::Unexpected(format!("concord of {} was not started", self.region))),
        }
    }

    /// Starts it, expects it to end by itself with a failure, and gives what it printed.
    pub async fn refused(&mut self, bound: Duration) -> Result<String> {
        let before = std::fs::metadata(&self.log).map_or(0, |meta| meta.len());
        self.spawn()?;
        let status = match self.process.as_mut() {
            Some(process) => process.wait(bound).await,
            None => return Err(Error::Unexpected("it was not started".to_owned())),
        };
        let status = status.inspect_err(|_| self.process = None)?;
        self.process = None;
        let bytes = std::fs::read(&self.log).map_err(Error::io(format!("read {}", self.log.display())))?;
        let printed =
            String::from_utf8_lossy(&bytes[usize::try_from(before).unwrap_or(0).min(bytes.len())..])
                .into_owned();
        match status.code() {
            Some(1 | 2) => Ok(printed),
            _ => Err(Error::Unexpected(format!(
                "concord of {} was to refuse, but ended with {status}:\n{printed}",
                self.region
            ))),
        }
    }

    /// Stops it in order (SIGTERM); an error if it takes too long or ends with a failure.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            let status = process.terminate(STOP_BOUND).await?;
            if !status.success() {
                let (log, tail) = (self.log.clone(), tail(&self.log, 20));
                return Err(Error::Ended {
                    what: format!("concord of {}", self.region),
                    status: status.to_string(),
                    log,
                    tail,
                });
            }
        }
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Sends it a signal, for instance SIGSTOP.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        match &self.process {
            Some(process) => process.signal(signal),
            None => Err(Error::Unexpected(format!("concord of {} does not run", self.region))),
        }
    }

    /// SIGSTOP, until no thread runs any more: each has stopped, or waits for the disk and will stop as it leaves the kernel.
    pub async fn stand_still(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        let threads = format!("/proc/{}/task", self.pid().unwrap_or_default());
        let is_still = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = thread.and_then(|thread| std::fs::read_to_string(thread.path().join("stat")));
            // One that has ended is still as well.
            stat.map_or(true, |stat| {
                stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['T', 'D']))
            })
        };
        wait_for("concord to stand still", STOP_BOUND, async || {
            let found = std::fs::read_dir(&threads).map_err(Error::io(format!("read {threads}")))?;
            let running = found.map(is_still).filter(|still| !still).count();
            Ok(Look::when(running == 0, (), format!("{running} threads run")))
        })
        .await
    }

    /// Forgets the process: it goes on when this handle is dropped.
    pub fn leave_running(&mut self) {
        if let Some(process) = self.process.as_mut() {
            process.leave_running();
        }
    }

    /// From the next start on, it is another binary; returns the one that it was.
    pub fn use_binary(&mut self, binary: PathBuf) -> PathBuf {
        std::mem::replace(&mut self.binary, binary)
    }

    /// Runs a command of the binary with this region's configuration; the output whatever it is.
    pub fn command(&self, arguments: &[&str]) -> Result<Output> {
        let (program, all) = self.line(arguments);
        Command::new(program)
            .args(all)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .output()
            .map_err(Error::io(format!("run {}", self.binary.display())))
    }

    /// The program and the arguments that run a command of the binary with this region's configuration, in its place.
    fn line(&self, arguments: &[&str]) -> (PathBuf, Vec<OsString>) {
        let mut all = self.place.as_ref().map(|place| place.namespace.prefix()).unwrap_or_default();
        all.push(self.binary.clone().into());
        all.extend(["--config".into(), self.config.clone().into()]);
        all.extend(arguments.iter().map(OsString::from));
        let program = all.remove(0);
        (program.into(), all)
    }

    /// Runs a command of the binary that must succeed; what it printed.
    pub fn say(&self, arguments: &[&str]) -> Result<String> {
        expect_success(&self.binary, arguments, self.command(arguments)?)
    }

    /// GET on its HTTP port.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.request(path, false).await
    }

    /// POST on its HTTP port.
    pub async fn post(&self, path: &str) -> Result<Answer> {
        self.request(path, true).await
    }

    /// `/v1/status`.
    pub async fn status(&self) -> Result<Status> {
        let answer = self.get("/v1/status").await?;
        serde_json::from_str(&answer.body).map_err(|error| {
            Error::Unexpected(format!(
                "/v1/status of {} is not as agreed: {error}\n{}",
                self.region, answer.body
            ))
        })
    }

    /// Waits until its status shows all of these words, in whatever case, and gives the whole text. An error if it ends before.
    pub async fn tells(&mut self, words: &[&str], bound: Duration) -> Result<String> {
        let what = format!("{words:?} in the status of {}", self.region);
        wait_for(&what, bound, async || {
            self.check_running()?;
            let answer = match self.get("/v1/status").await {
                Ok(answer) => answer.body,
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            };
            let lower = answer.to_lowercase();
            let told = words.iter().all(|word| lower.contains(&word.to_lowercase()));
            Ok(Look::when(told, answer.clone(), answer))
        })
        .await
    }

    async fn request(&self, path: &str, post: bool) -> Result<Answer> {
        let host = self.place.as_ref().map_or(Ipv4Addr::LOCALHOST, |place| place.side);
        let token = format!("Bearer {HTTP_TOKEN}");
        let url = format!("http://{host}:{}{path}", self.http);
        let what = format!("{} {url}", if post { "POST" } else { "GET" });
        let asked = tokio::task::spawn_blocking(move || {
            let config = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .proxy(None)
                .timeout_global(Some(Duration::from_secs(10)))
                .build();
            let agent = ureq::Agent::new_with_config(config);
            // It asks for the token only where it listens beyond loopback.
            let mut response = if post {
                agent.post(&url).header("authorization", token).send_empty()?
            } else {
                agent.get(&url).header("authorization", token).call()?
            };
            let code = response.status().as_u16();
            let body = response.body_mut().read_to_string()?;
            Ok::<_, ureq::Error>(Answer { code, body })
        });
        match asked.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Error::Unexpected(format!("{what}: {error}"))),
            Err(error) => Err(Error::Unexpected(format!("{what}: {error}"))),
        }
    }
}

/// Runs the binary without any configuration, for `init`, `certs` and `grants`; what it printed.
pub fn run(arguments: &[&str]) -> Result<String> {
    let binary = crate::binary::concord()?;
    let output = Command::new(&binary)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(format!("run {}", binary.display())))?;
    expect_success(&binary, arguments, output)
}

fn expect_success(binary: &Path, arguments: &[&str], output: Output) -> Result<String> {
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    Err(Error::Command {
        command: format!("{} {}", binary.display(), arguments.join(" ")),
        status: output.status.to_string(),
        output: format!("{printed}{}", String::from_utf8_lossy(&output.stderr)),
    })
}

//! One real MySQL server with a data directory of its own.

use crate::process::{Lifetime, Process};
use crate::wait::{Look, wait_for};
use crate::{Error, Result, Sql};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

use crate::port::Port;

/// How long a server may take to start; recovery after a crash on a busy machine is what takes longest.
const START_BOUND: Duration = Duration::from_secs(90);
/// How long a server may take to stop.
const STOP_BOUND: Duration = Duration::from_secs(60);

/// What a server shall be like. By default as Concord wants it: GTIDs, full row images and metadata, durable commits.
#[derive(Debug, Clone)]
pub struct ServerPlan {
    name: String,
    server_id: u32,
    options: Vec<String>,
    increment: (u32, u32),
    lifetime: Lifetime,
    program: Option<PathBuf>,
    also: Option<Ipv4Addr>,
    environment: Vec<(String, String)>,
}

impl ServerPlan {
    /// A server with this name (for messages and folders) and server id.
    pub fn new(name: &str, server_id: u32) -> Self {
        Self {
            name: name.to_owned(),
            server_id,
            options: Vec::new(),
            increment: (1, 1),
            lifetime: Lifetime::Ours,
            program: None,
            also: None,
            environment: Vec::new(),
        }
    }

    /// Another `mysqld` than the installation's.
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// It listens at this address, too, beside 127.0.0.1.
    pub fn listen_also(mut self, address: Option<Ipv4Addr>) -> Self {
        self.also = address;
        self
    }

    /// A variable for its environment.
    pub fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// One more option of mysqld, such as `--binlog-format=STATEMENT`. The last of a name counts.
    pub fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Auto-increment values `offset`, `offset + increment`, …
    pub fn auto_increment(mut self, increment: u32, offset: u32) -> Self {
        self.increment = (increment, offset);
        self
    }

    /// Whether it may outlive this process.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Starts it in folder `dir`, which is made, and waits until it answers.
    pub async fn start(self, dir: &Path) -> Result<Server> {
        let mut server = self.launch(dir)?;
        server.answers().await?;
        Ok(server)
    }

    /// Starts it in folder `dir`, which is made, and does not wait.
    pub fn launch(self, dir: &Path) -> Result<Server> {
        let home = installation()?;
        std::fs::create_dir_all(dir).map_err(Error::io(format!("create {}", dir.display())))?;
        let data = dir.join("data");
        copy_template(&home.join("template"), &data)?;
        // The name of a socket may have 107 bytes at most, so it gets a short folder of its own.
        let socket_dir = tempfile::Builder::new()
            .prefix("concord-")
            .tempdir_in("/tmp")
            .map_err(Error::io("create a folder for the server's socket"))?;
        let mut server = Server {
            port: Port::free()?,
            program: self.program.clone().unwrap_or_else(|| home.join("mysqld")),
            plan: self,
            dir: dir.to_owned(),
            socket_dir: Some(socket_dir),
            process: None,
        };
        server.spawn()?;
        Ok(server)
    }
}

/// A server, running or not. It is killed when dropped: its data directory is scratch.
#[derive(Debug)]
pub struct Server {
    plan: ServerPlan,
    program: PathBuf,
    dir: PathBuf,
    port: Port,
    socket_dir: Option<TempDir>,
    process: Option<Process>,
}

impl Server {
    /// The TCP port; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The name from its plan.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Its folder: `data/` and `mysqld.err` are in there.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of its socket and pid file, outside its own folder, until it is left running.
    pub fn socket_dir(&self) -> Option<&Path> {
        self.socket_dir.as_ref().map(TempDir::path)
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::pid)
    }

    /// A new connection as root, who has no password.
    pub async fn root(&self) -> Result<Sql> {
        Sql::connect(self.port(), "root", None).await
    }

    /// The version, as `9.7.4`.
    pub async fn version(&self) -> Result<String> {
        self.root().await?.value("SELECT VERSION()").await
    }

    /// Starts it and waits until it answers. Nothing happens if it runs.
    pub async fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        self.spawn()?;
        self.answers().await
    }

    /// Waits until it answers; an error with the end of its log if it ends instead.
    pub async fn answers(&mut self) -> Result<()> {
        let port = self.port();
        let Some(process) = self.process.as_mut() else {
            return Err(Error::Unexpected(format!("mysqld of {} was not started", self.plan.name)));
        };
        let what = format!("an answer of mysqld of {}", self.plan.name);
        let answer = wait_for(&what, START_BOUND, async || {
            process.check_running()?;
            Ok(match Sql::connect(port, "root", None).await {
                Ok(_) => Look::Done(()),
                Err(error) => Look::NotYet(error.to_string()),
            })
        });
        answer.await.inspect_err(|_| self.process = None)
    }

    /// An error with the end of its log if it has ended by itself.
    pub fn check_running(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check_running)
    }

    fn spawn(&mut self) -> Result<()> {
        let log = self.dir.join("mysqld.err");
        let name = format!("mysqld of {}", self.plan.name);
        let (arguments, environment) = (self.arguments(), &self.plan.environment);
        let process =
            Process::start(&name, &self.program, &arguments, environment, &log, self.plan.lifetime)?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it in order (SIGTERM) and waits until it is gone.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.terminate(STOP_BOUND).await?;
        }
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Kills it and throws its data away: the next start is that of a new, empty server on the same port.
    pub fn wipe(&mut self) -> Result<()> {
        self.kill();
        let data = self.dir.join("data");
        std::fs::remove_dir_all(&data).map_err(Error::io(format!("remove {}", data.display())))?;
        copy_template(&installation()?.join("template"), &data)
    }

    /// From the next start on it answers at the port of `other`, which gets this one's in turn. Neither may be running.
    pub fn take_port_of(&mut self, other: &mut Server) {
        std::mem::swap(&mut self.port, &mut other.port);
    }

    /// Replaces the extra options; they count from the next start on.
    pub fn set_options(&mut self, options: &[&str]) {
        self.plan.options = options.iter().map(|option| (*option).to_owned()).collect();
    }

    /// Forgets the process: it goes on when this handle is dropped.
    pub fn leave_running(&mut self) {
        if let Some(process) = self.process.as_mut() {
            process.leave_running();
        }
        if let Some(dir) = self.socket_dir.take() {
            let _ = dir.keep();
        }
    }

    fn arguments(&self) -> Vec<String> {
        let socket_dir = self.socket_dir.as_ref().map_or(self.dir.as_path(), TempDir::path);
        let (increment, offset) = self.plan.increment;
        let mut arguments: Vec<String> = [
            "--no-defaults",
            "--log-bin=binlog",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            "--binlog-row-metadata=FULL",
            "--sync-binlog=1",
            "--innodb-flush-log-at-trx-commit=1",
            "--max-allowed-packet=1G",
            "--innodb-buffer-pool-size=64M",
            "--innodb-redo-log-capacity=64M",
            "--innodb-log-buffer-size=4M",
            "--skip-name-resolve=OFF",
        ]
        .map(str::to_owned)
        .to_vec();
        let also = self.plan.also.map(|address| format!(",{address}")).unwrap_or_default();
        arguments.extend([
            format!("--bind-address=127.0.0.1{also}"),
            format!("--datadir={}", self.dir.join("data").display()),
            format!("--log-error={}", self.dir.join("mysqld.err").display()),
            format!("--pid-file={}", socket_dir.join("pid").display()),
            format!("--socket={}", socket_dir.join("s").display()),
            format!("--port={}", self.port()),
            format!("--server-id={}", self.plan.server_id),
            format!("--auto-increment-increment={increment}"),
            format!("--auto-increment-offset={offset}"),
        ]);
        arguments.extend(self.plan.options.iter().cloned());
        arguments
    }
}

/// The folder which `scripts/mysql-fetch --dir` names, with `mysqld`, `mysql` and `template`. Found once per process.
pub fn installation() -> Result<PathBuf> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found.clone());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/mysql-fetch");
    let output = Command::new(&script)
        .arg("--dir")
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(Error::io(format!("run {}", script.display())))?;
    if !output.status.success() {
        return Err(Error::Unexpected(format!("{} found no MySQL (its message is above)", script.display())));
    }
    let found = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(FOUND.get_or_init(|| found).clone())
}

fn copy_template(template: &Path, data: &Path) -> Result<()> {
    let status = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .args([template, data])
        .status()
        .map_err(Error::io("run cp"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Unexpected(format!("cannot copy {} to {}", template.display(), data.display())))
    }
}

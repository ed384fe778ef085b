//! One child process: its log, its signals, its end.

use crate::{Error, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A running child whose two output streams go to a log file. Dropped, it is killed and waited for, unless
/// [`Process::leave_running`] was called.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Option<Child>,
}

/// Whether children outlive us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// They end with us, also when we are killed.
    Ours,
    /// They may be left running.
    Own,
}

impl Process {
    /// Starts `program` with `arguments`; `name` is for messages. The log is appended to.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: &[A],
        environment: &[(String, String)],
        log: &Path,
        lifetime: Lifetime,
    ) -> Result<Self> {
        let output = open_log(log)?;
        let errors = output.try_clone().map_err(Error::io(format!("open {}", log.display())))?;
        let mut command = match (lifetime, parent_death_wrapper()) {
            (Lifetime::Ours, Some(wrapper)) => {
                let mut command = Command::new(wrapper);
                command.args(["--pdeathsig", "KILL"]).arg(program);
                command
            }
            _ => Command::new(program),
        };
        command.args(arguments).envs(environment.iter().map(|(key, value)| (key, value)));
        // A group of its own, so that Ctrl-C in a terminal reaches only us, and we stop the children in order.
        command.process_group(0).stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().map_err(Error::io(format!("start {}", program.display())))?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), child: Some(child) })
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What each thread does (name, state, and what it waits for in the kernel), and the end of the log: for the message when
    /// the process does not do what it should.
    pub fn look(&self) -> String {
        let tasks = self.pid().map(|pid| PathBuf::from(format!("/proc/{pid}/task")));
        let folders = tasks.and_then(|tasks| std::fs::read_dir(tasks).ok()).into_iter().flatten().flatten();
        let threads = folders.map(|thread| {
            let read = |file| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            let status = read("status");
            let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or_default();
            format!("  {:<16} {:<14} {}\n", read("comm").trim(), state.trim(), read("wchan"))
        });
        let threads: String = threads.collect();
        format!(
            "threads of {}:\n{threads}the end of {}:\n{}",
            self.name,
            self.log.display(),
            tail(&self.log, 20)
        )
    }

    /// An error with the end of the log if the process has ended.
    pub fn check_running(&mut self) -> Result<()> {
        let Some(child) = self.child.as_mut() else {
            return Err(Error::Unexpected(format!("{} was not started", self.name)));
        };
        match child.try_wait().map_err(Error::io(format!("wait for {}", self.name)))? {
            None => Ok(()),
            Some(status) => {
                self.child = None;
                Err(self.ended(status))
            }
        }
    }

    /// Sends SIGTERM and waits until the process is gone, at most `bound`.
    pub async fn terminate(&mut self, bound: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(bound).await
    }

    /// Waits until the process ends by itself, at most `bound`.
    pub async fn wait(&mut self, bound: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            let Some(child) = self.child.as_mut() else {
                return Err(Error::Unexpected(format!("{} does not run", self.name)));
            };
            if let Some(status) = child.try_wait().map_err(Error::io(format!("wait for {}", self.name)))? {
                self.child = None;
                return Ok(status);
            }
            if start.elapsed() > bound {
                return Err(Error::Timeout {
                    what: format!("the end of {}", self.name),
                    seconds: bound.as_secs(),
                    last: format!("it still runs; its log is {}", self.log.display()),
                });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// `kill -9`, and waits until it is gone. No error if it does not run.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error says that it has gone already, which is what was wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().ok_or_else(|| Error::Unexpected(format!("{} does not run", self.name)))?;
        let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
        kill(pid, signal).map_err(|errno| Error::io(format!("send {signal} to {}", self.name))(errno.into()))
    }

    /// Forgets the child: it goes on when this handle is dropped.
    pub fn leave_running(&mut self) {
        self.child = None;
    }

    fn ended(&self, status: ExitStatus) -> Error {
        Error::Ended {
            what: self.name.clone(),
            status: status.to_string(),
            log: self.log.clone(),
            tail: tail(&self.log, 20),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Says something on stderr that a test's captured output would hide.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    // Nobody to hear it is no error.
    if let Ok(mut stderr) = std::fs::OpenOptions::new().append(true).open("/dev/stderr") {
        let _ = writeln!(stderr, "{text}");
    }
}

/// The last lines of a file; empty if it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let text =
        std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn open_log(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(Error::io(format!("open the log {}", path.display())))
}

/// `setpriv`, where it can ask the kernel to kill the child when we die. It replaces itself by the child, so the process
/// id stays the child's.
fn parent_death_wrapper() -> Option<&'static str> {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let works = *FOUND.get_or_init(|| {
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    works.then_some("setpriv")
}

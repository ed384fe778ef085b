//! Network namespaces of the kernel: a network of its own for a test, and one for each region of a [`crate::wan`].
//!
//! A namespace here has no name in the file system. It lives as long as something holds it, which is a file of ours or a process
//! inside it; then the kernel removes it with every device in it. So a killed test leaves nothing behind, and tests that run
//! at once have nothing in common, neither addresses nor names of devices.

use crate::{Error, Result, process};
use nix::sched::{CloneFlags, setns, unshare};
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Stands in a line that says what a test has left out, so that it is heard wherever the test runs.
pub(crate) const LEFT_OUT: &str = "WITHOUT";

/// Set for a program that was started anew with the rights it needs, so that it does not try that again.
const RESTARTED: &str = "CONCORD_NAMESPACE";

/// The proof that the calling thread, and what it starts from now on (threads, servers, processes), has a network of its own in which
/// only `lo` is up. Devices and addresses made there are seen by nobody else.
#[derive(Debug, Clone, Copy)]
pub struct Home(());

impl Home {
    /// Gives the calling thread a network of its own. Threads that run already keep theirs, so a program calls this before it
    /// starts any. An error of kind `PermissionDenied` if it takes more rights.
    pub fn enter() -> Result<Self> {
        // Before anything changes: without it, the caller would be left where not even `lo` is up.
        ip("-V")?;
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| {
            Error::io("make a network namespace (as root, or under `unshare -Urn`)")(errno.into())
        })?;
        ip("link set lo up")?;
        Ok(Self(()))
    }

    /// For a test: enters, or where that takes more rights, runs the test of this name (`module::name`, as `--exact` takes it) once more
    /// as root of a user namespace, under `unshare -Urn`. `None` if it has passed there, so that nothing is left to do.
    pub fn enter_or_rerun(test: &str) -> Result<Option<Self>> {
        let denied = match Self::enter() {
            Err(error) if may_restart(&error) => error,
            other => return other.map(Some),
        };
        let output = restarted(&denied)?
            .args(["--exact", test, "--nocapture"])
            .output()
            .map_err(Error::io(format!("start unshare, since one may not {denied}")))?;
        let printed =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // A name that no test has would pass, too.
        if output.status.success() && printed.contains("1 passed") {
            printed.lines().filter(|line| line.contains(LEFT_OUT)).for_each(process::say);
            return Ok(None);
        }
        Err(Error::Command {
            command: format!("unshare -Urn … --exact {test}"),
            status: output.status.to_string(),
            output: printed,
        })
    }

    /// For a program with a single thread: enters, or where that takes more rights, replaces the process by itself under
    /// `unshare -Urn`, with the same arguments.
    pub fn enter_or_restart() -> Result<Self> {
        let denied = match Self::enter() {
            Err(error) if may_restart(&error) => error,
            other => return other,
        };
        // `exec` cannot come back to say that the kernel refuses.
        let allowed = Command::new("unshare").args(["-Urn", "true"]).stdin(Stdio::null()).output();
        if !allowed.is_ok_and(|output| output.status.success()) {
            return Err(denied);
        }
        let failed = restarted(&denied)?.args(std::env::args_os().skip(1)).exec();
        Err(Error::io("start unshare")(failed))
    }
}

fn may_restart(error: &Error) -> bool {
    let denied = matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied);
    denied && std::env::var_os(RESTARTED).is_none()
}

/// This program as root of a user namespace.
fn restarted(denied: &Error) -> Result<Command> {
    let program = std::env::current_exe()
        .map_err(Error::io(format!("find the running program, to start it anew ({denied})")))?;
    let mut command = Command::new("unshare");
    command.arg("-Urn").arg(program).env(RESTARTED, "1");
    Ok(command)
}

/// A network namespace. It is gone when the last handle is dropped and the last process in it has ended.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// A new one, in which `lo` is up; `name` is for messages.
    pub fn begin(name: &str) -> Result<Self> {
        let made = on_a_thread(|| -> Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|errno| Error::io(format!("make the network namespace of {name}"))(errno.into()))?;
            ip("link set lo up")?;
            let own = "/proc/thread-self/ns/net";
            File::open(own).map_err(Error::io(format!("open {own}")))
        })?;
        Ok(Self { name: name.to_owned(), file: made? })
    }

    /// Does something inside it, on a thread of its own. What is opened there (a socket, a device) belongs to the namespace also
    /// when it is used elsewhere. Processes that are to live on are started by [`Namespace::prefix`], since those
    /// that are to die with their parent die with this thread.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        on_a_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)
                .map_err(|errno| Error::io(format!("enter the network of {}", self.name))(errno.into()))?;
            work()
        })?
    }

    /// What a command line begins with to run inside it. The command takes the place of the process that is started, so its id is
    /// that process's.
    pub fn prefix(&self) -> Vec<OsString> {
        vec!["nsenter".into(), format!("--net={}", self.path()).into(), "--".into()]
    }

    /// A file that names it to other programs, as long as this handle is there.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}

/// Runs `ip` (iproute2) with these arguments, split at spaces, in the network of the calling thread.
pub fn ip(arguments: &str) -> Result<()> {
    let output =
        Command::new("ip").args(arguments.split_whitespace()).stdin(Stdio::null()).output().map_err(
            Error::io(format!("run `ip {arguments}`; if it is not there, install the package iproute2")),
        )?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Command {
        command: format!("ip {arguments}"),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join())
        .map_err(|_| Error::Unexpected("a thread inside a network namespace panicked".to_owned()))
}

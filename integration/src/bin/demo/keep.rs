//! A run that is left running: how to look around, and how it ends.

use integration::{Error, Mesh, Result, account, server};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The file that says that a folder is this demo's.
pub(crate) const MARK: &str = "made-by-make-demo";
const STOP: &str = "stop";

/// Leaves everything running, writes a script that stops it, and prints what can be done.
pub(crate) fn leave(mesh: &mut Mesh, dir: &Path) -> Result<()> {
    let concord = integration::binary::concord()?;
    let client = server::installation()?.join("mysql");
    let mut pids = Vec::new();
    let mut text = String::from("\nEverything is left running. To look around:\n");
    for region in &mesh.regions {
        let (name, port, http) = (&region.name, region.server.port(), region.concord.http());
        let _ = writeln!(text, "\n  region {name}");
        let _ = writeln!(text, "    {} -h127.0.0.1 -P{port} -uroot shop", client.display());
        let _ =
            writeln!(text, "    {} --config {} status", concord.display(), region.concord.config().display());
        let _ = writeln!(
            text,
            "    {} --config {} log list --limit 10",
            concord.display(),
            region.concord.config().display()
        );
        let _ = writeln!(text, "    curl http://127.0.0.1:{http}/metrics");
        let _ = writeln!(text, "    tail -f {}", region.concord.log().display());
        // A Concord's process before its server's, so that it need not complain that the server is away.
        pids.extend(region.concord.pid());
        pids.extend(region.server.pid());
    }
    let stop = dir.join(STOP);
    let mut script = String::from(
        "#!/bin/sh\n# Stops what `make demo KEEP=1` left running; only processes that are still those.\n",
    );
    for pid in &pids {
        // Each of them names this folder in its arguments; a process that has got the same number since does not.
        let folder = dir.display();
        let ours =
            format!("[ -r /proc/{pid}/cmdline ] && tr '\\0' ' ' </proc/{pid}/cmdline | grep -qF '{folder}/'");
        let _ = writeln!(script, "if {ours}; then kill {pid}; fi");
    }
    for pid in &pids {
        let _ = writeln!(
            script,
            "n=0; while [ -d /proc/{pid} ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n + 1)); done"
        );
    }
    for folder in mesh.regions.iter().filter_map(|region| region.server.socket_dir()) {
        let _ = writeln!(script, "rm -rf '{}'", folder.display());
    }
    std::fs::write(&stop, script).map_err(Error::io(format!("write {}", stop.display())))?;
    let _ = writeln!(
        text,
        "\n  The account of Concord is `{}`, its password `{}`.",
        account::USER,
        account::PASSWORD
    );
    let _ = writeln!(text, "  To stop it all: sh {}  (the next `make demo` does so, too)", stop.display());
    mesh.leave_running();
    println!("{text}");
    Ok(())
}

/// Stops what an earlier run left running in this folder.
pub(crate) fn stop_earlier(dir: &Path) -> Result<()> {
    let stop = dir.join(STOP);
    if !stop.exists() {
        return Ok(());
    }
    println!("stopping what an earlier run left running");
    Command::new("sh").arg(&stop).status().map_err(Error::io(format!("run {}", stop.display())))?;
    Ok(())
}

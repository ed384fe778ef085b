//! Reading the backlog's binlog into the source's log, beside `mysqlbinlog` that reads the same bytes into a file.

use crate::folder;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::{Report, Sample, Sheet};
use crate::scene::{Backlog, PATIENCE, SOURCE, Scene};
use integration::{Error, Result, Status};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often the extractor's place is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Runs the group.
pub async fn run(
    scene: &mut Scene,
    backlog: &Backlog,
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let mut sheet = Sheet::new("extract", "Reading the backlog's binlog, MB/s", &["MB/s", "transactions/s"]);
    let mut ratios = Vec::new();
    let rounds = options.rounds();
    let bytes = backlog.to - backlog.from;
    for round in 1..=rounds {
        scene.restore_unread()?;
        scene.mesh.region(SOURCE)?.server.start().await?;
        // What the server reads from its page cache for one it shall read from there for the other.
        mysqlbinlog(scene, backlog, 4)?;
        let (bytes_read, whole_seconds) = mysqlbinlog(scene, backlog, 4)?;
        // What the program takes to start, to log in and to end; ours runs already when it begins to read.
        let (_, start_seconds) = mysqlbinlog(scene, backlog, backlog.to)?;
        let their_seconds = whole_seconds - start_seconds;
        let ours = concord(scene, backlog).await?;
        scene.kill();
        let (their_rate, our_rate) = (megabytes(bytes_read, their_seconds), megabytes(bytes, ours));
        if their_seconds <= 0.0 {
            progress
                .say("extract: mysqlbinlog read the backlog faster than it starts; the round does not count");
            continue;
        }
        progress.say(format!(
            "extract: round {round} of {rounds}: mysqlbinlog {their_rate:.0} MB/s, Concord {our_rate:.0} MB/s"
        ));
        let per_second = |seconds: f64| backlog.transactions as f64 / seconds;
        sheet.add("mysqlbinlog --read-from-remote-server --raw", &[their_rate, per_second(their_seconds)]);
        sheet.add("Concord: read, checked, indexed, stamped, synced", &[our_rate, per_second(ours)]);
        ratios.push(our_rate / their_rate);
    }
    report.sheet(sheet);
    if ratios.is_empty() {
        report.gap(
            "extract.ratio_vs_mysqlbinlog",
            "the backlog is too small beside the time that mysqlbinlog takes to start",
        );
    } else {
        report.figure("extract.ratio_vs_mysqlbinlog", Sample::of(ratios));
    }
    Ok(())
}

fn megabytes(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / 1e6 / seconds
}

/// Reads from this offset on; the bytes of the file that it made, and seconds.
fn mysqlbinlog(scene: &mut Scene, backlog: &Backlog, from: u64) -> Result<(u64, f64)> {
    let program = integration::server::installation()?.join("mysqlbinlog");
    let scratch = scene.scratch()?;
    let port = scene.mesh.region(SOURCE)?.server.port();
    let mut command = Command::new(&program);
    command
        .args([
            "--read-from-remote-server",
            "--raw",
            "--host=127.0.0.1",
            "--user=root",
            "--get-server-public-key",
        ])
        .arg(format!("--port={port}"))
        .arg(format!("--start-position={from}"))
        .arg(format!("--result-file={}/", scratch.display()))
        .arg(&backlog.file)
        .stdin(Stdio::null());
    let start = Instant::now();
    let output = command.output().map_err(Error::io(format!("run {}", program.display())))?;
    let seconds = start.elapsed().as_secs_f64();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Unexpected(format!("mysqlbinlog failed: {said}")));
    }
    let file = scratch.join(&backlog.file);
    let bytes = std::fs::metadata(&file).map_err(Error::io(format!("look at {}", file.display())))?.len();
    if from < backlog.from && bytes < backlog.to {
        return Err(Error::Unexpected(format!("mysqlbinlog wrote {bytes} bytes of {}", backlog.to)));
    }
    Ok((bytes, seconds))
}

/// Seconds from the last look at which nothing was read until the whole backlog is durable in the log.
async fn concord(scene: &mut Scene, backlog: &Backlog) -> Result<f64> {
    folder::settle()?;
    let concord = &mut scene.mesh.region(SOURCE)?.concord;
    concord.spawn()?;
    let begun = Instant::now();
    let mut idle: Option<Instant> = None;
    loop {
        concord.check_running()?;
        if begun.elapsed() > PATIENCE {
            return Err(Error::Unexpected(
                "the source's Concord did not read the backlog in time".to_owned(),
            ));
        }
        let asked = Instant::now();
        // Nobody answers before the logs are open.
        if let Ok(status) = concord.status().await {
            if status.state == "halted" {
                return Err(Error::Unexpected(format!("the source halted: {}", status.reasons().join("; "))));
            }
            if !has_begun(&status, backlog) {
                idle = Some(asked);
            } else if has_all(&status, backlog) {
                let idle = idle.ok_or_else(|| {
                    Error::Unexpected(
                        "the backlog was read before it could be watched; take more --transactions"
                            .to_owned(),
                    )
                })?;
                return Ok(idle.elapsed().as_secs_f64());
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn first_sequence(backlog: &Backlog) -> u64 {
    backlog.last_sequence - backlog.transactions + 1
}

fn has_begun(status: &Status, backlog: &Backlog) -> bool {
    status.extractor.sequence >= first_sequence(backlog)
}

fn has_all(status: &Status, backlog: &Backlog) -> bool {
    let durable = status.origin(SOURCE).map_or(0, |origin| origin.durable_record);
    status.extractor.sequence >= backlog.last_sequence && durable >= status.extractor.record
}

//! The binlog that all cases write.

use integration::case::{Case, Play, all};
use integration::{Error, Result, Server, ServerPlan};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The group whose values are so large that only `make test-long` plays it.
const LARGE: &str = "large";
/// How many clients write at once.
const CLIENTS: usize = 6;

/// The files of a server on which all cases ran.
pub(crate) struct Written {
    /// The binlog files, oldest first, complete.
    pub(crate) files: Vec<PathBuf>,
    _server: Server,
    _dir: TempDir,
}

/// Plays every case that can be carried on one server: its schema, what eu runs, what us runs.
pub(crate) async fn of_all_cases() -> Result<Written> {
    let wanted = |case: &Case| case.stop.is_none() && (case.group != LARGE || cfg!(feature = "long"));
    let cases: Vec<Case> = all()?.into_iter().filter(wanted).collect();
    let count = cases.len();
    let dir = tempfile::Builder::new().prefix("concord-walker-").tempdir();
    let dir = dir.map_err(Error::io("create a temporary folder"))?;
    let server = ServerPlan::new("walker", 10)
        // Nothing here must survive a crash.
        .option("--sync-binlog=0")
        .option("--innodb-flush-log-at-trx-commit=0")
        .option("--secure-file-priv=")
        .option("--max-binlog-size=67108864")
        .start(&dir.path().join("server"))
        .await?;
    let (port, places) = (server.port(), Arc::new(Semaphore::new(CLIENTS)));
    let mut set = JoinSet::new();
    for play in Play::both_ways(cases).into_iter().filter(|play| !play.swapped) {
        let places = Arc::clone(&places);
        set.spawn(async move {
            let _place = places.acquire().await;
            let named = |error: Error| Error::Unexpected(format!("{play}: {error}"));
            play.prepare(port).await.map_err(named)?;
            play.run(&play.case.eu, port).await.map_err(named)?;
            play.run(&play.case.us, port).await.map_err(named)
        });
    }
    while let Some(done) = set.join_next().await {
        done.map_err(|error| Error::Unexpected(format!("a client ended early: {error}")))??;
    }
    let mut sql = server.root().await?;
    sql.run("FLUSH BINARY LOGS").await?;
    let data = server.dir().join("data");
    let mut files: Vec<PathBuf> =
        sql.column("SHOW BINARY LOGS").await?.iter().map(|name| data.join(name)).collect();
    // The last one is still open and holds nothing but its head.
    files.pop();
    println!("{count} cases on MySQL {}: {} binlog files", server.version().await?, files.len());
    Ok(Written { files, _server: server, _dir: dir })
}

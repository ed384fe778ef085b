//! Bad input gets an error that names the thing and the remedy, before anything is lost.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::mesh::write_config;
use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);
const SCHEMA: &str = "CREATE DATABASE s;\nCREATE TABLE s.t (id INT PRIMARY KEY, v INT);";

async fn built() -> Mesh {
    MeshPlan::of(&["eu", "us"]).schema(SCHEMA).build().await.unwrap()
}

/// Starts eu, which must refuse, and expects these words in what it says.
async fn expect_refusal(mesh: &mut Mesh, words: &[&str]) {
    let said = mesh.region("eu").unwrap().concord.refused(BOUND).await.unwrap();
    for word in words {
        assert!(
            said.to_lowercase().contains(&word.to_lowercase()),
            "{word:?} is not in what it said:\n{said}"
        );
    }
}

/// Waits until a region's status shows an error with these words, and gives the whole text.
async fn expect_error(mesh: &mut Mesh, name: &str, words: &[&str]) -> String {
    mesh.region(name).unwrap().concord.tells(words, BOUND).await.unwrap()
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_its_line() {
    let mut mesh = built().await;
    let config = mesh.region("eu").unwrap().concord.config().to_owned();
    let text = std::fs::read_to_string(&config).unwrap();
    let line = text.lines().count() + 3;
    std::fs::write(&config, format!("{text}\n\nbatch_rows_max = 7\n")).unwrap();
    expect_refusal(&mut mesh, &["batch_rows_max", &line.to_string()]).await;
}

#[tokio::test]
async fn a_configuration_that_contradicts_itself_is_refused() {
    let mut mesh = built().await;
    let concord = &mesh.region("eu").unwrap().concord;
    let good = concord.read_config().unwrap();
    concord.configure("region.name", "mars").unwrap();
    expect_refusal(&mut mesh, &["mars"]).await;

    write_config(mesh.region("eu").unwrap().concord.config(), &good).unwrap();
    mesh.region("eu").unwrap().concord.configure("region.name", "eu-west-1").unwrap();
    expect_refusal(&mut mesh, &["eu-west-1"]).await;
}

#[tokio::test]
async fn two_regions_of_one_name_are_refused_with_their_line() {
    let mut mesh = built().await;
    let config = mesh.region("eu").unwrap().concord.config().to_owned();
    let text = std::fs::read_to_string(&config).unwrap();
    let line = text.lines().count() + 2;
    std::fs::write(&config, format!("{text}\n[mesh.regions.us]\nlink = \"127.0.0.1:1\"\n")).unwrap();
    expect_refusal(&mut mesh, &["us", &line.to_string()]).await;
}

#[tokio::test]
async fn a_data_directory_of_a_newer_format_is_refused() {
    let mut mesh = built().await;
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    mesh.region("eu").unwrap().concord.stop().await.unwrap();
    let format = mesh.dir().join("eu/concord/FORMAT");
    let text = std::fs::read_to_string(&format).unwrap();
    let newer = text.replacen(|c: char| c.is_ascii_digit(), "9", 1);
    assert_ne!(text, newer, "no number in {}", format.display());
    std::fs::write(&format, newer).unwrap();
    expect_refusal(&mut mesh, &["format version 9", "upgrade"]).await;
}

#[tokio::test]
async fn a_wrong_password_is_named() {
    let mut mesh = built().await;
    let region = mesh.region("eu").unwrap();
    std::fs::write(region.concord.config().with_file_name("password"), "wrong\n").unwrap();
    expect_refusal(&mut mesh, &["access denied", "concord"]).await;
}

#[tokio::test]
async fn a_missing_privilege_is_named() {
    let mut mesh = built().await;
    mesh.root("eu").await.unwrap().run("REVOKE REPLICATION_APPLIER ON *.* FROM 'concord'@'%'").await.unwrap();
    expect_refusal(&mut mesh, &["REPLICATION_APPLIER"]).await;
}

#[tokio::test]
async fn server_settings_that_lose_rows_are_refused_with_their_remedy() {
    let mut mesh = built().await;
    let cases: [(&[&str], &[&str]); 6] = [
        (&["--skip-log-bin"], &["log_bin"]),
        (&["--binlog-format=STATEMENT"], &["binlog_format", "ROW"]),
        (&["--binlog-row-image=MINIMAL"], &["binlog_row_image", "FULL"]),
        (&["--binlog-row-metadata=MINIMAL"], &["binlog_row_metadata", "FULL"]),
        (&["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"], &["gtid_mode"]),
        (&["--sync-binlog=0"], &["sync_binlog"]),
    ];
    for (options, words) in cases {
        let server = &mut mesh.region("eu").unwrap().server;
        server.stop().await.unwrap();
        server.set_options(options);
        server.start().await.unwrap();
        let check = mesh.region("eu").unwrap().concord.command(&["check"]).unwrap();
        assert_eq!(check.status.code(), Some(1), "check accepts {options:?}");
        let said = String::from_utf8_lossy(&check.stdout).to_lowercase();
        assert!(
            words.iter().all(|word| said.contains(&word.to_lowercase())),
            "check with {options:?} said:\n{said}"
        );
        expect_refusal(&mut mesh, words).await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let mut mesh = built().await;
    let port = mesh.region("eu").unwrap().server.port();
    mesh.region("eu").unwrap().concord.configure("region.http.listen", format!("127.0.0.1:{port}")).unwrap();
    expect_refusal(&mut mesh, &[&port.to_string(), "in use"]).await;
}

#[tokio::test]
async fn a_second_run_on_one_data_directory_is_refused() {
    let mut mesh = built().await;
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    let second = mesh.region("eu").unwrap().concord.command(&["run"]).unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said =
        format!("{}{}", String::from_utf8_lossy(&second.stdout), String::from_utf8_lossy(&second.stderr));
    assert!(said.contains("eu/concord"), "the folder is not named:\n{said}");
    mesh.region("eu").unwrap().concord.check_running().unwrap();
}

#[tokio::test]
async fn a_data_directory_of_another_region_is_refused() {
    let mut mesh = built().await;
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    for name in ["eu", "us"] {
        mesh.region(name).unwrap().concord.stop().await.unwrap();
    }
    let folder = mesh.dir().join("us/concord").display().to_string();
    mesh.region("eu").unwrap().concord.configure("region.data_dir", folder.clone()).unwrap();
    expect_refusal(&mut mesh, &[&folder, "us"]).await;
}

#[tokio::test]
async fn tables_that_differ_at_the_first_start_are_refused_by_name() {
    let mut mesh = built().await;
    mesh.root("us").await.unwrap().run("INSERT INTO s.t VALUES (1, 1)").await.unwrap();
    for region in &mut mesh.regions {
        region.concord.spawn().unwrap();
    }
    let regions = &mut mesh.regions;
    let said = wait_for("somebody to refuse", BOUND, async || {
        let mut all = String::new();
        for region in regions.iter_mut() {
            if let Err(error) = region.concord.check_running() {
                return Ok(Look::Done(error.to_string()));
            }
            if let Ok(answer) = region.concord.get("/v1/status").await {
                all.push_str(&answer.body);
            }
        }
        Ok(Look::when(all.contains("s.t"), all.clone(), all))
    })
    .await
    .unwrap();
    assert!(said.contains("s.t"), "the table is not named:\n{said}");
    assert!(said.contains("seed"), "the remedy is not named:\n{said}");
}

#[tokio::test]
async fn a_peer_with_another_mesh_is_refused_with_both_fingerprints() {
    let mut mesh = built().await;
    mesh.region("us").unwrap().concord.configure("mesh.exclude", vec!["s.other".to_owned()]).unwrap();
    for region in &mut mesh.regions {
        region.concord.spawn().unwrap();
    }
    expect_error(&mut mesh, "eu", &["refused", "fingerprint"]).await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let mut mesh = built().await;
    let other = mesh.dir().join("other-certs");
    integration::concord::run(&["certs", "--out", &other.display().to_string(), "us"]).unwrap();
    let concord = &mesh.region("us").unwrap().concord;
    for (key, file) in [("ca", "ca.pem"), ("cert", "us.pem"), ("key", "us.key")] {
        concord.configure(&format!("region.link.{key}"), other.join(file).display().to_string()).unwrap();
    }
    for region in &mut mesh.regions {
        region.concord.spawn().unwrap();
    }
    expect_error(&mut mesh, "eu", &["certificate", "\"code\":\"link-certificate-authority\""]).await;
}

#[tokio::test]
async fn a_statement_in_the_stream_halts_with_its_place_and_loses_nothing() {
    let mut mesh = built().await;
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("INSERT INTO s.t VALUES (1, 1)").await.unwrap();
    eu.run("SET SESSION binlog_format = STATEMENT").await.unwrap();
    eu.run("INSERT INTO s.t VALUES (2, 2)").await.unwrap();
    eu.run("SET SESSION binlog_format = ROW").await.unwrap();
    eu.run("INSERT INTO s.t VALUES (3, 3)").await.unwrap();
    let said =
        expect_error(&mut mesh, "eu", &["halted", "statement", "\"code\":\"statement-format-dml\""]).await;
    assert!(said.contains("binlog.0"), "the place is not named:\n{said}");
    let concord = &mesh.region("eu").unwrap().concord;
    assert_eq!(concord.get("/readyz").await.unwrap().code, 503);
    assert_eq!(concord.get("/healthz").await.unwrap().code, 200, "a restart removes no halt");
    let mut us = mesh.root("us").await.unwrap();
    wait_for("what came before it in us", BOUND, async || {
        let there = us.column("SELECT id FROM s.t ORDER BY id").await?;
        Ok(Look::when(there == ["1"], (), there.join(",")))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn needed_binlogs_that_were_purged_are_named() {
    let mut mesh = built().await;
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("INSERT INTO s.t VALUES (1, 1)").await.unwrap();
    mesh.quiet(BOUND).await.unwrap();
    mesh.region("eu").unwrap().concord.stop().await.unwrap();
    for statement in [
        "INSERT INTO s.t VALUES (2, 2)",
        "FLUSH BINARY LOGS",
        "INSERT INTO s.t VALUES (3, 3)",
        "FLUSH BINARY LOGS",
    ] {
        eu.run(statement).await.unwrap();
    }
    let last = eu.column("SHOW BINARY LOGS").await.unwrap().pop().unwrap();
    eu.run(format!("PURGE BINARY LOGS TO '{last}'")).await.unwrap();
    let region = mesh.region("eu").unwrap();
    region.concord.spawn().unwrap();
    let said = wait_for("the refusal of eu", BOUND, async || {
        if let Err(error) = region.concord.check_running() {
            return Ok(Look::Done(error.to_string()));
        }
        Ok(match region.concord.get("/v1/status").await {
            Ok(answer) => Look::when(answer.body.contains("purged"), answer.body.clone(), answer.body),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
    .await
    .unwrap();
    assert!(said.to_lowercase().contains("purged"), "the reason is not named:\n{said}");
}

#[tokio::test]
async fn a_log_damaged_in_its_middle_halts_with_file_and_place() {
    let mut mesh = built().await;
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    let mut eu = mesh.root("eu").await.unwrap();
    for id in 0..50 {
        eu.run(format!("INSERT INTO s.t VALUES ({id}, 1)")).await.unwrap();
    }
    mesh.quiet(BOUND).await.unwrap();
    mesh.region("eu").unwrap().concord.stop().await.unwrap();
    let segment = largest_file(&mesh.dir().join("eu/concord"), "eu");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&segment, bytes).unwrap();
    let verify = mesh.region("eu").unwrap().concord.command(&["log", "verify"]).unwrap();
    assert_eq!(verify.status.code(), Some(1), "verify did not see it");
    let region = mesh.region("eu").unwrap();
    region.concord.spawn().unwrap();
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    wait_for("the refusal of eu", BOUND, async || {
        if let Err(error) = region.concord.check_running() {
            let said = error.to_string();
            return Ok(Look::when(said.contains(&name) && said.contains("[log-damaged]"), (), said));
        }
        Ok(match region.concord.get("/v1/status").await {
            Ok(answer) => Look::when(answer.body.contains(&name), (), answer.body),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
    .await
    .unwrap();
}

/// The largest file below `dir` whose path names the origin: its log's segment.
fn largest_file(dir: &std::path::Path, origin: &str) -> std::path::PathBuf {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.path().strip_prefix(dir).unwrap().to_string_lossy().contains(origin) {
                found.push((entry.metadata().unwrap().len(), entry.path()));
            }
        }
    }
    found.into_iter().max().unwrap().1
}

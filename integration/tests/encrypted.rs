//! A binlog that the server encrypts on its disk arrives like any other.

#![allow(clippy::unwrap_used, missing_docs)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use integration::MeshPlan;
use integration::server::installation;

const BOUND: Duration = Duration::from_secs(60);

/// A `mysqld` with a keyring of its own under `dir`: the manifest must lie beside the program, and the keyring's
/// configuration beside the component. `None` if the installation is not one that `scripts/mysql-fetch` made.
fn with_keyring(dir: &Path) -> Option<PathBuf> {
    let home = installation().unwrap();
    let from = home.join("root");
    if !from.join("usr/lib/mysql/plugin/component_keyring_file.so").exists() {
        return None;
    }
    let to = dir.join("root");
    std::fs::create_dir_all(to.join("usr/sbin")).unwrap();
    std::fs::create_dir_all(to.join("usr/lib/mysql/plugin")).unwrap();
    std::fs::copy(home.join("mysqld"), dir.join("mysqld")).unwrap();
    std::fs::copy(from.join("usr/sbin/mysqld"), to.join("usr/sbin/mysqld")).unwrap();
    std::fs::write(to.join("usr/sbin/mysqld.my"), "{\"components\": \"file://component_keyring_file\"}\n")
        .unwrap();
    let plugin = "usr/lib/mysql/plugin/component_keyring_file.so";
    std::fs::copy(from.join(plugin), to.join(plugin)).unwrap();
    let keyring = dir.join("keyring").display().to_string();
    std::fs::write(
        to.join("usr/lib/mysql/plugin/component_keyring_file.cnf"),
        format!("{{\"path\": \"{keyring}\", \"read_only\": false}}\n"),
    )
    .unwrap();
    for linked in ["usr/lib64", "usr/share", "usr/lib/x86_64-linux-gnu"] {
        symlink(from.join(linked), to.join(linked)).unwrap();
    }
    Some(dir.join("mysqld"))
}

#[tokio::test]
async fn rows_of_an_encrypted_binlog_arrive_across_a_restart_and_new_files() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mysqld) = with_keyring(dir.path()) else {
        println!("this MySQL was not fetched by scripts/mysql-fetch: no place for a keyring is known");
        return;
    };
    let mut mesh = MeshPlan::of(&["eu", "us"])
        .program("eu", mysqld)
        .schema("CREATE DATABASE s; CREATE TABLE s.t (id INT PRIMARY KEY, v VARCHAR(20))")
        .start()
        .await
        .unwrap();
    let mut eu = mesh.root("eu").await.unwrap();
    // Before, between and after encryption, in files of every kind.
    eu.script(
        "INSERT INTO s.t VALUES (1, 'plain');
         SET GLOBAL binlog_encryption = ON;
         INSERT INTO s.t VALUES (2, 'encrypted');
         FLUSH BINARY LOGS;
         INSERT INTO s.t VALUES (3, 'next file');
         ALTER INSTANCE ROTATE BINLOG MASTER KEY;
         INSERT INTO s.t VALUES (4, 'new key')",
    )
    .await
    .unwrap();
    let encrypted = eu.rows("SHOW BINARY LOGS").await.unwrap();
    assert!(encrypted.iter().filter(|file| file[2] == "Yes").count() >= 2, "{encrypted:?}");
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    let region = mesh.region("eu").unwrap();
    region.concord.kill();
    region.server.stop().await.unwrap();
    region.server.set_options(&["--binlog-encryption=ON"]);
    region.server.start().await.unwrap();
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("INSERT INTO s.t VALUES (5, 'after a restart')").await.unwrap();
    mesh.start_concords(&["eu"]).await.unwrap();
    mesh.root("us").await.unwrap().run("UPDATE s.t SET v = 'us' WHERE id = 2").await.unwrap();
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert_eq!(mesh.root("us").await.unwrap().number("SELECT COUNT(*) FROM s.t").await.unwrap(), 5);
}

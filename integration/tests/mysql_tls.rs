//! Connections to MySQL are as `tls` in `[region.mysql]` says, each of them: those that speak SQL and the one that reads the binlog.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::wait::{Look, wait_for};
use integration::{Mesh, MeshPlan};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);
const SCHEMA: &str = "CREATE DATABASE s;\nCREATE TABLE s.t (id INT PRIMARY KEY, v INT);";
/// What is not valid any more after [`LATER`].
const DAYS: &str = "1";
const LATER: Duration = Duration::from_secs(3 * 24 * 3600);
/// The name by which Concord reaches the server of eu; a name that a region could have, so that `concord certs` takes it.
const HOST: &str = "localhost";

/// A mesh that does not run yet. The server of eu shows a certificate of an authority which Concord is told to ask.
async fn built() -> (Mesh, PathBuf) {
    let mut mesh = MeshPlan::of(&["eu", "us"]).schema(SCHEMA).clocks().build().await.unwrap();
    let authority = mesh.dir().join("mysql-certs");
    certify(&authority, HOST);
    show(&mut mesh, &authority, HOST).await;
    configure(&mut mesh, "verify", &authority);
    (mesh, authority)
}

/// Makes a certificate for a host, and the authority first if the folder has none.
fn certify(authority: &Path, host: &str) {
    let folder = authority.display().to_string();
    integration::concord::run(&["certs", "--out", &folder, "--days", DAYS, host]).unwrap();
}

/// From now on the server of eu shows the certificate for `host` of this authority.
async fn show(mesh: &mut Mesh, authority: &Path, host: &str) {
    let mut root = mesh.root("eu").await.unwrap();
    for (variable, file) in
        [("ca", "ca.pem".to_owned()), ("cert", format!("{host}.pem")), ("key", format!("{host}.key"))]
    {
        let file = authority.join(file);
        root.run(format!("SET GLOBAL ssl_{variable} = '{}'", file.display())).await.unwrap();
    }
    root.run("ALTER INSTANCE RELOAD TLS").await.unwrap();
}

fn configure(mesh: &mut Mesh, tls: &str, authority: &Path) {
    let concord = &mesh.region("eu").unwrap().concord;
    let mut config = concord.read_config().unwrap();
    let mysql = config["region"]["mysql"].as_table_mut().unwrap();
    mysql.insert("host".to_owned(), HOST.into());
    mysql.insert("tls".to_owned(), tls.into());
    mysql.remove("ca");
    if tls == "verify" {
        mysql.insert("ca".to_owned(), authority.join("ca.pem").display().to_string().into());
    }
    integration::mesh::write_config(concord.config(), &config).unwrap();
}

/// Whether `check` is content in eu, and what it says.
fn check(mesh: &mut Mesh) -> (bool, String) {
    let output = mesh.region("eu").unwrap().concord.command(&["check"]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), said)
}

/// `check` and `run` refuse with these words, and the server has had no login meanwhile.
async fn expect_refusal(mesh: &mut Mesh, words: &[&str]) {
    let mut root = mesh.root("eu").await.unwrap();
    const LOGINS: &str =
        "SELECT COALESCE(SUM(total_connections), 0) FROM performance_schema.users WHERE user = 'concord'";
    let before = root.number(LOGINS).await.unwrap();
    let (content, said) = check(mesh);
    assert!(!content, "{said}");
    let refused = mesh.region("eu").unwrap().concord.refused(BOUND).await.unwrap();
    for word in words {
        assert!(said.contains(word) && refused.contains(word), "{word:?} is missing:\n{said}\n{refused}");
    }
    assert_eq!(root.number(LOGINS).await.unwrap(), before, "the password was sent");
}

/// How each of Concord's connections to a server is protected, with what it does.
async fn connections(mesh: &mut Mesh, region: &str) -> Vec<(String, String)> {
    let query = "SELECT connection_type, processlist_command FROM performance_schema.threads WHERE processlist_user = 'concord'";
    let rows = mesh.root(region).await.unwrap().rows(query).await.unwrap();
    rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
}

async fn insert(mesh: &mut Mesh, region: &str, id: u32) {
    mesh.root(region).await.unwrap().run(format!("INSERT INTO s.t VALUES ({id}, 1)")).await.unwrap();
}

#[tokio::test]
async fn connections_are_encrypted_or_not_as_configured_and_work() {
    let (mut mesh, authority) = built().await;
    mesh.region("us").unwrap().concord.configure("region.mysql.tls", "disabled").unwrap();
    mesh.region("us").unwrap().concord.spawn().unwrap();
    for (id, tls) in (1..).zip(["verify", "required", "preferred"]) {
        configure(&mut mesh, tls, &authority);
        let (content, said) = check(&mut mesh);
        assert!(content && said.contains(", encrypted"), "{tls}: {said}");
        mesh.start_concords(&["eu"]).await.unwrap();
        insert(&mut mesh, "eu", id * 2).await;
        insert(&mut mesh, "us", id * 2 + 1).await;
        mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
        for (region, kind) in [("eu", "SSL/TLS"), ("us", "TCP/IP")] {
            let all = connections(&mut mesh, region).await;
            assert!(all.iter().all(|(found, _)| found == kind), "{tls}, {region}: {all:?}");
            let reads = |(_, command): &(String, String)| command == "Binlog Dump GTID";
            assert!(all.iter().any(reads) && !all.iter().all(reads), "{tls}, {region}: {all:?}");
        }
        mesh.region("eu").unwrap().concord.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_is_refused_before_a_login() {
    let (mut mesh, authority) = built().await;
    // Of another authority.
    let other = mesh.dir().join("other-certs");
    certify(&other, HOST);
    show(&mut mesh, &other, HOST).await;
    expect_refusal(&mut mesh, &["TLS", "UnknownIssuer", "authority as ca"]).await;
    // Made by the server itself, which no mode but `verify` minds.
    for file in ["ca", "cert", "key"] {
        let of_server = if file == "ca" { "ca.pem".to_owned() } else { format!("server-{file}.pem") };
        mesh.root("eu").await.unwrap().run(format!("SET GLOBAL ssl_{file} = '{of_server}'")).await.unwrap();
    }
    mesh.root("eu").await.unwrap().run("ALTER INSTANCE RELOAD TLS").await.unwrap();
    expect_refusal(&mut mesh, &["TLS", "authority as ca"]).await;
    // For another host.
    certify(&authority, "elsewhere");
    show(&mut mesh, &authority, "elsewhere").await;
    expect_refusal(&mut mesh, &["TLS", "elsewhere", "the host as its certificate does"]).await;
    // Good, but no longer.
    show(&mut mesh, &authority, HOST).await;
    let (content, said) = check(&mut mesh);
    assert!(content, "{said}");
    mesh.region("eu").unwrap().clock.as_ref().unwrap().set(LATER, Duration::ZERO).unwrap();
    expect_refusal(&mut mesh, &["TLS", "xpired"]).await;
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_required_and_one_that_requires_it_where_it_is_disabled()
{
    let (mut mesh, authority) = built().await;
    configure(&mut mesh, "disabled", &authority);
    let mut root = mesh.root("eu").await.unwrap();
    // Root comes by TCP, too, and would be kept out itself: this session stays.
    root.run("SET GLOBAL require_secure_transport = ON").await.unwrap();
    let (content, said) = check(&mut mesh);
    assert!(!content && said.contains("tls = \"required\""), "{said}");
    let refused = mesh.region("eu").unwrap().concord.refused(BOUND).await.unwrap();
    assert!(refused.contains("tls = \"required\""), "{refused}");
    root.run("SET GLOBAL require_secure_transport = OFF").await.unwrap();

    let server = &mut mesh.region("eu").unwrap().server;
    server.stop().await.unwrap();
    server.set_options(&["--tls-version="]);
    server.start().await.unwrap();
    for tls in ["required", "verify"] {
        configure(&mut mesh, tls, &authority);
        expect_refusal(&mut mesh, &["tls in [region.mysql]"]).await;
    }
    for tls in ["preferred", "disabled"] {
        configure(&mut mesh, tls, &authority);
        let (content, said) = check(&mut mesh);
        assert!(content && said.contains("not encrypted"), "{tls}: {said}");
    }
}

#[tokio::test]
async fn an_impostor_that_takes_the_servers_place_is_refused_by_the_reader_of_the_binlog_and_by_the_lanes() {
    let (mut mesh, authority) = built().await;
    mesh.start_concords(&["eu", "us"]).await.unwrap();
    insert(&mut mesh, "us", 1).await;
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();

    let other = mesh.dir().join("other-certs");
    certify(&other, HOST);
    show(&mut mesh, &other, HOST).await;
    let mut root = mesh.root("eu").await.unwrap();
    for id in
        root.column("SELECT id FROM information_schema.processlist WHERE user = 'concord'").await.unwrap()
    {
        root.run(format!("KILL {id}")).await.unwrap();
    }
    insert(&mut mesh, "us", 2).await;
    let concord = &mesh.region("eu").unwrap().concord;
    wait_for("both to refuse the certificate", BOUND, async || {
        let status = concord.status().await?;
        let lane =
            status.origin("us").and_then(|origin| origin.applier.waiting_for.clone()).unwrap_or_default();
        let reader = status.extractor.error.clone().unwrap_or_default();
        let both = reader.contains("TLS with MySQL at") && lane.contains("certificate");
        Ok(Look::when(both, (), format!("{reader:?}, {lane:?}")))
    })
    .await
    .unwrap();
    assert_eq!(connections(&mut mesh, "eu").await, []);
    assert_eq!(mesh.root("eu").await.unwrap().column("SELECT id FROM s.t").await.unwrap(), ["1"]);

    show(&mut mesh, &authority, HOST).await;
    mesh.region("eu").unwrap().concord.stop().await.unwrap();
    mesh.start_concords(&["eu"]).await.unwrap();
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
}

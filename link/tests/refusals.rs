//! Peers that must not talk to each other, and what either is told.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use link::{Identity, LinkError, Options, RefusalCode, Security, Target, Tls, Trouble};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use transaction::Epoch;

/// What both sides say when `eu` with the one identity and security pulls from `us` with the other.
async fn meeting(us: (Identity, Security), eu: (Identity, Security)) -> (LinkError, String) {
    let log = MemoryLog::new(1, [10; 10]);
    let served = serve(us.0, us.1, options(), &log).await;
    let link = link::Link::new(eu.0, eu.1, options(), Arc::new(Ears(Region::new(1))));
    let target = Target { region: name("us"), ..served.target };
    let error = soon(pull(&link, &target, &MemorySink::from(1))).await.unwrap();
    (error, served.region.server_error().await)
}

fn assert_names(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[tokio::test]
async fn certificates_of_two_cas_are_refused_by_both_sides_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Ca::new(&folder.path().join("one")), Ca::new(&folder.path().join("other")));
    let (error, server) =
        meeting((identity("us"), one.security("us")), (identity("eu"), other.security("eu"))).await;
    assert_eq!(error.trouble(), Trouble::NeedsPerson);
    assert_eq!(error.code().unwrap(), "link-certificate-authority");
    assert_names(
        &error.to_string(),
        &["us at 127.0.0.1", "not from the CA that this region trusts", "concord certs"],
    );
    assert_names(
        &server,
        &["127.0.0.1", "the peer does not trust the CA of this region's certificate", "concord certs"],
    );
}

#[tokio::test]
async fn a_client_whose_ca_only_the_client_trusts_is_refused_and_told_why() {
    // The client trusts the server's CA, but shows a certificate of another one.
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Ca::new(&folder.path().join("one")), Ca::new(&folder.path().join("other")));
    let mut files = other.issue("eu", "eu", Valid::Now);
    let both = folder.path().join("both.pem");
    let pem = |ca: &str| std::fs::read_to_string(folder.path().join(ca).join("ca.pem")).unwrap();
    std::fs::write(&both, pem("other") + &pem("one")).unwrap();
    files.ca = both;
    let eu = Security::Mutual(Tls::load(&files, name("eu")).unwrap());
    let (error, server) = meeting((identity("us"), one.security("us")), (identity("eu"), eu)).await;
    assert_names(
        &error.to_string(),
        &["us at", "the peer does not trust the CA of this region's certificate"],
    );
    assert_names(&server, &["127.0.0.1", "not from the CA that this region trusts"]);
}

#[tokio::test]
async fn a_server_of_another_name_is_refused_by_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new(folder.path());
    let (error, server) =
        meeting((identity("ap"), ca.security("ap")), (identity("eu"), ca.security("eu"))).await;
    assert_names(&error.to_string(), &["us at 127.0.0.1", "bears another name", "\"ap\"", "[mesh.regions]"]);
    assert_names(&server, &["127.0.0.1", "rejects this region's certificate or its name"]);
}

#[tokio::test]
async fn a_client_that_claims_another_region_than_its_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new(folder.path());
    let (error, server) =
        meeting((identity("us"), ca.security("us")), (identity("eu"), ca.security("ap"))).await;
    assert_eq!(error.refusal().unwrap().code, RefusalCode::Certificate);
    assert_eq!(error.code().unwrap(), "link-certificate-name");
    assert_names(&error.to_string(), &["the hello says region eu", "\"ap\"", "[region.link]"]);
    assert_names(&server, &["refused eu at 127.0.0.1", "the hello says region eu"]);
}

#[tokio::test]
async fn odd_region_names_work_in_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new(folder.path());
    let log = MemoryLog::new(1, [10; 10]);
    let served = serve(identity("_odd_1_"), ca.security("_odd_1_"), options(), &log).await;
    let sink = MemorySink::from(1);
    let pulling = pull(&client("eu", ca.security("eu")), &served.target, &sink);
    sink.holds(&log.bytes(1)).await;
    pulling.abort();
}

#[tokio::test]
async fn differing_meshes_are_refused_on_both_sides_with_both_fingerprints() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new(folder.path());
    let mut us = identity("us");
    us.mesh_fingerprint = [0xcd; 32];
    us.mesh_description = "epoch = 1\ninclude = shop.orders".into();
    let (error, server) = meeting((us, ca.security("us")), (identity("eu"), ca.security("eu"))).await;
    assert_eq!(error.refusal().unwrap().code, RefusalCode::Fingerprint);
    assert_eq!(error.code().unwrap(), "mesh-differs");
    for text in [error.to_string(), server] {
        let (ours, theirs) = ("ab".repeat(32), "cd".repeat(32));
        assert_names(
            &text,
            &[&ours, &theirs, "diff the [mesh] sections", "only us has `include = shop.orders`"],
        );
    }
}

#[tokio::test]
async fn other_mismatches_have_their_codes() {
    type Change = fn(&mut Identity);
    let cases: [(RefusalCode, &str, Change); 5] = [
        (RefusalCode::Mesh, "link-wrong-region", |eu| eu.mesh = "staging".into()),
        (RefusalCode::UnknownRegion, "link-wrong-region", |eu| eu.region = name("sa")),
        (RefusalCode::UnknownRegion, "link-wrong-region", |eu| eu.region = name("us")),
        (RefusalCode::Epoch, "epoch-differs", |eu| eu.epoch = Epoch(2)),
        (RefusalCode::Format, "link-version", |eu| eu.formats = link::Formats::only(2)),
    ];
    for (code, halt, change) in cases {
        let mut eu = identity("eu");
        change(&mut eu);
        let (error, server) = meeting((identity("us"), Security::Plain), (eu, Security::Plain)).await;
        assert_eq!(error.refusal().unwrap().code, code, "{error}");
        assert_eq!(error.code().unwrap(), halt);
        assert!(server.starts_with("refused "), "{server}");
    }
}

#[tokio::test]
async fn a_region_that_only_the_server_lacks_is_refused_by_name() {
    let mut us = identity("us");
    us.regions.remove(&name("eu"));
    let (error, _) = meeting((us, Security::Plain), (identity("eu"), Security::Plain)).await;
    assert_names(&error.to_string(), &["us at", "region eu is not in the [mesh.regions] of region us"]);
}

#[tokio::test]
async fn tls_on_one_side_only_is_named_on_both() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new(folder.path());
    let (error, server) =
        meeting((identity("us"), Security::Plain), (identity("eu"), ca.security("eu"))).await;
    assert_names(&server, &["the peer speaks TLS, this region is configured without", "region.link.tls"]);
    assert!(!error.to_string().is_empty());
    let (error, server) =
        meeting((identity("us"), ca.security("us")), (identity("eu"), Security::Plain)).await;
    assert_names(&server, &["the peer does not speak TLS", "region.link.tls"]);
    assert_names(&error.to_string(), &["the peer speaks TLS, this region is configured without"]);
    assert_eq!(error.code().unwrap(), "link-tls-mode");
}

#[tokio::test]
async fn something_else_than_concord_is_named_as_such() {
    let log = MemoryLog::new(1, [10; 10]);
    let served = serve(identity("us"), Security::Plain, options(), &log).await;
    let mut tcp = TcpStream::connect(&served.target.address).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_names(&served.region.server_error().await, &["is not Concord", "GET / HT", "link address"]);
    assert_eq!(tcp.read_to_end(&mut Vec::new()).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_hold_the_listener() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new(folder.path());
    let log = MemoryLog::new(1, [10; 10]);
    let patient = Options { handshake_timeout: Duration::from_secs(3600), greetings_max: 3, ..options() };
    let served = serve(identity("us"), ca.security("us"), patient, &log).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        let mut tcp = TcpStream::connect(&served.target.address).await.unwrap();
        // The beginning of a TLS record that never goes on.
        tcp.write_all(&[0x16, 3]).await.unwrap();
        silent.push(tcp);
    }
    let sink = MemorySink::from(1);
    let pulling = pull(&client("eu", ca.security("eu")), &served.target, &sink);
    soon(sink.holds(&log.bytes(1))).await;
    // The oldest were ended, the last are still waited for.
    soon(silent[0].read_to_end(&mut Vec::new())).await.unwrap_or(0);
    assert!(silent[39].try_read(&mut [0; 1]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock));
    pulling.abort();
}

#[tokio::test]
async fn connections_of_known_peers_beyond_the_bound_wait_until_one_ends() {
    let log = MemoryLog::new(1, [10; 10]);
    let few = Options { connections_max: 2, ..options() };
    let served = serve(identity("us"), Security::Plain, few, &log).await;
    let begin = || {
        let sink = MemorySink::from(1);
        (pull(&client("eu", Security::Plain), &served.target, &sink), sink)
    };
    let mut at_work = Vec::new();
    for _ in 0..2 {
        let (pulling, sink) = begin();
        soon(sink.holds(&log.bytes(1))).await;
        at_work.push((pulling, sink));
    }
    let waiting: Vec<_> = (0..4).map(|_| begin()).collect();
    // Each round goes through the same sockets' driver as the ones that wait: whoever could be let in would be by now.
    for _ in 0..50 {
        log.push(10);
        for (_, sink) in &at_work {
            soon(sink.holds(&log.bytes(1))).await;
        }
    }
    // One may have been let in between the hello of the second and the next look at how many there are.
    let served_now = waiting.iter().filter(|(_, sink)| sink.connected.borrow().is_some()).count();
    assert!(served_now <= 1, "{served_now} more are served");
    at_work.iter().for_each(|(pulling, _)| pulling.abort());
    let ((last, sink), others) = waiting.split_last().unwrap();
    others.iter().for_each(|(pulling, _)| pulling.abort());
    soon(sink.holds(&log.bytes(1))).await;
    last.abort();
}

/// TLS as someone speaks it who does not look at his own certificate's time.
fn careless(files: &link::TlsFiles) -> (TlsConnector, TlsAcceptor) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.ca).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_file(&files.cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.clone(), key.clone_key())
        .unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (Arc::new(client).into(), Arc::new(server).into())
}

#[tokio::test]
async fn certificates_out_of_their_time_are_refused_by_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new(folder.path());
    for valid in [Valid::LongAgo, Valid::Later] {
        let (connector, _) = careless(&ca.issue("careless", "eu", valid));
        let log = MemoryLog::new(1, [10; 10]);
        let served = serve(identity("us"), ca.security("us"), options(), &log).await;
        let tcp = TcpStream::connect(&served.target.address).await.unwrap();
        let us = ServerName::try_from("us").unwrap();
        // Under TLS 1.3 a client is through before the server has judged its certificate.
        let ended = async { connector.connect(us, tcp).await?.read_to_end(&mut Vec::new()).await };
        soon(ended).await.unwrap_err();
        assert_names(&served.region.server_error().await, &["127.0.0.1", "not valid at this time"]);

        let (_, acceptor) = careless(&ca.issue("careless", "us", valid));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target { region: name("us"), address: listener.local_addr().unwrap().to_string() };
        let serving = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            acceptor.accept(tcp).await.is_ok()
        });
        let link = client("eu", ca.security("eu"));
        let error = soon(pull(&link, &target, &MemorySink::from(1))).await.unwrap();
        assert_names(&error.to_string(), &["us at 127.0.0.1", "not valid at this time", "clocks"]);
        assert!(!soon(serving).await.unwrap());
    }
}

#[test]
fn certificate_files_that_are_no_good_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Ca::new(&folder.path().join("one")), Ca::new(&folder.path().join("other")));
    let load = |files: &link::TlsFiles| Tls::load(files, name("eu")).unwrap_err().to_string();
    let good = one.issue("eu", "eu", Valid::Now);
    assert!(Tls::load(&good, name("eu")).is_ok());

    let foreign = other.issue("foreign", "eu", Valid::Now);
    let mixed = link::TlsFiles { ca: good.ca.clone(), ..foreign.clone() };
    assert_names(&load(&mixed), &["foreign.pem", "not from the CA"]);
    let swapped = link::TlsFiles { key: foreign.key.clone(), ..good.clone() };
    assert_names(&load(&swapped), &["foreign.key", "does not go with"]);
    assert_names(
        &load(&one.issue("us", "us", Valid::Now)),
        &["us.pem", "not good for region eu", "another name"],
    );
    assert_names(&load(&one.issue("old", "eu", Valid::LongAgo)), &["old.pem", "not valid at this time"]);

    let missing = link::TlsFiles { key: folder.path().join("no.key"), ..good.clone() };
    assert_names(&load(&missing), &["no.key", "private key"]);
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    assert_names(
        &load(&link::TlsFiles { ca: empty, ..good.clone() }),
        &["empty.pem", "holds no certificate"],
    );
    assert_names(
        &load(&link::TlsFiles { cert: good.key.clone(), ..good }),
        &["eu.key", "holds no certificate"],
    );
}

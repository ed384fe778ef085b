//! Two regions in one process, each with its own configuration, over real sockets on loopback.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use link::{BoxFuture, HeldRecord, LogProvider, ProviderError, RecordStream};
use tokio::net::TcpListener;
use tokio::sync::watch;
use transaction::RecordNumber;

use super::super::Verdict;
use super::*;
use crate::cli::CertsArgs;
use crate::region::control::RegionControl;

/// A peer without a log.
struct NoLogs;

impl LogProvider for NoLogs {
    fn open(
        &self,
        _: RegionName,
        _: RegionName,
        _: RecordNumber,
        _: Vec<HeldRecord>,
    ) -> BoxFuture<'_, Result<Box<dyn RecordStream>, ProviderError>> {
        Box::pin(async { Err(ProviderError::UnknownOrigin) })
    }

    fn acknowledged(&self, _: RegionName, _: RegionName, _: RecordNumber) {}
}

/// Answers every question with the same parts, then with this end.
struct Says(Vec<Vec<u8>>, Answer);

impl Control for Says {
    fn wall_us(&self) -> u64 {
        now_us()
    }

    fn beat(&self) -> Beat {
        Beat::default()
    }

    fn on_beat(&self, _: RegionName, _: Heard) {}

    fn ask(&self, _: RegionName, _: String, _: Vec<u8>) -> mpsc::Receiver<Answer> {
        let (sender, receiver) = mpsc::channel(link::ANSWER_QUEUE);
        let parts = self.0.iter().cloned().map(Answer::Part);
        parts.chain([self.1.clone()]).for_each(|item| sender.try_send(item).unwrap());
        receiver
    }
}

/// What a region's file says, as far as the link goes.
struct Plan<'a> {
    region: &'a str,
    /// Further lines of `[mesh]`.
    mesh: &'a str,
    /// Names in `[mesh.regions]`, of which every peer has the address of the served one.
    regions: &'a [&'a str],
    /// Where its certificates lie; `None` is a plaintext link.
    certs: Option<&'a Path>,
}

fn plan<'a>(region: &'a str, certs: Option<&'a Path>) -> Plan<'a> {
    Plan { region, mesh: "", regions: &["eu", "us"], certs }
}

impl Plan<'_> {
    fn config(&self, served: SocketAddr) -> Config {
        let mut text = format!("[mesh]\nname = \"m\"\nclock_skew_max = \"30m\"\n{}\n", self.mesh);
        for region in self.regions {
            // The own address is of no use here, but must differ from the peer's.
            let address = if *region == self.region { "127.0.0.1:1".to_owned() } else { served.to_string() };
            text += &format!("regions.{region}.link = \"{address}\"\n");
        }
        let link = match self.certs {
            None => "tls = false".to_owned(),
            Some(folder) => {
                let file = |name: &str| folder.join(name).display().to_string();
                let (ca, own) = (file("ca.pem"), file(self.region));
                format!("ca = {ca:?}, cert = \"{own}.pem\", key = \"{own}.key\"")
            }
        };
        text += &format!("[region]\nname = \"{}\"\nlink = {{ {link} }}\n", self.region);
        Config::parse(&text, Path::new("c.toml")).unwrap()
    }
}

/// An authority with certificates for these regions.
fn certificates(folder: &Path, regions: &[&str]) {
    let regions = regions.iter().map(|name| name.parse().unwrap()).collect();
    crate::commands::certs::execute(&CertsArgs { out: folder.to_owned(), days: 2, regions }).unwrap();
}

/// What the one region reports about its peer, which starts and has read no log yet.
async fn meeting(served: Plan<'_>, asking: Plan<'_>) -> Vec<Check> {
    meeting_with(served, asking, Arc::new(RegionControl { parts: Arc::default() })).await
}

async fn meeting_with(served: Plan<'_>, asking: Plan<'_>, control: Arc<dyn Control>) -> Vec<Check> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let link = link_of(&served.config(address), link::Options::default(), control).unwrap();
    let (stop, shutdown) = watch::channel(false);
    let serving = tokio::spawn(async move { link.serve(listener, Arc::new(NoLogs), shutdown).await });
    let checks = check(&asking.config(address)).await;
    stop.send_replace(true);
    serving.await.unwrap();
    checks
}

fn verdicts(checks: &[Check]) -> Vec<(&'static str, Verdict)> {
    checks.iter().map(|check| (check.name, check.verdict)).collect()
}

/// One refusal, whose reason and remedy have these words.
fn assert_refused(checks: &[Check], reason: &str, remedy: &str) {
    assert_eq!(verdicts(checks), [(LINK, Verdict::Refuse)], "{checks:?}");
    assert!(checks[0].detail.contains(reason), "{reason:?} is not in: {}", checks[0].detail);
    assert!(checks[0].remedy.contains(remedy), "{remedy:?} is not in: {}", checks[0].remedy);
}

#[tokio::test]
async fn a_peer_that_starts_takes_the_handshake_and_tells_release_and_clock() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &["eu", "us"]);
    for certs in [Some(folder.path()), None] {
        let checks = meeting(plan("us", certs), plan("eu", certs)).await;
        assert_eq!(checks.len(), 2, "{checks:?}");
        assert_eq!((checks[0].name, checks[0].verdict), (LINK, Verdict::Ok), "{}", checks[0]);
        let release = concat!("release ", env!("CARGO_PKG_VERSION"));
        assert!(checks[0].detail.starts_with("us answers at 127.0.0.1"), "{}", checks[0]);
        assert!(checks[0].detail.contains(release), "{}", checks[0]);
        // The same machine: whatever stalls it, its clock is not half an hour from itself.
        assert_eq!(checks[1].name, CLOCK);
        assert!(checks[1].verdict != Verdict::Refuse && checks[1].detail.contains("ours"), "{}", checks[1]);
    }
}

#[tokio::test]
async fn a_peer_with_another_clock_or_none_is_told_from_one_that_cannot_be_talked_to() {
    let us = || plan("us", None);
    let hour_ahead = (now_us() + 3_600_000_000).to_le_bytes().to_vec();
    let cases = [
        (vec![hour_ahead], Answer::End, Verdict::Refuse, "ahead of ours, more than clock_skew_max = 30m"),
        (vec![vec![0; 8]], Answer::End, Verdict::Refuse, "behind ours"),
        (vec![vec![1, 2, 3]], Answer::End, Verdict::Warn, "3 bytes instead of 8"),
        (vec![], Answer::End, Verdict::Warn, "its answer is empty"),
        (vec![], Answer::Failed("upgrade this region".to_owned()), Verdict::Warn, "upgrade this region"),
    ];
    for (parts, last, verdict, detail) in cases {
        let checks = meeting_with(us(), plan("eu", None), Arc::new(Says(parts, last))).await;
        assert_eq!(verdicts(&checks), [(LINK, Verdict::Ok), (CLOCK, verdict)], "{checks:?}");
        assert!(checks[1].detail.contains(detail), "{detail:?} is not in: {}", checks[1]);
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_with_the_remedy() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&one, &other] {
        certificates(folder.path(), &["eu", "us"]);
    }
    let checks = meeting(plan("us", Some(other.path())), plan("eu", Some(one.path()))).await;
    assert_refused(&checks, "not from the CA that this region trusts", "concord certs");
}

#[tokio::test]
async fn another_region_at_the_address_is_refused_by_its_certificate_or_its_hello() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &["eu", "us", "ap"]);
    for (certs, reason, remedy) in [
        (Some(folder.path()), "bears another name", "[mesh.regions]"),
        (None, "dialled \"us\" and reached ap", "correct the link address of \"us\""),
    ] {
        let ap = Plan { regions: &["eu", "ap"], ..plan("ap", certs) };
        assert_refused(&meeting(ap, plan("eu", certs)).await, reason, remedy);
    }
}

#[tokio::test]
async fn a_mesh_that_differs_is_refused_with_both_fingerprints_and_what_differs() {
    let us = Plan { mesh: "exclude = [\"shop.tmp\"]", ..plan("us", None) };
    let fingerprint = us.config("127.0.0.1:2".parse().unwrap()).mesh.fingerprint();
    let checks = meeting(us, plan("eu", None)).await;
    assert_refused(&checks, "only us has `exclude", "make them the same");
    assert!(checks[0].detail.contains(&fingerprint), "{}", checks[0]);
}

#[tokio::test]
async fn a_peer_that_does_not_know_this_region_refuses_it_by_name() {
    let us = Plan { regions: &["us", "ap"], ..plan("us", None) };
    let checks = meeting(us, plan("eu", None)).await;
    assert_refused(&checks, "region eu is not in the [mesh.regions] of region us", "add it there");
}

#[tokio::test]
async fn tls_on_the_peers_side_only_is_refused_and_on_ours_only_is_hinted_at() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &["eu", "us"]);
    let tls = Some(folder.path());
    let checks = meeting(plan("us", tls), plan("eu", None)).await;
    assert_refused(&checks, "the peer speaks TLS", "region.link.tls");
    // A peer without TLS hangs up on ours, which looks like one that stops.
    let checks = meeting(plan("us", None), plan("eu", tls)).await;
    assert_eq!(verdicts(&checks), [(LINK, Verdict::Warn)], "{checks:?}");
    assert!(checks[0].remedy.contains("region.link.tls"), "{}", checks[0]);
}

#[tokio::test]
async fn a_peer_that_is_away_is_waited_for_and_one_that_is_no_concord_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = plan("eu", None).config(address);
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
        (listener, stream)
    });
    assert_refused(&check(&config).await, "is not Concord: it began with", "check the link address");
    drop(answering.await.unwrap());

    let checks = check(&config).await;
    assert_eq!(verdicts(&checks), [(LINK, Verdict::Warn)], "{checks:?}");
    assert!(checks[0].detail.starts_with("us is away at 127.0.0.1"), "{}", checks[0]);
}

#[tokio::test]
async fn without_certificates_of_its_own_a_region_asks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let checks = check(&plan("eu", Some(folder.path())).config("127.0.0.1:2".parse().unwrap())).await;
    assert_refused(&checks, "no peer was asked", "name a PEM file");
}

#[test]
fn a_clock_is_fair_up_to_a_tenth_of_a_second_and_refused_beyond_the_meshs_limit() {
    for (ahead_us, verdict) in [
        (0, Verdict::Ok),
        (100_000, Verdict::Ok),
        (-100_001, Verdict::Warn),
        (5_000_000, Verdict::Warn),
        (5_000_001, Verdict::Refuse),
        (-5_000_001, Verdict::Refuse),
        (i64::MIN, Verdict::Refuse),
    ] {
        let check = judge_clock("us".parse().unwrap(), &Ok(ahead_us), HumanDuration::from_secs(5));
        assert_eq!(check.verdict, verdict, "{check}");
    }
}

#[test]
fn half_the_round_trip_is_taken_off_the_time_of_hearing() {
    let trip = Duration::from_micros(200);
    // Read there at 1000 of our clock, heard at 1100.
    assert_eq!(ahead_us(1000, 1100, trip), 0);
    assert_eq!(ahead_us(1500, 1100, trip), 500);
    assert_eq!(ahead_us(500, 1100, trip), -500);
    assert_eq!(ahead_us(u64::MAX, 0, trip), i64::MAX);
    assert_eq!(ahead_us(0, u64::MAX, trip), i64::MIN);
}

//! The network between regions that tests and benches run on: what it delays, drops and cuts, and two regions that replicate over it.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use integration::namespace::Home;
use integration::wait::{Look, wait_for};
use integration::wan::{Path, Wan};
use integration::{Error, MeshPlan, server};

const BOUND: Duration = Duration::from_secs(60);
const PORT: u16 = 7400;
const MS: Duration = Duration::from_millis(1);

/// A WAN of two regions, in a network of the test's own. `None` if the test has passed under `unshare`.
fn two_regions(test: &str) -> Option<Wan> {
    // May fetch a server, for which it takes the network out there.
    server::installation().unwrap();
    let home = Home::enter_or_rerun(test).unwrap()?;
    Some(Wan::begin(home, &["eu", "us"]).unwrap())
}

/// A datagram socket in a region, which waits for one as long as the bound says.
fn datagrams(wan: &Wan, region: &str) -> UdpSocket {
    let place = wan.place(region).unwrap();
    let bind = || UdpSocket::bind((place.address, PORT)).map_err(Error::io("bind"));
    let socket = place.namespace.inside(bind).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    socket
}

fn received(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2_000];
    let (length, _) = socket.recv_from(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn a_round_trip_takes_the_delays_of_both_directions_at_least() {
    let Some(wan) = two_regions("a_round_trip_takes_the_delays_of_both_directions_at_least") else { return };
    wan.set("eu", "us", Path::delayed(30 * MS)).unwrap();
    wan.set("us", "eu", Path::delayed(20 * MS)).unwrap();
    let (eu, us) = (datagrams(&wan, "eu"), datagrams(&wan, "us"));
    for _ in 0..5 {
        let start = Instant::now();
        eu.send_to(b"there", (wan.address("us").unwrap(), PORT)).unwrap();
        assert_eq!(received(&us), b"there");
        assert!(start.elapsed() >= 30 * MS);
        us.send_to(b"and back", (wan.address("eu").unwrap(), PORT)).unwrap();
        assert_eq!(received(&eu), b"and back");
        assert!(start.elapsed() >= 50 * MS);
    }
    assert!(wan.counts("eu", "us").unwrap().carried >= 5);
}

#[test]
fn a_cut_direction_carries_nothing_while_the_other_does_and_heals() {
    let Some(wan) = two_regions("a_cut_direction_carries_nothing_while_the_other_does_and_heals") else {
        return;
    };
    let (eu, us) = (datagrams(&wan, "eu"), datagrams(&wan, "us"));
    let (to_eu, to_us) = ((wan.address("eu").unwrap(), PORT), (wan.address("us").unwrap(), PORT));
    wan.set("eu", "us", Path::CUT).unwrap();
    eu.send_to(b"dropped", to_us).unwrap();
    us.send_to(b"carried", to_eu).unwrap();
    assert_eq!(received(&eu), b"carried");
    // What is under way when a path is cut does not arrive either.
    wan.set("us", "eu", Path::delayed(200 * MS)).unwrap();
    us.send_to(b"under way", to_eu).unwrap();
    let sent = Instant::now();
    while wan.counts("eu", "us").unwrap().cut == 0 {
        assert!(sent.elapsed() < BOUND, "nothing was dropped");
        std::thread::yield_now();
    }
    wan.set("us", "eu", Path::CUT).unwrap();
    while wan.counts("us", "eu").unwrap().cut == 0 {
        assert!(sent.elapsed() < BOUND, "what was under way was not dropped");
        std::thread::yield_now();
    }
    // A path keeps the order, so the first that arrives is the first that was not dropped.
    wan.set_all(Path::OPEN);
    eu.send_to(b"healed", to_us).unwrap();
    assert_eq!(received(&us), b"healed");
    us.send_to(b"healed too", to_eu).unwrap();
    assert_eq!(received(&eu), b"healed too");
}

#[test]
fn a_path_that_loses_packets_and_has_little_room_still_carries_all_bytes_of_a_connection() {
    let test = "a_path_that_loses_packets_and_has_little_room_still_carries_all_bytes_of_a_connection";
    let Some(wan) = two_regions(test) else { return };
    let lossy = Path { loss: 0.03, jitter: MS, overtakes: true, ..Path::delayed(MS) };
    wan.set("us", "eu", lossy).unwrap();
    wan.set("eu", "us", Path { rate: Some(2_000_000), queue_bytes: 20_000, ..lossy }).unwrap();
    let (eu, us) = (wan.place("eu").unwrap(), wan.place("us").unwrap());
    let listen = || TcpListener::bind((us.address, PORT)).map_err(Error::io("listen"));
    let listener = us.namespace.inside(listen).unwrap();
    let sent: Vec<u8> =
        (0..1_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let arrived = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut bytes = Vec::new();
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(BOUND)).unwrap();
            stream.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let connect = || TcpStream::connect((us.address, PORT)).map_err(Error::io("connect"));
        let mut stream = eu.namespace.inside(connect).unwrap();
        stream.set_write_timeout(Some(BOUND)).unwrap();
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        reader.join().unwrap()
    });
    assert!(arrived == sent, "{} of {} bytes, or others", arrived.len(), sent.len());
    let counts = wan.counts("eu", "us").unwrap();
    assert!(counts.lost > 0 && counts.full > 0, "{counts:?}");
}

#[test]
fn nobody_outside_the_wan_can_reach_a_region_by_it() {
    let Some(wan) = two_regions("nobody_outside_the_wan_can_reach_a_region_by_it") else { return };
    let us = datagrams(&wan, "us");
    let outside = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    assert!(outside.send_to(b"from the test", (wan.address("us").unwrap(), PORT)).is_err());
    let eu = datagrams(&wan, "eu");
    eu.send_to(b"from eu", (wan.address("us").unwrap(), PORT)).unwrap();
    assert_eq!(received(&us), b"from eu");
}

#[tokio::test]
async fn two_regions_replicate_over_it_and_come_to_the_same_rows_after_a_cut() {
    let Some(wan) = two_regions("two_regions_replicate_over_it_and_come_to_the_same_rows_after_a_cut") else {
        return;
    };
    wan.set_all(Path { loss: 0.001, ..Path::delayed(10 * MS) });
    let mut mesh = MeshPlan::of(&["eu", "us"])
        .wan(&wan)
        .schema("CREATE DATABASE s; CREATE TABLE s.t (id INT PRIMARY KEY, v VARCHAR(20))")
        .start()
        .await
        .unwrap();
    let (mut eu, mut us) = (mesh.root("eu").await.unwrap(), mesh.root("us").await.unwrap());
    eu.run("INSERT INTO s.t VALUES (1, 'of eu')").await.unwrap();
    us.run("INSERT INTO s.t VALUES (2, 'of us')").await.unwrap();
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();

    wan.set_all(Path::CUT);
    eu.run("UPDATE s.t SET v = 'cut off' WHERE id = 1").await.unwrap();
    us.run("UPDATE s.t SET v = 'cut off, too' WHERE id = 1").await.unwrap();
    us.run("INSERT INTO s.t VALUES (3, 'cut off')").await.unwrap();
    wait_for("something to be dropped both ways", BOUND, async || {
        let both = (wan.counts("eu", "us")?.cut, wan.counts("us", "eu")?.cut);
        Ok(Look::when(both.0 > 0 && both.1 > 0, (), format!("{both:?}")))
    })
    .await
    .unwrap();
    assert_eq!(eu.number("SELECT COUNT(*) FROM s.t").await.unwrap(), 2);

    wan.set_all(Path::delayed(10 * MS));
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert_eq!(eu.value("SELECT v FROM s.t WHERE id = 1").await.unwrap(), "cut off, too");
    assert_eq!(eu.number("SELECT COUNT(*) FROM s.t").await.unwrap(), 3);
    mesh.stop().await.unwrap();
}

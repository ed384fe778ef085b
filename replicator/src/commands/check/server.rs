//! The server itself: version, GTIDs, identity, clock, whose schema `concord` is.

use super::{Check, ServerFacts};
use crate::config::Config;

/// The series of releases that this version of Concord is tested with.
const TESTED: [(u32, u32); 1] = [(9, 7)];

/// Releases before this one lack too much to be tried at all.
const OLDEST: (u32, u32) = (8, 0);

pub(super) fn judge(server: &ServerFacts, config: &Config, untested_server: bool) -> Vec<Check> {
    vec![
        version(server, untested_server),
        gtids(server),
        server_id(server, config.server_id()),
        writable(server),
        clock(server, config),
        owner(server, config),
    ]
}

fn version(server: &ServerFacts, untested_server: bool) -> Check {
    let name = "server version";
    let found = server.variable("version");
    let fix = "install MySQL 9.7, or add --untested-server to try at your own risk";
    if found.contains("MariaDB") {
        return Check::refuse(
            name,
            format!("{found} is MariaDB, whose binlog is another one"),
            "install MySQL 9.7",
        );
    }
    match server.version() {
        Some(version) if TESTED.contains(&version) => Check::ok(name, found),
        Some(version) if version < OLDEST => {
            Check::refuse(name, format!("{found} is older than 8.0"), "install MySQL 9.7")
        }
        Some(_) if untested_server => Check::warn(name, format!("{found} was never tested with Concord"), ""),
        _ => Check::refuse(name, format!("{found:?} was never tested with Concord"), fix),
    }
}

fn gtids(server: &ServerFacts) -> Check {
    let name = "gtid_mode";
    let consistency = server.variable("enforce_gtid_consistency");
    match (server.variable("gtid_mode"), consistency) {
        ("ON", "ON") => Check::ok(name, "ON, enforced"),
        (mode, _) if mode != "ON" => Check::refuse(
            name,
            format!("{mode}, so transactions have no lasting names"),
            "SET PERSIST enforce_gtid_consistency = ON; then SET PERSIST gtid_mode = OFF_PERMISSIVE, ON_PERMISSIVE, ON \
             one after the other",
        ),
        _ => Check::refuse(
            name,
            format!("ON, but enforce_gtid_consistency is {consistency}"),
            "SET PERSIST enforce_gtid_consistency = ON",
        ),
    }
}

fn server_id(server: &ServerFacts, ours: u32) -> Check {
    let name = "server id";
    match server.number("server_id") {
        Some(0) | None => Check::refuse(
            name,
            "the server's is 0, so no one may read its binlog",
            "SET PERSIST server_id = 1",
        ),
        Some(theirs) if theirs == u64::from(ours) => Check::refuse(
            name,
            format!("the server's is {theirs}, the same as ours, so it would send nothing of its own"),
            "set another server_id in [region.mysql]",
        ),
        Some(theirs) => Check::ok(name, format!("the server's is {theirs}, ours {ours}")),
    }
}

fn writable(server: &ServerFacts) -> Check {
    let name = "writable";
    for switch in ["offline_mode", "super_read_only", "read_only"] {
        if server.is_on(switch) {
            let fix = format!("SET GLOBAL {switch} = OFF, once this is the region's primary");
            return Check::warn(name, format!("{switch} is on: work of other regions waits"), fix);
        }
    }
    if !server.sources.is_empty() && !server.is_on("log_replica_updates") {
        return Check::refuse(
            name,
            format!(
                "it is a replica of {}, and what it applies from there is not in its binlog",
                server.sources.join(", ")
            ),
            "set log_replica_updates = ON in the server's option file and restart it",
        );
    }
    if !server.sources.is_empty() {
        return Check::warn(
            name,
            format!(
                "it is a replica of {}: what comes from there counts as this region's writes",
                server.sources.join(", ")
            ),
            "point Concord at the region's primary",
        );
    }
    Check::ok(name, "yes")
}

/// The difference between two clocks in words.
pub(super) fn milliseconds(difference_us: i64) -> String {
    format!("{}.{:01} ms", difference_us.unsigned_abs() / 1000, difference_us.unsigned_abs() % 1000 / 100)
}

fn clock(server: &ServerFacts, config: &Config) -> Check {
    let name = "server clock";
    let difference = server.clock_difference_us;
    let found =
        format!("{} {} ours", milliseconds(difference), if difference < 0 { "behind" } else { "ahead of" });
    let fix = "synchronise both machines by NTP";
    // Commit times are stamped by this clock. Beyond the mesh's limit peers would keep its work back.
    if difference.unsigned_abs() > config.mesh.clock_skew_max.as_micros() {
        Check::warn(name, format!("{found}, more than clock_skew_max = {}", config.mesh.clock_skew_max), fix)
    } else if difference.unsigned_abs() > 100_000 {
        Check::warn(
            name,
            format!("{found}: a region whose clock is ahead wins conflicts it should lose"),
            fix,
        )
    } else {
        Check::ok(name, found)
    }
}

fn owner(server: &ServerFacts, config: &Config) -> Check {
    let name = "schema concord";
    let (region, mesh) = (config.region.name.as_str(), config.mesh.name.as_str());
    match &server.owner {
        None => Check::ok(name, "not there yet; run makes it"),
        Some(Err(reason)) => Check::refuse(name, reason, "run the statements of `concord grants`"),
        Some(Ok(rows)) => match rows.as_slice() {
            [] => Check::ok(name, "is there, of no region yet"),
            [(owner, of)] if owner == region && of == mesh => Check::ok(name, format!("of region {region}")),
            [(owner, of)] => Check::refuse(
                name,
                format!("belongs to region {owner} of mesh {of}, not to region {region} of mesh {mesh}"),
                format!(
                    "correct host and port in [region.mysql]; for a server restored from a copy of {owner}: DROP SCHEMA \
                     concord, then concord seed"
                ),
            ),
            several => Check::refuse(
                name,
                format!("table concord.region has {} rows, but one region owns a server", several.len()),
                "look who wrote them; DROP SCHEMA concord, then concord seed, starts anew",
            ),
        },
    }
}

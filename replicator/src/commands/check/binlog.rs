//! The binlog: complete, self-describing, durable, kept long enough, unfiltered.

use filters::Patterns;

use super::{Check, ServerFacts};

/// What `max_allowed_packet` must be: the server's own maximum, since one row event may be that large.
const PACKET_BYTES: u64 = 1 << 30;

/// Below this retention a long weekend's outage of Concord ends in a new seed.
const RETENTION_SECONDS_MIN: u64 = 24 * 3600;

pub(super) fn judge(server: &ServerFacts, tables: &Patterns) -> Vec<Check> {
    if !server.is_on("log_bin") {
        let fix = "remove skip-log-bin and disable-log-bin from the server's option file and restart it";
        return vec![Check::refuse("log_bin", "OFF: the server writes no binlog", fix)];
    }
    vec![
        Check::ok("log_bin", "ON"),
        exactly(server, "binlog_format", "ROW", "only row events can be applied without guessing"),
        exactly(server, "binlog_row_image", "FULL", "conflicts are decided on whole rows"),
        exactly(server, "binlog_row_metadata", "FULL", "the log must describe itself: column names and keys"),
        partial_json(server),
        checksum(server),
        durable(server, "sync_binlog"),
        durable(server, "innodb_flush_log_at_trx_commit"),
        retention(server),
        packet(server),
        binlog_filters(server, tables),
        replica_filters(server),
    ]
}

fn exactly(server: &ServerFacts, name: &'static str, wanted: &str, why: &str) -> Check {
    let found = server.variable(name);
    // A release that has dropped the variable knows only what is wanted here.
    if found == wanted || (found.is_empty() && name == "binlog_format") {
        return Check::ok(name, wanted);
    }
    let found = if found.is_empty() { "unknown to this server" } else { found };
    // Sessions that are open keep their own value of all but the metadata, which has none.
    let then = if name == "binlog_row_metadata" { "" } else { ", and let clients reconnect" };
    Check::refuse(name, format!("{found}, but {why}"), format!("SET PERSIST {name} = {wanted}{then}"))
}

fn partial_json(server: &ServerFacts) -> Check {
    let name = "binlog_row_value_options";
    match server.variable(name) {
        "" => Check::ok(name, "none: JSON is logged whole"),
        "PARTIAL_JSON" => Check::ok(name, "PARTIAL_JSON: changes in part are made whole where they are read"),
        found => Check::refuse(
            name,
            format!("{found}: not known to this version of Concord"),
            format!("SET PERSIST {name} = '', and let clients reconnect"),
        ),
    }
}

fn checksum(server: &ServerFacts) -> Check {
    let name = "binlog_checksum";
    match server.variable(name) {
        "CRC32" => Check::ok(name, "CRC32"),
        found => Check::warn(
            name,
            format!("{found}: damage between the server's disk and Concord would not be noticed"),
            format!("SET PERSIST {name} = CRC32"),
        ),
    }
}

fn durable(server: &ServerFacts, name: &'static str) -> Check {
    match server.variable(name) {
        "1" => Check::ok(name, "1"),
        found => Check::refuse(
            name,
            format!("{found}: after a crash the server would give GTIDs of shipped transactions to new ones"),
            format!("SET PERSIST {name} = 1"),
        ),
    }
}

fn retention(server: &ServerFacts) -> Check {
    let name = "binlog retention";
    let automatic = server.variables.get("binlog_expire_logs_auto_purge").is_none_or(|switch| switch == "ON");
    let fix = "SET PERSIST binlog_expire_logs_seconds = 604800";
    match server.number("binlog_expire_logs_seconds") {
        _ if !automatic => Check::ok(name, "binlogs are kept until someone purges them"),
        Some(0) => Check::ok(name, "binlogs are kept until someone purges them"),
        Some(seconds) if seconds >= RETENTION_SECONDS_MIN => Check::ok(name, format!("{} h", seconds / 3600)),
        Some(seconds) => Check::warn(
            name,
            format!(
                "{seconds} s: if Concord is away for longer, its place is purged and the region must be seeded anew"
            ),
            fix,
        ),
        None => Check::warn(name, "unknown: the server has no binlog_expire_logs_seconds", fix),
    }
}

fn packet(server: &ServerFacts) -> Check {
    let name = "max_allowed_packet";
    match server.number(name) {
        Some(bytes) if bytes >= PACKET_BYTES => Check::ok(name, "1 GiB"),
        found => Check::refuse(
            name,
            format!("{} bytes: a large row of another region could not be applied", found.unwrap_or(0)),
            format!("SET PERSIST {name} = {PACKET_BYTES}"),
        ),
    }
}

fn binlog_filters(server: &ServerFacts, tables: &Patterns) -> Check {
    let name = "binlog filters";
    let fix = "remove binlog-do-db and binlog-ignore-db from the server's option file and restart it";
    let Some((only, ignored)) = &server.binlog_filters else {
        return match &server.binlog_status_error {
            Some(reason) => Check::refuse(
                name,
                format!("cannot be read: {reason}"),
                "run the statements of `concord grants`",
            ),
            None => Check::refuse(
                name,
                "cannot be read: the server tells no binlog position",
                "restart the server",
            ),
        };
    };
    let list = |text: &str| text.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (only, ignored) = (list(only), list(ignored));
    let matters = |schema: &str| {
        schema == "concord"
            || server.tables.iter().any(|t| t.schema == schema && tables.carries(&t.schema, &t.name))
    };
    let mut lost: Vec<&str> = ignored.iter().map(String::as_str).filter(|schema| matters(schema)).collect();
    if !only.is_empty() {
        let carried =
            server.tables.iter().filter(|t| tables.carries(&t.schema, &t.name)).map(|t| t.schema.as_str());
        lost.extend(carried.chain(["concord"]).filter(|schema| !only.iter().any(|o| o == schema)));
    }
    lost.sort_unstable();
    lost.dedup();
    if !lost.is_empty() {
        Check::refuse(name, format!("changes of {} do not reach the binlog", lost.join(", ")), fix)
    } else if only.is_empty() && ignored.is_empty() {
        Check::ok(name, "none")
    } else {
        Check::warn(name, "there are some; they spare what is carried today", fix)
    }
}

/// Replica filters do not act on `BINLOG` (tried on 9.7.4), so they keep nothing of ours out; a standby with the same
/// filters lacks rows, though.
fn replica_filters(server: &ServerFacts) -> Check {
    let name = "replica filters";
    match &server.replica_filters {
        Some(Ok(found)) if found.is_empty() => Check::ok(name, "none"),
        Some(Ok(found)) => Check::warn(
            name,
            format!("{}: rows that this server takes from a source of its own are dropped", found.join("; ")),
            "remove the replicate-* options from the server's option file and restart it",
        ),
        Some(Err(reason)) => {
            Check::refuse(name, format!("cannot be read: {reason}"), "run the statements of `concord grants`")
        }
        None => Check::warn(name, "not asked", ""),
    }
}

//! The rules as tables: a server that is as it should be, one thing changed, and the verdict.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::facts::TableFacts;
use super::*;

/// A mesh of two writing regions that carries schema `shop`.
pub(super) fn config() -> Config {
    let text = r#"
        [mesh]
        name = "m"
        include = ["shop.*"]
        exclude = ["shop.tmp_*"]
        regions.eu.link = "eu.example:7400"
        regions.us.link = "us.example:7400"
        [region]
        name = "us"
        link = { tls = false }
    "#;
    Config::parse(text, Path::new("c.toml")).unwrap()
}

fn table(name: &str) -> TableFacts {
    TableFacts {
        schema: "shop".to_owned(),
        name: name.to_owned(),
        engine: "InnoDB".to_owned(),
        primary_key: true,
        auto_increment: true,
    }
}

/// A server with which everything is well.
fn sound() -> ServerFacts {
    let variables = [
        ("version", "9.7.4-2"),
        ("server_id", "7"),
        ("log_bin", "ON"),
        ("log_replica_updates", "ON"),
        ("binlog_format", "ROW"),
        ("binlog_row_image", "FULL"),
        ("binlog_row_metadata", "FULL"),
        ("binlog_row_value_options", ""),
        ("binlog_checksum", "CRC32"),
        ("binlog_expire_logs_seconds", "2592000"),
        ("binlog_expire_logs_auto_purge", "ON"),
        ("sync_binlog", "1"),
        ("innodb_flush_log_at_trx_commit", "1"),
        ("gtid_mode", "ON"),
        ("enforce_gtid_consistency", "ON"),
        ("max_allowed_packet", "1073741824"),
        ("auto_increment_increment", "2"),
        ("auto_increment_offset", "2"),
        ("lower_case_table_names", "0"),
        ("read_only", "OFF"),
        ("super_read_only", "OFF"),
        ("offline_mode", "OFF"),
    ];
    ServerFacts {
        transport: "encrypted",
        account: "c@%".to_owned(),
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        binlog_filters: Some((String::new(), String::new())),
        replica_filters: Some(Ok(Vec::new())),
        grants: vec![
            "GRANT ALL PRIVILEGES ON *.* TO `c`@`%`".to_owned(),
            "GRANT REPLICATION_APPLIER,SESSION_VARIABLES_ADMIN,TRANSACTION_GTID_TAG ON *.* TO `c`@`%`"
                .to_owned(),
        ],
        tables: vec![table("orders")],
        ..ServerFacts::default()
    }
}

/// The checks that are not OK, as verdict and name.
fn complaints(server: &ServerFacts) -> Vec<(Verdict, &'static str)> {
    judge_server(&config(), server, false)
        .iter()
        .filter(|check| check.verdict != Verdict::Ok)
        .inspect(|check| assert!(!check.detail.is_empty() && !check.remedy.is_empty(), "{check:?}"))
        .map(|check| (check.verdict, check.name))
        .collect()
}

#[test]
fn a_sound_server_passes_every_check() {
    assert_eq!(complaints(&sound()), []);
}

#[test]
fn each_variable_is_judged_by_itself() {
    use Verdict::{Refuse, Warn};
    let table = [
        ("version", "8.4.3", Refuse, "server version"),
        ("version", "10.11.6-MariaDB", Refuse, "server version"),
        ("version", "nonsense", Refuse, "server version"),
        ("server_id", "0", Refuse, "server id"),
        ("server_id", &config().server_id().to_string(), Refuse, "server id"),
        ("log_bin", "OFF", Refuse, "log_bin"),
        ("binlog_format", "STATEMENT", Refuse, "binlog_format"),
        ("binlog_format", "MIXED", Refuse, "binlog_format"),
        ("binlog_row_image", "MINIMAL", Refuse, "binlog_row_image"),
        ("binlog_row_image", "NOBLOB", Refuse, "binlog_row_image"),
        ("binlog_row_metadata", "MINIMAL", Refuse, "binlog_row_metadata"),
        ("binlog_row_value_options", "PARTIAL_ALL", Refuse, "binlog_row_value_options"),
        ("binlog_checksum", "NONE", Warn, "binlog_checksum"),
        ("binlog_expire_logs_seconds", "3600", Warn, "binlog retention"),
        ("sync_binlog", "0", Refuse, "sync_binlog"),
        ("sync_binlog", "1000", Refuse, "sync_binlog"),
        ("innodb_flush_log_at_trx_commit", "2", Refuse, "innodb_flush_log_at_trx_commit"),
        ("gtid_mode", "OFF", Refuse, "gtid_mode"),
        ("gtid_mode", "ON_PERMISSIVE", Refuse, "gtid_mode"),
        ("enforce_gtid_consistency", "WARN", Refuse, "gtid_mode"),
        ("max_allowed_packet", "67108864", Refuse, "max_allowed_packet"),
        ("auto_increment_increment", "1", Warn, "auto-increment"),
        ("auto_increment_offset", "1", Warn, "auto-increment"),
        ("lower_case_table_names", "2", Warn, "lower_case_table_names"),
        ("read_only", "ON", Warn, "writable"),
        ("super_read_only", "ON", Warn, "writable"),
        ("offline_mode", "ON", Warn, "writable"),
    ];
    for (name, value, verdict, check) in table {
        let mut server = sound();
        server.variables.insert(name.to_owned(), value.to_owned());
        assert_eq!(complaints(&server), [(verdict, check)], "{name} = {value}");
    }
    for (name, value) in [
        ("binlog_row_value_options", "PARTIAL_JSON"),
        ("binlog_expire_logs_seconds", "0"),
        ("binlog_expire_logs_seconds", "86400"),
    ] {
        let mut server = sound();
        server.variables.insert(name.to_owned(), value.to_owned());
        assert_eq!(complaints(&server), [], "{name} = {value}");
    }
}

#[test]
fn an_untested_server_is_only_warned_about_when_asked_for_unless_it_is_hopeless() {
    for (version, with_flag) in [
        ("8.4.3", Verdict::Warn),
        ("26.7.1", Verdict::Warn),
        ("5.7.44", Verdict::Refuse),
        ("11.4.2-MariaDB", Verdict::Refuse),
    ] {
        let mut server = sound();
        server.variables.insert("version".to_owned(), version.to_owned());
        let verdict = |flag| {
            let checks = judge_server(&config(), &server, flag);
            checks.iter().find(|check| check.name == "server version").unwrap().verdict
        };
        assert_eq!((verdict(false), verdict(true)), (Verdict::Refuse, with_flag), "{version}");
    }
}

#[test]
fn tables_that_cannot_be_carried_are_refused_by_name_and_excluded_ones_are_not() {
    let mut server = sound();
    server.tables.push(TableFacts { primary_key: false, ..table("log") });
    server.tables.push(TableFacts { engine: "MyISAM".to_owned(), ..table("search") });
    server.tables.push(TableFacts { engine: "MyISAM".to_owned(), primary_key: false, ..table("tmp_x") });
    let checks = judge_server(&config(), &server, false);
    let refused: Vec<_> = checks.iter().filter(|check| check.verdict == Verdict::Refuse).collect();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].detail.starts_with("shop.search: not InnoDB"), "{}", refused[0]);
    assert_eq!(
        refused[0].remedy,
        "ALTER TABLE `shop`.`search` ENGINE = InnoDB, or exclude = [\"shop.search\"] in [mesh]"
    );
    let warned = checks.iter().find(|check| check.name == "primary keys").unwrap();
    assert_eq!(warned.verdict, Verdict::Warn);
    assert!(warned.detail.starts_with("shop.log: no primary key"), "{warned}");
}

#[test]
fn a_long_list_of_tables_is_cut_and_counted() {
    let names: Vec<String> = (0..13).map(|n| format!("s.t{n}")).collect();
    assert!(tables::some_of(&names).ends_with("s.t9 and 3 more"));
}

#[test]
fn schema_concord_must_be_of_this_region() {
    let owner = |region: &str, mesh: &str| Some(Ok(vec![(region.to_owned(), mesh.to_owned())]));
    for (found, well) in [
        (None, true),
        (Some(Ok(Vec::new())), true),
        (owner("us", "m"), true),
        (owner("eu", "m"), false),
        (owner("us", "other"), false),
        (Some(Ok(vec![("us".to_owned(), "m".to_owned()); 2])), false),
        (Some(Err("denied".to_owned())), false),
    ] {
        let mut server = sound();
        server.owner = found.clone();
        let expected: &[_] = if well { &[] } else { &[(Verdict::Refuse, "schema concord")] };
        assert_eq!(complaints(&server), expected, "{found:?}");
    }
}

#[test]
fn binlog_filters_are_refused_when_they_touch_what_is_carried() {
    for (only, ignored, complaint) in [
        ("", "mysql", Some(Verdict::Warn)),
        ("", "shop", Some(Verdict::Refuse)),
        ("", "mysql,concord", Some(Verdict::Refuse)),
        ("shop", "", Some(Verdict::Refuse)),
        ("shop,concord", "", Some(Verdict::Warn)),
        ("crm,concord", "", Some(Verdict::Refuse)),
    ] {
        let mut server = sound();
        server.binlog_filters = Some((only.to_owned(), ignored.to_owned()));
        let expected: Vec<_> = complaint.into_iter().map(|verdict| (verdict, "binlog filters")).collect();
        assert_eq!(complaints(&server), expected, "do {only:?} ignore {ignored:?}");
    }
}

#[test]
fn cascades_need_a_binlog_that_shows_them() {
    let mut server = sound();
    server.cascades = vec![("shop".to_owned(), "lines".to_owned(), "fk".to_owned())];
    assert_eq!(complaints(&server), []);
    server.variables.insert("version".to_owned(), "9.5.0".to_owned());
    assert_eq!(complaints(&server), [(Verdict::Refuse, "server version"), (Verdict::Refuse, "cascades")]);
    server.cascades[0].1 = "tmp_lines".to_owned();
    assert_eq!(complaints(&server), [(Verdict::Refuse, "server version")]);
}

#[test]
fn the_remedy_for_auto_increment_counts_the_writing_regions() {
    let mut server = sound();
    server.variables.insert("auto_increment_increment".to_owned(), "1".to_owned());
    server.variables.insert("auto_increment_offset".to_owned(), "1".to_owned());
    let checks = judge_server(&config(), &server, false);
    let check = checks.iter().find(|check| check.name == "auto-increment").unwrap();
    assert_eq!(
        check.remedy,
        "SET PERSIST auto_increment_increment = 2; SET PERSIST auto_increment_offset = 2"
    );
    server.tables[0].auto_increment = false;
    assert_eq!(complaints(&server), []);
}

#[test]
fn a_line_of_the_report_has_verdict_name_detail_and_fix() {
    let line = Check::refuse("log_bin", "OFF", "restart").to_string();
    assert_eq!(line, "NO   log_bin                        OFF  fix: restart");
    assert_eq!(Check::ok("log_bin", "ON").to_string(), "OK   log_bin                        ON");
}

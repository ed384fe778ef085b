//! What is taken, what is refused, and what the refusals say.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;

pub(super) const PLAIN: &str = r#"
[mesh]
name = "shop"
[mesh.regions.eu]
link = "eu.example:7400"
[mesh.regions.us]
link = "us.example:7400"
[region]
name = "eu"
[region.link]
tls = false
"#;

pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/concord/eu.toml"))
}

/// Refuses `text` and gives the message.
pub(super) fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn a_short_file_gets_the_documented_defaults() {
    let config = parse(PLAIN).unwrap();
    assert_eq!(config.mesh.epoch.0, 1);
    assert_eq!(config.mesh.ddl.of("shop", "orders"), applier::ddl::DdlPolicy::Halt);
    assert_eq!(config.mesh.clock_skew_max.to_string(), "5s");
    assert!(config.mesh.tables.carries("shop", "orders"));
    assert!(config.own().writes);
    assert_eq!(config.peers().map(|(name, _)| name.to_string()).collect::<Vec<_>>(), ["us"]);
    assert_eq!(config.region.data_dir, Path::new("/var/lib/concord"));
    assert_eq!(config.region.mysql.address(), "127.0.0.1:3306");
    assert_eq!(config.region.mysql.tls, TlsMode::Preferred);
    assert_eq!(config.region.log.segment_size.to_string(), "64MiB");
    assert_eq!(config.region.apply.batch_transactions_max, 256);
    assert_eq!(config.region.link.tls_files(), None);
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let text = PLAIN.replace("tls = false", "ca = \"ca.pem\"\ncert = \"/abs/eu.pem\"\nkey = \"keys/eu.key\"");
    let config = parse(&text.replace("name = \"eu\"", "name = \"eu\"\ndata_dir = \"data\"")).unwrap();
    assert_eq!(config.region.data_dir, Path::new("/etc/concord/data"));
    let files = config.region.link.tls_files().unwrap();
    assert_eq!(files.ca, Path::new("/etc/concord/ca.pem"));
    assert_eq!(files.cert, Path::new("/abs/eu.pem"));
    assert_eq!(files.key, Path::new("/etc/concord/keys/eu.key"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    let message = refusal(&PLAIN.replace("tls = false", "tls = false\nlistn = \"127.0.0.1:1\""));
    assert!(message.starts_with("/etc/concord/eu.toml:12: "), "{message}");
    assert!(message.contains("key `listn` is not known; did you mean `listen`?"), "{message}");

    let message = refusal(&PLAIN.replace("name = \"shop\"", "name = \"shop\"\nepcoh = 2"));
    assert!(message.contains(":4: ") && message.contains("did you mean `epoch`?"), "{message}");

    let message = refusal(&format!("{PLAIN}\n[regoin]\n"));
    assert!(message.contains("`regoin`") && message.contains("did you mean `region`?"), "{message}");

    let message = refusal(&PLAIN.replace("tls = false", "tls = false\nzzz = 1"));
    assert!(message.contains("remove it; known here: listen, tls, ca, cert, key"), "{message}");
}

#[test]
fn two_regions_of_one_name_are_refused_by_name() {
    let message = refusal(&PLAIN.replace("[mesh.regions.us]", "[mesh.regions.eu]"));
    assert!(message.contains("two regions have the same name"), "{message}");
    assert!(message.contains("mesh.regions.eu") && message.contains(":6: "), "{message}");
}

#[test]
fn every_flaw_names_file_line_key_reason_and_remedy() {
    let replaced = |from: &str, to: &str| {
        assert!(PLAIN.contains(from), "{from}");
        PLAIN.replace(from, to)
    };
    let cases = [
        (
            replaced("us.example", "eu.example"),
            ":7: mesh.regions.us.link: regions eu and us have the same link address",
        ),
        (
            replaced("name = \"eu\"", "name = \"ap\""),
            ":9: region.name: region ap is not in the mesh, which has eu, us",
        ),
        (replaced("[mesh.regions.us]", "[mesh.regions.eu-west-1]"), "write eu_west_1 for eu-west-1"),
        (replaced("eu.example:7400", "eu.example"), ":5: address \"eu.example\" has no port"),
        (replaced("name = \"shop\"", "name = \"shop\"\nepoch = 0"), ":4: mesh.epoch: epochs count from 1"),
        (replaced("name = \"shop\"", "name = \"shop\"\nepoch = -1"), ":4: "),
        (replaced("name = \"shop\"", "name = \"the shop\""), ":3: mesh.name: \"the shop\" is no name"),
        (replaced("name = \"shop\"", "name = \"shop\"\nclock_skew_max = 5"), ":4: "),
        (
            replaced("name = \"shop\"", "name = \"shop\"\nclock_skew_max = \"0s\""),
            ":4: mesh.clock_skew_max: ",
        ),
        (replaced("name = \"shop\"", "name = \"shop\"\nddl = \"carry\""), "`halt`, `ignore`, `replicate`"),
        (
            replaced("name = \"shop\"", "name = \"shop\"\ninclude = [\"orders\"]"),
            "include: pattern \"orders\" has no dot",
        ),
        (replaced("name = \"shop\"", "name = \"shop\"\ninclude = []"), "include has no pattern"),
        (replaced("tls = false", "tls = true"), ":10: region.link: tls is on, but key `ca` is missing"),
        (replaced("tls = false", "tls = false\nca = \"ca.pem\""), ":12: region.link.ca: "),
        (replaced("tls = false", "tls = false\n[region.mysql]\nca = \"ca.pem\""), ":13: region.mysql.ca: "),
        (
            replaced("tls = false", "tls = false\n[region.mysql]\npassword = \"x\""),
            "key `password` is not known",
        ),
        (
            replaced("name = \"eu\"", "name = \"eu\"\nhistory_memory = \"1MiB\""),
            "region.history_memory: 1MiB is out of range",
        ),
        (replaced("tls = false", "tls = false\n[region.log]\nsegment_size = \"1KiB\""), "use 1MiB to 1GiB"),
        (
            replaced("tls = false", "tls = false\n[region.log]\nquota = \"29GiB\""),
            "29GiB is out of range; use 30GiB to",
        ),
        (
            replaced("tls = false", "tls = false\n[region.apply]\nbatch_transactions_max = 0"),
            "use 1 to 10000",
        ),
        (
            replaced("tls = false", "tls = false\n[region.http]\nlisten = \"127.0.0.1:7480\"")
                .replace("[region.link]", "[region.link]\nlisten = \"127.0.0.1:7480\""),
            "link and http both listen on",
        ),
        (
            replaced("tls = false", "tls = false\n[region.http]\nlisten = \"0.0.0.0:7480\""),
            "region.http.listen: 0.0.0.0:7480 is reached from other machines, and there is no token",
        ),
        (replaced("name = \"shop\"", ""), "key `name` is missing"),
        (replaced("name = \"shop\"", "name = shop"), ":3: "),
        (
            PLAIN.replace(":7400\"", ":7400\"\nwrites = false"),
            "mesh.regions: no region writes, so there is nothing to replicate",
        ),
    ];
    for (text, says) in cases {
        let message = refusal(&text);
        assert!(message.contains(says), "expected {says:?} in {message:?}");
        assert!(message.starts_with("/etc/concord/eu.toml:"), "{message}");
        assert!(message.contains("; "), "no remedy in {message:?}");
    }
}

#[test]
fn the_fingerprint_ignores_layout_and_order_and_nothing_else() {
    let one = parse(PLAIN).unwrap().mesh;
    let same = parse(
        r#"
        region = { name = "us", link = { tls = false, listen = "127.0.0.1:0" } }
        [mesh]
        include = ["*.*", "*.*"] # all
        ddl = "halt"
        epoch = 1
        clock_skew_max = "5000ms"
        name = "shop"
        regions.us = { writes = true, link = "10.0.0.2:7400" }
        regions.eu = { link = "10.0.0.1:7400" }
        "#,
    )
    .unwrap()
    .mesh;
    assert_eq!(one.canonical(), same.canonical());
    assert_eq!(one.fingerprint(), same.fingerprint());
    assert_eq!(one.fingerprint().len(), 64);

    for line in [
        "epoch = 2",
        "ddl = \"ignore\"",
        "clock_skew_max = \"6s\"",
        "include = [\"shop.*\"]",
        "exclude = [\"shop.tmp\"]",
        "detect_only = [[\"eu\", \"us\"]]",
        "regions.ap = { link = \"ap:1\" }",
    ] {
        let other =
            parse(&PLAIN.replace("name = \"shop\"", &format!("name = \"shop\"\n{line}"))).unwrap().mesh;
        assert_ne!(one.fingerprint(), other.fingerprint(), "{line}");
    }
    for line in ["writes = false", "lost = true"] {
        let with = PLAIN.replace("us.example:7400\"", &format!("us.example:7400\"\n{line}"));
        assert_ne!(one.fingerprint(), parse(&with).unwrap().mesh.fingerprint(), "{line}");
    }
}

#[test]
fn the_canonical_text_is_fixed() {
    let mesh = parse(PLAIN).unwrap().mesh;
    assert_eq!(
        mesh.canonical(),
        "concord mesh 1\nname \"shop\"\nepoch 1\nddl halt\nclock_skew_max_us 5000000\n\
         policy \"*.*\" last-writer-wins\ninclude \"*.*\"\nregion eu writes true\nregion us writes true\n"
    );
}

#[test]
fn server_ids_are_derived_per_region_unless_given() {
    let eu = parse(PLAIN).unwrap();
    let us = parse(&PLAIN.replace("name = \"eu\"", "name = \"us\"")).unwrap();
    assert_eq!(eu.server_id(), parse(PLAIN).unwrap().server_id());
    assert_ne!(eu.server_id(), us.server_id());
    assert_ne!(eu.server_id(), 0);
    let given = parse(&PLAIN.replace("tls = false", "tls = false\n[region.mysql]\nserver_id = 77")).unwrap();
    assert_eq!(given.server_id(), 77);
}

#[test]
fn a_password_comes_from_its_file_and_shows_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mysql");
    std::fs::write(&file, "s3cret word \n").unwrap();
    let text =
        PLAIN.replace("tls = false", &format!("tls = false\n[region.mysql]\npassword_file = {file:?}"));
    let config = parse(&text).unwrap();
    let password = config.region.mysql.password().unwrap();
    assert_eq!(password.reveal(), "s3cret word ");
    assert_eq!(format!("{password:?}"), "(hidden)");
    assert!(!format!("{config:?}").contains("s3cret"));

    std::fs::remove_file(&file).unwrap();
    let message = config.region.mysql.password().unwrap_err().to_string();
    assert!(
        message.starts_with("region.mysql.password_file: ") && message.contains("correct the path"),
        "{message}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named_with_the_remedy() {
    let message = Config::load(Path::new("/nonexistent/concord.toml")).unwrap_err().to_string();
    assert!(message.contains("/nonexistent/concord.toml") && message.contains("concord init"), "{message}");
}

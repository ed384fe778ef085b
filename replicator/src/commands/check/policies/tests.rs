//! Policies against tables, as a table: one thing wrong, and the line that says so.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use transaction::binlog::{Column, ColumnType};

use super::super::Verdict;
use super::*;

/// A mesh with these policies, which carries schema `shop` but for its temporary tables.
fn config(policies: &str) -> Config {
    let text = format!(
        r#"
        [mesh]
        name = "m"
        include = ["shop.*"]
        exclude = ["shop.tmp_*"]
        regions.eu.link = "eu.example:7400"
        regions.us.link = "us.example:7400"
        [region]
        name = "us"
        link = {{ tls = false }}
        {policies}
        "#
    );
    Config::parse(&text, Path::new("c.toml")).unwrap()
}

/// One policy for the tables of `pattern`.
fn policy(pattern: &str, rest: &str) -> String {
    format!("[[mesh.policy]]\ntables = [\"{pattern}\"]\n{rest}\n")
}

fn column(name: &str, kind: ColumnType, sql_type: &str) -> ColumnFacts {
    // 255 is a collation of letters; the types without one have none.
    let collation = if matches!(kind, ColumnType::VarChar(_) | ColumnType::Blob(_)) { 255 } else { 0 };
    let members = match sql_type.strip_prefix("enum(").or_else(|| sql_type.strip_prefix("set(")) {
        Some(list) => list.trim_end_matches(')').split(',').map(|m| m.trim_matches('\'').into()).collect(),
        None => Vec::new(),
    };
    ColumnFacts {
        column: Column { name: name.to_owned(), kind, nullable: true, unsigned: false, collation, members },
        sql_type: sql_type.to_owned(),
        generated: false,
        in_primary_key: false,
    }
}

fn bytes(name: &str, kind: ColumnType, sql_type: &str) -> ColumnFacts {
    let mut facts = column(name, kind, sql_type);
    // The collation of bytes.
    facts.column.collation = 63;
    facts
}

/// Tables `orders` and `stock` with a column of each type, `log` without a primary key, and one that is not carried.
fn server() -> ServerFacts {
    let table = |name: &str| TableFacts {
        schema: "shop".to_owned(),
        name: name.to_owned(),
        engine: "InnoDB".to_owned(),
        primary_key: name != "log",
        auto_increment: false,
    };
    let columns = vec![
        ColumnFacts { in_primary_key: true, ..column("id", ColumnType::Int(4), "int") },
        ColumnFacts { in_primary_key: true, ..column("tenant", ColumnType::VarChar(128), "varchar(32)") },
        column("quantity", ColumnType::Int(4), "int"),
        column("price", ColumnType::Decimal { precision: 10, scale: 2 }, "decimal(10,2)"),
        column("weight", ColumnType::Double, "double"),
        column("seen_at", ColumnType::DateTime(6), "datetime(6)"),
        column("note", ColumnType::VarChar(80), "varchar(20)"),
        column("tags", ColumnType::Set(1), "set('a','b')"),
        column("home", ColumnType::Enum(1), "enum('eu','us','none')"),
        column("colour", ColumnType::Enum(1), "enum('red','blue')"),
        bytes("raw", ColumnType::VarChar(20), "varbinary(20)"),
        column("doc", ColumnType::Json(4), "json"),
        ColumnFacts { generated: true, ..column("sum", ColumnType::Int(8), "bigint") },
    ];
    let names = ["log", "orders", "stock", "tmp_load"];
    let all = names.map(|name| (("shop".to_owned(), name.to_owned()), columns.clone()));
    ServerFacts { tables: names.map(table).into(), columns: Some(Ok(all.into())), ..ServerFacts::default() }
}

/// The lines that are not OK, as they are printed.
fn complaints(policies: &str, server: &ServerFacts) -> Vec<String> {
    judge(server, &config(policies))
        .iter()
        .filter(|check| check.verdict != Verdict::Ok)
        .inspect(|check| assert!(!check.detail.is_empty() && !check.remedy.is_empty(), "{check:?}"))
        .map(ToString::to_string)
        .collect()
}

#[test]
fn policies_that_fit_their_tables_are_listed_in_one_line() {
    let policies = policy(
        "shop.stock",
        "policy = \"columns\"\ncounter = [\"quantity\", \"price\"]\nmax = [\"seen_at\"]\nmin = [\"weight\"]\nset_union = [\"tags\"]",
    ) + &policy("shop.o*", "policy = \"region-owned\"\nowner_column = \"home\"")
        + &policy("shop.stock*", "policy = \"halt\"").replace("shop.stock*", "shop.or*\", \"shop.*k");
    // The third policy's patterns come too late for any table.
    let found = complaints(&policies, &server());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("WARN policies"), "{found:?}");
    assert!(found[0].contains("policy 3 (halt): pattern shop.or* decides nothing"), "{found:?}");

    let fitting = &policies[..policies.rfind("[[mesh.policy]]").unwrap()];
    assert_eq!(complaints(fitting, &server()), [""; 0]);
    assert_eq!(
        judge(&server(), &config(fitting))[0].detail,
        "shop.stock: columns (counter quantity, counter price, max seen_at, min weight, set_union tags); \
         shop.o*: region-owned (owner_column home); other tables: last-writer-wins"
    );
    assert_eq!(judge(&server(), &config(""))[0].detail, "last-writer-wins for every table");
    let letters = policy("shop.stock", "policy = \"columns\"\ncounter = [\"Quantity\"]");
    assert_eq!(complaints(&letters, &server()), [""; 0]);
    for column in ["note", "home", "tenant"] {
        let owned = policy("shop.orders", &format!("policy = \"region-owned\"\nowner_column = \"{column}\""));
        assert_eq!(complaints(&owned, &server()), [""; 0], "{column}");
    }
    assert_eq!(
        complaints(&policy("shop.orders", "policy = \"region-owned\"\nowner = \"eu\""), &server()),
        [""; 0]
    );
}

#[test]
fn a_column_that_a_policy_cannot_use_is_refused_by_pattern_table_and_column() {
    let columns = |key: &str, column: &str| format!("policy = \"columns\"\n{key} = [\"{column}\"]");
    let owned = |column: &str| format!("policy = \"region-owned\"\nowner_column = \"{column}\"");
    let cases = [
        (columns("counter", "quantty"), "counter quantty: there is no such column", "did you mean quantity?"),
        (
            columns("counter", "zzz"),
            "counter zzz: there is no such column",
            "name one of id, tenant, quantity,",
        ),
        (columns("counter", "note"), "counter note: it is varchar(20)", "whole numbers or DECIMAL"),
        (columns("counter", "weight"), "counter weight: it is double", "whole numbers or DECIMAL"),
        (columns("counter", "tags"), "counter tags: it is set('a','b')", "whole numbers or DECIMAL"),
        (columns("counter", "id"), "counter id: it is part of the primary key", "remove it from counter"),
        (columns("counter", "sum"), "counter sum: the server computes this column", "computed from"),
        (columns("max", "note"), "max note: it is varchar(20)", "numbers, dates or times"),
        (columns("max", "home"), "max home: it is enum(", "numbers, dates or times"),
        (columns("min", "doc"), "min doc: it is json", "numbers, dates or times"),
        (columns("min", "raw"), "min raw: it is varbinary(20)", "numbers, dates or times"),
        (columns("set_union", "home"), "set_union home: it is enum(", "name a SET column"),
        (columns("set_union", "quantity"), "set_union quantity: it is int", "name a SET column"),
        (owned("hme"), "owner_column hme: there is no such column", "did you mean home?"),
        (owned("quantity"), "owner_column quantity: it is int", "a text or ENUM column"),
        (owned("raw"), "owner_column raw: it is varbinary(20)", "a text or ENUM column"),
        (owned("tags"), "owner_column tags: it is set('a','b')", "a text or ENUM column"),
        (owned("sum"), "owner_column sum: the server computes", "stored as written"),
        (owned("colour"), "owner_column colour: it is enum('red','blue'), and no member", "eu, us"),
    ];
    for (rest, flaw, remedy) in cases {
        let found = complaints(&policy("shop.st*", &rest), &server());
        let [line] = found.as_slice() else { panic!("{flaw}: {found:?}") };
        let expected = format!("pattern shop.st*: table shop.stock: {flaw}");
        assert!(
            line.starts_with("NO   policies") && line.contains(&expected),
            "{expected:?} not in {line:?}"
        );
        assert!(line.split("  fix: ").nth(1).unwrap().contains(remedy), "{remedy:?} not in {line:?}");
    }
}

#[test]
fn the_same_flaw_in_many_tables_is_one_line() {
    let mut server = server();
    server.tables.retain(|table| table.primary_key);
    let found = complaints(&policy("*.*", "policy = \"columns\"\nmax = [\"gone\", \"id\"]"), &server);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("table shop.orders, shop.stock: max gone: there is no such column"),
        "{found:?}"
    );
    assert!(found[1].contains("table shop.orders, shop.stock: max id: it is part of"), "{found:?}");
}

#[test]
fn a_pattern_without_a_table_is_refused_with_the_nearest_name() {
    let halt = "policy = \"halt\"";
    let cases = [
        ("shop.stok", "policy 1 (halt): pattern shop.stok matches no table", "shop.stock is there"),
        ("shop.Stock", "pattern shop.Stock matches no table", "shop.stock is there"),
        ("crm.*_history", "pattern crm.*_history matches no table", "with their case"),
        (
            "shop.tmp_*",
            "pattern shop.tmp_* matches only tables that are not carried: shop.tmp_load",
            "include",
        ),
    ];
    for (pattern, flaw, remedy) in cases {
        let found = complaints(&policy(pattern, halt), &server());
        let [line] = found.as_slice() else { panic!("{pattern}: {found:?}") };
        assert!(line.starts_with("NO   policies") && line.contains(flaw) && line.contains(remedy), "{line}");
    }
    // One of two patterns is enough to be refused, whatever the other does.
    let two = policy("shop.stock\", \"shop.stork", halt);
    assert_eq!(complaints(&two, &server()).len(), 1);

    // Before a seed there are no tables at all.
    let empty = ServerFacts { columns: Some(Ok(Default::default())), ..ServerFacts::default() };
    let found = complaints(&policy("shop.stock", halt), &empty);
    assert!(found.len() == 1 && found[0].starts_with("WARN policies"), "{found:?}");
}

#[test]
fn a_table_without_a_primary_key_is_refused_under_any_policy() {
    for rest in
        ["policy = \"halt\"", "policy = \"last-writer-wins\"", "policy = \"columns\"\nmax = [\"seen_at\"]"]
    {
        let found = complaints(&policy("shop.*", rest), &server());
        let [line] = found.as_slice() else { panic!("{rest}: {found:?}") };
        assert!(line.contains("pattern shop.*: table shop.log has no primary key"), "{line}");
        assert!(line.contains("ALTER TABLE `shop`.`log` ADD PRIMARY KEY"), "{line}");
    }
}

#[test]
fn columns_that_cannot_be_read_refuse_the_policies_that_name_some() {
    let mut server = server();
    server.columns = Some(Err("column s.t.c has type x, which Concord does not know".to_owned()));
    let named = policy("shop.stock", "policy = \"columns\"\ncounter = [\"quantity\"]");
    let found = complaints(&named, &server);
    assert!(found.len() == 1 && found[0].contains("could not be read: column s.t.c"), "{found:?}");
    let unnamed = policy("shop.stock", "policy = \"columns\"");
    assert_eq!(complaints(&unnamed, &server), [""; 0]);
    assert!(name_columns(&config(&named)) && !name_columns(&config(&unnamed)) && !name_columns(&config("")));
}

#[test]
fn shadow_mode_is_a_line_of_its_own() {
    let policies = policy("shop.stock\", \"shop.o*", "policy = \"halt\"\ndetect_only = true");
    let found = complaints(&policies, &server());
    let [line] = found.as_slice() else { panic!("{found:?}") };
    assert!(line.starts_with("WARN detect_only"), "{line}");
    assert!(
        line.contains(
            "policy 1 (halt), shop.stock, shop.o*: conflicts are reported, not resolved: regions may differ"
        ),
        "{line}"
    );

    let text = "[mesh]\nname = \"m\"\ndetect_only = [[\"us\", \"eu\"]]\nregions.eu.link = \"e:1\"\nregions.us.link = \"u:1\"\n\
                [region]\nname = \"us\"\nlink = { tls = false }";
    let config = Config::parse(text, Path::new("c.toml")).unwrap();
    let checks = judge(&server(), &config);
    let line = checks.iter().find(|check| check.name == "detect_only").unwrap();
    assert!(line.detail.starts_with("between eu and us: conflicts are reported"), "{line}");
}

#[test]
fn a_unique_key_over_an_expression_is_warned_about_where_two_regions_write() {
    let mut server = server();
    let key = |table: &str| ("shop".to_owned(), table.to_owned(), "uq_lower".to_owned());
    server.functional_keys = vec![key("tmp_load")];
    assert_eq!(complaints("", &server), [""; 0]);
    server.functional_keys = vec![key("orders")];
    let found = complaints("", &server);
    let [line] = found.as_slice() else { panic!("{found:?}") };
    assert!(
        line.starts_with("WARN functional unique keys") && line.contains("shop.orders (uq_lower)"),
        "{line}"
    );
    assert!(line.contains("halt"), "{line}");
    let one_way = "[mesh.regions.ap]\nlink = \"ap:1\"\nwrites = false";
    assert_eq!(complaints(one_way, &server).len(), 1);
    let mut config = config("");
    config.mesh.regions.iter_mut().for_each(|(name, region)| region.writes = name.as_str() == "eu");
    assert!(judge(&server, &config).iter().all(|check| check.verdict == Verdict::Ok));
}

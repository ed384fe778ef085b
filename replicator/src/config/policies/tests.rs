//! Which policy decides a table, what is refused, and what the fingerprint sees.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::tests::{PLAIN, parse, refusal};

/// The plain file with these policies behind it; the first line of `policies` is line 12.
fn with_policies(policies: &str) -> String {
    format!("{PLAIN}{policies}")
}

const POLICIES: &str = r#"[[mesh.policy]]
tables = ["shop.stock", "shop.*_count"]
policy = "columns"
counter = ["quantity"]
max = ["seen_at"]
[[mesh.policy]]
tables = ["shop.orders"]
policy = "region-owned"
owner = "eu"
deletes = "lose"
[[mesh.policy]]
tables = ["shop.o*"]
policy = "region-owned"
owner_column = "home"
detect_only = true
[[mesh.policy]]
tables = ["crm.*"]
policy = "halt"
deletes = "win"
"#;

#[test]
fn the_first_policy_with_a_matching_pattern_decides_a_table() {
    let policies = parse(&with_policies(POLICIES)).unwrap().mesh.policies;
    for (schema, table, number, pattern, name) in [
        ("shop", "stock", 1, "shop.stock", "columns"),
        ("shop", "o_count", 1, "shop.*_count", "columns"),
        ("shop", "orders", 2, "shop.orders", "region-owned"),
        ("shop", "offers", 3, "shop.o*", "region-owned"),
        ("crm", "stock", 4, "crm.*", "halt"),
    ] {
        let policy = policies.of(schema, table);
        assert_eq!(policy.policy.name(), name, "{schema}.{table}");
        let (rule, by) = policies.rule_of(schema, table).unwrap();
        assert_eq!((rule.number, by.to_string().as_str()), (number, pattern), "{schema}.{table}");
    }
    let columns = Columns {
        counter: vec!["quantity".to_owned()],
        max: vec!["seen_at".to_owned()],
        ..Columns::default()
    };
    let decided: Vec<_> = policies.rules().iter().map(|rule| (rule.decision.clone(), rule.deletes)).collect();
    assert_eq!(
        decided,
        [
            (Decision::Columns(columns), Deletes::ByRule),
            (Decision::RegionOwned(RegionOwned::Fixed("eu".parse().unwrap())), Deletes::Lose),
            (Decision::RegionOwned(RegionOwned::Column("home".to_owned())), Deletes::ByRule),
            (Decision::Halt, Deletes::Win),
        ]
    );
    // What decides has the modifier around it.
    let says = |table: &str| policies.of("shop", table).policy.rule();
    assert_eq!(says("stock"), "columns");
    assert_eq!(says("orders"), "region-owned + update-wins");
    assert_eq!(policies.of("crm", "any").policy.rule(), "halt + delete-wins");
    assert!(policies.of("shop", "offers").detect_only && !policies.of("shop", "orders").detect_only);

    let default = policies.of("shop", "Orders");
    assert_eq!(default.policy.rule(), "last-writer-wins");
    assert!(policies.rule_of("shop", "Orders").is_none());
}

#[test]
fn shadow_mode_between_two_regions_has_no_direction() {
    let text = PLAIN.replace("name = \"shop\"", "name = \"shop\"\ndetect_only = [[\"us\", \"eu\"]]");
    let policies = parse(&text).unwrap().mesh.policies;
    let (eu, us) = ("eu".parse().unwrap(), "us".parse().unwrap());
    assert!(policies.detect_only_between(eu, us) && policies.detect_only_between(us, eu));
    assert!(!policies.detect_only_between(eu, eu));
    assert!(!parse(PLAIN).unwrap().mesh.policies.detect_only_between(eu, us));
}

#[test]
fn a_policy_that_makes_no_sense_is_refused_with_its_line_and_key() {
    let columns = "[[mesh.policy]]\ntables = [\"s.t\"]\npolicy = \"columns\"\n";
    let owned = "[[mesh.policy]]\ntables = [\"s.t\"]\npolicy = \"region-owned\"\n";
    let last = "[[mesh.policy]]\ntables = [\"s.t\"]\npolicy = \"last-writer-wins\"\n";
    let cases = [
        (
            format!("{columns}[[mesh.policy]]\ntables = [\"a.b\"]\npolicy = \"lww\""),
            ":17: unknown variant `lww`",
        ),
        (format!("{columns}conter = [\"a\"]"), ":15: key `conter` is not known; did you mean `counter`?"),
        ("[[mesh.policy]]\ntables = [\"s.t\"]".to_owned(), "key `policy` is missing"),
        ("[[mesh.policy]]\npolicy = \"halt\"".to_owned(), "key `tables` is missing"),
        ("[mesh.policy]\npolicy = \"halt\"".to_owned(), "expected [[mesh.policy]] in double brackets"),
        (
            format!("{last}[[mesh.policy]]\ntables = []\npolicy = \"halt\""),
            ":16: mesh.policy[2].tables: the list is empty",
        ),
        (
            "[[mesh.policy]]\ntables = [\n\"s.t\",\n\"orders\"]\npolicy = \"halt\"".to_owned(),
            ":13: pattern \"orders\" has no dot",
        ),
        (
            last.replace("s.t", "mysql.user"),
            ":13: mesh.policy[1].tables: pattern mysql.user names a system schema",
        ),
        (
            format!("{owned}owner = \"ap\""),
            ":15: mesh.policy[1].owner: region ap is not in the mesh, which has eu, us",
        ),
        (format!("{owned}owner = \"eu-west-1\""), ":15: "),
        (format!("{owned}deletes = \"win\""), ":14: mesh.policy[1].policy: region-owned lacks its owner"),
        (
            format!("{owned}owner = \"eu\"\nowner_column = \"home\""),
            ":16: mesh.policy[1].owner_column: owner and owner_column are both given",
        ),
        (format!("{owned}owner_column = \"\""), ":15: mesh.policy[1].owner_column: the name is empty"),
        (
            format!("{last}owner = \"eu\""),
            ":15: mesh.policy[1].owner: policy last-writer-wins knows no owner",
        ),
        (
            format!("{columns}owner_column = \"home\""),
            ":15: mesh.policy[1].owner_column: policy columns knows no owner",
        ),
        (
            format!("{last}max = [\"a\"]"),
            ":15: mesh.policy[1].max: policy last-writer-wins merges no columns",
        ),
        (
            format!("{owned}owner = \"eu\"\nset_union = [\"a\"]"),
            ":16: mesh.policy[1].set_union: policy region-owned merges no columns",
        ),
        (
            format!("{columns}counter = [\"a\"]\nmin = [\"b\", \"A\"]"),
            ":16: mesh.policy[1].min: column A is in counter already",
        ),
        (
            format!("{columns}counter = [\"a\", \"a\"]"),
            ":15: mesh.policy[1].counter: column a is named twice",
        ),
        (format!("{columns}counter = [\"\"]"), ":15: mesh.policy[1].counter: the name of a column is empty"),
        (format!("{last}deletes = \"never\""), ":15: unknown variant `never`"),
    ];
    for (policies, says) in cases {
        let message = refusal(&with_policies(&policies));
        assert!(message.contains(says), "expected {says:?} in {message:?}");
        assert!(message.starts_with("/etc/concord/eu.toml:") && message.contains("; "), "{message}");
    }
    let read_only = PLAIN.replace("us.example:7400\"", "us.example:7400\"\nwrites = false");
    let message = refusal(&format!("{read_only}{owned}owner = \"us\""));
    assert!(message.contains(":16: mesh.policy[1].owner: region us has writes = false"), "{message}");

    for (pairs, says) in [
        ("[[\"eu\", \"us\"], [\"eu\", \"ap\"]]", "mesh.detect_only[2]: region ap is not in the mesh"),
        ("[[\"eu\", \"eu\"]]", "mesh.detect_only[1]: region eu has no conflicts with itself"),
        ("[[\"eu\"]]", "length 1"),
        ("[\"eu\", \"us\"]", "expected"),
    ] {
        let text = PLAIN.replace("name = \"shop\"", &format!("name = \"shop\"\ndetect_only = {pairs}"));
        let message = refusal(&text);
        assert!(message.contains(":4: ") && message.contains(says), "expected {says:?} in {message:?}");
    }
}

#[test]
fn the_order_of_policies_is_in_the_fingerprint_and_their_layout_is_not() {
    let mesh = |policies: &str| parse(&with_policies(policies)).unwrap().mesh;
    let one = mesh(POLICIES);
    assert_eq!(
        one.canonical().lines().filter(|line| line.starts_with("policy")).collect::<Vec<_>>(),
        [
            "policy [\"shop.*_count\", \"shop.stock\"] columns counter [\"quantity\"] max [\"seen_at\"] min [] \
             set_union [] deletes by-rule detect_only false",
            "policy [\"shop.orders\"] region-owned owner eu deletes lose detect_only false",
            "policy [\"shop.o*\"] region-owned owner_column \"home\" deletes by-rule detect_only true",
            "policy [\"crm.*\"] halt deletes win detect_only false",
            "policy \"*.*\" last-writer-wins",
        ]
    );
    let same = POLICIES
        .replace("\"shop.stock\", \"shop.*_count\"", "\"shop.*_count\", \"shop.stock\", \"shop.stock\"")
        .replace("policy = \"halt\"", "detect_only = false # spelled out\npolicy = \"halt\"")
        .replace("max = [", "min = []\nmax = [");
    assert_eq!(one.fingerprint(), mesh(&same).fingerprint());

    let (first, rest) =
        POLICIES.split_at(POLICIES.find("[[mesh.policy]]\ntables = [\"shop.orders\"]").unwrap());
    assert_ne!(one.fingerprint(), mesh(&format!("{rest}{first}")).fingerprint());
    for (from, to) in [
        ("\"shop.stock\", ", ""),
        ("counter = ", "min = "),
        ("counter = [\"quantity\"]", "counter = [\"quantity\", \"sold\"]"),
        ("owner = \"eu\"", "owner = \"us\""),
        ("\"home\"", "\"away\""),
        ("deletes = \"lose\"\n", ""),
        ("deletes = \"win\"", "deletes = \"lose\""),
        ("detect_only = true\n", ""),
        ("policy = \"halt\"", "policy = \"columns\""),
    ] {
        let other = POLICIES.replacen(from, to, 1);
        assert_ne!(other, POLICIES, "{from}");
        assert_ne!(one.fingerprint(), mesh(&other).fingerprint(), "{from}");
    }
    let paired = |pairs| PLAIN.replace("name = \"shop\"", &format!("name = \"shop\"\ndetect_only = {pairs}"));
    let plain = parse(PLAIN).unwrap().mesh.fingerprint();
    let shadow = parse(&paired("[[\"us\", \"eu\"]]")).unwrap().mesh;
    assert_ne!(plain, shadow.fingerprint());
    assert!(shadow.canonical().contains("\ndetect_only eu us\n"), "{}", shadow.canonical());
    let again = parse(&paired("[[\"eu\", \"us\"], [\"us\", \"eu\"]]")).unwrap().mesh;
    assert_eq!(again.fingerprint(), shadow.fingerprint());
}

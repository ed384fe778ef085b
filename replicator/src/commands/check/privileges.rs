//! Whether the account may do what Concord does, judged from its grants.

use filters::Patterns;

use super::{Check, ServerFacts};
use crate::commands::grants::{self, Need, Only, Scope, With};

/// Privileges that include another one.
const STRONGER: [(&str, &[&str]); 2] =
    [("SESSION_VARIABLES_ADMIN", &["SYSTEM_VARIABLES_ADMIN", "SUPER"]), ("FLUSH_TABLES", &["RELOAD"])];

/// The first release that has tagged GTIDs, and the privilege for them.
const TAGS_SINCE: (u32, u32) = (8, 3);

/// `ddl`: whether DDL is to be run.
pub(super) fn judge(server: &ServerFacts, tables: &Patterns, ddl: bool) -> Vec<Check> {
    let name = "privileges";
    let held = Held::new(server);
    let account = match server.account.rsplit_once('@') {
        Some((user, host)) => grants::account(user, host),
        None => server.account.clone(),
    };
    let knows = |privilege: &str| {
        privilege != "TRANSACTION_GTID_TAG" || server.version().is_none_or(|version| version >= TAGS_SINCE)
    };
    let mut checks = Vec::new();
    for need in grants::needs(With { seed: false, ddl }) {
        let lacking: Vec<&str> = need
            .privileges
            .iter()
            .copied()
            .filter(|p| knows(p) && !held.covers(p, need.scope, server, tables))
            .collect();
        if lacking.is_empty() {
            continue;
        }
        let on = match need.scope {
            Scope::Server => String::new(),
            Scope::Table(schema, table) => format!(" on {schema}.{table}"),
            Scope::Own => " on schema concord".to_owned(),
            Scope::Carried => format!(" on {}", held.uncovered(&lacking, server, tables)),
        };
        checks.push(Check::refuse(
            name,
            format!("{account} lacks {}{on}, needed to {}", lacking.join(", "), need.purpose),
            remedy(&need, &lacking, tables, &account),
        ));
    }
    if checks.is_empty() {
        let seeding =
            grants::needs(With { seed: true, ddl: false }).filter(|need| need.only == Some(Only::Seed));
        let lacking: Vec<&str> = seeding
            .flat_map(|need| need.privileges.iter().map(move |p| (*p, need.scope)))
            .filter(|(p, scope)| !held.covers(p, *scope, server, tables))
            .map(|(p, _)| p)
            .collect();
        checks.push(if lacking.is_empty() {
            Check::ok(name, "all that run and seed need")
        } else {
            Check::ok(name, format!("all that run needs; for concord seed it lacks {}", lacking.join(", ")))
        });
    }
    checks
}

fn remedy(need: &Need, lacking: &[&str], tables: &Patterns, account: &str) -> String {
    // A statement for exactly what is lacking, on the objects that `concord grants` would name.
    let all = need.privileges.join(", ");
    let with = With { seed: false, ddl: need.only == Some(Only::Ddl) };
    let statements = grants::grants(need, tables, with, account);
    statements.iter().map(|s| s.replacen(&all, &lacking.join(", "), 1)).collect::<Vec<_>>().join("; ")
}

/// The account's grants, taken apart.
struct Held {
    entries: Vec<Entry>,
    /// With `partial_revokes` on, wildcards in schema names are plain characters.
    wildcards: bool,
}

/// One GRANT or (partial) REVOKE.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    revoked: bool,
    privileges: Vec<String>,
    /// `None` is `*`.
    schema: Option<String>,
    /// `None` is `*`.
    table: Option<String>,
}

impl Held {
    fn new(server: &ServerFacts) -> Self {
        Self {
            entries: server.grants.iter().filter_map(|line| Entry::parse(line)).collect(),
            wildcards: !server.is_on("partial_revokes"),
        }
    }

    fn covers(&self, privilege: &str, scope: Scope, server: &ServerFacts, tables: &Patterns) -> bool {
        let stronger =
            STRONGER.iter().find(|(name, _)| *name == privilege).map_or(&[][..], |(_, list)| *list);
        [privilege].iter().chain(stronger).any(|privilege| match scope {
            Scope::Server => self.holds(privilege, None, None),
            Scope::Table(schema, table) => self.holds(privilege, Some(schema), Some(table)),
            Scope::Own => self.holds(privilege, Some("concord"), None),
            Scope::Carried => carried(server, tables)
                .all(|(schema, table)| self.holds(privilege, Some(schema), Some(table))),
        })
    }

    /// The carried tables on which one of `privileges` is lacking, the first few by name.
    fn uncovered(&self, privileges: &[&str], server: &ServerFacts, tables: &Patterns) -> String {
        let lacking = |(schema, table): &(&str, &str)| {
            privileges.iter().any(|privilege| !self.holds(privilege, Some(schema), Some(table)))
        };
        let names: Vec<String> = carried(server, tables)
            .filter(lacking)
            .map(|(schema, table)| format!("{schema}.{table}"))
            .collect();
        super::tables::some_of(&names)
    }

    /// Whether a privilege is held on the server (no schema), on a whole schema (no table), or on a table.
    fn holds(&self, privilege: &str, schema: Option<&str>, table: Option<&str>) -> bool {
        let applies = |entry: &&Entry| {
            let includes = entry.privileges.iter().any(|p| {
                // ALL on the server leaves the dynamic privileges out; they are the ones spelled with underscores.
                p == privilege || (p == "ALL PRIVILEGES" && !privilege.contains('_'))
            });
            let schema_fits = match (&entry.schema, schema) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(pattern), Some(schema)) if self.wildcards && entry.table.is_none() => {
                    like(pattern, schema)
                }
                (Some(name), Some(schema)) => name == schema,
            };
            let table_fits = match (&entry.table, table) {
                (None, _) => true,
                (Some(name), Some(table)) => name == table,
                (Some(_), None) => false,
            };
            includes && schema_fits && table_fits
        };
        let granted = self.entries.iter().filter(applies).any(|entry| !entry.revoked);
        let revoked = self.entries.iter().filter(applies).any(|entry| entry.revoked);
        // A partial revoke takes back what was granted on the whole server, not what was granted on the schema itself.
        let of_its_own =
            self.entries.iter().filter(applies).any(|entry| !entry.revoked && entry.schema.is_some());
        granted && (!revoked || of_its_own)
    }
}

fn carried<'a>(server: &'a ServerFacts, tables: &'a Patterns) -> impl Iterator<Item = (&'a str, &'a str)> {
    server
        .tables
        .iter()
        .map(|table| (table.schema.as_str(), table.name.as_str()))
        .filter(|(schema, table)| tables.carries(schema, table))
}

impl Entry {
    /// Reads one line of SHOW GRANTS; `None` for grants of roles, proxies and routines, which matter not here.
    fn parse(line: &str) -> Option<Self> {
        let (revoked, rest) = match line.strip_prefix("GRANT ") {
            Some(rest) => (false, rest),
            None => (true, line.strip_prefix("REVOKE ")?),
        };
        let (privileges, rest) = rest.split_once(" ON ")?;
        let rest = rest.strip_prefix("TABLE ").unwrap_or(rest);
        let (schema, rest) = identifier(rest)?;
        let (table, _) = identifier(rest.strip_prefix('.')?)?;
        let privileges = privileges.split(',').map(|p| p.trim().to_owned()).collect();
        Some(Self { revoked, privileges, schema, table })
    }
}

/// `*`, or a name in backquotes; and what follows.
fn identifier(text: &str) -> Option<(Option<String>, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some((None, rest));
    }
    let mut name = String::new();
    let mut chars = text.strip_prefix('`')?.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '`' {
            name.push(c);
        } else if chars.next_if(|(_, next)| *next == '`').is_some() {
            name.push('`');
        } else {
            // One backquote before, one at `at`.
            return Some((Some(name), &text[at + 2..]));
        }
    }
    None
}

/// LIKE, as GRANT uses it for schema names: `%` any run, `_` one character, backslash before either takes it literally.
fn like(pattern: &str, name: &str) -> bool {
    fn matches(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['%', rest @ ..] => (0..=name.len()).any(|taken| matches(rest, &name[taken..])),
            ['_', rest @ ..] => !name.is_empty() && matches(rest, &name[1..]),
            ['\\', literal, rest @ ..] | [literal, rest @ ..] => {
                name.first() == Some(literal) && matches(rest, &name[1..])
            }
        }
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    matches(&pattern, &name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::facts::TableFacts;
    use super::*;

    const RUN: [&str; 7] = [
        "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `c`@`%`",
        "GRANT REPLICATION_APPLIER,SESSION_VARIABLES_ADMIN,TRANSACTION_GTID_TAG ON *.* TO `c`@`%`",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON `shop`.* TO `c`@`%`",
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER ON `concord`.* TO `c`@`%`",
        "GRANT SELECT ON `performance_schema`.`data_lock_waits` TO `c`@`%`",
        "GRANT SELECT ON `performance_schema`.`replication_applier_filters` TO `c`@`%`",
        "GRANT SELECT ON `performance_schema`.`replication_applier_global_filters` TO `c`@`%`",
    ];

    fn server(grants: &[&str]) -> ServerFacts {
        let table = |schema: &str, name: &str| TableFacts {
            schema: schema.to_owned(),
            name: name.to_owned(),
            ..TableFacts::default()
        };
        ServerFacts {
            account: "c@%".to_owned(),
            grants: grants.iter().map(|line| (*line).to_owned()).collect(),
            tables: vec![table("shop", "orders"), table("crm", "notes")],
            ..ServerFacts::default()
        }
    }

    fn shop() -> Patterns {
        Patterns::new(&["shop.*"], &[]).unwrap()
    }

    #[test]
    fn an_account_with_what_run_needs_passes_and_seeding_is_mentioned() {
        let checks = judge(&server(&RUN), &shop(), false);
        assert_eq!(checks.len(), 1);
        assert!(
            checks[0].detail.contains("for concord seed it lacks")
                && checks[0].detail.contains("FLUSH_TABLES")
        );
    }

    #[test]
    fn each_lacking_privilege_is_named_with_the_statement_that_grants_it() {
        let cases = [
            ("REPLICATION SLAVE, ", "", "GRANT REPLICATION SLAVE ON *.* TO 'c'@'%'"),
            ("REPLICATION_APPLIER,", "", "GRANT REPLICATION_APPLIER ON *.* TO 'c'@'%'"),
            (",TRANSACTION_GTID_TAG", "", "GRANT TRANSACTION_GTID_TAG ON *.* TO 'c'@'%'"),
            ("UPDATE, DELETE ON `shop`", "UPDATE ON `shop`", "GRANT DELETE ON `shop`.* TO 'c'@'%'"),
            (", INDEX, ALTER ON `concord`", " ON `concord`", "GRANT ALTER, INDEX ON `concord`.* TO 'c'@'%'"),
            ("data_lock_waits", "x", "GRANT SELECT ON `performance_schema`.`data_lock_waits` TO 'c'@'%'"),
        ];
        for (from, to, statement) in cases {
            let changed: Vec<String> = RUN.iter().map(|line| line.replace(from, to)).collect();
            let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
            let checks = judge(&server(&changed), &shop(), false);
            assert_eq!(checks.len(), 1, "{from}: {checks:?}");
            assert_eq!(checks[0].remedy, statement);
        }
        let checks = judge(&server(&RUN), &Patterns::everything(), false);
        assert!(checks[0].detail.contains("on crm.notes"), "{checks:?}");
    }

    #[test]
    fn running_ddl_takes_more() {
        let checks = judge(&server(&RUN), &shop(), true);
        assert_eq!(checks.len(), 2, "{checks:?}");
        assert!(checks[0].remedy.contains("CREATE ROUTINE") && checks[1].remedy.contains("SET_ANY_DEFINER"));
        // Of a routine there is no right on a table.
        let checks = judge(&server(&RUN), &Patterns::new(&["shop.orders"], &[]).unwrap(), true);
        assert!(checks[0].remedy.ends_with(" ON `shop`.* TO 'c'@'%'"), "{}", checks[0].remedy);
    }

    #[test]
    fn broader_grants_count_and_partial_revokes_take_back() {
        let all = [
            "GRANT ALL PRIVILEGES ON *.* TO `c`@`%`",
            RUN[1],
            "GRANT BACKUP_ADMIN,FLUSH_TABLES ON *.* TO `c`@`%`",
        ];
        assert_eq!(
            judge(&server(&all), &Patterns::everything(), false)[0].detail,
            "all that run and seed need"
        );

        let mut revoked = server(&[all[0], all[1], "REVOKE INSERT ON `shop`.* FROM `c`@`%`"]);
        revoked.variables.insert("partial_revokes".to_owned(), "ON".to_owned());
        let checks = judge(&revoked, &shop(), false);
        assert_eq!(checks[0].remedy, "GRANT INSERT ON `shop`.* TO 'c'@'%'");
        revoked.grants.push("GRANT INSERT ON `shop`.* TO `c`@`%`".to_owned());
        assert_eq!(judge(&revoked, &shop(), false).len(), 1);
        assert!(judge(&revoked, &shop(), false)[0].remedy.is_empty());
    }

    #[test]
    fn all_on_the_server_does_not_include_dynamic_privileges() {
        let checks = judge(&server(&["GRANT ALL PRIVILEGES ON *.* TO `c`@`%`"]), &shop(), false);
        let lacking: Vec<&str> = checks.iter().map(|check| check.remedy.as_str()).collect();
        // SUPER, which is not dynamic, stands in for the right to set session variables.
        assert_eq!(lacking.len(), 2, "{lacking:?}");
        assert!(
            lacking.iter().all(|statement| statement.contains("_A") || statement.contains("_T")),
            "{lacking:?}"
        );
    }

    #[test]
    fn schema_wildcards_are_those_of_like_unless_partial_revokes_is_on() {
        for (pattern, name, fits) in [
            ("shop%", "shop_eu", true),
            ("shop\\_eu", "shop_eu", true),
            ("shop\\_eu", "shopxeu", false),
            ("shop_eu", "shopxeu", true),
            ("%", "", true),
            ("s_", "s", false),
        ] {
            assert_eq!(like(pattern, name), fits, "{pattern} {name}");
        }
        let mut literal = server(&[]);
        literal.grants = vec!["GRANT SELECT ON `sh%`.* TO `c`@`%`".to_owned()];
        assert!(Held::new(&literal).holds("SELECT", Some("shop"), None));
        literal.variables.insert("partial_revokes".to_owned(), "ON".to_owned());
        assert!(!Held::new(&literal).holds("SELECT", Some("shop"), None));
    }

    #[test]
    fn lines_that_grant_nothing_here_are_passed_over() {
        for line in [
            "GRANT `r`@`%` TO `c`@`%`",
            "GRANT PROXY ON ``@`` TO `root`@`localhost`",
            "",
            "GRANT USAGE",
            "GRANT X ON `a",
        ] {
            assert_eq!(Entry::parse(line), None, "{line}");
        }
        let entry = Entry::parse("GRANT SELECT ON `a``b.c`.`d` TO `c`@`%`").unwrap();
        assert_eq!((entry.schema.as_deref(), entry.table.as_deref()), (Some("a`b.c"), Some("d")));
    }
}

//! `concord grants`: the account with the least privileges that Concord needs.
//!
//! The list in [`needs`] is the single place where a privilege is asked for; `check` holds the account against it.

use std::fmt::Write;
use std::process::ExitCode;

use filters::{Pattern, Patterns};

use super::Outcome;
use crate::cli::GrantsArgs;
use crate::config::Config;

/// What a privilege applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The server.
    Server,
    /// One table of the server's own.
    Table(&'static str, &'static str),
    /// Schema `concord`.
    Own,
    /// The tables that the mesh carries.
    Carried,
}

/// Privileges that are needed together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// What they apply to.
    pub(crate) scope: Scope,
    /// The privileges, as GRANT spells them.
    pub(crate) privileges: &'static [&'static str],
    /// What cannot be done without them.
    pub(crate) purpose: &'static str,
    /// What alone needs them; `None` is every `concord run`.
    pub(crate) only: Option<Only>,
}

/// What not everyone does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Only {
    /// `concord seed`.
    Seed,
    /// `ddl = "replicate"`.
    Ddl,
}

/// What an account is to do beside what every one does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct With {
    pub(crate) seed: bool,
    pub(crate) ddl: bool,
}

/// Everything that Concord needs, and why.
pub(crate) const NEEDS: [Need; 13] = [
    need(Scope::Server, &["REPLICATION SLAVE"], "read the binlog"),
    need(Scope::Server, &["REPLICATION CLIENT"], "see the binlog's end before a commit"),
    need(Scope::Server, &["REPLICATION_APPLIER"], "apply row events (BINLOG)"),
    need(Scope::Server, &["TRANSACTION_GTID_TAG"], "tag applied work with its origin"),
    need(Scope::Server, &["SESSION_VARIABLES_ADMIN"], "pin the session's own binlog format and row image"),
    need(
        Scope::Table("performance_schema", "data_lock_waits"),
        &["SELECT"],
        "see for which lock a lane waits",
    ),
    need(
        Scope::Table("performance_schema", "replication_applier_filters"),
        &["SELECT"],
        "find replica filters",
    ),
    need(
        Scope::Table("performance_schema", "replication_applier_global_filters"),
        &["SELECT"],
        "find replica filters",
    ),
    need(
        Scope::Own,
        &["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "INDEX", "DROP"],
        "keep the markers",
    ),
    // `concord conflicts override` writes with these as well.
    need(Scope::Carried, &["SELECT", "INSERT", "UPDATE", "DELETE"], "apply rows"),
    Need {
        scope: Scope::Carried,
        privileges: &["CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "LOCK TABLES"],
        purpose: "make the tables of a region that joins",
        only: Some(Only::Seed),
    },
    Need {
        scope: Scope::Carried,
        privileges: &[
            "CREATE",
            "DROP",
            "ALTER",
            "INDEX",
            "REFERENCES",
            "LOCK TABLES",
            "CREATE VIEW",
            "SHOW VIEW",
            "TRIGGER",
            "EVENT",
            "CREATE ROUTINE",
            "ALTER ROUTINE",
        ],
        purpose: "run DDL",
        only: Some(Only::Ddl),
    },
    Need {
        scope: Scope::Server,
        privileges: &["SET_ANY_DEFINER"],
        purpose: "keep the DEFINER of views, routines, triggers and events (of definers that have SYSTEM_USER, such as root, \
                  only an account that has it as well)",
        only: Some(Only::Ddl),
    },
];

/// What else `concord seed` needs from the server as a whole.
pub(crate) const SEED_NEEDS_SERVER: Need = Need {
    scope: Scope::Server,
    privileges: &["FLUSH_TABLES", "BACKUP_ADMIN"],
    purpose: "take a consistent copy while writes go on",
    only: Some(Only::Seed),
};

const fn need(scope: Scope, privileges: &'static [&'static str], purpose: &'static str) -> Need {
    Need { scope, privileges, purpose, only: None }
}

/// All needs of an account.
pub(crate) fn needs(with: With) -> impl Iterator<Item = Need> {
    NEEDS.into_iter().chain([SEED_NEEDS_SERVER]).filter(move |need| match need.only {
        None => true,
        Some(Only::Seed) => with.seed,
        Some(Only::Ddl) => with.ddl,
    })
}

/// Prints the statements.
pub(crate) fn execute(args: &GrantsArgs, config: Option<&Config>) -> Outcome {
    let user = match (&args.user, config) {
        (Some(user), _) => user.clone(),
        (None, Some(config)) => config.region.mysql.user.clone(),
        (None, None) => "concord".to_owned(),
    };
    let account = account(&user, &args.host);
    let everything = Patterns::everything();
    let tables = config.map_or(&everything, |config| &config.mesh.tables);
    let ddl = config.is_some_and(|config| config.mesh.ddl.replicates());
    print!("{}", script(&account, tables, With { seed: !args.without_seed, ddl }));
    Ok(ExitCode::SUCCESS)
}

/// `'user'@'host'`, quoted.
pub(crate) fn account(user: &str, host: &str) -> String {
    let quote = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{}'@'{}'", quote(user), quote(host))
}

/// A name in backquotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The whole script, with a comment for each part.
fn script(account: &str, tables: &Patterns, with: With) -> String {
    let mut text = String::new();
    let mut part = |comment: &str, statements: Vec<String>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "-- {comment}");
        for statement in statements {
            let _ = writeln!(text, "{statement};");
        }
    };
    part(
        "The server makes a password and shows it once: put it into the file that password_file names.",
        vec![format!("CREATE USER IF NOT EXISTS {account} IDENTIFIED BY RANDOM PASSWORD")],
    );
    for need in needs(with).filter(|need| need.only != Some(Only::Seed)) {
        let statements = grants(&need, tables, with, account);
        let narrow = match need.scope {
            Scope::Carried if statements.iter().any(|s| s.contains(" ON *.* ")) => {
                " To narrow this, name schemas under include in [mesh] and print again."
            }
            _ => "",
        };
        part(&format!("To {}.{narrow}", need.purpose), statements);
    }
    for need in needs(with).filter(|need| need.only == Some(Only::Seed)) {
        let comment = format!("Only for `concord seed`, to {} (--without-seed leaves it out).", need.purpose);
        part(&comment, grants(&need, tables, with, account));
    }
    text
}

/// The GRANT statements, without semicolons, for one need.
pub(crate) fn grants(need: &Need, tables: &Patterns, with: With, account: &str) -> Vec<String> {
    let objects = match need.scope {
        Scope::Server => vec!["*.*".to_owned()],
        Scope::Table(schema, table) => vec![format!("{}.{}", quoted(schema), quoted(table))],
        Scope::Own => vec!["`concord`.*".to_owned()],
        Scope::Carried => carried_objects(tables, with.seed || with.ddl),
    };
    let privileges = need.privileges.join(", ");
    objects.into_iter().map(|object| format!("GRANT {privileges} ON {object} TO {account}")).collect()
}

/// What GRANT can name that covers the include patterns, as narrow as it goes. GRANT has wildcards for schemas only, and
/// can grant on single tables only when they exist, which `new` tables, of a seed or of DDL, do not yet.
fn carried_objects(tables: &Patterns, new: bool) -> Vec<String> {
    let wild = |glob: &str| glob.contains(['*', '?']);
    let object = |pattern: &Pattern| {
        let (schema, table) = (pattern.schema(), pattern.table());
        if schema.chars().all(|c| c == '*') {
            "*.*".to_owned()
        } else if !wild(schema) && !wild(table) && !new {
            format!("{}.{}", quoted(schema), quoted(table))
        } else {
            format!("{}.*", quoted(&schema_wildcards(schema)))
        }
    };
    let mut objects: Vec<String> = tables.include().iter().map(object).collect();
    objects.sort();
    objects.dedup();
    if objects.iter().any(|object| object == "*.*") {
        objects = vec!["*.*".to_owned()];
    }
    objects
}

/// A glob in GRANT's own wildcards, which are those of LIKE.
fn schema_wildcards(glob: &str) -> String {
    let mut wildcards = String::new();
    for c in glob.chars() {
        match c {
            '*' => wildcards.push('%'),
            '?' => wildcards.push('_'),
            '%' | '_' | '\\' => wildcards.extend(['\\', c]),
            c => wildcards.push(c),
        }
    }
    wildcards
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn objects(include: &[&str], new: bool) -> Vec<String> {
        carried_objects(&Patterns::new(include, &[]).unwrap(), new)
    }

    #[test]
    fn grants_are_as_narrow_as_the_patterns_allow() {
        assert_eq!(objects(&["*.*"], false), ["*.*"]);
        assert_eq!(objects(&["shop.*", "*.orders"], false), ["*.*"]);
        assert_eq!(objects(&["shop.*"], false), ["`shop`.*"]);
        assert_eq!(objects(&["shop.orders", "shop.lines"], false), ["`shop`.`lines`", "`shop`.`orders`"]);
        assert_eq!(objects(&["shop.orders", "shop.lines"], true), ["`shop`.*"]);
        assert_eq!(objects(&["shop.ord*"], false), ["`shop`.*"]);
        assert_eq!(objects(&["shop_eu.*"], false), ["`shop\\_eu`.*"]);
        assert_eq!(objects(&["shop_?.*", "crm*.x"], false), ["`crm%`.*", "`shop\\__`.*"]);
    }

    #[test]
    fn a_table_grant_takes_the_name_literally() {
        assert_eq!(objects(&["a_b.c_d"], false), ["`a_b`.`c_d`"]);
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(account("o'neil", "10.%"), "'o\\'neil'@'10.%'");
        assert_eq!(quoted("a`b"), "`a``b`");
    }

    #[test]
    fn what_only_seeding_needs_can_be_left_out() {
        let tables = Patterns::new(&["shop.*"], &[]).unwrap();
        let script = |seed, ddl| script("'c'@'%'", &tables, With { seed, ddl });
        let (with, without) = (script(true, false), script(false, false));
        assert!(script(false, true).contains("SET_ANY_DEFINER") && !with.contains("SET_ANY_DEFINER"));
        assert!(with.contains("FLUSH_TABLES") && with.contains("LOCK TABLES"));
        assert!(!without.contains("FLUSH_TABLES") && !without.contains("LOCK TABLES"));
        for line in with.lines() {
            assert!(line.starts_with("-- ") || line.ends_with(';'), "{line}");
        }
        assert!(!with.contains("ALL ") && !with.contains("SUPER"));
    }
}

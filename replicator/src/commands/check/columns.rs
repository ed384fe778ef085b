//! The columns of the server's tables, for policies that name columns.

use std::collections::{BTreeMap, HashSet};

use applier::definitions;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use transaction::binlog::Column;

/// Columns of each table, by schema and name, in the table's order.
pub(crate) type Columns = BTreeMap<(String, String), Vec<ColumnFacts>>;

/// One column.
#[derive(Debug, Clone)]
pub(crate) struct ColumnFacts {
    /// As a table map of the binlog will have it.
    pub(crate) column: Column,
    /// Its type in the server's words, such as `varchar(20)`.
    pub(crate) sql_type: String,
    /// Whether the server computes it from others, stored or virtual.
    pub(crate) generated: bool,
    /// Whether it is part of the primary key.
    pub(crate) in_primary_key: bool,
}

/// Asks for all of them. A type that Concord does not know is a fact; a broken connection is an error.
pub(super) async fn read(conn: &mut Conn) -> Result<Result<Columns, String>, Error> {
    match ask(conn).await {
        Ok(columns) => Ok(Ok(columns)),
        Err(Error::Server(error)) => Ok(Err(error.message)),
        Err(Error::Other(error)) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

async fn ask(conn: &mut Conn) -> Result<Columns, Error> {
    let weights = definitions::read_weights(conn).await?;
    let tables = definitions::read_all(conn, &weights).await?;
    let words: Vec<(String, String, String, String, bool)> = conn
        .query(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, GENERATION_EXPRESSION <> '' \
             FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', 'concord')",
        )
        .await?;
    let mut types = BTreeMap::new();
    let mut generated = HashSet::new();
    for (schema, table, column, sql_type, computed) in words {
        let place = (schema, table, column);
        if computed {
            generated.insert(place.clone());
        }
        types.insert(place, sql_type);
    }
    let facts = tables.into_iter().map(|((schema, table), definition)| {
        let of = |column: Column| {
            let place = (schema.clone(), table.clone(), column.name.clone());
            ColumnFacts {
                sql_type: types.get(&place).cloned().unwrap_or_default(),
                generated: generated.contains(&place),
                in_primary_key: definition.primary_key.contains(&column.name),
                column,
            }
        };
        let columns = definition.columns.into_iter().map(of).collect();
        ((schema, table), columns)
    });
    Ok(facts.collect())
}

//! `[[region.filter]]`: how this region sees the tables of others.

use std::collections::BTreeMap;

use filters::{Filters, Mask, TableFilter};
use serde::Deserialize;

use super::error::Flaw;

/// `[[region.filter]]` as it stands in the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFilter {
    tables: Vec<String>,
    schema: Option<String>,
    table: Option<String>,
    #[serde(default)]
    drop: Vec<String>,
    #[serde(default)]
    mask: BTreeMap<String, WrittenMask>,
    #[serde(default)]
    rows: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a mask is \"null\", \"hash\" or { constant = \"...\" }")]
enum WrittenMask {
    Named(Named),
    Constant { constant: String },
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    Null,
    Hash,
}

/// The filters of the file, judged one by one when it is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Vec<WrittenFilter>")]
pub(crate) struct RegionFilters(pub(crate) Filters);

impl TryFrom<Vec<WrittenFilter>> for RegionFilters {
    type Error = String;

    fn try_from(written: Vec<WrittenFilter>) -> Result<Self, String> {
        let all: Result<Vec<_>, String> = written
            .into_iter()
            .zip(1..)
            .map(|(filter, number)| filter.judge().map_err(|reason| format!("filter {number}: {reason}")))
            .collect();
        Ok(Self(Filters(all?)))
    }
}

impl WrittenFilter {
    fn judge(self) -> Result<TableFilter, String> {
        let mut tables = Vec::new();
        for pattern in &self.tables {
            let pattern: filters::Pattern =
                pattern.parse().map_err(|error: filters::InvalidPattern| error.to_string())?;
            tables.push(pattern);
        }
        let is_one = |glob: &str| !glob.contains(['*', '?']);
        if tables.is_empty() {
            return Err("without a pattern in tables it is for nothing".into());
        }
        if self.table.is_some() && !(tables.len() == 1 && is_one(tables[0].table())) {
            return Err(
                "several tables cannot all have one name: with table, name one table in tables".into()
            );
        }
        if self.schema.is_some() && tables.iter().any(|pattern| !is_one(pattern.schema())) {
            return Err(
                "tables of several schemas could meet in one: with schema, name one schema in tables".into(),
            );
        }
        let mut mask = Vec::new();
        for (column, written) in self.mask {
            let wanted = match written {
                WrittenMask::Named(Named::Null) => Mask::Null,
                WrittenMask::Named(Named::Hash) => Mask::Hash,
                WrittenMask::Constant { constant } => Mask::Constant(constant),
            };
            mask.push((column, wanted));
        }
        let rows: Result<Vec<_>, String> = self
            .rows
            .iter()
            .map(|text| text.parse().map_err(|error: filters::InvalidCondition| error.to_string()))
            .collect();
        let filter = TableFilter {
            tables,
            schema: self.schema,
            table: self.table,
            drop: self.drop,
            mask,
            rows: rows?,
        };
        if !filter.is_lossy() && filter.schema.is_none() && filter.table.is_none() {
            return Err("it changes nothing: give it schema, table, drop, mask or rows".into());
        }
        Ok(filter)
    }
}

impl RegionFilters {
    /// `writes`: whether clients write in this region.
    pub(super) fn judge(&self, writes: bool) -> Result<(), Flaw> {
        match self.0.0.iter().position(TableFilter::is_lossy) {
            Some(place) if writes => Err(Flaw::new(
                &["region", "filter"],
                format!(
                    "filter {} leaves out or masks what other regions hold, and clients write in this region: what they write \
                     would come back to the others without it",
                    place + 1
                ),
                "set writes = false for this region in [mesh.regions], everywhere, or only rename".to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Filters, String> {
        #[derive(Deserialize)]
        struct File {
            filter: RegionFilters,
        }
        toml::from_str::<File>(text).map(|file| file.filter.0).map_err(|error| error.to_string())
    }

    #[test]
    fn filters_are_read_with_all_their_parts() {
        let filters = read(
            "[[filter]]\ntables = [\"crm.people\"]\nschema = \"copy\"\ntable = \"persons\"\ndrop = [\"note\"]\n\
             mask = { mail = \"hash\", phone = \"null\", name = { constant = \"x\" } }\nrows = [\"country = 'DE'\", \"gone IS NULL\"]\n",
        )
        .unwrap();
        let filter = filters.of("crm", "people").unwrap();
        assert_eq!((filter.schema.as_deref(), filter.table.as_deref()), (Some("copy"), Some("persons")));
        assert_eq!(filter.mask.len(), 3);
        assert_eq!(filter.rows.len(), 2);
        assert!(RegionFilters(filters.clone()).judge(true).is_err());
        assert!(RegionFilters(filters).judge(false).is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, reason) in [
            ("tables = [\"crm.people\"]", "changes nothing"),
            ("tables = []\ndrop = [\"a\"]", "for nothing"),
            ("tables = [\"crm.*\"]\ntable = \"x\"", "several tables"),
            ("tables = [\"*.people\"]\nschema = \"x\"", "several schemas"),
            ("tables = [\"crm.people\"]\nrows = [\"a ~ 1\"]", "no condition"),
            ("tables = [\"crm.people\"]\nmask = { a = \"md5\" }", "a mask is"),
        ] {
            let error = read(&format!("[[filter]]\n{text}\n")).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}

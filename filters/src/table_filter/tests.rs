use transaction::binlog::full_bitmap;

use super::*;

fn column(name: &str, kind: ColumnType, nullable: bool) -> Column {
    Column { name: name.into(), kind, nullable, unsigned: false, collation: 255, members: Vec::new() }
}

/// `crm.people (id INT PRIMARY KEY, name VARCHAR(10), country CHAR(2), note TEXT NOT NULL)`
fn people() -> TableMap {
    let columns = vec![
        column("id", ColumnType::Int(4), false),
        column("name", ColumnType::VarChar(40), true),
        column("country", ColumnType::Char(8), true),
        column("note", ColumnType::Blob(2), false),
    ];
    TableMap::of("crm", "people", columns, vec![(0, 0)], full_bitmap(4))
}

fn row(id: u8, name: Option<&str>, country: &str) -> Vec<u8> {
    let name = name.map(str::as_bytes);
    row_image(&people(), &[Some(&[id, 0, 0, 0]), name, Some(country.as_bytes()), Some(b"note")]).unwrap()
}

fn filter(change: impl FnOnce(&mut TableFilter)) -> TableFilter {
    let mut filter = TableFilter { tables: vec!["crm.*".parse().unwrap()], ..TableFilter::default() };
    change(&mut filter);
    filter
}

fn shown(seen: &SeenTable, image: Option<&Vec<u8>>) -> Option<Vec<String>> {
    let text = |value: Option<&[u8]>| {
        value.map_or("NULL".into(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    image.map(|image| row_values(&seen.seen, image).unwrap().into_iter().skip(1).map(text).collect())
}

#[test]
fn columns_are_masked_and_dropped_and_the_table_has_its_new_name() {
    let filter = filter(|filter| {
        filter.schema = Some("copy".into());
        filter.drop = vec!["country".into(), "of_another_table".into()];
        filter.mask = vec![("name".into(), Mask::Hash), ("note".into(), Mask::Constant("x".into()))];
    });
    let seen = filter.seen(&people()).unwrap();
    let table = seen.table();
    assert_eq!((table.schema.as_str(), table.table.as_str()), ("copy", "people"));
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "name", "note"]);
    let images = (row(1, Some("ann"), "DE"), row(1, None, "FR"));
    let change = RowChange { before: Some(&images.0), after: Some(&images.1) };
    let (before, after) = seen.change(&change).unwrap();
    // SHA-256 of "ann" begins so; ten characters fit.
    assert_eq!(shown(&seen, before.as_ref()).unwrap(), ["49915e0d7d", "x"]);
    assert_eq!(shown(&seen, after.as_ref()).unwrap(), ["NULL", "x"]);
}

#[test]
fn a_row_comes_and_goes_as_its_values_do() {
    let filter =
        filter(|filter| filter.rows = vec!["country = 'DE'".parse().unwrap(), "id < 5".parse().unwrap()]);
    let seen = filter.seen(&people()).unwrap();
    let (german, french, late) = (row(1, None, "DE"), row(1, None, "FR"), row(7, None, "DE"));
    let change = |before: Option<&Vec<u8>>, after: Option<&Vec<u8>>| {
        let change = RowChange { before: before.map(Vec::as_slice), after: after.map(Vec::as_slice) };
        let (before, after) = seen.change(&change).unwrap();
        (before.is_some(), after.is_some())
    };
    assert_eq!(change(Some(&german), Some(&french)), (true, false));
    assert_eq!(change(Some(&french), Some(&german)), (false, true));
    assert_eq!(change(Some(&french), Some(&late)), (false, false));
    assert_eq!(change(None, Some(&german)), (false, true));
}

#[test]
fn a_filter_that_does_not_fit_its_table_is_refused_with_the_reason() {
    let refused = |change: fn(&mut TableFilter)| filter(change).seen(&people()).unwrap_err();
    assert!(refused(|f| f.drop = vec!["id".into()]).contains("drop column `id` of the primary key"));
    assert!(
        refused(|f| f.mask = vec![("id".into(), Mask::Null)]).contains("mask column `id` of the primary key")
    );
    assert!(refused(|f| f.mask = vec![("note".into(), Mask::Null)]).contains("NOT NULL"));
    let long = |f: &mut TableFilter| f.mask = vec![("country".into(), Mask::Constant("far too long".into()))];
    assert!(refused(long).contains("cannot hold the constant"));
    assert!(
        refused(|f| f.rows = vec!["gone IS NULL".parse().unwrap()])
            .contains("a column that the table has not")
    );
    let seen = filter(|f| f.rows = vec!["country = 1".parse().unwrap()]).seen(&people()).unwrap();
    let image = row(1, None, "DE");
    let error = seen.change(&RowChange { before: None, after: Some(&image) }).unwrap_err().to_string();
    assert!(error.contains("crm.people") && error.contains("does not fit"), "{error}");
}

#[test]
fn the_first_filter_that_matches_decides_and_made_tables_are_known_by_their_new_names() {
    let filters = Filters(vec![
        filter(|f| {
            f.tables = vec!["crm.people".parse().unwrap()];
            (f.schema, f.table) = (Some("copy".into()), Some("persons".into()));
            f.drop = vec!["note".into()];
        }),
        filter(|f| f.schema = Some("other".into())),
    ]);
    assert_eq!(filters.of("crm", "people").unwrap().table.as_deref(), Some("persons"));
    assert_eq!(filters.of("crm", "x").unwrap().schema.as_deref(), Some("other"));
    assert!(filters.of("shop", "x").is_none());
    assert!(filters.making("copy", "persons").unwrap().is_lossy());
    assert!(!filters.making("other", "x").unwrap().is_lossy(), "a new name alone loses nothing");
    assert!(filters.making("crm", "people").is_none());
}

//! Statements that change tables. Columns and tables that they add have names of their own, so that most of the other statements go on
//! being possible.

use super::column::Column;
use super::table::Table;
use crate::shop::dice::Dice;

/// Added columns have places from here on.
const ADDED: usize = 20;
const ADDED_MAX: u64 = 4;

/// One change, in one statement or two.
pub(super) fn some(dice: &mut Dice, tables: &[Table]) -> Vec<String> {
    let Some(table) = dice.pick(tables) else { return Vec::new() };
    let name = &table.name;
    let place = ADDED + dice.below(ADDED_MAX) as usize;
    let other = ADDED + dice.below(ADDED_MAX) as usize;
    let own = dice.pick(&table.columns).map_or("id", |column| column.name.as_str()).to_owned();
    let one = |statement: String| vec![statement];
    match dice.below(23) {
        0..=5 => {
            let at = ["", " FIRST", &format!(" AFTER {own}")][dice.below(3) as usize].to_owned();
            one(format!("ALTER TABLE {name} ADD COLUMN {}{at}", Column::some(dice, place).definition()))
        }
        6 | 7 => one(format!("ALTER TABLE {name} DROP COLUMN c{place}")),
        8 | 9 => one(format!("ALTER TABLE {name} MODIFY COLUMN {}", Column::some(dice, place).definition())),
        10 => one(format!("ALTER TABLE {name} RENAME COLUMN c{place} TO c{other}")),
        11 => one(format!("ALTER TABLE {name} ALTER COLUMN c{place} SET DEFAULT '5'")),
        12 => one(format!("CREATE INDEX added{place} ON {name} ({own})")),
        13 => one(format!("ALTER TABLE {name} ADD UNIQUE KEY added{place} (c{other})")),
        14 => one(format!("DROP INDEX added{place} ON {name}")),
        15 => one(format!("TRUNCATE TABLE {name}")),
        16 => vec![format!("RENAME TABLE {name} TO away"), format!("RENAME TABLE away TO {name}")],
        17 => one(format!("CREATE TABLE IF NOT EXISTS x{place} LIKE {name}")),
        18 => one(format!("INSERT IGNORE INTO x{place} SELECT * FROM {name}")),
        19 => one(format!(
            "CREATE TABLE y{place} (k INT AUTO_INCREMENT PRIMARY KEY) SELECT {own} AS v FROM {name} ORDER BY 1"
        )),
        20 => one(format!("DROP TABLE IF EXISTS x{place}, y{other}")),
        21 => one(format!("ALTER TABLE {name} COMMENT = 'it''s \"{place}\"', ALGORITHM = COPY")),
        _ => one(format!("ALTER TABLE {name} FORCE")),
    }
}

//! What a Query event says of the session that ran it: the variables on which the meaning of its statement depends.

use super::EventError;
use super::input::Input;

/// Session variables of a statement, as far as the event has them. Source: MySQL, `Query_event` (`statement_events.h`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionState {
    /// `FOREIGN_KEY_CHECKS`, `UNIQUE_CHECKS`, `SQL_AUTO_IS_NULL`.
    pub flags: Option<SessionFlags>,
    /// `sql_mode`, as a bitmap.
    pub sql_mode: Option<u64>,
    /// Collation ids: of `character_set_client`, `collation_connection`, `collation_server`.
    pub charsets: Option<[u16; 3]>,
    /// `time_zone`.
    pub time_zone: Option<String>,
    /// `lc_time_names`, by number.
    pub lc_time_names: Option<u16>,
    /// Collation id of the default schema.
    pub collation_database: Option<u16>,
    /// Microseconds of the time at which the statement began.
    pub microseconds: Option<u32>,
    /// `explicit_defaults_for_timestamp`.
    pub explicit_defaults_for_timestamp: Option<bool>,
    /// `default_collation_for_utf8mb4`, a collation id.
    pub default_collation_for_utf8mb4: Option<u16>,
    /// `sql_require_primary_key`.
    pub sql_require_primary_key: Option<bool>,
    /// `default_table_encryption`.
    pub default_table_encryption: Option<bool>,
}

/// The switches in a Query event's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionFlags {
    /// `FOREIGN_KEY_CHECKS`.
    pub foreign_key_checks: bool,
    /// `UNIQUE_CHECKS`.
    pub unique_checks: bool,
    /// `SQL_AUTO_IS_NULL`.
    pub auto_is_null: bool,
}

const AUTO_IS_NULL: u64 = 0x4000;
const NO_FOREIGN_KEY_CHECKS: u64 = 0x0400_0000;
const RELAXED_UNIQUE_CHECKS: u64 = 0x0800_0000;

/// The modes on which values depend, not the reading of statements: NO_UNSIGNED_SUBTRACTION, STRICT_TRANS_TABLES,
/// STRICT_ALL_TABLES, NO_ZERO_IN_DATE, NO_ZERO_DATE, ALLOW_INVALID_DATES, ERROR_FOR_DIVISION_BY_ZERO,
/// PAD_CHAR_TO_FULL_LENGTH, TIME_TRUNCATE_FRACTIONAL (source: MySQL, `sql/system_variables.h`). The others are left out: under
/// NO_BACKSLASH_ESCAPES the server cannot even open a table with an escaped quote in a DEFAULT expression (1064, seen on 9.7.4).
const MODES_OF_VALUES: u64 =
    1 << 6 | 1 << 21 | 1 << 22 | 1 << 23 | 1 << 24 | 1 << 25 | 1 << 26 | 1 << 31 | 1 << 32;

impl SessionState {
    /// Only that on which it depends what the server computes of a row: equal for transactions whose rows may be sent together.
    pub fn of_values(self) -> Self {
        let Self { sql_mode, time_zone, lc_time_names, .. } = self;
        let sql_mode = sql_mode.map(|mode| mode & MODES_OF_VALUES);
        Self { sql_mode, time_zone, lc_time_names, ..Self::default() }
    }

    /// Reads the status variables of a Query event. One that is not known is an error, since its length is not known either.
    pub(super) fn decode(variables: &[u8]) -> Result<Self, EventError> {
        let mut input = Input::new(variables, "Query");
        let mut state = Self::default();
        while !input.rest.is_empty() {
            match input.byte()? {
                0 => {
                    let flags = input.uint(4)?;
                    state.flags = Some(SessionFlags {
                        foreign_key_checks: flags & NO_FOREIGN_KEY_CHECKS == 0,
                        unique_checks: flags & RELAXED_UNIQUE_CHECKS == 0,
                        auto_is_null: flags & AUTO_IS_NULL != 0,
                    });
                }
                1 => state.sql_mode = Some(input.uint(8)?),
                // auto_increment_increment and offset: of rows, which the binlog has by value.
                3 => drop(input.take(4)?),
                4 => {
                    let mut id = || Ok::<_, EventError>(input.uint(2)? as u16);
                    state.charsets = Some([id()?, id()?, id()?]);
                }
                5 => {
                    let len = input.byte()?.into();
                    state.time_zone = Some(input.text(len)?.to_owned());
                }
                // The catalog, which is always `std`.
                6 => {
                    let len = input.byte()?.into();
                    input.take(len)?;
                }
                7 => state.lc_time_names = Some(input.uint(2)? as u16),
                8 => state.collation_database = Some(input.uint(2)? as u16),
                // Tables of a multi-table UPDATE.
                9 => drop(input.take(8)?),
                // What the source itself had received.
                10 => drop(input.take(4)?),
                // The invoker, whom a DEFINER clause in the statement names as well.
                11 => {
                    for _ in 0..2 {
                        let len = input.byte()?.into();
                        input.take(len)?;
                    }
                }
                // Schemas that it touched, for the scheduling of a replica.
                12 => {
                    const OVER_MAX: u8 = 254;
                    let count = input.byte()?;
                    for _ in 0..if count == OVER_MAX { 0 } else { count } {
                        while input.byte()? != 0 {}
                    }
                }
                13 => state.microseconds = Some(input.uint(3)? as u32),
                16 => state.explicit_defaults_for_timestamp = Some(input.byte()? != 0),
                // The number of the storage engines' transaction.
                17 => drop(input.take(8)?),
                18 => state.default_collation_for_utf8mb4 = Some(input.uint(2)? as u16),
                19 => state.sql_require_primary_key = Some(input.byte()? != 0),
                20 => state.default_table_encryption = Some(input.byte()? != 0),
                _ => return Err(input.malformed("it has a session variable that this version does not know")),
            }
        }
        Ok(state)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_in_any_order_and_an_unknown_one_is_an_error() {
        let bytes = [
            &[0, 0, 0, 0, 0x04][..],
            &[1, 0x20, 0, 0xa0, 0x45, 0, 0, 0, 0],
            b"\x06\x03std",
            &[4, 255, 0, 8, 0, 63, 0],
            b"\x05\x06+02:00",
            b"\x0c\x02a\0bc\0",
            &[13, 0x40, 0xe2, 0x01, 17, 1, 2, 3, 4, 5, 6, 7, 8, 19, 1, 20, 0],
        ]
        .concat();
        let state = SessionState::decode(&bytes).unwrap();
        let flags = state.flags.unwrap();
        assert!(!flags.foreign_key_checks && flags.unique_checks);
        assert_eq!(state.sql_mode, Some(0x45a0_0020));
        assert_eq!(state.charsets, Some([255, 8, 63]));
        assert_eq!(state.time_zone.as_deref(), Some("+02:00"));
        assert_eq!(state.microseconds, Some(123_456));
        assert_eq!(
            (state.sql_require_primary_key, state.default_table_encryption),
            (Some(true), Some(false))
        );
        let of_values = state.clone().of_values();
        assert_eq!((of_values.sql_mode, of_values.time_zone.as_deref()), (Some(0x05a0_0000), Some("+02:00")));
        assert_eq!(SessionState { microseconds: Some(1), ..state.clone() }.of_values(), of_values);
        for cut in [3, 8, bytes.len() - 1] {
            assert!(SessionState::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(SessionState::decode(&[99]).is_err());
    }
}

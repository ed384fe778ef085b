SET lc_time_names = 'ja_JP', default_collation_for_utf8mb4 = utf8mb4_general_ci, collation_database = latin1_bin;
INSERT INTO t VALUES (1, DATE_FORMAT('2025-03-04', '%W %M')), (2, FORMAT(1234567.891, 2, 'de_DE'));
SET explicit_defaults_for_timestamp = OFF, sql_auto_is_null = ON, big_tables = ON;
INSERT INTO t VALUES (3, CAST(NOW() > '2000-01-01' AS CHAR));

CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a''b', 'c"d', 'back\\slash', 'new\nline', 'semi;colon', 'par(en)s', 'tab\t', '%', 'ж', '日本', ' lead'), s SET('it''s', '\\', '''''', 'a b'));

INSERT INTO t VALUES ('表', 'ж', 1), ('能', 'я', 2), ('a', '', 3);

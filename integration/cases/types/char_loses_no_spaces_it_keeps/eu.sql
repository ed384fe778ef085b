INSERT INTO t VALUES (1, 'ab   ', '', ' ', ' ab'), (2, '', NULL, '', '     '), (3, 'äöüß€', '', '€', 'ab\tc'), (4, NULL, NULL, NULL, NULL), (5, 'a b', '', '\0', '\0\0');

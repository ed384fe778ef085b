SET lc_time_names = 'de_DE', time_zone = '+11:00', div_precision_increment = 9;
INSERT INTO t (id, d) VALUES (1, '2025-03-01 00:00:00'), (2, '2024-12-31 23:59:59'), (7, NULL);

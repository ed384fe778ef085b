SET time_zone = '+14:00';
INSERT INTO t (id, ts) VALUES (1, '2025-03-30 02:30:00');
SET time_zone = '-12:59';
INSERT INTO t (id, ts) VALUES (2, '2025-03-30 02:30:00');
SET time_zone = 'SYSTEM';
INSERT INTO t (id, ts) VALUES (3, '2025-03-30 02:30:00+05:30');

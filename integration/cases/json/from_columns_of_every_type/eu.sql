INSERT INTO s VALUES (1, 1.5, '2025-01-01', '-01:02:03.5', '2025-01-01 00:00:00.000001', '2025-01-01 00:00:00.25', 1999, 2730, X'00FF', 'y', 'p,q', 0.1, 18446744073709551615, POINT(1, 2), 'é');
INSERT INTO t SELECT id, JSON_OBJECT('a', a, 'b', b, 'c', c, 'd', d, 'e', e, 'f', f, 'g', g, 'h', h, 'i', i, 'k', k, 'l', l, 'm', m, 'n', n, 'o', o) FROM s;
INSERT INTO t SELECT 2, JSON_ARRAYAGG(j) FROM t;

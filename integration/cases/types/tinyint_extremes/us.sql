UPDATE t SET s = -s - 1, u = 255 - u WHERE s IS NOT NULL;
DELETE FROM t WHERE id = 5;

UPDATE t SET body = 'now with events too' WHERE id = 2;
DELETE FROM t WHERE id = 1;
DELETE FROM u WHERE id = 2;

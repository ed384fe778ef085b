BEGIN;
UPDATE t SET k = 'zzzzzz' WHERE id = 1;
UPDATE t SET k = 'ABCDExyz' WHERE id = 2;
UPDATE t SET k = 'abcd' WHERE id = 1;
COMMIT;
-- error: 1062
INSERT INTO t VALUES (5, 'abcdeQ', NULL);

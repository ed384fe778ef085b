UPDATE t SET s = s | (1 << 32) WHERE id > 1;
UPDATE t SET s = 'm64' WHERE id = 1;

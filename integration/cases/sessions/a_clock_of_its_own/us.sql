SET timestamp = 86400;
UPDATE t SET id = id + 10;

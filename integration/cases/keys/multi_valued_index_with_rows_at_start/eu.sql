UPDATE t SET doc = '{"nums": [3]}' WHERE id = 2;

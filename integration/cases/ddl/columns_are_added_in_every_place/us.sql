UPDATE t SET a = id, first = NULL WHERE id > 1;

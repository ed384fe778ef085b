UPDATE t SET s = -s - 1, u = 65535 - u WHERE s IS NOT NULL;

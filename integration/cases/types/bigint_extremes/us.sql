UPDATE t SET s = -1 - s, u = ~u WHERE s IS NOT NULL;

UPDATE t SET b = CONCAT(b, CONVERT(c USING gb18030)), d = b, e = 3 - e;

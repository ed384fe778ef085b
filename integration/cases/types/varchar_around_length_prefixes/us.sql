UPDATE t SET d = REPEAT('x', 255), c = REPEAT('y', 254), b = REPEAT('z', 64);

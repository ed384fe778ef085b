UPDATE t SET r = RAND(), u = UUID(), b = RANDOM_BYTES(8);

UPDATE t SET a = LOWER(a), b = REVERSE(b), e = UPPER(e), z = REVERSE(z);

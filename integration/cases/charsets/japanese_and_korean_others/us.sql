UPDATE t SET a = CONCAT(a, a), e = 'ソ';

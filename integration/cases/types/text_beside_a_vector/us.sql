UPDATE t SET old = 'ü', v = TO_VECTOR('[3,4]') WHERE name = 'ä';
DELETE FROM t WHERE name = 'A';

SELECT j->>'$.moved' = 'true' AND g = 'z' AND j->>'$.deep.er[1][1][1][0]."new one".n[0]' = 'in what was just made' FROM t WHERE id = 3;
SELECT COUNT(*) = 1 FROM t;

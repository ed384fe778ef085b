SELECT COUNT(*) = 3 FROM g JOIN c ON c.p = g.p JOIN p ON p.id = c.p;

UPDATE a JOIN b USING (id) JOIN c USING (id) JOIN d USING (id) SET a.v = 'A', b.b = 'B', c.v = REVERSE(c.v), d.b = CONCAT(d.b, 'D');

SELECT id = 2 FROM t WHERE LOWER(name) = 'anna';

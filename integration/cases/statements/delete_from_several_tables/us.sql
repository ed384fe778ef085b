DELETE FROM b USING a JOIN b ON b.a = a.id;
DELETE a FROM a LEFT JOIN b ON b.id = a.id WHERE b.id IS NULL;

UPDATE p SET id = 30, u = 'z' WHERE id = 3;
DELETE FROM p WHERE id = 2;

UPDATE p SET id = id + 100 ORDER BY id DESC;
UPDATE c SET id = 9 WHERE id = 3;

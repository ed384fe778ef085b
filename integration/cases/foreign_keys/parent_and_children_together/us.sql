REPLACE INTO p VALUES (1, 9);
DELETE c, p FROM c JOIN p ON c.p = p.id WHERE p.id = 2;

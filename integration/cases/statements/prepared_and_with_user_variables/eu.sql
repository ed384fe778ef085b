PREPARE p FROM 'INSERT INTO t VALUES (?, ?, ?, ?)';
SET @a = 1, @b = 'é''\\', @c = 1.50000, @d = X'00FF';
EXECUTE p USING @a, @b, @c, @d;
SET @a = 2, @b = NULL, @c = NULL, @d = NULL;
EXECUTE p USING @a, @b, @c, @d;
DEALLOCATE PREPARE p;
SET @n = 10;
UPDATE t SET d = (@n := @n + 1);

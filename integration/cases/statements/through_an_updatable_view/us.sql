UPDATE w SET v = v + 1;
DELETE FROM w WHERE id = 1;

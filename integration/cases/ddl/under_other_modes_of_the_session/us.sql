INSERT INTO zone (id) VALUES (2);
UPDATE quoted SET v = 'us';

CREATE TABLE t (id INT PRIMARY KEY, j JSON, k JSON, v INT);
CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, j JSON);
CREATE TRIGGER t_update AFTER UPDATE ON t FOR EACH ROW UPDATE log SET j = JSON_SET(j, '$.last', NEW.id, '$.seen', NEW.v) WHERE id = 1;
INSERT INTO t VALUES (1, JSON_OBJECT('a', 1, 'pad', REPEAT('p', 300)), JSON_OBJECT('a', 1, 'pad', REPEAT('p', 300)), 1), (2, NULL, JSON_OBJECT('a', 1, 'pad', REPEAT('p', 300)), 2), (3, 'null', '"text"', 3);
INSERT INTO log VALUES (1, JSON_OBJECT('last', 0, 'seen', 0, 'pad', REPEAT('p', 300)));

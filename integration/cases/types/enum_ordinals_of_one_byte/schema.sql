CREATE TABLE t (id INT PRIMARY KEY, e ENUM('one', 'two', '', 'ünï', 'a,b', 'it''s'), d ENUM('x', 'y') NOT NULL DEFAULT 'y');

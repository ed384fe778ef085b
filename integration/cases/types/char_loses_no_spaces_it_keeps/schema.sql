CREATE TABLE t (id INT PRIMARY KEY, c CHAR(5), d CHAR(0), e CHAR(1), f CHAR(5) COLLATE utf8mb4_general_ci);

CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300), d CHAR(10) COLLATE latin1_german2_ci, e ENUM('ä','ß'), s SET('ä','ö')) CHARACTER SET latin1;

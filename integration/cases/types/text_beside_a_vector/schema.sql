-- In the table map, a vector has a place among the collations of texts.
CREATE TABLE t (v VECTOR(2), name VARCHAR(20) COLLATE utf8mb4_0900_as_cs PRIMARY KEY, old CHAR(5) CHARACTER SET latin1, w VECTOR(1), blobs BLOB, last TEXT COLLATE utf8mb4_bin);

INSERT INTO a VALUES ('中文', 1), (_gbk X'D55C', 2), ('abc', 3);
INSERT INTO b VALUES ('表', 1), ('ソ', 2), ('abc', 3);
INSERT INTO c VALUES ('中😀', 1), ('abc', 2);
INSERT INTO d VALUES ('😀', 1), ('abc', 2), ('é', 3);
INSERT INTO e VALUES ('日', 1), ('abc', 2);

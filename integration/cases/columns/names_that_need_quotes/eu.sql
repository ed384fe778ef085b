INSERT INTO `select` VALUES (1, 2, 3, 4, 5, 6, 7), (2, 3, 4, 5, 6, 7, 8);
INSERT INTO `a.b` VALUES (1, 2), (3, 4);
INSERT INTO `t;--x` VALUES (1, 2), (3, 4);

INSERT INTO `ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt1` VALUES (1, 1), (2, 2);
INSERT INTO `日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日` VALUES (1, 1), (2, 2);

CREATE TABLE `ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt1` (`cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc` INT PRIMARY KEY, `ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé1` INT);
CREATE TABLE `日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日` (id INT PRIMARY KEY, v INT);

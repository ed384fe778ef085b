UPDATE `ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt1` SET `ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé1` = 7;
DELETE FROM `日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日日` WHERE id = 1;

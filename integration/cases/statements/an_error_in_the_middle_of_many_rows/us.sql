-- error: 1264
UPDATE t SET v = v * 1000000000;
UPDATE t SET v = v + 1;

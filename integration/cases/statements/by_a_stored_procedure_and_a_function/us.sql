SELECT noted(7);
UPDATE t SET v = noted(v) WHERE v = 4;
DO noted(8);

UPDATE t SET a = d, d = b, h = a, f = 'я';
UPDATE u SET a = 'ü', e = a;

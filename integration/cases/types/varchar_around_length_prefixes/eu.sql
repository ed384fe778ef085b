INSERT INTO t VALUES (1, REPEAT('😀', 63), REPEAT('😀', 64), REPEAT('ÿ', 255), REPEAT('ÿ', 256), ''), (2, '', '', '', '', NULL), (3, 'a  ', ' ', 'b ', 'c ', '');

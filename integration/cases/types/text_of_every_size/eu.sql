INSERT INTO t VALUES (1, REPEAT('a', 255), REPEAT('b', 65535), REPEAT('c', 65536), REPEAT('d', 300000)), (2, '', '', '', ''), (3, NULL, NULL, NULL, NULL), (4, 'é ', '日本 ', '😀 ', '\0 ');

INSERT INTO t VALUES (1, '表①㈱', '①日本', '日本語', '한국어', 'ﾃｽﾄ'), (2, _cp932 X'955C', _eucjpms X'8FB0A1', _ujis X'8FB0A1', _euckr X'B0A1', 'a');

INSERT INTO t VALUES (1, '表示能力', 'ソ', 'ﾃｽﾄ', '能'), (2, _sjis X'835C', _sjis X'955C', _sjis X'945C', '表');

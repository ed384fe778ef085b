INSERT INTO t VALUES (1, '中文字符', '誠', '運', '国', '運'), (2, _gbk X'D55C', _gbk X'BF5C', _gbk X'C25C', '中', '誠,運');
SET NAMES gbk;
INSERT INTO t (id, v) VALUES (3, X'D55C');

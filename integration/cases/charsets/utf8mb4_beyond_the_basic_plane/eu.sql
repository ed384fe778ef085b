INSERT INTO t VALUES (1, '😀👨‍👩‍👧‍👦', '𝔘𝔫𝔦', '日本語', '𠜎𠜱'), (2, 'e\u0301 é', 'é', '', 'ﬀ'), (3, _utf8mb4 X'F48FBFBF', _utf8mb4 X'EFBFBE', _utf8mb4 X'EFBBBF41', _utf8mb4 X'E2808B');

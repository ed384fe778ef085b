SET SESSION original_commit_timestamp = 1;
INSERT INTO t VALUES (1, 1);
SET SESSION original_commit_timestamp = 36028797018963968;
SET SESSION original_commit_timestamp = 4102444800000000;
INSERT INTO t VALUES (2, 2);
SET SESSION original_server_version = 50700;
SET SESSION immediate_server_version = 50700;
INSERT INTO t VALUES (3, 3);

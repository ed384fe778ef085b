SET SESSION binlog_transaction_compression = ON;
INSERT INTO t VALUES (1, REPEAT('compress me ', 5592405));

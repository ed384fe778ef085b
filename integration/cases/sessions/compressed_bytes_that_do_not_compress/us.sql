SET SESSION binlog_transaction_compression = ON;
UPDATE t SET v = SHA2(v, 256);

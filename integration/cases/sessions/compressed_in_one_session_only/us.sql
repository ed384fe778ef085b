SET SESSION binlog_transaction_compression = ON, SESSION binlog_transaction_compression_level_zstd = 22;
UPDATE t SET v = REVERSE(v);

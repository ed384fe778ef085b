SET gtid_next = 'AUTOMATIC:app', SESSION binlog_transaction_compression = ON;
UPDATE t SET v = v + 1;

SET collation_connection = latin1_german2_ci;
UPDATE t SET v = CONCAT(v, 'ß');

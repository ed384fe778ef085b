SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH';
UPDATE t SET f = c, c = 'x ' WHERE id <= 2;

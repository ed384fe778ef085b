SET sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES';
UPDATE "t" SET "v" = "v" || '\';

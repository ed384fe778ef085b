UPDATE t SET k = 'A' WHERE k = 'a';
UPDATE t SET k = 'b   ' WHERE k = 'b';
UPDATE t SET k = '  ' WHERE k = '';

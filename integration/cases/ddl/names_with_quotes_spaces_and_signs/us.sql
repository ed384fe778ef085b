UPDATE `a ``b" 'c` SET `select` = 9;

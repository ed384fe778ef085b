UPDATE `größe` SET `maß` = 'ẞ';

UPDATE u SET v = v + 1;

UPDATE u SET n = n + 1;

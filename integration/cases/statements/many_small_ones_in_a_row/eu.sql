CALL count_up();

CALL touch();

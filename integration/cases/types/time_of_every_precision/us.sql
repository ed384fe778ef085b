UPDATE t SET a = SUBTIME('00:00:00', a), g = SUBTIME('00:00:00', g), f = SUBTIME('00:00:00', f);

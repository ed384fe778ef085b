UPDATE t SET e = 12 - e, s = s ^ 15;

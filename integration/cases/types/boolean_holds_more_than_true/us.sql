UPDATE t SET b = NOT b;

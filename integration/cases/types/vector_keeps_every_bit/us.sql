UPDATE t SET w = TO_VECTOR('[3,2,1]'), v = TO_VECTOR('[7,8]') WHERE id < 4;

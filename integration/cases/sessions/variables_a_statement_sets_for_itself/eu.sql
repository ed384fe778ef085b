INSERT /*+ SET_VAR(div_precision_increment=9) */ INTO t VALUES (1, 1 / 3);
INSERT /*+ SET_VAR(time_zone='+07:00') SET_VAR(timestamp=1000000) */ INTO t VALUES (2, FROM_UNIXTIME(0));

UPDATE /*+ SET_VAR(unique_checks=OFF) */ t SET v = 'x';

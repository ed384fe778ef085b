UPDATE t SET v = 'us';

INSERT INTO t VALUES (1, 'жя', 'жя', 'я', 'жя', 'ж', 'ж,я', 'жя', 'жя');
INSERT INTO u VALUES (1, 'é', 'ł', 'ş', '日', 'ÿ');

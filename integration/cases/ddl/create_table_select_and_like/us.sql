UPDATE copy SET len = 0;
DELETE FROM from_temp WHERE id = 1;

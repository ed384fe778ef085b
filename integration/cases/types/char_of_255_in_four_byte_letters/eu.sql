INSERT INTO t VALUES (1, REPEAT('😀', 63), REPEAT('😀', 64), REPEAT('😀', 127), REPEAT('😀', 255)), (2, 'a', 'b', 'c', 'd'), (3, REPEAT('é', 63), REPEAT('é', 64), REPEAT('é', 127), REPEAT('é', 255));

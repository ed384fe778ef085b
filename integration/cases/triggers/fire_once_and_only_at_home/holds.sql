SELECT COUNT(*) = 7 FROM audit;

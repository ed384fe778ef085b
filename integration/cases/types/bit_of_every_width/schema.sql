CREATE TABLE t (id INT PRIMARY KEY, a BIT, b BIT(2), c BIT(7), d BIT(8), e BIT(9), f BIT(15), g BIT(16), h BIT(17), i BIT(31), j BIT(33), k BIT(56), l BIT(63), m BIT(64));

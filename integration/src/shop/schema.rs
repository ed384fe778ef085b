//! The shop's tables. They hold the column types that are easily bent on the way.

use std::fmt::Write as _;

/// The tables whose rows the ledgers tell of.
pub const TABLES: [&str; 6] =
    ["shop.customers", "shop.products", "shop.orders", "shop.order_lines", "shop.stock", "shop.probe"];

/// Products, numbered from 1, which every writer changes.
pub const PRODUCTS: u64 = 20;
/// What a counter row of the stock begins with.
pub const STOCK: i64 = 1_000_000;
/// The token of rows that were there before the first writer.
pub const SEED_TOKEN: &str = "seed";

const CREATE: &str = "
CREATE DATABASE shop;
CREATE TABLE shop.customers (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(60) NOT NULL,
  tier ENUM('basic', 'silver', 'gold') NOT NULL,
  address JSON,
  credit DECIMAL(12,2) NOT NULL,
  seen DATETIME(6) NOT NULL,
  token VARCHAR(40) CHARACTER SET ascii NOT NULL
);
CREATE TABLE shop.products (
  id INT UNSIGNED NOT NULL PRIMARY KEY,
  name VARCHAR(60) NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  attributes JSON,
  state ENUM('listed', 'hidden', 'gone') NOT NULL,
  changed DATETIME(6) NOT NULL,
  token VARCHAR(40) CHARACTER SET ascii NOT NULL
);
CREATE TABLE shop.orders (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer BIGINT UNSIGNED NOT NULL,
  state ENUM('new', 'paid', 'sent', 'returned') NOT NULL,
  total DECIMAL(12,2) NOT NULL,
  note JSON,
  placed DATETIME(6) NOT NULL,
  token VARCHAR(40) CHARACTER SET ascii NOT NULL,
  KEY by_customer (customer)
);
CREATE TABLE shop.order_lines (
  order_id BIGINT UNSIGNED NOT NULL,
  line SMALLINT UNSIGNED NOT NULL,
  product INT UNSIGNED NOT NULL,
  quantity INT NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  token VARCHAR(40) CHARACTER SET ascii NOT NULL,
  PRIMARY KEY (order_id, line)
);
CREATE TABLE shop.stock (
  product INT UNSIGNED NOT NULL,
  warehouse VARCHAR(40) NOT NULL,
  quantity BIGINT NOT NULL,
  token VARCHAR(40) CHARACTER SET ascii NOT NULL,
  PRIMARY KEY (product, warehouse)
);
CREATE TABLE shop.probe (
  region VARCHAR(32) CHARACTER SET ascii NOT NULL,
  number BIGINT UNSIGNED NOT NULL,
  token VARCHAR(40) CHARACTER SET ascii NOT NULL,
  PRIMARY KEY (region, number)
);
";

/// The script that makes the shop, the same in every region: tables, shared rows, and one counter row per product and
/// writer.
pub fn script(writers: &[String]) -> String {
    let mut script = CREATE.to_owned();
    for product in 1..=PRODUCTS {
        let _ = writeln!(
            script,
            "INSERT INTO shop.products VALUES ({product}, 'product {product}', {product}.99, \
             '{{\"colour\": \"blue\", \"weight\": {product}.50}}', 'listed', '2025-01-01 00:00:00.000001', '{SEED_TOKEN}');"
        );
        let warehouses = writers.iter().map(String::as_str).chain(["central"]);
        let rows: Vec<String> =
            warehouses.map(|name| format!("({product}, '{name}', {STOCK}, '{SEED_TOKEN}')")).collect();
        let _ = writeln!(script, "INSERT INTO shop.stock VALUES {};", rows.join(", "));
    }
    script
}

/// The expression that names a row of a table as the ledgers do.
pub fn key_expression(table: &str) -> &'static str {
    match table {
        "shop.order_lines" => "CONCAT(order_id, '/', line)",
        "shop.stock" => "CONCAT(product, '/', warehouse)",
        "shop.probe" => "CONCAT(region, '/', number)",
        _ => "id",
    }
}

//! Rows written in one region arrive in the others as they are, once.

#![allow(clippy::unwrap_used, missing_docs)]

use integration::{Mesh, MeshPlan};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);

const TYPES: &str = "
CREATE DATABASE s;
CREATE TABLE s.numbers (
  id INT AUTO_INCREMENT PRIMARY KEY,
  t TINYINT, tu TINYINT UNSIGNED, sm SMALLINT, smu SMALLINT UNSIGNED, m MEDIUMINT, mu MEDIUMINT UNSIGNED,
  i INT, iu INT UNSIGNED, b BIGINT, bu BIGINT UNSIGNED, d DECIMAL(30,10), d2 DECIMAL(5,0), f FLOAT, g DOUBLE,
  bits BIT(13), y YEAR, flag BOOLEAN
);
CREATE TABLE s.times (
  id INT AUTO_INCREMENT PRIMARY KEY,
  da DATE, ti TIME, ti3 TIME(3), ti6 TIME(6), dt DATETIME, dt1 DATETIME(1), dt6 DATETIME(6), ts TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL
);
CREATE TABLE s.texts (
  id INT AUTO_INCREMENT PRIMARY KEY,
  c CHAR(5), v VARCHAR(300), l VARCHAR(20) CHARACTER SET latin1, u VARCHAR(20) CHARACTER SET utf16,
  tt TINYTEXT, te TEXT, mt MEDIUMTEXT, lt LONGTEXT,
  bi BINARY(4), vb VARBINARY(300), tb TINYBLOB, bl BLOB, mb MEDIUMBLOB, lb LONGBLOB,
  e ENUM('one', 'two', 'three'), st SET('a', 'b', 'c', 'd'), j JSON, p POINT SRID 0, ge GEOMETRY, ve VECTOR(3)
);
CREATE TABLE s.generated (
  id INT AUTO_INCREMENT PRIMARY KEY,
  a INT, twice INT AS (a * 2) STORED, thrice INT AS (a * 3) VIRTUAL, hidden INT INVISIBLE DEFAULT 7, late INT DEFAULT 5,
  KEY (thrice)
);
CREATE TABLE s.text_key (k VARCHAR(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, v INT);
CREATE TABLE s.pair_key (a INT, b VARBINARY(8), v INT, PRIMARY KEY (b, a));
CREATE TABLE s.`odd ``name, of 表` (id INT PRIMARY KEY, `a column` INT, `日本` VARCHAR(10));
";

const FILL: [&str; 5] = [
    "INSERT INTO s.numbers (t,tu,sm,smu,m,mu,i,iu,b,bu,d,d2,f,g,bits,y,flag) VALUES \
     (-128,255,-32768,65535,-8388608,16777215,-2147483648,4294967295,-9223372036854775808,18446744073709551615,\
      -12345678901234567890.0123456789,99999,3.14159274,2.718281828459045e300,b'1010101010101',2155,TRUE), \
     (127,0,32767,0,8388607,0,2147483647,0,9223372036854775807,0,0.0000000001,-1,-0.0,-1e-300,0,0,FALSE), \
     (NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL)",
    "INSERT INTO s.times (da,ti,ti3,ti6,dt,dt1,dt6,ts,ts6) VALUES \
     ('9999-12-31','838:59:59','-838:59:59.000','-00:00:00.000001','1000-01-01 00:00:00','2024-02-29 23:59:59.9',\
      '2025-03-30 02:30:00.123456','1970-01-01 00:00:01','2038-01-19 03:14:07.999999'), \
     ('0000-00-00','00:00:00','00:00:00.001','12:34:56.789012','0000-00-00 00:00:00','2024-00-00 00:00:00.0',\
      '0000-00-00 00:00:00.000000','0000-00-00 00:00:00',NULL)",
    "INSERT INTO s.texts (c,v,l,u,tt,te,mt,lt,bi,vb,tb,bl,mb,lb,e,st,j,p,ge,ve) VALUES \
     ('ab ',REPEAT('ü',300),'Straße','日本語','t','','m',REPEAT('l',70000),X'00FF',X'00',X'',X'FF00',REPEAT(X'01',70000),\
      REPEAT(X'FE',100000),'two','a,d','{\"a\":[1,1.0,\"1\",null,true,{\"ü\":18446744073709551615}]}',\
      POINT(1,-2.5),ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'),TO_VECTOR('[1,-2.5,3e10]')), \
     ('','','','',NULL,NULL,NULL,NULL,X'00000000',X'2720',NULL,NULL,NULL,NULL,3,'', \
      JSON_OBJECT('d',CAST('2025-01-01 00:00:00.5' AS DATETIME(6)),'n',CAST(1.50 AS DECIMAL(5,2)),'t',CAST('-10:00:00' AS TIME),'b',CAST(X'00FF' AS BINARY)),\
      NULL,ST_GeomFromText('POINT(10 20)',4326),NULL)",
    "INSERT INTO s.generated (a) VALUES (1),(NULL),(-5)",
    "INSERT INTO s.text_key VALUES ('abc',1),('ß',2),('①',3),('',4)",
];

const TYPE_TABLES: [&str; 7] =
    ["s.numbers", "s.times", "s.texts", "s.generated", "s.text_key", "s.pair_key", "s.`odd ``name, of 表`"];

async fn pair(schema: &str) -> Mesh {
    MeshPlan::of(&["eu", "us"]).schema(schema).start().await.unwrap()
}

/// Everything may be stored, zero dates too, as an old application's session does it.
const OLD_MODE: &str = "SET SESSION sql_mode = ''";

#[tokio::test]
async fn every_type_arrives_byte_equal_in_both_directions() {
    let mut mesh = pair(TYPES).await;
    for name in ["eu", "us"] {
        let mut sql = mesh.root(name).await.unwrap();
        sql.run(OLD_MODE).await.unwrap();
        for fill in FILL.iter().take(4) {
            sql.run(fill).await.unwrap();
        }
    }
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run(FILL[4]).await.unwrap();
    eu.run("INSERT INTO s.pair_key VALUES (1, 'x', 1), (1, 'y', 2), (2, 'x', 3)").await.unwrap();
    eu.run("INSERT INTO s.`odd ``name, of 表` VALUES (1, 2, '値')").await.unwrap();
    mesh.expect_equal(&TYPE_TABLES, BOUND).await.unwrap();

    // Changes and deletes of those rows, from the side that did not make them.
    let mut us = mesh.root("us").await.unwrap();
    us.run(OLD_MODE).await.unwrap();
    us.run("UPDATE s.numbers SET d = d + 1, bits = ~bits & b'1111111111111', y = 1999").await.unwrap();
    us.run("UPDATE s.times SET dt6 = '2025-01-01 00:00:00.000001', ti3 = NULL").await.unwrap();
    us.run("UPDATE s.texts SET j = JSON_SET(j, '$.b', 2), c = 'ÄÖ', st = 'b,c', lt = 'short', ve = NULL WHERE id > 0").await.unwrap();
    us.run("UPDATE s.generated SET a = a + 1, hidden = NULL WHERE a IS NOT NULL").await.unwrap();
    us.run("UPDATE s.text_key SET k = 'ABC' WHERE k = 'abc'").await.unwrap();
    us.run("DELETE FROM s.text_key WHERE k = 'ß'").await.unwrap();
    us.run("UPDATE s.pair_key SET a = a + 10").await.unwrap();
    us.run("UPDATE s.`odd ``name, of 表` SET `日本` = '他' WHERE id = 1").await.unwrap();
    mesh.expect_equal(&TYPE_TABLES, BOUND).await.unwrap();
    assert_eq!(eu.value("SELECT HEX(k) FROM s.text_key WHERE v = 1").await.unwrap(), "414243");
    assert_eq!(eu.value("SELECT COUNT(*) FROM s.text_key WHERE v = 2").await.unwrap(), "0");
}

#[tokio::test]
async fn a_trigger_on_the_receiving_side_does_not_fire_a_second_time() {
    let schema = "
CREATE DATABASE s;
CREATE TABLE s.t (id INT PRIMARY KEY, v INT);
CREATE TABLE s.audit (id INT AUTO_INCREMENT PRIMARY KEY, t INT, what VARCHAR(10));
CREATE TRIGGER s.ai AFTER INSERT ON s.t FOR EACH ROW INSERT INTO s.audit (t, what) VALUES (NEW.id, 'insert');
CREATE TRIGGER s.au AFTER UPDATE ON s.t FOR EACH ROW INSERT INTO s.audit (t, what) VALUES (NEW.id, 'update');
CREATE TRIGGER s.bd BEFORE DELETE ON s.t FOR EACH ROW INSERT INTO s.audit (t, what) VALUES (OLD.id, 'delete');
";
    let mut mesh = pair(schema).await;
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("INSERT INTO s.t VALUES (1, 1), (2, 2)").await.unwrap();
    mesh.expect_equal(&["s.t", "s.audit"], BOUND).await.unwrap();
    let mut us = mesh.root("us").await.unwrap();
    us.run("UPDATE s.t SET v = 3 WHERE id = 1").await.unwrap();
    us.run("DELETE FROM s.t WHERE id = 2").await.unwrap();
    mesh.expect_equal(&["s.t", "s.audit"], BOUND).await.unwrap();
    let entries = "SELECT CONCAT(t, what) FROM s.audit ORDER BY id";
    assert_eq!(eu.column(entries).await.unwrap(), ["1insert", "2insert", "1update", "2delete"]);
}

#[tokio::test]
async fn auto_increment_keys_of_two_regions_do_not_meet() {
    let schema = "
CREATE DATABASE s;
CREATE TABLE s.t (id BIGINT AUTO_INCREMENT PRIMARY KEY, origin VARCHAR(4), n INT);
";
    let mut mesh = pair(schema).await;
    let mut eu = mesh.root("eu").await.unwrap();
    let mut us = mesh.root("us").await.unwrap();
    for n in 0..50 {
        eu.run(format!("INSERT INTO s.t (origin, n) VALUES ('eu', {n}), ('eu', {n})")).await.unwrap();
        us.run(format!("INSERT INTO s.t (origin, n) VALUES ('us', {n})")).await.unwrap();
    }
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    assert_eq!(us.number("SELECT COUNT(*) FROM s.t").await.unwrap(), 150);
}

#[tokio::test]
async fn what_a_client_rolls_back_is_not_carried_and_savepoints_count() {
    let schema = "CREATE DATABASE s;\nCREATE TABLE s.t (id INT PRIMARY KEY, v INT);";
    let mut mesh = pair(schema).await;
    let mut eu = mesh.root("eu").await.unwrap();
    let statements = [
        "BEGIN",
        "INSERT INTO s.t VALUES (1, 1)",
        "ROLLBACK",
        "BEGIN",
        "INSERT INTO s.t VALUES (2, 2)",
        "SAVEPOINT a",
        "INSERT INTO s.t VALUES (3, 3)",
        "ROLLBACK TO a",
        "UPDATE s.t SET v = 5 WHERE id = 2",
        "COMMIT",
    ];
    for statement in statements {
        eu.run(statement).await.unwrap();
    }
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    let mut us = mesh.root("us").await.unwrap();
    assert_eq!(us.rows("SELECT id, v FROM s.t").await.unwrap(), [["2", "5"]]);
}

#[tokio::test]
async fn compressed_transactions_and_changes_of_keys_in_one_transaction_arrive() {
    let schema = "CREATE DATABASE s;\nCREATE TABLE s.t (id INT PRIMARY KEY, v INT UNIQUE, w TEXT);";
    let mut mesh = pair(schema).await;
    let mut eu = mesh.root("eu").await.unwrap();
    eu.run("SET SESSION binlog_transaction_compression = ON").await.unwrap();
    eu.run("INSERT INTO s.t VALUES (1, 1, REPEAT('a', 10000)), (2, 2, ''), (3, 3, NULL)").await.unwrap();
    let swap = [
        "BEGIN",
        "UPDATE s.t SET v = NULL WHERE id = 1",
        "UPDATE s.t SET v = 1 WHERE id = 2",
        "UPDATE s.t SET v = 2 WHERE id = 1",
        "UPDATE s.t SET id = 9 WHERE id = 3",
        "INSERT INTO s.t VALUES (3, 4, 'new')",
        "DELETE FROM s.t WHERE id = 9",
        "INSERT INTO s.t VALUES (9, 3, 'again')",
        "COMMIT",
    ];
    for statement in swap {
        eu.run(statement).await.unwrap();
    }
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    let mut us = mesh.root("us").await.unwrap();
    assert_eq!(us.column("SELECT v FROM s.t ORDER BY id").await.unwrap(), ["2", "1", "4", "3"]);
}

#[tokio::test]
async fn excluded_tables_stay_where_they_are() {
    let schema = "
CREATE DATABASE s;
CREATE DATABASE other;
CREATE TABLE s.kept (id INT PRIMARY KEY);
CREATE TABLE s.tmp_scratch (id INT PRIMARY KEY);
CREATE TABLE other.t (id INT PRIMARY KEY);
";
    let mut mesh = MeshPlan::of(&["eu", "us"])
        .schema(schema)
        .edit(|_, config| {
            integration::mesh::set(config, "mesh.include", vec!["s.*".to_owned()]);
            integration::mesh::set(config, "mesh.exclude", vec!["s.tmp_*".to_owned()]);
        })
        .start()
        .await
        .unwrap();
    let mut eu = mesh.root("eu").await.unwrap();
    for statement in [
        "BEGIN",
        "INSERT INTO s.kept VALUES (1)",
        "INSERT INTO s.tmp_scratch VALUES (1)",
        "INSERT INTO other.t VALUES (1)",
        "COMMIT",
    ] {
        eu.run(statement).await.unwrap();
    }
    eu.run("INSERT INTO other.t VALUES (2)").await.unwrap();
    mesh.expect_equal(&["s.kept"], BOUND).await.unwrap();
    let mut us = mesh.root("us").await.unwrap();
    assert_eq!(us.number("SELECT COUNT(*) FROM s.kept").await.unwrap(), 1);
    assert_eq!(us.number("SELECT COUNT(*) FROM s.tmp_scratch").await.unwrap(), 0);
    assert_eq!(us.number("SELECT COUNT(*) FROM other.t").await.unwrap(), 0);
}

#[tokio::test]
async fn three_regions_become_equal_and_no_transaction_goes_round() {
    let schema =
        "CREATE DATABASE s;\nCREATE TABLE s.t (id INT AUTO_INCREMENT PRIMARY KEY, origin VARCHAR(4));";
    let mut mesh = MeshPlan::of(&["eu", "us", "ap"]).schema(schema).start().await.unwrap();
    let mut before = Vec::new();
    for region in &mesh.regions {
        before.push(region.concord.status().await.unwrap().extractor.sequence);
    }
    for round in 0..30 {
        for name in mesh.names() {
            // One more in each next region, so that a mix-up of regions shows in the counts.
            let rows = ["('x')"; 3][..1 + round % 3].join(", ");
            mesh.root(&name)
                .await
                .unwrap()
                .run(format!("INSERT INTO s.t (origin) VALUES {rows}"))
                .await
                .unwrap();
        }
    }
    mesh.expect_equal(&["s.t"], BOUND).await.unwrap();
    for (region, before) in mesh.regions.iter().zip(before) {
        let status = region.concord.status().await.unwrap();
        assert_eq!(
            status.extractor.sequence - before,
            30,
            "{} has a log with other transactions than its own",
            region.name
        );
    }
}

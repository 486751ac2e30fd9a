//! The tills' database on MariaDB: its tables and sixty days of receipts.

use std::fmt::Write;

use jiff::civil::{Date, Weekday};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Transaction, TxOpts};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::{Outcome, calendar, goods};

/// Children first, the order in which they can be dropped.
const TABLES: &str = "sale_lines, sales, product_map, stores";

/// How many receipts are sent at once: below the server's limit of 16 MiB for one statement, by far.
const SALES_PER_INSERT: usize = 5_000;

pub async fn connect(url: &str) -> Outcome<Conn> {
    // The driver knows MariaDB's protocol by its older name.
    let url = url.replacen("mariadb://", "mysql://", 1);
    let mut connection = Conn::new(Opts::from_url(&url)?).await?;
    // TIMESTAMP values are read and written in the session's zone, wherever the server stands.
    connection.query_drop("SET time_zone = '+00:00'").await?;
    Ok(connection)
}

pub async fn create(url: &str, again: bool) -> Outcome<()> {
    let mut connection = connect(url).await?;
    if again {
        connection
            .query_drop(format!("DROP TABLE IF EXISTS {TABLES}"))
            .await?;
    }
    for statement in include_str!("../../schemas/pos.sql")
        .split(";\n")
        .filter(|text| !text.trim().is_empty())
    {
        connection.query_drop(statement).await?;
    }
    println!("tills: tables are there: {TABLES}");
    Ok(connection.disconnect().await?)
}

/// All in one transaction: an interrupted `fill` leaves nothing behind.
pub async fn fill(url: &str, lines: u64, seed: u64, until: Date) -> Outcome<()> {
    let mut connection = connect(url).await?;
    let filled: Option<u64> = connection
        .query_first("SELECT count(*) FROM sale_lines")
        .await?;
    if let Some(filled @ 1..) = filled {
        println!("tills: hold {filled} receipt lines already, left as they are");
        return Ok(());
    }
    // The rows are right by construction, and looking up each one's parents takes half of the time.
    connection
        .query_drop("SET foreign_key_checks = 0, unique_checks = 0")
        .await?;
    let mut random = StdRng::seed_from_u64(seed ^ 0x7111);
    let mut transaction = connection.start_transaction(TxOpts::default()).await?;
    transaction
        .query_drop(format!("INSERT INTO stores VALUES {}", stores(until)))
        .await?;
    transaction
        .query_drop(format!("INSERT INTO product_map VALUES {}", product_map()))
        .await?;

    let mut sales = Sales {
        next_sale: 1,
        next_line: 1,
        sale_rows: String::new(),
        line_rows: String::new(),
    };
    // Three lines a receipt.
    for (day, share) in calendar::shares(until, lines / 3, calendar::tills_rhythm)? {
        for nth in 0..share {
            sales.add(&mut random, day);
            if nth as usize % SALES_PER_INSERT == SALES_PER_INSERT - 1 {
                sales.send(&mut transaction).await?;
            }
        }
        sales.send(&mut transaction).await?;
    }
    transaction.commit().await?;
    println!(
        "tills: {} stores, {} products, {} receipts, {} lines",
        goods::STORES,
        goods::PRODUCTS,
        sales.next_sale - 1,
        sales.next_line - 1
    );
    Ok(connection.disconnect().await?)
}

fn stores(until: Date) -> String {
    let mut rows = String::new();
    for id in 1..=goods::STORES {
        let (region, _) = goods::CITIES[usize::from(id) % goods::CITIES.len()];
        let format = ["flagship", "standard", "standard", "express"][usize::from(id) % 4];
        let opened = format!(
            "{}-{:02}-01",
            until.year() - 1 - (id % 20) as i16,
            id % 12 + 1
        );
        let sundays = goods::open_on_sundays(id);
        let facilities = format!(
            r#"{{"parking": {}, "cafe": {}}}"#,
            id * 7 % 120,
            id % 3 == 0
        );
        separate(&mut rows);
        let _ = write!(
            rows,
            "({id}, '{region} {id}호점', '{region}', '{format}', '{opened}', NULL, {sundays}, '{facilities}')"
        );
    }
    rows
}

fn product_map() -> String {
    let mut rows = String::new();
    for number in 0..goods::PRODUCTS {
        let product = goods::product(number);
        let fresh = matches!(product.shelf, "과일" | "채소" | "정육" | "수산");
        separate(&mut rows);
        let _ = write!(
            rows,
            "('{}', '{}', '{}', {fresh})",
            product.barcode, product.code, product.name
        );
    }
    rows
}

fn separate(rows: &mut String) {
    if !rows.is_empty() {
        rows.push(',');
    }
}

struct Sales {
    next_sale: u64,
    next_line: u64,
    sale_rows: String,
    line_rows: String,
}

impl Sales {
    fn add(&mut self, random: &mut StdRng, day: Date) {
        let mut total = 0i64;
        for _ in 0..random.random_range(1..=5) {
            let (line, amount) = line(random);
            total += amount;
            separate(&mut self.line_rows);
            let _ = write!(
                self.line_rows,
                "({}, {}, {line})",
                self.next_line, self.next_sale
            );
            self.next_line += 1;
        }
        let store = loop {
            let store = random.random_range(1..=goods::STORES);
            if day.weekday() != Weekday::Sunday || goods::open_on_sundays(store) {
                break store;
            }
        };
        let (hour, minute, second) = (
            random.random_range(9..22),
            random.random_range(0..60),
            random.random_range(0..60),
        );
        let sold_at = format!(
            "{day} {hour:02}:{minute:02}:{second:02}.{:03}",
            random.random_range(0..1_000)
        );
        let (till, rest) = (random.random_range(1..=8), receipt(random));
        separate(&mut self.sale_rows);
        // The head office is nine hours behind Seoul's wall clock, because it keeps UTC.
        let _ = write!(
            self.sale_rows,
            "({}, {store}, {till}, '{sold_at}', '{sold_at}' - INTERVAL 9 HOUR, {rest}, {total})",
            self.next_sale
        );
        self.next_sale += 1;
    }

    async fn send(&mut self, transaction: &mut Transaction<'_>) -> Outcome<()> {
        if self.sale_rows.is_empty() {
            return Ok(());
        }
        let sales = std::mem::take(&mut self.sale_rows);
        transaction
            .query_drop(format!("INSERT INTO sales (sale_id, store_id, till, sold_at, recorded_at, payment, member_no, total) VALUES {sales}"))
            .await?;
        let lines = std::mem::take(&mut self.line_rows);
        transaction
            .query_drop(format!("INSERT INTO sale_lines (line_id, sale_id, barcode, quantity, unit_price, discount) VALUES {lines}"))
            .await?;
        Ok(())
    }
}

/// What the till read, as SQL values of (barcode, quantity, unit_price, discount), and what it costs in won.
pub fn line(random: &mut StdRng) -> (String, i64) {
    let product = goods::product(goods::any_product(random));
    // One line of fifty is something brought back.
    let quantity: i64 = if random.random_bool(0.02) {
        -1
    } else {
        random.random_range(1..=4)
    };
    let tenths = if random.random_bool(0.15) {
        Some(random.random_range(1..=3))
    } else {
        None
    };
    let discount = tenths.map_or("NULL".to_owned(), |tenths| format!("0.{tenths}000"));
    let amount = i64::from(product.price) * quantity * (10 - tenths.unwrap_or(0)) / 10;
    (
        format!(
            "'{}', {quantity}, {}, {discount}",
            product.barcode, product.price
        ),
        amount,
    )
}

/// How a receipt was paid and by whom, as SQL values of (payment, member_no).
pub fn receipt(random: &mut StdRng) -> String {
    let payment = [
        "card", "card", "card", "mobile", "mobile", "cash", "voucher",
    ][random.random_range(0..7)];
    let member = if random.random_bool(0.4) {
        format!("'M{:08}'", random.random_range(1..50_000))
    } else {
        "NULL".to_owned()
    };
    format!("'{payment}', {member}")
}

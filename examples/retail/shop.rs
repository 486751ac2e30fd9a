//! The shop's database on PostgreSQL: its tables and sixty days of orders.

use std::fmt::Write;

use bytes::Bytes;
use futures_util::{SinkExt, pin_mut};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_postgres::{Client, NoTls, Transaction};

use crate::{Outcome, calendar, goods};

const TABLES: &str = "order_items, orders, products, customers";

/// How many orders are sent at once: a few megabytes of text.
const ORDERS_PER_COPY: usize = 20_000;

pub async fn connect(url: &str) -> Outcome<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

pub async fn create(url: &str, again: bool) -> Outcome<()> {
    let client = connect(url).await?;
    // "already exists, skipping" is what a second run is meant to find.
    client
        .batch_execute("SET client_min_messages = warning")
        .await?;
    if again {
        client
            .batch_execute(&format!(
                "DROP TABLE IF EXISTS {TABLES}; DROP TYPE IF EXISTS order_status"
            ))
            .await?;
    }
    client
        .batch_execute(include_str!("../../schemas/ec.sql"))
        .await?;
    println!("shop:  tables are there: {TABLES}");
    Ok(())
}

/// All in one transaction: an interrupted `fill` leaves nothing behind.
pub async fn fill(url: &str, items: u64, seed: u64, until: Date) -> Outcome<()> {
    let mut client = connect(url).await?;
    let filled: i64 = client
        .query_one("SELECT count(*) FROM order_items", &[])
        .await?
        .get(0);
    if filled > 0 {
        println!("shop:  holds {filled} order items already, left as it is");
        return Ok(());
    }
    let mut random = StdRng::seed_from_u64(seed);
    let customers = (items / 20).max(50);
    let transaction = client.transaction().await?;
    copy(
        &transaction,
        "products (product_code, name, category, list_price, weight_kg, attributes, discontinued)",
        products(),
    )
    .await?;
    copy(
        &transaction,
        "customers (customer_id, name, email, phone, birth_date, newsletter, preferences, joined_at, updated_at)",
        customer_rows(&mut random, customers, until)?,
    )
    .await?;

    let mut orders = Orders {
        customers,
        until,
        next_order: 1,
        next_item: 1,
        order_rows: String::new(),
        item_rows: String::new(),
    };
    // Two and a half items an order.
    for (day, share) in calendar::shares(until, items * 2 / 5, calendar::shop_rhythm)? {
        for nth in 0..share {
            orders.add(&mut random, day)?;
            if nth as usize % ORDERS_PER_COPY == ORDERS_PER_COPY - 1 {
                orders.send(&transaction).await?;
            }
        }
        orders.send(&transaction).await?;
    }
    // Rows with numbers of their own do not move the counters that give out the next ones.
    transaction
        .batch_execute(
            "SELECT setval(pg_get_serial_sequence('customers', 'customer_id'), max(customer_id)) FROM customers;
             SELECT setval(pg_get_serial_sequence('orders', 'order_id'), max(order_id)) FROM orders;
             SELECT setval(pg_get_serial_sequence('order_items', 'item_id'), max(item_id)) FROM order_items",
        )
        .await?;
    transaction.commit().await?;
    client.batch_execute("ANALYZE").await?;
    println!(
        "shop:  {} products, {customers} customers, {} orders, {} order items",
        goods::PRODUCTS,
        orders.next_order - 1,
        orders.next_item - 1
    );
    Ok(())
}

/// Sends rows in COPY's text form; none of our values holds a tab, a line break or a backslash.
async fn copy(transaction: &Transaction<'_>, table_and_columns: &str, rows: String) -> Outcome<()> {
    let sink = transaction
        .copy_in::<_, Bytes>(&format!("COPY {table_and_columns} FROM STDIN"))
        .await?;
    pin_mut!(sink);
    sink.send(Bytes::from(rows)).await?;
    sink.finish().await?;
    Ok(())
}

fn products() -> String {
    let mut rows = String::new();
    for number in 0..goods::PRODUCTS {
        let product = goods::product(number);
        // Toys and paper goods are weighed by nobody.
        let weight = if number % 12 < 10 {
            format!("{}.{:03}", number % 5, number % 1_000)
        } else {
            r"\N".to_owned()
        };
        let origin = if number % 3 == 0 { "수입" } else { "국산" };
        let discontinued = number % 97 == 96;
        let _ = writeln!(
            rows,
            "{}\t{}\t{}\t{}.00\t{weight}\t{{\"origin\": \"{origin}\"}}\t{discontinued}",
            product.code, product.name, product.shelf, product.price
        );
    }
    rows
}

fn customer_rows(random: &mut StdRng, customers: u64, until: Date) -> Outcome<String> {
    let mut rows = String::new();
    for id in 1..=customers {
        let name = goods::person(random);
        let phone = if random.random_bool(0.8) {
            format!(
                "010-{:04}-{:04}",
                random.random_range(0..10_000),
                id % 10_000
            )
        } else {
            r"\N".to_owned()
        };
        let born = if random.random_bool(0.5) {
            until
                .checked_sub(random.random_range(18i64 * 365..80 * 365).days())?
                .to_string()
        } else {
            r"\N".to_owned()
        };
        let newsletter = random.random_bool(0.3);
        let joined = at(
            until.checked_sub(random.random_range(61..1_500).days())?,
            random,
        )?;
        let _ = writeln!(
            rows,
            "{id}\t{name}\tcustomer{id}@example.com\t{phone}\t{born}\t{newsletter}\t{{\"language\": \"ko\"}}\t{joined}\t{joined}"
        );
    }
    Ok(rows)
}

/// An instant on that day in Seoul, to the microsecond.
fn at(day: Date, random: &mut StdRng) -> Outcome<Timestamp> {
    let midnight = day.to_zoned(TimeZone::get("Asia/Seoul")?)?.timestamp();
    Ok(midnight.checked_add(random.random_range(0..86_400_000_000i64).microseconds())?)
}

struct Orders {
    customers: u64,
    until: Date,
    next_order: u64,
    next_item: u64,
    order_rows: String,
    item_rows: String,
}

impl Orders {
    fn add(&mut self, random: &mut StdRng, day: Date) -> Outcome<()> {
        let mut total = 0;
        for _ in 0..random.random_range(1..=4) {
            let product = goods::product(goods::any_product(random));
            let quantity = random.random_range(1..=3u32);
            let wrapped = random.random_bool(0.05);
            total += product.price * quantity;
            let _ = writeln!(
                self.item_rows,
                "{}\t{}\t{}\t{quantity}\t{}.00\t{wrapped}",
                self.next_item, self.next_order, product.code, product.price
            );
            self.next_item += 1;
        }
        let ordered_at = at(day, random)?;
        let (status, hours_later) = status(random, self.until.since(day)?.get_days());
        let updated_at = ordered_at.checked_add(hours_later.hours())?.min(
            self.until
                .to_zoned(TimeZone::get("Asia/Seoul")?)?
                .timestamp(),
        );
        let customer = random.random_range(1..=self.customers);
        let gift = if random.random_bool(0.04) {
            "생일 축하해요!"
        } else {
            r"\N"
        };
        let address = goods::address(random);
        let _ = writeln!(
            self.order_rows,
            "{}\t{customer}\t{status}\t{ordered_at}\t{total}.00\t{gift}\t{address}\t{updated_at}",
            self.next_order
        );
        self.next_order += 1;
        Ok(())
    }

    async fn send(&mut self, transaction: &Transaction<'_>) -> Outcome<()> {
        let orders = std::mem::take(&mut self.order_rows);
        copy(transaction, "orders (order_id, customer_id, status, ordered_at, total, gift_message, address, updated_at)", orders).await?;
        let items = std::mem::take(&mut self.item_rows);
        copy(
            transaction,
            "order_items (item_id, order_id, product_code, quantity, unit_price, gift_wrap)",
            items,
        )
        .await
    }
}

/// Where an order of that age stands, and how long after it was placed that was written down.
fn status(random: &mut StdRng, days_old: i32) -> (&'static str, i64) {
    if random.random_bool(0.04) {
        return ("cancelled", random.random_range(1..24));
    }
    match days_old {
        0..=1 => ("paid", 1),
        2..=3 => ("shipped", random.random_range(12..36)),
        _ => ("delivered", random.random_range(36..96)),
    }
}

//! One connection's work at the shop: orders, changes of their status, changes of customers.

use rand::Rng;
use rand::rngs::StdRng;
use tokio_postgres::{Client, Transaction};

use crate::traffic::{Ending, Pace, Tally};
use crate::{Outcome, goods, shop};

/// The next status of an order; one that is delivered or cancelled stays as it is.
const MOVE_ON: &str = "
    UPDATE orders
    SET status = (CASE WHEN $2 THEN 'cancelled'
                       WHEN status = 'placed' THEN 'paid'
                       WHEN status = 'paid' THEN 'shipped'
                       ELSE 'delivered' END)::order_status,
        updated_at = now()
    WHERE order_id = $1 AND status NOT IN ('delivered', 'cancelled')";

pub async fn play(url: String, mut random: StdRng, mut pace: Pace) -> Outcome<Tally> {
    let mut client = shop::connect(&url).await?;
    let mut tally = Tally::default();
    let customers: i64 = client
        .query_one("SELECT coalesce(max(customer_id), 0) FROM customers", &[])
        .await?
        .get(0);
    if customers == 0 {
        return Err("the shop has no customers yet: run `retail fill` first".into());
    }
    while pace.goes_on().await {
        transact(&mut client, customers, &mut random, &mut tally).await?;
    }
    Ok(tally)
}

async fn transact(
    client: &mut Client,
    customers: i64,
    random: &mut StdRng,
    tally: &mut Tally,
) -> Outcome<()> {
    let transaction = client.transaction().await?;
    let mut done = Tally::default();
    match random.random_range(0..100) {
        0..60 => {
            done.order_items =
                place_order(&transaction, random.random_range(1..=customers), random).await?
        }
        60..95 => done.status_changes = move_on(&transaction, random).await?,
        _ => {
            done.customer_changes =
                change_customer(&transaction, random.random_range(1..=customers), random).await?
        }
    }
    done.orders = u64::from(done.order_items > 0);
    if Ending::any(random).arrives(tally).await {
        transaction.commit().await?;
        *tally += done;
    } else {
        transaction.rollback().await?;
    }
    Ok(())
}

/// How many items the order has.
async fn place_order(
    transaction: &Transaction<'_>,
    customer: i64,
    random: &mut StdRng,
) -> Outcome<u64> {
    let items: Vec<(goods::Product, u32)> = (0..random.random_range(1..=4))
        .map(|_| {
            (
                goods::product(goods::any_product(random)),
                random.random_range(1..=3),
            )
        })
        .collect();
    let total: u32 = items
        .iter()
        .map(|(product, quantity)| product.price * quantity)
        .sum();
    let order: i64 = transaction
        .query_one(
            "INSERT INTO orders (customer_id, total, address) VALUES ($1, ($2::bigint)::numeric, ($3::text)::jsonb) RETURNING order_id",
            &[&customer, &i64::from(total), &goods::address(random)],
        )
        .await?
        .get(0);
    for (product, quantity) in &items {
        transaction
            .execute(
                "INSERT INTO order_items (order_id, product_code, quantity, unit_price) VALUES ($1, $2, $3, ($4::bigint)::numeric)",
                &[&order, &product.code, &(*quantity as i32), &i64::from(product.price)],
            )
            .await?;
    }
    Ok(items.len() as u64)
}

/// Mostly young orders change.
async fn move_on(transaction: &Transaction<'_>, random: &mut StdRng) -> Outcome<u64> {
    let newest: i64 = transaction
        .query_one("SELECT coalesce(max(order_id), 0) FROM orders", &[])
        .await?
        .get(0);
    let order = (newest - random.random_range(0..1_000)).max(1);
    Ok(transaction
        .execute(MOVE_ON, &[&order, &random.random_bool(0.05)])
        .await?)
}

async fn change_customer(
    transaction: &Transaction<'_>,
    customer: i64,
    random: &mut StdRng,
) -> Outcome<u64> {
    let phone = format!(
        "010-{:04}-{:04}",
        random.random_range(0..10_000),
        random.random_range(0..10_000)
    );
    Ok(transaction
        .execute("UPDATE customers SET phone = $2, newsletter = NOT newsletter, updated_at = now() WHERE customer_id = $1", &[&customer, &phone])
        .await?)
}

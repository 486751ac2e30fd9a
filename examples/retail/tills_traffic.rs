//! One connection's work at the tills: receipts with their lines.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, TxOpts};
use rand::Rng;
use rand::rngs::StdRng;

use crate::traffic::{Ending, Pace, Tally};
use crate::{Outcome, goods, tills};

pub async fn play(url: String, mut random: StdRng, mut pace: Pace) -> Outcome<Tally> {
    let mut connection = tills::connect(&url).await?;
    let mut tally = Tally::default();
    while pace.goes_on().await {
        sell(&mut connection, &mut random, &mut tally).await?;
    }
    connection.disconnect().await?;
    Ok(tally)
}

async fn sell(connection: &mut Conn, random: &mut StdRng, tally: &mut Tally) -> Outcome<()> {
    let lines: Vec<(String, i64)> = (0..random.random_range(1..=5))
        .map(|_| tills::line(random))
        .collect();
    let total: i64 = lines.iter().map(|(_, amount)| amount).sum();
    let (store, till) = (
        random.random_range(1..=goods::STORES),
        random.random_range(1..=8),
    );

    let mut transaction = connection.start_transaction(TxOpts::default()).await?;
    // The store's wall clock is nine hours ahead of UTC all year round.
    transaction
        .query_drop(format!(
            "INSERT INTO sales (store_id, till, sold_at, payment, member_no, total)
             VALUES ({store}, {till}, utc_timestamp(3) + INTERVAL 9 HOUR, {}, {total})",
            tills::receipt(random)
        ))
        .await?;
    let sale = transaction
        .last_insert_id()
        .ok_or("the server gave the receipt no number")?;
    let rows: Vec<String> = lines
        .iter()
        .map(|(line, _)| format!("({sale}, {line})"))
        .collect();
    transaction
        .query_drop(format!(
            "INSERT INTO sale_lines (sale_id, barcode, quantity, unit_price, discount) VALUES {}",
            rows.join(", ")
        ))
        .await?;
    if Ending::any(random).arrives(tally).await {
        transaction.commit().await?;
        tally.sales += 1;
        tally.sale_lines += rows.len() as u64;
    } else {
        transaction.rollback().await?;
    }
    Ok(())
}

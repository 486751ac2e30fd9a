//! The forecasters' question, answered by the databases themselves: what the lake must answer, too.

use mysql_async::prelude::Queryable;

use crate::{Outcome, shop, tills};

const SHOP: &str = "
    SELECT (o.ordered_at AT TIME ZONE 'Asia/Seoul')::date::text, i.product_code, sum(i.quantity)::bigint
    FROM order_items i JOIN orders o USING (order_id)
    WHERE o.status <> 'cancelled'
    GROUP BY 1, 2";

/// `STRAIGHT_JOIN` reads the lines once, in the order they were written, where their receipts lie beside each other; by
/// barcode, as the server would choose, ten million rows take it more than ten minutes.
const TILLS: &str = "
    SELECT STRAIGHT_JOIN date_format(s.sold_at, '%Y-%m-%d'), m.product_code, CAST(sum(l.quantity) AS SIGNED)
    FROM sale_lines l JOIN sales s USING (sale_id) JOIN product_map m USING (barcode)
    GROUP BY 1, 2";

/// Both channels' units per day and product, sorted, so that two answers can be compared line by line.
pub async fn print(ec: &str, pos: &str) -> Outcome<()> {
    let mut lines: Vec<String> = Vec::new();
    for row in shop::connect(ec).await?.query(SHOP, &[]).await? {
        let (day, product, units): (&str, &str, i64) = (row.get(0), row.get(1), row.get(2));
        lines.push(format!("{day},{product},shop,{units}"));
    }
    let mut connection = tills::connect(pos).await?;
    let sold: Vec<(String, String, i64)> = connection.query(TILLS).await?;
    lines.extend(
        sold.into_iter()
            .map(|(day, product, units)| format!("{day},{product},tills,{units}")),
    );
    connection.disconnect().await?;
    lines.sort();
    println!("day,product_code,channel,units");
    for line in lines {
        println!("{line}");
    }
    Ok(())
}

"""The forecasters' question, asked of the lake: units sold per day, product and channel, shop and tills together.

usage: forecast.py ANSWER.csv CDC [ARGUMENT…]

DuckDB answers it from the Parquet files on S3. ANSWER.csv is what the databases say. Exit 1 if the two differ. What to open
is asked of the product itself: `CDC [ARGUMENT…] sql TABLE` prints the statement that gives a table's present rows.
"""

import csv
import os
import re
import subprocess
import sys

import duckdb
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.utils import glob_translate
from pyarrow.fs import FileSelector, S3FileSystem

TABLES = ["orders", "order_items", "sales", "sale_lines", "product_map"]

# The same as the databases are asked, except that this is one query over both of them. A cancelled order was not sold.
QUERY = """
SELECT CAST(CAST(o.ordered_at AT TIME ZONE 'Asia/Seoul' AS date) AS text) AS day, i.product_code, 'shop' AS channel,
       CAST(sum(i.quantity) AS bigint) AS units
FROM order_items i JOIN orders o USING (order_id)
WHERE o.status <> 'cancelled'
GROUP BY ALL
UNION ALL
SELECT CAST(CAST(s.sold_at AS date) AS text), m.product_code, 'tills', CAST(sum(l.quantity) AS bigint)
FROM sale_lines l JOIN sales s USING (sale_id) JOIN product_map m USING (barcode)
GROUP BY ALL
"""


class Lake(ArrowFSWrapper):
    """`s3://` for DuckDB by way of pyarrow, so that DuckDB needs to download no extension."""

    protocol = "s3"

    @classmethod
    def _strip_protocol(cls, path):
        return path.removeprefix("s3://")

    def glob(self, path, **options):
        """One listing. The inherited way asks for each folder as if it were an object, and an S3 server has no folders."""
        pattern = self._strip_protocol(path)
        folder = pattern.split("*")[0].rpartition("/")[0]
        matches = re.compile(glob_translate(pattern)).match
        found = self.fs.get_file_info(FileSelector(folder, recursive=True, allow_not_found=True))
        return sorted(file.path for file in found if file.is_file and matches(file.path))


def open_lake():
    database = duckdb.connect()
    database.register_filesystem(Lake(S3FileSystem(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=os.environ["S3_ENDPOINT"],
        region=os.environ["AWS_REGION"],
    )))
    return database


def create_view(database, cdc, table):
    statement = subprocess.run([*cdc, "sql", table], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    if statement.upper().startswith("CREATE"):
        database.execute(statement)
    else:
        database.execute(f"CREATE VIEW {table} AS {statement.rstrip(';')}")


def show(lake, databases):
    """The last week, all products together: small enough to look at."""
    days = sorted({day for day, _, _ in lake | databases})[-7:]
    print(f"{'day':<12}{'channel':<9}{'lake':>10}{'databases':>12}")
    for day in days:
        for channel in ("shop", "tills"):
            sums = [sum(units for (d, _, c), units in answer.items() if (d, c) == (day, channel)) for answer in (lake, databases)]
            print(f"{day:<12}{channel:<9}{sums[0]:>10,}{sums[1]:>12,}")


def main():
    answer, *cdc = sys.argv[1:]
    with open(answer, newline="") as file:
        databases = {(row["day"], row["product_code"], row["channel"]): int(row["units"]) for row in csv.DictReader(file)}
    database = open_lake()
    for table in TABLES:
        create_view(database, cdc, table)
    lake = {(day, product, channel): units for day, product, channel, units in database.execute(QUERY).fetchall()}
    database.close()

    show(lake, databases)
    different = sorted(key for key in lake.keys() | databases.keys() if lake.get(key) != databases.get(key))
    if different or not databases:
        for key in different[:10]:
            print(f"differs: {', '.join(key)}: the lake says {lake.get(key)}, the databases say {databases.get(key)}")
        print(f"NOT EQUAL: {len(different)} of {len(lake.keys() | databases.keys())} answers differ")
        sys.exit(1)
    print(f"equal: all {len(lake):,} answers (day, product, channel), {sum(lake.values()):,} units")


if __name__ == "__main__":
    main()

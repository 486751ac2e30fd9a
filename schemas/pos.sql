-- The tills (POS): MariaDB, database `tills`. Comments are the data dictionary: they travel with the tables.
-- Running this again changes nothing. DATETIME columns hold the stores' wall clocks, Asia/Seoul.

CREATE TABLE IF NOT EXISTS stores (
    store_id      smallint unsigned  NOT NULL PRIMARY KEY          COMMENT 'Number of the store, printed on every receipt',
    name          varchar(80)        NOT NULL                      COMMENT 'Name over the door, in Korean',
    region        varchar(40)        NOT NULL                      COMMENT 'Province or metropolitan city',
    format        enum('flagship', 'standard', 'express') NOT NULL COMMENT 'How large the store is and what it carries',
    opened_on     date               NOT NULL                      COMMENT 'First day of business',
    closed_on     date               NULL                          COMMENT 'Last day of business; empty while it is open',
    open_sundays  bool               NOT NULL DEFAULT true         COMMENT 'Whether it sells on Sundays',
    facilities    json               NOT NULL DEFAULT '{}'         COMMENT 'What the store has: parking places, café'
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COMMENT = 'The stores';

CREATE TABLE IF NOT EXISTS product_map (
    barcode       char(13)           NOT NULL PRIMARY KEY          COMMENT 'EAN-13 that the till reads',
    product_code  varchar(12)        NOT NULL                      COMMENT 'The code that the shop site uses for the same product',
    receipt_name  varchar(40)        NOT NULL                      COMMENT 'Short name printed on the receipt, in Korean',
    tax_free      bool               NOT NULL DEFAULT false        COMMENT 'Fresh food is free of value added tax',
    KEY product_map_code (product_code)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COMMENT = 'Which product each barcode means, shop and tills together';

CREATE TABLE IF NOT EXISTS sales (
    sale_id       bigint unsigned    NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'Number of the receipt',
    store_id      smallint unsigned  NOT NULL                      COMMENT 'Where it was sold',
    till          tinyint unsigned   NOT NULL                      COMMENT 'Which till of the store',
    sold_at       datetime(3)        NOT NULL                      COMMENT 'Wall clock of the store when the receipt was printed, Asia/Seoul',
    recorded_at   timestamp(6)       NOT NULL DEFAULT current_timestamp(6) COMMENT 'Instant the head office received it',
    payment       enum('card', 'cash', 'mobile', 'voucher') NOT NULL COMMENT 'How it was paid',
    total         decimal(14, 2)     NOT NULL                      COMMENT 'Sum of the receipt in won, tax included',
    member_no     varchar(16)        NULL                          COMMENT 'Loyalty card, if one was shown',
    KEY sales_sold_at (sold_at),
    CONSTRAINT sales_store FOREIGN KEY (store_id) REFERENCES stores (store_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COMMENT = 'Receipts of the tills; written once and never changed';

CREATE TABLE IF NOT EXISTS sale_lines (
    line_id       bigint unsigned    NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'Number of the line',
    sale_id       bigint unsigned    NOT NULL                      COMMENT 'The receipt it belongs to',
    barcode       char(13)           NOT NULL                      COMMENT 'What the till read',
    quantity      int                NOT NULL                      COMMENT 'How many; negative when goods were brought back',
    unit_price    decimal(12, 2)     NOT NULL                      COMMENT 'Price of one in won on that day',
    discount      decimal(5, 4)      NULL                          COMMENT 'Share taken off, 0.1000 is ten percent; empty without a promotion',
    KEY sale_lines_sale (sale_id),
    CONSTRAINT sale_lines_sale   FOREIGN KEY (sale_id) REFERENCES sales (sale_id),
    CONSTRAINT sale_lines_barcode FOREIGN KEY (barcode) REFERENCES product_map (barcode)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COMMENT = 'Lines of the receipts';

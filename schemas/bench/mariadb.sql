-- The table that scripts/bench fills: 15 columns of the sorts that tables mostly have.
CREATE TABLE bench (
    id           bigint unsigned  NOT NULL AUTO_INCREMENT PRIMARY KEY,
    customer_id  int              NOT NULL,
    store_id     smallint unsigned NOT NULL,
    quantity     int              NOT NULL,
    price        decimal(12, 2)   NOT NULL,
    discount     decimal(5, 4)    NULL,
    weight       double           NOT NULL,
    is_gift      bool             NOT NULL,
    currency     char(3)          NOT NULL,
    status       varchar(12)      NOT NULL,
    name         varchar(80)      NOT NULL,
    note         text             NULL,
    ordered_on   date             NOT NULL,
    created_at   datetime(6)      NOT NULL,
    updated_at   timestamp(6)     NOT NULL DEFAULT current_timestamp(6)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

//! The MariaDB room against a real server, named by `POS_ADMIN_URL`. Each test makes a database of its own.

mod catalog;
mod database;
mod exact;
mod families;
mod guard;
mod keys;
mod reading;
mod values;
#[path = "../way/mod.rs"]
mod way;

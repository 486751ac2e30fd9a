//! The MariaDB room against a real server, named by `POS_ADMIN_URL`. Each test makes a database of its own.

mod catalog;
mod database;
mod guard;
mod keys;
mod reading;
mod values;

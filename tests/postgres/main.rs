//! The PostgreSQL room against a real server, which is the oracle: what it renders is what we must have read.
//!
//! Needs `EC_ADMIN_URL`, a superuser's url (`eval "$(scripts/stack env)"`); each test makes a database of its own.

mod catalog;
mod exact;
mod families;
mod guards;
mod keys;
mod reading;
mod shop;
mod types;
#[path = "../way/mod.rs"]
mod way;

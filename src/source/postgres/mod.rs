//! Reads postgres.

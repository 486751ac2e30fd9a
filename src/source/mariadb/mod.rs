//! Reads mariadb.

//! `jdbc:postgresql://host:port/database?…` as a URL of ours. No message holds any part of it.

use super::jdbc_tls::{Tls, is_about_tls};
use crate::config::{DatabaseKind, DatabaseUrl};

/// What a JDBC URL means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JdbcUrl {
    pub kind: DatabaseKind,
    /// `host` or `host:port`.
    pub address: String,
    /// Percent-encoded, as it stands in a URL.
    pub database: String,
    pub user: Option<String>,
    pub has_password: bool,
    /// What stands behind the `?` of ours.
    pub tls: Vec<(&'static str, String)>,
    pub schema: Option<String>,
    /// Names of the driver's settings that have no equal and need none.
    pub dropped: Vec<String>,
    /// Those that would need one, and why there is none.
    pub lost: Vec<(String, &'static str)>,
}

impl JdbcUrl {
    /// The message is the rest of a sentence that begins with `connection.url`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix("jdbc:").unwrap_or(text);
        let scheme = text.split(':').next().unwrap_or_default();
        let kind = match scheme {
            "postgresql" | "postgres" => DatabaseKind::Postgres,
            "mysql" | "mariadb" => DatabaseKind::MariaDb,
            "" => return Err("is missing".to_owned()),
            _ => {
                return Err(
                    "is of a database `cdc` does not read; it reads PostgreSQL and MariaDB"
                        .to_owned(),
                );
            }
        };
        let rest = text
            .strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix("://"));
        let rest = rest.ok_or("is no `jdbc:…://host/database`")?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (address, database) = place.split_once('/').unwrap_or((place, ""));
        if address.contains(',') {
            return Err("names several hosts; name the one to read from".to_owned());
        }
        if address.is_empty() || database.is_empty() {
            return Err("names no host or no database".to_owned());
        }
        let mut url = JdbcUrl {
            kind,
            address: address.to_owned(),
            database: database.trim_end_matches('/').to_owned(),
            user: None,
            has_password: false,
            tls: Vec::new(),
            schema: None,
            dropped: Vec::new(),
            lost: Vec::new(),
        };
        let mut about_tls = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match is_about_tls(name) {
                true => about_tls.push((name.to_owned(), value.to_owned())),
                false => url.take(name, value),
            }
        }
        let tls = Tls::of(scheme, &about_tls);
        (url.tls, url.lost) = (tls.written, tls.lost);
        url.dropped.extend(tls.dropped);
        url.check()?;
        Ok(url)
    }

    fn take(&mut self, name: &str, value: &str) {
        match name {
            "user" => self.user = Some(value.to_owned()),
            "password" => self.has_password = true,
            "currentSchema" => self.schema = Some(value.to_owned()),
            _ => self.dropped.push(name.to_owned()),
        }
    }

    /// Whether it is one that is taken here, so that the written file can be read.
    fn check(&mut self) -> Result<(), String> {
        if DatabaseUrl::parse(&self.written("cdc")).is_err() {
            // Paths that are none; without them everything is checked by the system's authorities.
            let tls = std::mem::take(&mut self.tls);
            self.dropped
                .extend(tls.into_iter().map(|(name, _)| name.to_owned()));
        }
        DatabaseUrl::parse(&self.written("cdc")).map(|_| ())
    }

    /// Where a table stands that is named without a schema.
    pub fn default_schema(&self) -> &str {
        match self.kind {
            DatabaseKind::Postgres => "public",
            DatabaseKind::MariaDb => &self.database,
        }
    }

    /// The URL of ours for a login (`user`, `user:password`, or a reference).
    pub fn written(&self, login: &str) -> String {
        let scheme = match self.kind {
            DatabaseKind::Postgres => "postgres",
            DatabaseKind::MariaDb => "mariadb",
        };
        let (address, database) = (&self.address, &self.database);
        let tls: Vec<String> = self
            .tls
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let query = match tls.is_empty() {
            true => String::new(),
            false => format!("?{}", tls.join("&")),
        };
        format!("{scheme}://{login}@{address}/{database}{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jdbc_url_becomes_one_of_ours() {
        let shown = |text: &str| match JdbcUrl::parse(text) {
            Ok(url) => {
                let lost = url.lost.iter().map(|(name, _)| name.clone());
                let without: Vec<String> = url.dropped.iter().cloned().chain(lost).collect();
                format!("{} [{}]", url.written("cdc:x"), without.join(" "))
            }
            Err(why) => why,
        };
        for (theirs, ours) in [
            ("jdbc:postgresql://db/shop", "postgres://cdc:x@db/shop []"),
            (
                "jdbc:mysql://db:3307/tills?sslMode=VERIFY_IDENTITY&useCursorFetch=true",
                "mariadb://cdc:x@db:3307/tills?sslmode=verify-full [useCursorFetch]",
            ),
            (
                "jdbc:postgresql://db/shop?sslmode=prefer&sslcert=/a.pem",
                "postgres://cdc:x@db/shop [sslmode sslcert]",
            ),
            (
                "jdbc:mariadb://[::1]:3306/x",
                "mariadb://cdc:x@[::1]:3306/x []",
            ),
        ] {
            assert_eq!(shown(theirs), ours, "{theirs}");
        }
        for wrong in [
            "",
            "jdbc:oracle:thin:@db",
            "jdbc:sqlserver://db/x",
            "jdbc:postgresql://a,b/x",
            "jdbc:postgresql://db",
        ] {
            assert!(JdbcUrl::parse(wrong).is_err(), "{wrong}");
        }
    }
}

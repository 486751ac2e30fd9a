//! What a JDBC URL says about encryption, as `sslmode` and the files beside it. Pure.

/// What drivers call it, each by other words.
const WORDS: &[&str] = &[
    "sslmode",
    "ssl",
    "sslfactory",
    "useSSL",
    "requireSSL",
    "verifyServerCertificate",
    "trustServerCertificate",
    "disableSslHostnameVerification",
];

/// Those of them that are on or off.
const SWITCHES: &[&str] = &[
    "ssl",
    "useSSL",
    "requireSSL",
    "verifyServerCertificate",
    "trustServerCertificate",
    "disableSslHostnameVerification",
];

const FILES: &[&str] = &["sslrootcert", "serverSslCert", "sslcert", "sslkey"];

/// How files end that are no PEM files.
const OTHER_FILES: &[&str] = &[".pk8", ".p12", ".pfx", ".der"];

/// The modes of all drivers, and what they are here.
const MODES: &[(&str, Mode)] = &[
    ("disable", Ok("disable")),
    ("disabled", Ok("disable")),
    ("allow", Err(FALLS_BACK)),
    ("prefer", Err(FALLS_BACK)),
    ("preferred", Err(FALLS_BACK)),
    ("require", Ok("require")),
    ("required", Ok("require")),
    ("trust", Ok("require")),
    ("verify-ca", Ok("verify-ca")),
    ("verify_ca", Ok("verify-ca")),
    ("verify-full", Ok("verify-full")),
    ("verify_identity", Ok("verify-full")),
];

/// An `sslmode`, or why there is none.
type Mode = Result<&'static str, &'static str>;

const FALLS_BACK: &str = "goes without encryption where the server offers none, which no `sslmode` does here: a server that is not on loopback is checked in full until you write `sslmode=require` or `disable`";
const UNKNOWN: &str =
    "has an unknown value: write `sslmode` as disable, require, verify-ca or verify-full";
const NO_AUTHORITY: &str = "needs the authority's certificate in a PEM file, `sslrootcert`: `verify-full` was written, which asks the system's authorities and checks the host's name too";
const NO_FILE: &str =
    "is no absolute path: name PEM files by `sslrootcert`, `sslcert` and `sslkey`";
const NO_PEM: &str = "is left out: only PEM files are read, which `openssl` makes of it";
const ALONE: &str = "is left out: `sslcert` and `sslkey` belong together";
const UNUSED: &str =
    "is left out: the `sslmode` that was written looks at no certificate; `verify-full` does";
const STORE: &str = "is left out: stores of Java are not read; name PEM files by `sslrootcert`, `sslcert` and `sslkey`";

/// What the settings mean.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tls {
    /// What stands behind the `?` of ours.
    pub written: Vec<(&'static str, String)>,
    /// Settings that have no equal, and why: the rest of a sentence that begins with the name.
    pub lost: Vec<(String, &'static str)>,
    /// Settings that mean nothing without another one.
    pub dropped: Vec<String>,
}

/// Whether a driver's setting is about encryption.
pub(super) fn is_about_tls(name: &str) -> bool {
    let is_same = |known: &&str| name.eq_ignore_ascii_case(known);
    WORDS.iter().chain(FILES).any(is_same) || is_store(name)
}

fn is_store(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("keystore") || name.contains("truststore")
}

/// Of a class of PostgreSQL's driver.
fn checks_nothing(class: &str) -> bool {
    class.ends_with("NonValidatingFactory")
}

impl Tls {
    /// Translates the settings that [`is_about_tls`] means; `scheme` tells the drivers apart.
    pub fn of(scheme: &str, settings: &[(String, String)]) -> Self {
        let said = Said(settings);
        let mut tls = Tls::default();
        for (name, _) in settings.iter().filter(|(name, _)| is_store(name)) {
            tls.lose(name, STORE);
        }
        let unclear = |(_, value): &(&str, &str)| is_switched_on(value).is_none();
        let switches = SWITCHES.iter().filter_map(|word| said.of(word));
        for (name, _) in switches.filter(unclear) {
            tls.lose(name, UNKNOWN);
        }
        let decided = said.mode(scheme);
        let mut mode = match decided {
            Some((_, Ok(mode))) => Some(mode),
            Some((name, Err(why))) => {
                tls.lose(name, why);
                None
            }
            None => {
                let words = WORDS.iter().filter_map(|word| said.of(word));
                let is_lost = |name: &str| tls.lost.iter().any(|(lost, _)| lost == name);
                let words = words.filter(|(name, _)| !is_lost(name));
                tls.dropped = words.map(|(name, _)| name.to_owned()).collect();
                None
            }
        };
        if let (Some(_), Some((name, class))) = (decided, said.of("sslfactory"))
            && !checks_nothing(class)
        {
            tls.dropped.push(name.to_owned());
        }
        let mut authorities = tls.file(said.of("sslrootcert").or(said.of("serverSslCert")));
        let certificate = tls.file(said.of("sslcert"));
        let key = tls.file(said.of("sslkey"));
        let mut identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some((name, _)), None) | (None, Some((name, _))) => {
                tls.lose(name, ALONE);
                None
            }
        };
        if let (Some((name, Ok("verify-ca"))), None) = (decided, authorities) {
            tls.lose(name, NO_AUTHORITY);
            mode = Some("verify-full");
        }
        if let (Some("disable" | "require"), Some((name, _))) = (mode, authorities) {
            tls.lose(name, UNUSED);
            authorities = None;
        }
        if let (Some("disable"), Some(((certificate, _), (key, _)))) = (mode, identity) {
            tls.lose(certificate, UNUSED);
            tls.lose(key, UNUSED);
            identity = None;
        }
        let parts = [
            ("sslmode", mode),
            ("sslrootcert", authorities.map(|(_, path)| path)),
            ("sslcert", identity.map(|((_, path), _)| path)),
            ("sslkey", identity.map(|(_, (_, path))| path)),
        ];
        let written = parts.map(|(name, value)| Some((name, value?.to_owned())));
        tls.written = written.into_iter().flatten().collect();
        tls
    }

    fn lose(&mut self, name: &str, why: &'static str) {
        self.lost.push((name.to_owned(), why));
    }

    /// A file that is named by its whole path.
    fn file<'s>(&mut self, said: Option<(&'s str, &'s str)>) -> Option<(&'s str, &'s str)> {
        let (name, path) = said?;
        let is_other = |end: &&str| path.to_ascii_lowercase().ends_with(end);
        let why = match OTHER_FILES.iter().find(|end| is_other(end)) {
            Some(_) => NO_PEM,
            None if path.starts_with('/') => return said,
            None => NO_FILE,
        };
        self.lose(name, why);
        None
    }
}

/// Whether a switch is on; `None` where its value says neither.
fn is_switched_on(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "" | "1" | "true" | "yes" => Some(true),
        "0" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// The settings as they stand in the URL.
struct Said<'a>(&'a [(String, String)]);

impl<'a> Said<'a> {
    /// The name as it is written, and the value.
    fn of(&self, name: &str) -> Option<(&'a str, &'a str)> {
        let mut settings = self.0.iter();
        let found = settings.find(|(written, _)| written.eq_ignore_ascii_case(name));
        found.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The name of a switch, if it is on, or off.
    fn switch(&self, name: &str, is_on: bool) -> Option<&'a str> {
        let (name, value) = self.of(name)?;
        (is_switched_on(value) == Some(is_on)).then_some(name)
    }

    /// What decides how far it is encrypted, and what that is here.
    fn mode(&self, scheme: &str) -> Option<(&'a str, Mode)> {
        let on = |name| self.switch(name, true);
        let off = |name| self.switch(name, false);
        if let Some((name, value)) = self.of("sslmode") {
            let is_same = |(theirs, _): &&(&str, Mode)| value.eq_ignore_ascii_case(theirs);
            let known = MODES.iter().find(is_same);
            return Some((name, known.map_or(Err(UNKNOWN), |(_, mode)| *mode)));
        }
        match scheme {
            "postgres" | "postgresql" => {
                let mode = match self.of("sslfactory") {
                    Some((_, class)) if checks_nothing(class) => "require",
                    _ => "verify-full",
                };
                let off = || off("ssl").map(|name| (name, Err(FALLS_BACK)));
                on("ssl").map(|name| (name, Ok(mode))).or_else(off)
            }
            _ if off("useSSL").is_some() => off("useSSL").map(|name| (name, Ok("disable"))),
            "mysql" => {
                let least = || on("useSSL").map(|name| (name, Err(FALLS_BACK)));
                let some = || on("requireSSL").map(|name| (name, Ok("require")));
                let full = on("verifyServerCertificate").map(|name| (name, Ok("verify-ca")));
                full.or_else(some).or_else(least)
            }
            _ => {
                let mode = match on("trustServerCertificate") {
                    Some(_) => "require",
                    None if on("disableSslHostnameVerification").is_some() => "verify-ca",
                    None => "verify-full",
                };
                on("useSSL").map(|name| (name, Ok(mode)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(url: &str) -> Tls {
        let (scheme, query) = url.split_once('?').unwrap_or((url, ""));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        };
        let settings: Vec<_> = query.split('&').map(pair).collect();
        assert!(
            settings.iter().all(|(name, _)| is_about_tls(name)),
            "{query}"
        );
        Tls::of(scheme, &settings)
    }

    fn written(url: &str) -> String {
        let tls = tls(url).written;
        let pairs: Vec<_> = tls
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("&")
    }

    #[test]
    fn what_drivers_call_encryption_is_the_mode_that_does_the_same() {
        for (theirs, ours) in [
            ("mysql?useSSL=false", "sslmode=disable"),
            ("mysql?useSSL=false&requireSSL=true", "sslmode=disable"),
            ("mysql?useSSL=true&requireSSL=true", "sslmode=require"),
            ("mysql?requireSSL=true", "sslmode=require"),
            ("mysql?sslMode=REQUIRED&useSSL=false", "sslmode=require"),
            ("mysql?sslMode=DISABLED", "sslmode=disable"),
            ("mysql?sslMode=VERIFY_IDENTITY", "sslmode=verify-full"),
            ("mariadb?useSsl=true", "sslmode=verify-full"),
            (
                "mariadb?useSsl=true&trustServerCertificate=true",
                "sslmode=require",
            ),
            (
                "mariadb?useSSL=1&disableSslHostnameVerification=true&serverSslCert=/ca.pem",
                "sslmode=verify-ca&sslrootcert=/ca.pem",
            ),
            ("mariadb?useSSL=false", "sslmode=disable"),
            ("mysql?useSSL=yes&requireSSL=yes", "sslmode=require"),
            ("mysql?useSSL=no", "sslmode=disable"),
            ("mariadb?sslMode=trust", "sslmode=require"),
            ("postgresql?ssl=true&sslmode=require", "sslmode=require"),
            ("postgresql?ssl", "sslmode=verify-full"),
            (
                "postgresql?ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory",
                "sslmode=require",
            ),
            (
                "postgresql?sslmode=verify-ca&sslrootcert=/ca.pem&sslkey=/k.pem&sslcert=/c.pem",
                "sslmode=verify-ca&sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/k.pem",
            ),
        ] {
            assert_eq!(written(theirs), ours, "{theirs}");
            assert_eq!(tls(theirs).lost, [], "{theirs}");
        }
    }

    #[test]
    fn what_has_no_equal_is_named_with_the_reason() {
        for (theirs, ours, lost) in [
            ("mysql?useSSL=true", "", [("useSSL", FALLS_BACK)].as_slice()),
            ("mysql?sslMode=PREFERRED", "", &[("sslMode", FALLS_BACK)]),
            ("postgresql?ssl=false", "", &[("ssl", FALLS_BACK)]),
            ("mysql?useSSL=${file:x}", "", &[("useSSL", UNKNOWN)]),
            ("mariadb?useSsl=ture", "", &[("useSsl", UNKNOWN)]),
            (
                "postgresql?sslmode=require&sslcert=/c.pem&sslkey=/k.pk8",
                "sslmode=require",
                &[("sslkey", NO_PEM), ("sslcert", ALONE)],
            ),
            ("postgresql?sslmode=hunter2", "", &[("sslmode", UNKNOWN)]),
            (
                "mysql?useSSL=true&verifyServerCertificate=true",
                "sslmode=verify-full",
                &[("verifyServerCertificate", NO_AUTHORITY)],
            ),
            (
                "mysql?sslMode=VERIFY_CA&trustCertificateKeyStoreUrl=file:/ca.jks",
                "sslmode=verify-full",
                &[
                    ("trustCertificateKeyStoreUrl", STORE),
                    ("sslMode", NO_AUTHORITY),
                ],
            ),
            (
                "mariadb?sslMode=verify-full&serverSslCert=classpath:ca.pem",
                "sslmode=verify-full",
                &[("serverSslCert", NO_FILE)],
            ),
            (
                "postgresql?sslmode=require&sslrootcert=/ca.pem",
                "sslmode=require",
                &[("sslrootcert", UNUSED)],
            ),
            (
                "postgresql?sslmode=disable&sslcert=/c.pem&sslkey=/k.pem",
                "sslmode=disable",
                &[("sslcert", UNUSED), ("sslkey", UNUSED)],
            ),
            (
                "postgresql?sslmode=require&sslcert=/c.pem",
                "sslmode=require",
                &[("sslcert", ALONE)],
            ),
        ] {
            assert_eq!(written(theirs), ours, "{theirs}");
            let lost: Vec<_> = lost
                .iter()
                .map(|(name, why)| ((*name).to_owned(), *why))
                .collect();
            assert_eq!(tls(theirs).lost, lost, "{theirs}");
        }
        assert_eq!(
            tls("mariadb?trustServerCertificate=true").dropped,
            ["trustServerCertificate"]
        );
        let by_class = "postgresql?ssl=true&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory";
        assert_eq!(written(by_class), "sslmode=verify-full");
        assert_eq!(tls(by_class).dropped, ["sslfactory"]);
    }
}

//! How names and globs of tables lie to each other. Pure.

use crate::config::glob_matches;

pub(super) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// Schema and name; without a dot it stands in the default schema.
pub(super) fn parts<'p>(pattern: &'p str, default_schema: &'p str) -> (&'p str, &'p str) {
    pattern
        .rsplit_once('.')
        .unwrap_or((default_schema, pattern))
}

/// Whether every table of `narrow` is surely one of `wide` too.
pub(super) fn takes_all(wide: &str, narrow: &str, default_schema: &str) -> bool {
    let (wide, narrow) = (parts(wide, default_schema), parts(narrow, default_schema));
    covers(wide.0, narrow.0) && covers(wide.1, narrow.1)
}

/// Whether one of the globs takes all of it.
pub(super) fn is_taken(pattern: &str, globs: &[String], default_schema: &str) -> bool {
    let takes = |glob: &String| takes_all(glob, pattern, default_schema);
    globs.iter().any(takes)
}

/// The one of two parts that lies inside the other; `None` where neither surely does.
pub(super) fn narrower<'p>(one: &'p str, other: &'p str) -> Option<&'p str> {
    match (covers(one, other), covers(other, one)) {
        (true, _) => Some(other),
        (false, true) => Some(one),
        (false, false) => None,
    }
}

/// Whether what `narrow` matches is surely matched by `wide`: `*` may be empty or long, and holds what no name has.
fn covers(wide: &str, narrow: &str) -> bool {
    let sample = |any: &str| narrow.replace('*', any).replace('?', "\u{1}");
    ["", "\u{1}\u{1}\u{1}"]
        .iter()
        .all(|any| glob_matches(wide, &sample(any)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_and_name_are_held_against_each_other_by_themselves() {
        for (wide, narrow) in [
            ("*.*", "orders"),
            ("*.*orders*", "orders"),
            ("public.*", "log_*"),
            ("log_*", "public.log_web"),
            ("sales.*", "sales.log_*"),
        ] {
            assert!(takes_all(wide, narrow, "public"), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("orders", "sales.orders"),
            ("*", "sales.orders"),
            ("sales.log_?", "sales.log_*"),
            ("log_*", "*.*"),
        ] {
            assert!(!takes_all(wide, narrow, "public"), "{wide} {narrow}");
        }
    }

    #[test]
    fn of_two_parts_the_narrower_is_known() {
        assert_eq!(narrower("*", "sales"), Some("sales"));
        assert_eq!(narrower("log_web", "log_*"), Some("log_web"));
        assert_eq!(narrower("a*", "*b"), None);
        assert_eq!(narrower("a", "b"), None);
    }
}

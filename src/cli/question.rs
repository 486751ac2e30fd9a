//! A question before something that cannot be undone.

use std::io::IsTerminal;

use super::output;
use crate::error::{Error, Kind, Result};

/// Asks on a terminal; elsewhere `--yes` must say it.
pub fn confirm(question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let refused = Error::new(Kind::Usage, "nothing was changed, for nobody can be asked");
        return Err(refused
            .because(question.to_owned())
            .hint("add `--yes` to do it"));
    }
    output::note(&format!("{question} Type `yes` to go on:"));
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| Error::new(Kind::LocalIo, "reading the answer").because(e))?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => Err(Error::new(Kind::No, "nothing was changed")),
    }
}

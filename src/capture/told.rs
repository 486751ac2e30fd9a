//! What lasts is told once, until it is over.

/// Whether something that lasts was told.
#[derive(Debug, Default)]
pub struct ToldOnce {
    is_told: bool,
}

impl ToldOnce {
    /// Takes in whether it is there now; tells whether that is news.
    pub fn is_news(&mut self, is_there: bool) -> bool {
        let was_told = std::mem::replace(&mut self.is_told, is_there);
        is_there && !was_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_once_and_again_when_it_comes_back() {
        let mut told = ToldOnce::default();
        let looks = [false, true, true, true, false, false, true, true];
        let news = looks.map(|is_there| told.is_news(is_there));
        assert_eq!(news, [false, true, false, false, false, false, true, false]);
    }
}

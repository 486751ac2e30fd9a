//! Links between pages.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Page, lines, pages, read, root};

/// What a heading is linked by: lowercase, without punctuation, blanks as hyphens.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| {
        if c == ' ' {
            '-'
        } else {
            c.to_ascii_lowercase()
        }
    })
    .collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = lines(text)
        .into_iter()
        .filter(|(line, fenced)| !fenced && line.starts_with('#'));
    headings
        .map(|(line, _)| anchor(line.trim_start_matches('#')))
        .collect()
}

/// The targets of the links of a page, without those to other sites.
fn targets(page: &Page) -> Vec<String> {
    let mut targets = Vec::new();
    for (line, fenced) in lines(&page.text) {
        for (at, _) in line.match_indices("](").filter(|_| !fenced) {
            let rest = &line[at + 2..];
            let target = rest.split(')').next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                targets.push(target.to_owned());
            }
        }
    }
    targets
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut checked = 0;
    for page in pages() {
        for target in targets(&page) {
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
            let file = match path {
                "" => page.path.clone(),
                path => folder.join(path).to_string_lossy().into_owned(),
            };
            assert!(
                root().join(&file).exists(),
                "{}: `{target}` leads nowhere",
                page.path
            );
            let is_there = heading.is_empty() || anchors(&read(&file)).contains(heading);
            assert!(
                is_there,
                "{}: `{target}`: there is no such heading",
                page.path
            );
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let pages = pages();
    let mut reached = BTreeSet::from(["README.md".to_owned()]);
    let mut next = vec!["README.md".to_owned()];
    while let Some(path) = next.pop() {
        let Some(page) = pages.iter().find(|page| page.path == path) else {
            continue;
        };
        let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
        for target in targets(page) {
            let target = target.split('#').next().unwrap_or_default();
            let target = resolved(&folder.join(target));
            if reached.insert(target.clone()) {
                next.push(target);
            }
        }
    }
    let lost: Vec<_> = pages
        .iter()
        .map(|page| &page.path)
        .filter(|path| !reached.contains(*path))
        .collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}

/// Without `..`.
fn resolved(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.iter().map(|part| part.to_string_lossy().into_owned()) {
        match part.as_str() {
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

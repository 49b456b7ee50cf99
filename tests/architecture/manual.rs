//! The manual is a book: every page of `docs/` is in its summary, once, and every entry of the summary is a page.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{assert_committed, files_in, read, root};

/// From here on the summary is made from folders: their index first, then their pages by name.
const GENERATED: &str = "<!-- Generated: UPDATE_EXPECT=1 cargo test --test architecture -->\n";

/// These folders, each below its title.
const FOLDERS: [(&str, &[&str]); 3] =
    [("Runbooks", &["runbooks"]), ("Behaviour", &["behaviour"]), ("Inside", &["architecture", "decisions"])];

#[test]
fn the_summary_names_the_pages_of_whole_folders() {
    let summary = read("docs/SUMMARY.md");
    let (by_hand, _) = summary.split_once(GENERATED).unwrap_or((&summary, ""));
    let mut text = format!("{by_hand}{GENERATED}");
    for (title, folders) in FOLDERS {
        let _ = write!(text, "\n# {title}\n\n");
        for folder in folders {
            let index = format!("{folder}/README.md");
            let _ = writeln!(text, "- [{}]({index})", title_of(&index));
            let mut pages = pages_of(folder);
            pages.retain(|page| *page != index);
            for page in pages {
                let _ = writeln!(text, "  - [{}]({page})", title_of(&page));
            }
        }
    }
    assert_committed("docs/SUMMARY.md", &text);
}

/// The title of a page, which may stand below a comment that says how the page is made.
fn title_of(page: &str) -> String {
    let text = read(format!("docs/{page}"));
    let title = text.lines().take(3).find_map(|line| line.strip_prefix("# "));
    title.unwrap_or_else(|| panic!("{page} has no title")).to_owned()
}

fn pages_of(folder: &str) -> BTreeSet<String> {
    let pages = files_in(&root().join("docs").join(folder), "md");
    pages
        .iter()
        .map(|path| path.strip_prefix(root().join("docs")).expect("a page").to_string_lossy().into_owned())
        .collect()
}

/// The pages that the summary names, as paths in `docs/`.
fn summarized() -> Vec<String> {
    let summary = read("docs/SUMMARY.md");
    let targets = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(|target| target.trim_start_matches("./").to_owned()).collect()
}

#[test]
fn every_page_is_in_the_summary() {
    let mut pages = pages_of("");
    pages.remove("SUMMARY.md");
    let named = summarized();
    let distinct: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(distinct.len(), named.len(), "a page is named twice");
    let missing: Vec<_> = pages.difference(&distinct).collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md does not name {missing:?}");
    let unknown: Vec<_> = distinct.difference(&pages).collect();
    assert!(unknown.is_empty(), "docs/SUMMARY.md names {unknown:?}, which do not exist");
}

/// A page is found by its title.
#[test]
fn every_page_begins_with_a_title() {
    let titles = summarized().into_iter().map(|page| title_of(&page));
    assert!(titles.count() > 100);
}

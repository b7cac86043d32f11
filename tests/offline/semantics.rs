//! Every promise of docs/SEMANTICS.md is quoted by a test.

use std::fs;
use std::path::Path;

const SEMANTICS: &str = include_str!("../../docs/SEMANTICS.md");

fn test_sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).expect("the tests are there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            test_sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("semantics.rs") {
            found.push_str(&fs::read_to_string(&path).expect("text"));
        }
    }
}

#[test]
fn every_promise_is_quoted_by_a_test() {
    let mut sources = String::new();
    test_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut sources);
    let promises: Vec<&str> = SEMANTICS
        .lines()
        .filter_map(|line| Some(line.strip_prefix("**")?.split_once(". ")?.0))
        .filter(|number| number.starts_with('P'))
        .collect();
    assert!(promises.len() >= 13, "{promises:?}");
    for number in promises {
        assert!(sources.contains(&format!("/// {number}: ")), "no test quotes {number}");
    }
}

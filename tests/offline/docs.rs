//! The documentation agrees with the code: settings, commands, flags, metrics, error types and modules, and each link
//! has a target.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use kafka_consumer_lambda::config::{Config, SETTINGS};
use kafka_consumer_lambda::error::ErrorType;
use kafka_consumer_lambda::report::{TopicCounts, metrics_line};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of each row of the first table under the line `heading`, without the row of titles.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let page = text(page);
    let lines = page.lines().skip_while(|line| *line != heading).skip(1);
    let rows = lines.skip_while(|line| !line.starts_with('|'));
    rows.take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(cells)
        .collect()
}

fn cells(row: &str) -> Vec<String> {
    let inner = row.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The code spans of a cell.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn configuration_lists_every_setting_with_its_flag_and_default_and_no_other() {
    let listed: Vec<_> = table("docs/CONFIGURATION.md", "## Settings")
        .into_iter()
        .map(|row| match row.as_slice() {
            [variable, flag, default, meaning] => {
                assert!(!meaning.is_empty(), "{variable} has no meaning");
                (code(variable).concat(), code(flag).concat(), code(default).join(" "))
            }
            other => panic!("a row has other columns: {other:?}"),
        })
        .collect();
    let settings: Vec<_> = SETTINGS
        .iter()
        .map(|setting| {
            let alias = setting.alias.map_or_else(String::new, |alias| format!("--{alias}"));
            (
                setting.variable.to_owned(),
                alias,
                setting.default.unwrap_or_default().to_owned(),
            )
        })
        .collect();
    assert_eq!(listed, settings);
}

#[test]
fn the_example_of_routes_is_a_valid_setting() {
    let page = text("docs/CONFIGURATION.md");
    let (_, section) = page.split_once("\n## Routes\n").expect("there is such a section");
    let (_, rest) = section.split_once("```json\n").expect("there is an example");
    let (example, _) = rest.split_once("```").expect("the example ends");
    let settings = [
        ("KAFKA_TOPIC", "orders,users,payments-eu,payments-us,audit,clicks"),
        ("DESTINATION", example),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::from_lookup(settings).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn metrics_lists_every_metric_with_its_unit_and_no_other() {
    let counts = TopicCounts {
        lag: Some(0),
        ..TopicCounts::default()
    };
    let line: serde_json::Value = serde_json::from_str(&metrics_line("g", "t", &counts, 7, 0)).expect("JSON");
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    let written: BTreeMap<String, String> = directive["Metrics"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|metric| (metric["Name"].to_string(), metric["Unit"].to_string()))
        .collect();
    let page = text("docs/METRICS.md");
    let namespace = directive["Namespace"].as_str().expect("text");
    assert!(page.contains(&format!("Namespace: `{namespace}`.")));
    let listed: BTreeMap<String, String> = table("docs/METRICS.md", "# Metrics and alarms")
        .iter()
        .map(|row| (format!("{:?}", code(&row[0]).concat()), format!("{:?}", row[1])))
        .collect();
    assert_eq!(listed, written);
}

#[test]
fn operations_has_every_error_type_by_severity_with_its_meaning_and_next_step() {
    let listed: Vec<_> = table("docs/OPERATIONS.md", "## Error types")
        .into_iter()
        .map(|row| match row.as_slice() {
            [kind, meaning, next] => {
                assert!(!meaning.is_empty() && next.len() > 20, "{kind} has no next step");
                code(kind).concat()
            }
            other => panic!("a row has other columns: {other:?}"),
        })
        .collect();
    let types: Vec<_> = ErrorType::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(listed, types);
}

#[test]
fn destinations_lists_every_example_of_a_handler_and_quotes_one_as_it_is() {
    let table = table("docs/DESTINATIONS.md", "## A function in any language");
    let listed: BTreeSet<String> = table
        .iter()
        .filter_map(|row| Some(row[0].split(['[', ']']).nth(1)?.to_owned()))
        .collect();
    let examples = ["python", "node"].into_iter().flat_map(|folder| {
        let entries = fs::read_dir(root().join("examples/handlers").join(folder)).expect("a folder");
        entries.map(move |entry| format!("{folder}/{}", entry.expect("an entry").file_name().display()))
    });
    let is_handler = |name: &String| Path::new(name).extension().is_some_and(|it| it == "py" || it == "mjs");
    assert_eq!(listed, examples.filter(is_handler).collect());
    let quoted = text("examples/handlers/python/batch.py");
    assert!(text("docs/DESTINATIONS.md").contains(&format!("```python\n{quoted}```")));
}

#[test]
fn architecture_lists_every_module_of_the_crate_and_no_other() {
    let rows = table("docs/ARCHITECTURE.md", "## Modules");
    let listed: BTreeSet<&str> = rows.iter().flat_map(|row| code(&row[0])).collect();
    let files: Vec<PathBuf> = fs::read_dir(root().join("src"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    let stems = files.iter().filter_map(|path| path.file_stem()?.to_str());
    let modules: BTreeSet<&str> = stems.filter(|name| !["lib", "bin"].contains(name)).collect();
    assert_eq!(listed, modules);
}

#[cfg(feature = "cli")]
mod command_line {
    use assert_cmd::Command;

    use super::*;

    /// Flags by command: those that each page of the manual lists.
    type Flags = BTreeMap<String, BTreeSet<String>>;

    /// The manual is made of the arguments themselves. The program's own page has the name "".
    fn manual() -> Flags {
        let assert = Command::new(env!("CARGO_BIN_EXE_kafka-consumer"))
            .env_clear()
            .args(["completions", "man"])
            .assert()
            .success();
        let manual = String::from_utf8_lossy(&assert.get_output().stdout).replace(r"\-", "-");
        let mut commands = Flags::new();
        let mut command = String::new();
        for line in manual.lines() {
            if let Some(title) = line.strip_prefix(".TH kafka-consumer") {
                let page = title.split(' ').next().unwrap_or_default();
                command = page.trim_start_matches('-').replace('-', " ");
                commands.entry(command.clone()).or_default();
            } else if line.starts_with(r"\fB-") {
                // \fB-X\fR, \fB--property\fR \fI<NAME=VALUE>\fR
                let names = line.split(r"\fB").skip(1).filter_map(|part| part.split(r"\fR").next());
                commands
                    .entry(command.clone())
                    .or_default()
                    .extend(names.map(str::to_owned));
            }
        }
        commands
    }

    #[test]
    fn the_command_line_page_lists_every_command_and_flag_and_no_other() {
        let mut commands = manual();
        let common = commands.remove("").expect("the program has a page");
        let settings: BTreeSet<String> = SETTINGS.iter().map(|setting| format!("--{}", setting.flag())).collect();
        let named: BTreeSet<String> = common.difference(&settings).cloned().collect();
        assert!(settings.is_subset(&common), "{common:?}");

        let page = text("docs/CLI.md");
        let paragraph = page
            .split("\n\n")
            .find(|paragraph| paragraph.starts_with("These flags belong to every command"))
            .expect("there is such a paragraph");
        let flags = |cell: &str| -> BTreeSet<String> {
            let all = code(cell).into_iter().filter(|word| word.starts_with('-'));
            all.map(str::to_owned).collect()
        };
        assert_eq!(flags(paragraph), named);

        let listed: Flags = table("docs/CLI.md", "## Commands")
            .iter()
            .map(|row| (code(&row[0]).concat(), flags(&row[1])))
            .collect();
        // A group of commands does nothing by itself.
        commands.retain(|name, _| name != "offsets" && name != "table");
        for flags in commands.values_mut() {
            flags.retain(|flag| !named.contains(flag));
        }
        assert_eq!(listed, commands);
    }
}

/// All Markdown files of the repository, without those in folders of builds.
fn pages() -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !matches!(
                    name,
                    "target" | "dist" | ".git" | "node_modules" | "src" | "__pycache__"
                ) {
                    collect(&path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(root(), &mut found);
    found.sort();
    found
}

/// A page without code blocks and code spans. A span may continue on the next line.
fn prose(page: &str) -> String {
    let mut is_code = false;
    let mut text = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            text.push_str(line);
            text.push('\n');
        }
    }
    let paragraphs = text.split("\n\n");
    paragraphs
        .flat_map(|paragraph| paragraph.split('`').step_by(2))
        .collect()
}

/// The targets of `[text](target)` and of `src="target"`.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let inline = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next());
    let images = prose.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    inline.chain(images).map(str::to_owned).collect()
}

/// The anchors that GitHub gives to the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut anchors = BTreeSet::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        let heading = line.trim_start_matches('#');
        if is_code || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let anchor: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let first = (0..).map(|n| {
            if n == 0 {
                anchor.clone()
            } else {
                format!("{anchor}-{n}")
            }
        });
        let free = first.into_iter().find(|anchor| !anchors.contains(anchor));
        anchors.extend(free);
    }
    anchors
}

/// Without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::ParentDir => _ = normal.pop(),
            Component::CurDir => {}
            other => normal.push(other),
        }
        normal
    })
}

/// The fault of a link of the page `from`, if it has one.
fn problem(from: &Path, link: &str) -> Option<String> {
    if let Some(external) = link.strip_prefix("https://") {
        let is_host = external.split('/').next().is_some_and(|host| host.contains('.'));
        return (!is_host).then(|| "is not a URL".to_owned());
    }
    if link.contains("://") || link.starts_with('/') {
        return Some("is neither relative nor https".to_owned());
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => from.to_owned(),
        file => normal(&from.parent()?.join(file)),
    };
    if !target.starts_with(root()) || !target.exists() {
        return Some("has no target".to_owned());
    }
    let has_anchor = || fs::read_to_string(&target).is_ok_and(|page| anchors(&page).contains(anchor));
    (!anchor.is_empty() && !has_anchor()).then(|| "has no such heading".to_owned())
}

#[test]
fn every_link_of_the_documentation_has_a_target() {
    let pages = pages();
    assert!(pages.len() > 20, "{pages:?}");
    let broken: Vec<String> = pages
        .iter()
        .flat_map(|page| {
            let content = fs::read_to_string(page).expect("text");
            let links = links(&content).into_iter();
            let problems =
                links.filter_map(|link| Some(format!("{}: {link} {}", page.display(), problem(page, &link)?)));
            problems.collect::<Vec<_>>()
        })
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn links_are_found_beside_code_and_not_in_it() {
    let page = "`a\nb` [c](D.md) `[e](F.md)`\n\n```\n[g](H.md)\n```\n<img src=\"I.svg\">";
    assert_eq!(links(page), ["D.md", "I.svg"]);
}

#[test]
fn a_link_without_target_or_heading_is_found() {
    let page = root().join("docs/CLI.md");
    for (link, expected) in [
        ("OPERATIONS.md", None),
        ("OPERATIONS.md#the-table", None),
        ("../README.md", None),
        ("#commands", None),
        ("https://example.com/a", None),
        ("NOTHING.md", Some("has no target")),
        ("../../etc", Some("has no target")),
        ("OPERATIONS.md#nothing", Some("has no such heading")),
        ("#nothing", Some("has no such heading")),
        ("http://example.com", Some("is neither relative nor https")),
        ("https://nowhere", Some("is not a URL")),
    ] {
        assert_eq!(problem(&page, link).as_deref(), expected, "{link}");
    }
}

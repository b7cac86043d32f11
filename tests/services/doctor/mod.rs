//! `kafka-consumer doctor`: each check, its status, and the next step.

mod aws;
mod dead_letters;
mod destination_tables;
mod endpoints;
mod functions;
mod network;
mod report;
mod security;
mod table;

use serde_json::Value;

use crate::support::world::{Ran, World};

/// The checks of the document.
struct Checks(Vec<Value>);

impl World {
    /// The JSON document of `doctor`, which must exit with `code`.
    fn doctor(&self, code: i32) -> (Checks, Ran) {
        let ran = self.ran(&["doctor", "--output", "json"]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        let document = ran.json();
        let expected = if code == 0 { ["ok", "warning"] } else { ["failed"; 2] };
        assert!(expected.iter().any(|it| document["status"] == *it), "{document:#}");
        let checks = document["checks"].as_array().expect("checks").clone();
        (Checks(checks), ran)
    }
}

impl Checks {
    /// The only one of this name.
    fn one(&self, name: &str) -> &Value {
        let all: Vec<&Value> = self.0.iter().filter(|check| check["name"] == name).collect();
        assert_eq!(all.len(), 1, "{name}: {:#}", Value::from(self.0.clone()));
        all[0]
    }

    /// The one of this name and target.
    fn on(&self, name: &str, target: &str) -> &Value {
        let found = self
            .0
            .iter()
            .find(|check| check["name"] == name && check["target"] == target);
        found.unwrap_or_else(|| panic!("no {name} on {target}: {:#}", Value::from(self.0.clone())))
    }

    /// Those that are neither ok nor skipped.
    fn wrong(&self) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .filter(|check| check["status"] == "failed" || check["status"] == "warning")
            .map(|check| {
                let name = check["name"].as_str().expect("a name");
                (name, check["error"].as_str().unwrap_or("warning"))
            })
            .collect()
    }
}

/// The check failed with exactly this error type, and reports this.
fn fails(check: &Value, error_type: &str, what: &str, next: &str) {
    assert_eq!(
        (&check["status"], &check["error"]),
        (&"failed".into(), &error_type.into()),
        "{check:#}"
    );
    reports(check, what, next);
}

/// The check reports this, and this next step.
fn reports(check: &Value, what: &str, next: &str) {
    let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
    assert!(text("what").contains(what), "{check:#}");
    assert!(text("next").contains(next), "{check:#}");
}

fn skipped(check: &Value, why: &str) {
    assert_eq!(check["status"], "skipped", "{check:#}");
    reports(check, &format!("not checked: {why}"), "");
}

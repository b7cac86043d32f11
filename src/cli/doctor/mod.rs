//! `doctor`: what a run needs, one thing after the other; what is wrong with
//! it, and what to do. Nothing is written anywhere, no group is joined, no
//! cursor is claimed, and no record is handed to anybody.
//!
//! All is asked side by side, and told in this order:
//!
//! | file | checks |
//! |---|---|
//! | `settings.rs` | `settings`: what they come to |
//! | `identity.rs` | `identity`: the AWS account and role |
//! | `secrets.rs` | `secret`, `token` |
//! | `network.rs` | `dns`, `tcp`, also for the addresses that brokers advertise |
//! | `tls.rs` | `client_certificate`, `tls` |
//! | `kafka.rs` | `authentication`, `topic`, `brokers`, `group` |
//! | `table.rs` | `table`, `table_rights` |
//! | `cursors.rs` | `cursors` |
//! | `dead_letters.rs` | `dead_letters` |
//! | `clock.rs`, `dates.rs` | `clock`: this machine's against AWS's and the records' |
//!
//! As JSON: `{"status","checks":[{"name","target"?,"status","what","details"?,"next"?,"error"?}]}`,
//! where `status` is `ok`, `skipped`, `warning` or `failed`, and `error` is the
//! type of error that a run ends with.

mod check;
mod clock;
mod cursors;
mod dates;
mod dead_letters;
mod identity;
mod kafka;
mod network;
mod secrets;
mod settings;
mod table;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt as _, Shared};
use futures::stream::{FuturesOrdered, StreamExt as _};
use serde::Serialize;

use super::Exit;
use super::output::{self, Format, Out, Screen};
use super::parts::CliParts;
use crate::aws::CallLimits;
use crate::clock::{Clock as _, Deadline};
use crate::config::Config;
use crate::error::Error;
use crate::event::RunRequest;
use crate::invoke::{self, BestEffortSnapshot};
use crate::live;
use crate::processor::Configured;
use crate::security::Security;
use crate::store::dynamodb;
use check::{Check, Status};
use network::Reach;
use secrets::Proofs;

/// What all questions are asked with.
struct Practice {
    parts: CliParts,
    security: Arc<Security>,
    dynamodb: dynamodb::Client,
    patience: CallLimits,
}

impl Practice {
    async fn new(mut config: Config) -> Result<Self, Error> {
        // Even to ask for a topic could make it.
        config.kafka_properties.set("allow.auto.create.topics", "false");
        let limit = config.poll_timeout;
        let default = CallLimits::default();
        let patience = CallLimits {
            // Its own words on what did not answer come before anybody stops waiting for it.
            call: default.call.min(limit * 9 / 10),
            ..default
        };
        let dynamodb = dynamodb::client(patience).await?;
        let security = Arc::new(Security::new(&config));
        let parts = live::parts_on(config, &security, dynamodb.clone(), Configured::new);
        Ok(Self {
            parts,
            security,
            dynamodb,
            patience,
        })
    }

    fn config(&self) -> &Config {
        &self.parts.config
    }

    /// What one question may take.
    fn limit(&self) -> Duration {
        self.config().poll_timeout
    }

    fn until(&self) -> Instant {
        now() + self.limit()
    }

    fn now_s(&self) -> i64 {
        self.parts.clock.wall_ms() / 1000
    }

    /// What the next run would see.
    async fn glance(&self) -> Result<BestEffortSnapshot, Error> {
        let deadline = Deadline::after(self.limit() * 2, &self.parts.clock);
        invoke::snapshot_best_effort(&self.parts, &RunRequest::default(), deadline).await
    }

    async fn reach(&self) -> Vec<Reach> {
        let servers = network::Server::all(&self.config().bootstrap_servers);
        self.reach_all(servers).await
    }

    async fn reach_all(&self, servers: Vec<network::Server>) -> Vec<Reach> {
        let family = network::Family::of(self.config().kafka_properties.get("broker.address.family"));
        let until = self.until();
        futures::future::join_all(servers.into_iter().map(|server| Reach::out(server, family, until))).await
    }
}

/// An answer that several checks wait for.
type Answer<'a, T> = Shared<BoxFuture<'a, Arc<T>>>;

fn answer<'a, T: Send + Sync + 'a>(question: impl Future<Output = T> + Send + 'a) -> Answer<'a, T> {
    question.map(Arc::new).boxed().shared()
}

pub(super) async fn doctor(config: Config, out: Out) -> Result<Exit, Error> {
    // Until the process ends: closing a client takes 100 ms, and saves nothing here.
    let practice: &'static Practice = Box::leak(Box::new(Practice::new(config).await?));
    let mut findings = findings(practice);
    let mut told = Told::new(out);
    while let Some(checks) = findings.next().await {
        for check in checks {
            told.tell(check);
        }
    }
    Ok(told.end())
}

/// All findings, in the order in which they are told. All questions are asked
/// at once; some wait for the answers to others.
fn findings(practice: &Practice) -> FuturesOrdered<BoxFuture<'_, Vec<Check>>> {
    let proofs: Answer<'_, Proofs> = answer(secrets::read(practice));
    let reached = answer(practice.reach());
    let glance = answer(practice.glance());
    let rights = answer(table::rights(practice));
    let identity = answer(identity::ask(practice));
    let tls = answer(tls_checks(practice, proofs.clone(), reached.clone()));
    let mut findings = FuturesOrdered::new();
    findings.push_back(async { vec![settings::check(practice)] }.boxed());
    findings.push_back(identity.clone().map(|it| vec![identity::judge(&it)]).boxed());
    findings.push_back(proofs.clone().map(|it| it.checks()).boxed());
    findings.push_back(reached.clone().map(|it| bootstrap(&it)).boxed());
    findings.push_back(tls.clone().map(|it| it.to_vec()).boxed());
    findings.push_back(kafka::checks(practice, glance.clone(), reached, tls, proofs).boxed());
    findings.push_back(table::checks(practice, rights.clone()).boxed());
    findings.push_back(cursors::checks(glance.clone(), &practice.config().topics).boxed());
    findings.push_back(dead_letters::checks(practice, glance.clone()).boxed());
    findings.push_back(clock::checks(practice, glance, rights, identity).boxed());
    findings
}

fn bootstrap(reached: &[Reach]) -> Vec<Check> {
    let mut checks = network::names(reached, network::Whose::Bootstrap);
    checks.extend(network::ports(reached, network::Whose::Bootstrap));
    checks
}

async fn tls_checks(practice: &Practice, proofs: Answer<'_, Proofs>, reached: Answer<'_, Vec<Reach>>) -> Vec<Check> {
    let (proofs, reached) = futures::join!(proofs, reached);
    match proofs.for_tls(practice.config()) {
        Ok(properties) => tls::checks(&properties, &reached, practice.now_s(), practice.until()).await,
        Err(why) => vec![Check::skipped("tls", why)],
    }
}

/// What was told so far.
struct Told {
    out: Out,
    screen: Screen,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Document<'a> {
    status: Status,
    checks: &'a [Check],
}

impl Told {
    fn new(out: Out) -> Self {
        Self {
            out,
            screen: Screen::of_stdout(),
            checks: vec![],
        }
    }

    fn tell(&mut self, check: Check) {
        if self.out.format == Format::Table {
            output::write_line(&check.lines(self.screen));
        }
        self.checks.push(check);
    }

    /// The sum. The first failure is said last, as of any command.
    fn end(self) -> Exit {
        let document = Document {
            status: overall(&self.checks),
            checks: &self.checks,
        };
        self.out.say(&sum(&self.checks), &document);
        if let Some(complaint) = self.checks.iter().find_map(Check::complaint) {
            output::complain(&complaint);
        }
        match document.status {
            Status::Failed => Exit::Failed,
            _ => Exit::Done,
        }
    }
}

/// The worst; what was not checked is no better or worse for it.
fn overall(checks: &[Check]) -> Status {
    let looked_at = checks
        .iter()
        .map(|check| check.status)
        .filter(|it| *it != Status::Skipped);
    looked_at.max().unwrap_or(Status::Skipped)
}

/// `9 checks: 7 ok, 1 skipped, 1 failed`.
fn sum(checks: &[Check]) -> String {
    let count = |status: Status| checks.iter().filter(|check| check.status == status).count();
    let all = [Status::Ok, Status::Skipped, Status::Warning, Status::Failed];
    let counts = all.into_iter().filter(|status| count(*status) > 0);
    let counts: Vec<String> = counts.map(|status| format!("{} {status}", count(status))).collect();
    format!("{} checks: {}", checks.len(), counts.join(", "))
}

#[expect(clippy::disallowed_methods, reason = "services are asked in real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorType;

    fn failed() -> Check {
        Check::failed("tcp", ErrorType::BrokerUnreachable, "it is shut", "Open it")
    }

    #[test]
    fn only_a_failure_is_one() {
        let (fine, skipped, warning) = (
            Check::ok("settings", "x"),
            Check::skipped("tls", "x"),
            Check::warning("clock", "x", "y"),
        );
        let rows = [
            (vec![], Status::Skipped),
            (vec![fine.clone()], Status::Ok),
            (vec![fine.clone(), skipped.clone()], Status::Ok),
            (vec![warning.clone(), skipped.clone(), fine.clone()], Status::Warning),
            (vec![failed(), warning, fine, skipped], Status::Failed),
        ];
        for (checks, expected) in rows {
            assert_eq!(overall(&checks), expected);
        }
    }

    #[test]
    fn the_sum_counts_each_kind_that_there_is() {
        let checks = [Check::ok("settings", "x"), Check::ok("dns", "x"), failed()];
        assert_eq!(sum(&checks), "3 checks: 2 ok, 1 failed");
    }
}

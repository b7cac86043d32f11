//! `doctor`: checks what a run needs, and shows the next step where a check fails.
//! It writes nothing, joins no group, claims no cursor, runs no function, and
//! processes no record.
//!
//! The checks run concurrently and are printed in this order:
//!
//! | file | checks |
//! |---|---|
//! | `settings` | `settings`: a summary |
//! | `identity` | `identity`: the AWS account and role |
//! | `secrets` | `secret`, `token` |
//! | `network/` | `dns`, `tcp`, also of the addresses that brokers advertise |
//! | `tls/` | `client_certificate`, `tls` |
//! | `kafka/` | `authentication`, `topic`, `brokers`, `group` |
//! | `table` | `table`, `table_rights` |
//! | `cursors/` | `cursors` |
//! | `functions/` | `function`, `function_rights`: of `DESTINATION` |
//! | `aws_resources.rs` | `destination`: the queues, topics and buses of `DESTINATION` |
//! | `destination_tables` | `destination_table`, `destination_table_rights`: of `DESTINATION` |
//! | `endpoints` | `secret`, `endpoint`: HTTP endpoints of `DESTINATION` |
//! | `dead_letters` | `dead_letters` |
//! | `clock` | `clock`: this machine's against AWS's |
//!
//! As JSON: `{"status","checks":[{"name","target"?,"status","what","details"?,"next"?,"error"?}]}`,
//! where `status` is `ok`, `skipped`, `warning` or `failed`, and `error` is the
//! type of error with which a run fails.

mod aws_resources;
mod check;
mod clock;
mod cursors;
mod dead_letters;
mod destination_tables;
mod endpoints;
mod functions;
mod identity;
mod kafka;
mod network;
mod secrets;
mod settings;
mod table;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesOrdered, StreamExt as _};
use serde::Serialize;

use super::exit::Exit;
use super::output::{self, Format, Out, Screen};
use super::parts::CliParts;
use crate::aws::CallLimits;
use crate::clock::{Clock as _, Deadline};
use crate::config::Config;
use crate::destination::Configured;
use crate::error::Error;
use crate::event::RunRequest;
use crate::invoke::{self, BestEffortSnapshot};
use crate::live;
use crate::security::Security;
use crate::store::dynamodb;
use check::{Check, Status};
use clock::AwsClock;
use network::{Reach, Server};
use secrets::CheckedSecrets;

/// The clients and settings of all checks.
struct DoctorContext {
    parts: CliParts,
    security: Arc<Security>,
    dynamodb: dynamodb::Client,
    call_limits: CallLimits,
    aws_clock: AwsClock,
}

impl DoctorContext {
    async fn new(mut config: Config) -> Result<Self, Error> {
        // A metadata request could create the topic.
        config.kafka_properties.set("allow.auto.create.topics", "false");
        let limit = config.poll_timeout;
        let default = CallLimits::default();
        let call_limits = CallLimits {
            // The SDK's own timeout comes first, as its error is more specific.
            call: default.call.min(limit * 9 / 10),
            ..default
        };
        let dynamodb = dynamodb::client(call_limits).await?;
        let security = Arc::new(Security::new(&config));
        let parts = live::parts_on(config, &security, dynamodb.clone(), Configured::new);
        Ok(Self {
            parts,
            security,
            dynamodb,
            call_limits,
            aws_clock: AwsClock::default(),
        })
    }

    fn config(&self) -> &Config {
        &self.parts.config
    }

    /// The timeout of one request.
    fn limit(&self) -> Duration {
        self.config().poll_timeout
    }

    fn until(&self) -> Instant {
        now() + self.limit()
    }

    fn now_s(&self) -> i64 {
        self.parts.clock.wall_ms() / 1000
    }

    /// What the next run reads of the table and the brokers.
    async fn snapshot(&self) -> Result<BestEffortSnapshot, Error> {
        let deadline = Deadline::after(self.limit() * 2, &self.parts.clock);
        invoke::snapshot_best_effort(&self.parts, &RunRequest::default(), deadline).await
    }

    async fn reach(&self, servers: Vec<Server>) -> Vec<Reach> {
        let family = self.config().kafka_properties.get("broker.address.family");
        let until = self.until();
        futures::future::join_all(servers.into_iter().map(|server| Reach::of(server, family, until))).await
    }
}

/// A result that several checks await.
type Shared<'a, T> = futures::future::Shared<BoxFuture<'a, Arc<T>>>;

fn share<'a, T: Send + Sync + 'a>(request: impl Future<Output = T> + Send + 'a) -> Shared<'a, T> {
    request.map(Arc::new).boxed().shared()
}

pub(super) async fn doctor(config: Config, out: Out) -> Result<Exit, Error> {
    // Leaked until the process ends: closing a client takes 100 ms, and saves nothing here.
    let context: &'static DoctorContext = Box::leak(Box::new(DoctorContext::new(config).await?));
    let screen = Screen::of_stdout();
    let mut results = checks(context);
    let mut checks: Vec<Check> = vec![];
    while let Some(next) = results.next().await {
        if out.format == Format::Table {
            for check in &next {
                output::write_line(&check.lines(screen));
            }
        }
        checks.extend(next);
    }
    let status = overall(&checks);
    out.print(
        &summary(&checks),
        &Document {
            status,
            checks: &checks,
        },
    );
    // The first failure is the last line on stderr.
    if let Some(error) = checks.iter().find_map(Check::error_line) {
        output::print_error(&error);
    }
    Ok(if status == Status::Failed {
        Exit::Failed
    } else {
        Exit::Done
    })
}

#[derive(Serialize)]
struct Document<'a> {
    status: Status,
    checks: &'a [Check],
}

/// The results of all checks, in the order in which they are printed. The checks
/// run concurrently; some await the results of others.
fn checks(context: &DoctorContext) -> FuturesOrdered<BoxFuture<'_, Vec<Check>>> {
    let secrets: Shared<'_, CheckedSecrets> = share(secrets::read(context));
    let reached = share(context.reach(Server::all(&context.config().bootstrap_servers)));
    let snapshot = share(context.snapshot());
    let permissions = share(table::permissions(context));
    let identity = share(identity::check(context));
    let tls = share(tls_checks(context, secrets.clone(), reached.clone()));
    let mut results = FuturesOrdered::new();
    results.push_back(async { vec![settings::check(context)] }.boxed());
    results.push_back(identity.clone().map(|it| vec![(*it).clone()]).boxed());
    results.push_back(secrets.clone().map(|it| it.checks()).boxed());
    results.push_back(reached.clone().map(|it| network::checks(&it)).boxed());
    results.push_back(tls.clone().map(|it| it.to_vec()).boxed());
    results.push_back(kafka::checks(context, snapshot.clone(), reached, tls, secrets).boxed());
    results.push_back(table::checks(context, permissions.clone()).boxed());
    results.push_back(cursors::checks(snapshot.clone(), &context.config().topics).boxed());
    results.push_back(functions::checks(context).boxed());
    results.push_back(aws_resources::checks(context).boxed());
    results.push_back(destination_tables::checks(context).boxed());
    results.push_back(endpoints::checks(context).boxed());
    results.push_back(dead_letters::checks(context, snapshot).boxed());
    let responses = futures::future::join(permissions, identity);
    results.push_back(responses.map(|_| vec![context.aws_clock.check()]).boxed());
    results
}

async fn tls_checks(
    context: &DoctorContext,
    secrets: Shared<'_, CheckedSecrets>,
    reached: Shared<'_, Vec<Reach>>,
) -> Vec<Check> {
    let (secrets, reached) = futures::join!(secrets, reached);
    match secrets.for_tls(context.config()) {
        Ok(properties) => tls::checks(&properties, &reached, context.now_s(), context.until()).await,
        Err(why) => vec![Check::skipped("tls", why)],
    }
}

/// The most serious status, without the checks that were skipped.
fn overall(checks: &[Check]) -> Status {
    let all = checks.iter().map(|check| check.status);
    let checked = all.filter(|status| *status != Status::Skipped);
    checked.max().unwrap_or(Status::Skipped)
}

/// `9 checks: 7 ok, 1 skipped, 1 failed`.
fn summary(checks: &[Check]) -> String {
    let count = |status: Status| checks.iter().filter(|check| check.status == status).count();
    let all = [Status::Ok, Status::Skipped, Status::Warning, Status::Failed];
    let counts = all.into_iter().filter(|status| count(*status) > 0);
    let counts: Vec<String> = counts.map(|status| format!("{} {status}", count(status))).collect();
    format!("{} checks: {}", checks.len(), counts.join(", "))
}

/// `1 partition`, `2 partitions`.
fn plural(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

#[expect(clippy::disallowed_methods, reason = "timeouts of real services")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorType;

    fn failed() -> Check {
        Check::failed("tcp", ErrorType::BrokerUnreachable, "it is closed", "Open it")
    }

    #[test]
    fn the_overall_status_is_the_most_serious_one_that_was_checked() {
        let (passed, skipped, warning) = (
            Check::ok("settings", "x"),
            Check::skipped("tls", "x"),
            Check::warning("clock", "x", "y"),
        );
        let rows = [
            (vec![], Status::Skipped),
            (vec![passed.clone()], Status::Ok),
            (vec![passed.clone(), skipped.clone()], Status::Ok),
            (vec![warning.clone(), skipped.clone(), passed.clone()], Status::Warning),
            (vec![failed(), warning, passed, skipped], Status::Failed),
        ];
        for (checks, expected) in rows {
            assert_eq!(overall(&checks), expected);
        }
    }

    #[test]
    fn the_summary_counts_each_status_that_occurs() {
        let checks = [Check::ok("settings", "x"), Check::ok("dns", "x"), failed()];
        assert_eq!(summary(&checks), "3 checks: 2 ok, 1 failed");
    }
}

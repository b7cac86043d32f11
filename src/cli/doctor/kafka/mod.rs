//! What the brokers say to this user: by librdkafka, with the source that runs
//! read from.

use std::sync::Arc;

use super::check::{Check, Status};
use super::network::{self, Reach, Server, Whose};
use super::secrets::CheckedSecrets;
use super::settings;
use super::{DoctorContext, Shared};
use crate::config::{Authentication, Config};
use crate::error::{Error, ErrorType};
use crate::invoke::BestEffortSnapshot;
use crate::kafka::group_offsets::KafkaGroup;
use crate::kafka::metadata::Broker;
use crate::record::{NextOffset, TopicPartition};
use crate::source::{Limit, Polled, Source as _};

pub(super) async fn checks(
    practice: &DoctorContext,
    snapshot: Shared<'_, Result<BestEffortSnapshot, Error>>,
    reached: Shared<'_, Vec<Reach>>,
    tls: Shared<'_, Vec<Check>>,
    proofs: Shared<'_, CheckedSecrets>,
) -> Vec<Check> {
    let config = practice.config();
    let (snapshot, brokers, reached, tls, proofs) =
        futures::join!(snapshot, known_brokers(practice), reached, tls, proofs);
    let snapshot = match &*snapshot {
        Ok(snapshot) => snapshot,
        Err(error) => return vec![Check::error("authentication", error)],
    };
    let topics: Vec<Topic<'_>> = config.topics.iter().map(|topic| Topic::of(topic, snapshot)).collect();
    let mut answers: Vec<Result<(), ErrorType>> = topics.iter().map(Topic::answer).collect();
    // Once more where the credentials were read anew meanwhile.
    let brokers = match brokers {
        Err(_) if answers.iter().copied().any(is_let_in) => known_brokers(practice).await,
        brokers => brokers,
    };
    answers.extend(brokers.as_ref().map(|_| Ok(())));
    let let_in = answers.iter().copied().any(is_let_in);
    let login = authentication(&answers, proofs.obstacle().or(obstacle(&reached, &tls)), how(config));
    let login = match topics.iter().find_map(|topic| topic.error) {
        // The words of the failure itself, which hold the cause.
        Some(error) if login.status == Status::Failed => Check::error("authentication", error),
        _ => login,
    };
    let fetched = topics.iter().map(|topic| fetch(practice, topic.end.as_ref()));
    let (fetched, advertised, group) = futures::join!(
        futures::future::join_all(fetched),
        advertised(practice, brokers),
        group(practice, &topics)
    );
    let mut checks = vec![login];
    checks.extend(
        topics
            .iter()
            .zip(&fetched)
            .map(|(topic, fetched)| authorisation(topic, fetched, let_in)),
    );
    checks.extend(advertised);
    checks.push(group);
    checks
}

/// What the brokers told of a topic.
struct Topic<'a> {
    name: &'a Arc<str>,
    error: Option<&'a Error>,
    partitions: usize,
    /// Those that nobody answers for, and why.
    silent: Vec<(String, String)>,
    /// One that is there, and its end.
    end: Option<(TopicPartition, NextOffset)>,
}

impl<'a> Topic<'a> {
    fn of(name: &'a Arc<str>, snapshot: &'a BestEffortSnapshot) -> Self {
        let mut topic = Self {
            name,
            error: snapshot.brokers.get(name),
            partitions: 0,
            silent: vec![],
            end: None,
        };
        let of_topic = snapshot
            .partitions
            .iter()
            .map(|plan| &plan.state)
            .filter(|fact| fact.partition.topic == *name);
        for fact in of_topic.filter(|_| topic.error.is_none()) {
            match &fact.end {
                // A cursor of a partition that is gone.
                None => continue,
                Some(Ok(end)) => _ = topic.end.get_or_insert_with(|| (fact.partition.clone(), *end)),
                Some(Err(why)) => topic.silent.push((fact.partition.to_string(), why.to_string())),
            }
            topic.partitions += 1;
        }
        topic
    }

    fn answer(&self) -> Result<(), ErrorType> {
        self.error.map_or(Ok(()), |error| Err(error.kind))
    }
}

/// Whether a broker that was asked for this let the user in.
fn is_let_in(answer: Result<(), ErrorType>) -> bool {
    matches!(answer, Ok(()) | Err(ErrorType::UnknownTopic | ErrorType::NotAuthorized))
}

/// Why librdkafka cannot get through, as far as it is told already.
fn obstacle(reached: &[Reach], tls: &[Check]) -> Option<&'static str> {
    let of_ports = || tls.iter().filter(|check| check.name == "tls");
    let shut = |check: &Check| matches!(check.status, Status::Failed | Status::Skipped);
    match () {
        () if !reached.iter().any(Reach::is_open) => Some("no bootstrap server is reached"),
        () if of_ports().all(shut) => Some("no bootstrap server can be used"),
        () => None,
    }
}

fn how(config: &Config) -> String {
    let properties = &config.kafka_properties;
    let mechanism = settings::mechanism(properties);
    match (&config.authentication, properties.protocol().as_str()) {
        (Authentication::MskIam, _) => "the token (AWS_MSK_IAM) was accepted".into(),
        (_, "plaintext") => "no authentication".into(),
        (_, "ssl") => "the connection was accepted, with the client certificate if the broker requires one".into(),
        _ => format!("{mechanism}: the user was accepted"),
    }
}

/// Whether the user is let in, by what the brokers said of each topic and of
/// themselves.
///
/// | the brokers | what is known already | |
/// |---|---|---|
/// | told who they are, or answered for a topic, if only with a refusal of it | | ok |
/// | refused the user | | failed |
/// | did not answer, or no client could be made | that they are out of reach | not checked |
/// | did not answer, or no client could be made | nothing | failed |
fn authentication(answers: &[Result<(), ErrorType>], obstacle: Option<&str>, how: String) -> Check {
    let name = "authentication";
    if answers.iter().copied().any(is_let_in) {
        return Check::ok(name, how);
    }
    let refused = answers.contains(&Err(ErrorType::AuthenticationFailed));
    match (refused, obstacle) {
        (false, Some(obstacle)) => Check::skipped(name, obstacle),
        _ => Check::failed(
            name,
            ErrorType::BrokerUnreachable,
            "no broker responds",
            "Look at the checks above",
        ),
    }
}

/// What came of a fetch at the end of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fetched {
    /// The broker let it.
    Proved,
    Refused(Error),
    Silent(String),
    /// No partition could be asked.
    Nowhere,
}

/// Fetches where nothing is: at the end of a partition. Offsets are told to
/// those who may describe a topic; only a fetch needs the right to read it.
/// What has come meanwhile is looked at by nobody.
async fn fetch(practice: &DoctorContext, end: Option<&(TopicPartition, NextOffset)>) -> Fetched {
    let Some((partition, end)) = end else {
        return Fetched::Nowhere;
    };
    let source = &practice.parts.source;
    if let Err(error) = source.assign(&[(partition.clone(), *end)]) {
        return Fetched::Silent(error.message());
    }
    let limit = Limit { records: 1, bytes: 1 };
    let polled = tokio::time::timeout(practice.limit(), source.poll(partition, limit)).await;
    source.unassign(std::slice::from_ref(partition));
    match polled {
        Ok(Polled::Records(_) | Polled::End | Polled::OutOfRange | Polled::OutOfOrder | Polled::Unreadable(_)) => {
            Fetched::Proved
        }
        Ok(Polled::Failed(error)) => Fetched::Refused(error),
        Ok(Polled::Unavailable(why)) => Fetched::Silent(why.to_string()),
        Err(_) => Fetched::Silent("the request timed out".into()),
    }
}

/// What the user may do with a topic.
///
/// | offsets | a fetch | |
/// |---|---|---|
/// | not told, and nobody is let in | | not checked |
/// | not told, to a user who is let in | | failed: the brokers that lead it are out of reach |
/// | no such topic; or no right to describe it | | failed |
/// | of some partitions nobody answers | | failed |
/// | of all partitions | refused | failed |
/// | of all partitions | not answered | failed |
/// | of all partitions | answered | ok |
fn authorisation(topic: &Topic<'_>, fetched: &Fetched, let_in: bool) -> Check {
    let check = match topic.error {
        Some(error) => refusal(error, let_in),
        None if !topic.silent.is_empty() => {
            let (silent, all) = (topic.silent.len(), topic.partitions);
            let words = crate::cli::output::grouped(topic.silent.iter().cloned());
            let next = "Look after the brokers that lead them, and at the addresses that they advertise, below";
            let what = format!("of {all} partitions, {silent} cannot be reached");
            Check::failed("topic", ErrorType::BrokerUnreachable, what, next).with(words)
        }
        None => match fetched {
            Fetched::Refused(error) => {
                Check::error("topic", error).with(["this user may describe the topic, and not read it".to_owned()])
            }
            Fetched::Silent(why) => Check::failed(
                "topic",
                ErrorType::BrokerUnreachable,
                format!("its offsets are listed, but a fetch gets no response: {why}"),
                "Look after the brokers that lead its partitions",
            ),
            Fetched::Proved | Fetched::Nowhere => {
                let s = if topic.partitions == 1 { "" } else { "s" };
                let what = format!("{} partition{s}; this user may describe and read it", topic.partitions);
                Check::ok("topic", what)
            }
        },
    };
    check.on(topic.name)
}

fn refusal(error: &Error, let_in: bool) -> Check {
    let told = match error.kind {
        ErrorType::UnknownTopic => {
            "the brokers say that there is none; if this user might not see it, they would say that instead"
        }
        ErrorType::NotAuthorized => "whether the topic exists is shown only to users with Describe on it",
        ErrorType::AuthenticationFailed => return Check::skipped("topic", "no user is authenticated"),
        _ if let_in => return Check::error("topic", error),
        _ => return Check::skipped("topic", "no broker responds"),
    };
    Check::error("topic", error).with([told.to_owned()])
}

/// The brokers, as they name themselves to clients.
async fn known_brokers(practice: &DoctorContext) -> Result<Vec<Broker>, Error> {
    practice
        .parts
        .source
        .client()
        .brokers(&practice.config().topics[0], practice.until())
        .await
}

/// Whether each broker is reached at the address that it advertises: clients
/// go there, whatever they were told to begin with.
async fn advertised(practice: &DoctorContext, known: Result<Vec<Broker>, Error>) -> Vec<Check> {
    let Ok(known) = known else {
        return vec![Check::skipped("brokers", "no metadata of the brokers")];
    };
    let servers = known.into_iter().map(|Broker { host, port, .. }| Server { host, port });
    brokers_check(&practice.reach_all(servers.collect()).await)
}

/// One finding if all are well, else one for each that is not.
fn brokers_check(reached: &[Reach]) -> Vec<Check> {
    let all = network::names(reached, Whose::Advertised);
    let all = all.into_iter().chain(network::ports(reached, Whose::Advertised));
    let wrong = all.filter(|check| matches!(check.status, Status::Warning | Status::Failed));
    let wrong: Vec<Check> = wrong
        .map(|check| Check {
            name: "brokers",
            ..check
        })
        .collect();
    if wrong.is_empty() {
        let s = if reached.len() == 1 { "" } else { "s" };
        let what = format!(
            "{} broker{s}, reached as advertised: {}",
            reached.len(),
            network::join(reached.iter().map(|reach| &reach.server))
        );
        return vec![Check::ok("brokers", what)];
    }
    wrong
}

async fn group(practice: &DoctorContext, topics: &[Topic<'_>]) -> Check {
    let partitions: Vec<TopicPartition> = topics
        .iter()
        .filter_map(|topic| Some(topic.end.as_ref()?.0.clone()))
        .collect();
    if partitions.is_empty() {
        return Check::skipped("group", "no partition is known. Runs need no permission on a group");
    }
    let config = practice.config();
    let group = KafkaGroup::new(config, Arc::clone(&practice.security), &config.group_id);
    let asked = tokio::time::timeout(practice.limit(), group.committed(&partitions)).await;
    // Closing it would take longer than all the rest.
    std::mem::forget(group);
    let asked = asked.unwrap_or_else(|_| {
        Err(Error::new(
            ErrorType::BrokerUnreachable,
            "the group's coordinator does not respond",
        ))
    });
    let committed = asked.map(|offsets| offsets.iter().any(Option::is_some));
    group_check(committed.as_ref().copied()).on(&config.group_id)
}

/// For those who move cursors from or to a consumer group of Kafka's. Runs
/// need no right on any.
fn group_check(committed: Result<bool, &Error>) -> Check {
    let name = "group";
    match committed {
        Ok(true) => Check::ok(
            name,
            "runs need no permission on it; this user may read its committed offsets",
        ),
        Ok(false) => Check::ok(
            name,
            "runs need no permission on it; this user may describe it, and it has no committed offsets",
        ),
        Err(error) if error.kind == ErrorType::NotAuthorized => Check::ok(
            name,
            "runs need no permission on it, and this user has none: for `offsets import` it would need Describe, for \
             `offsets export` Read",
        ),
        Err(error) => Check::skipped(name, format!("runs do not use it. {}", error.message())),
    }
}

#[cfg(test)]
mod tests;

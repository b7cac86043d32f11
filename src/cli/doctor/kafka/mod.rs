//! Authentication, topics, brokers and the group, with the client of the runs.

use std::sync::Arc;

use super::check::{Check, Status};
use super::network::{self, Reach, Server};
use super::secrets::CheckedSecrets;
use super::{DoctorContext, Shared, plural};
use crate::cli::output;
use crate::config::{Authentication, Config};
use crate::error::{Error, ErrorType};
use crate::invoke::BestEffortSnapshot;
use crate::kafka::errors::cause::ClientAuth;
use crate::kafka::group_offsets::KafkaGroup;
use crate::kafka::metadata::Broker;
use crate::record::{NextOffset, TopicPartition};
use crate::source::{Limit, Polled, Source as _};

pub(super) async fn checks(
    context: &DoctorContext,
    snapshot: Shared<'_, Result<BestEffortSnapshot, Error>>,
    reached: Shared<'_, Vec<Reach>>,
    tls: Shared<'_, Vec<Check>>,
    secrets: Shared<'_, CheckedSecrets>,
) -> Vec<Check> {
    let config = context.config();
    let (snapshot, brokers, reached, tls, secrets) = futures::join!(snapshot, metadata(context), reached, tls, secrets);
    let snapshot = match &*snapshot {
        Ok(snapshot) => snapshot,
        Err(error) => return vec![Check::error("authentication", error)],
    };
    let topics: Vec<Topic<'_>> = config.topics.iter().map(|topic| Topic::of(topic, snapshot)).collect();
    let mut responses: Vec<Result<(), &Error>> = topics.iter().map(|topic| topic.error.map_or(Ok(()), Err)).collect();
    let brokers = match brokers {
        // The snapshot may have refreshed the credentials.
        Err(_) if responses.iter().copied().any(is_authenticated) => metadata(context).await,
        brokers => brokers,
    };
    responses.extend(brokers.as_ref().map(|_| Ok(())));
    let obstacle = secrets.obstacle().or(obstacle(&reached, &tls));
    let is_authenticated = responses.iter().copied().any(is_authenticated);
    let fetched = topics.iter().map(|topic| fetch(context, topic.end.as_ref()));
    let (fetched, advertised, group) = futures::join!(
        futures::future::join_all(fetched),
        advertised(context, brokers),
        group(context, &topics)
    );
    let mut checks = vec![authentication(&responses, obstacle, how(config))];
    let both = topics.iter().zip(&fetched);
    checks.extend(both.map(|(topic, fetched)| authorization(topic, fetched, is_authenticated)));
    checks.extend(advertised);
    checks.push(group);
    checks
}

/// A topic in the snapshot.
struct Topic<'a> {
    name: &'a Arc<str>,
    error: Option<&'a Error>,
    partitions: usize,
    /// The partitions whose offsets no broker returned, and why.
    unavailable: Vec<(String, String)>,
    /// A partition whose end offset is known.
    end: Option<(TopicPartition, NextOffset)>,
}

impl<'a> Topic<'a> {
    fn of(name: &'a Arc<str>, snapshot: &'a BestEffortSnapshot) -> Self {
        let mut topic = Self {
            name,
            error: snapshot.brokers.get(name),
            partitions: 0,
            unavailable: vec![],
            end: None,
        };
        let of_topic = snapshot
            .partitions
            .iter()
            .map(|plan| &plan.state)
            .filter(|state| state.partition.topic == *name);
        for state in of_topic.filter(|_| topic.error.is_none()) {
            match &state.end {
                // The cursor of a partition that no longer exists.
                None => continue,
                Some(Ok(end)) => _ = topic.end.get_or_insert_with(|| (state.partition.clone(), *end)),
                Some(Err(why)) => topic.unavailable.push((state.partition.to_string(), why.to_string())),
            }
            topic.partitions += 1;
        }
        topic
    }
}

/// Whether a broker returned this response to an authenticated client.
fn is_authenticated(response: Result<(), &Error>) -> bool {
    response.err().is_none_or(is_about_topic)
}

/// Whether the error is about one topic, which brokers return to authenticated
/// clients only.
pub(super) fn is_about_topic(error: &Error) -> bool {
    matches!(error.kind, ErrorType::UnknownTopic | ErrorType::NotAuthorized)
}

/// Why no client can authenticate, by the checks of the network and of TLS.
fn obstacle(reached: &[Reach], tls: &[Check]) -> Option<&'static str> {
    let mut of_ports = tls.iter().filter(|check| check.name == "tls");
    if !reached.iter().any(Reach::is_open) {
        Some("no bootstrap server is reached")
    } else if of_ports.all(|check| matches!(check.status, Status::Failed | Status::Skipped)) {
        Some("no bootstrap server can be used")
    } else {
        None
    }
}

fn how(config: &Config) -> String {
    let properties = &config.kafka_properties;
    match (&config.authentication, properties.protocol().as_str()) {
        (Authentication::MskIam, _) => "the token (AWS_MSK_IAM) was accepted".into(),
        (_, "plaintext") => "no authentication".into(),
        (_, "ssl") => "the connection was accepted, with the client certificate if the broker requires one".into(),
        _ => format!("{}: the user was accepted", ClientAuth::of(properties).mechanism),
    }
}

/// The check of the authentication, by the responses about each topic and about
/// the brokers.
///
/// | responses | network, TLS and secrets | |
/// |---|---|---|
/// | metadata, or an error about a topic | | ok |
/// | the authentication failed | | failed |
/// | none | failed | not checked |
/// | none | ok | failed |
fn authentication(responses: &[Result<(), &Error>], obstacle: Option<&str>, how: String) -> Check {
    let name = "authentication";
    if responses.iter().copied().any(is_authenticated) {
        return Check::ok(name, how);
    }
    let errors = || responses.iter().filter_map(|response| response.err());
    let refused = errors().find(|error| error.kind == ErrorType::AuthenticationFailed);
    match (refused.or(errors().next()), obstacle) {
        (_, Some(obstacle)) if refused.is_none() => Check::skipped(name, obstacle),
        (Some(error), _) => Check::error(name, error),
        (None, _) => Check::skipped(name, "no request was sent"),
    }
}

/// Fetches at the end of a partition, where no record is: offsets are listed to
/// users with Describe on the topic, and only a fetch verifies Read. Records that
/// were produced meanwhile are discarded.
async fn fetch(context: &DoctorContext, end: Option<&(TopicPartition, NextOffset)>) -> Result<(), Error> {
    let Some((partition, end)) = end else {
        return Ok(());
    };
    let source = &context.parts.source;
    source
        .assign(&[(partition.clone(), *end)])
        .map_err(|error| not_fetched(error.message()))?;
    let limit = Limit { records: 1, bytes: 1 };
    let polled = tokio::time::timeout(context.limit(), source.poll(partition, limit)).await;
    source.unassign(std::slice::from_ref(partition));
    match polled {
        Ok(Polled::Records(_) | Polled::End | Polled::OutOfRange | Polled::OutOfOrder | Polled::Unreadable(_)) => {
            Ok(())
        }
        Ok(Polled::Failed(error)) => Err(error),
        Ok(Polled::Unavailable(why)) => Err(not_fetched(why)),
        Err(_) => Err(not_fetched("the request timed out")),
    }
}

fn not_fetched(why: impl std::fmt::Display) -> Error {
    let what = format!("its offsets are listed, but a fetch gets no response: {why}");
    Error::new(ErrorType::BrokerUnreachable, what).next("Check the brokers that lead its partitions")
}

/// The check of a topic, and of the user's permissions on it.
///
/// | offsets | fetch | |
/// |---|---|---|
/// | no response, without authentication | | not checked |
/// | no response, authenticated | | failed: its leaders are unreachable |
/// | the topic does not exist, or no permission to describe it | | failed |
/// | of some partitions not returned | | failed |
/// | of all partitions | denied, or no response | failed |
/// | of all partitions | a response | ok |
fn authorization(topic: &Topic<'_>, fetched: &Result<(), Error>, is_authenticated: bool) -> Check {
    let check = match (topic.error, fetched) {
        (Some(error), _) => topic_error(error, is_authenticated),
        (None, _) if !topic.unavailable.is_empty() => {
            let (unavailable, all) = (topic.unavailable.len(), topic.partitions);
            Check::failed(
                "topic",
                ErrorType::BrokerUnreachable,
                format!("of {all} partitions, {unavailable} cannot be reached"),
                "Check the brokers that lead them, and the addresses that they advertise, below",
            )
            .with(output::grouped(topic.unavailable.iter().cloned()))
        }
        (None, Err(error)) => {
            let may_describe = "this user may describe the topic, and not read it".to_owned();
            let is_denied = error.kind == ErrorType::NotAuthorized;
            Check::error("topic", error).with(is_denied.then_some(may_describe))
        }
        (None, Ok(())) => {
            let partitions = plural(topic.partitions, "partition");
            Check::ok("topic", format!("{partitions}; this user may describe and read it"))
        }
    };
    check.on(topic.name)
}

fn topic_error(error: &Error, is_authenticated: bool) -> Check {
    let details = match error.kind {
        ErrorType::UnknownTopic => {
            "the brokers return that it does not exist; to a user without Describe on it they would return an \
             authorization error"
        }
        ErrorType::NotAuthorized => "whether the topic exists is shown only to users with Describe on it",
        ErrorType::AuthenticationFailed => return Check::skipped("topic", "no user is authenticated"),
        _ if is_authenticated => return Check::error("topic", error),
        _ => return Check::skipped("topic", "no broker responds"),
    };
    Check::error("topic", error).with([details.to_owned()])
}

/// The brokers, with the addresses that they advertise.
async fn metadata(context: &DoctorContext) -> Result<Vec<Broker>, Error> {
    let client = context.parts.source.client();
    client.brokers(&context.config().topics[0], context.until()).await
}

/// Whether each broker is reached at the address that it advertises: clients
/// connect there, whatever the bootstrap servers are.
async fn advertised(context: &DoctorContext, brokers: Result<Vec<Broker>, Error>) -> Vec<Check> {
    let Ok(brokers) = brokers else {
        return vec![Check::skipped("brokers", "no metadata of the brokers")];
    };
    let servers = brokers.into_iter().map(|Broker { host, port, .. }| Server {
        host,
        port,
        advertised: true,
    });
    of_brokers(&context.reach(servers.collect()).await)
}

/// One check if all are reached, else one for each that is not.
fn of_brokers(reached: &[Reach]) -> Vec<Check> {
    let all = network::checks(reached).into_iter();
    let failed = all.filter(|check| matches!(check.status, Status::Warning | Status::Failed));
    let name = "brokers";
    let failed: Vec<Check> = failed.map(|check| Check { name, ..check }).collect();
    if !failed.is_empty() {
        return failed;
    }
    let brokers = plural(reached.len(), "broker");
    let servers = network::join(reached.iter().map(|reach| &reach.server));
    vec![Check::ok(name, format!("{brokers}, reached as advertised: {servers}"))]
}

async fn group(context: &DoctorContext, topics: &[Topic<'_>]) -> Check {
    let known = topics.iter().filter_map(|topic| topic.end.as_ref());
    let partitions: Vec<TopicPartition> = known.map(|(partition, _)| partition.clone()).collect();
    if partitions.is_empty() {
        return Check::skipped("group", "no partition is known. Runs need no permission on a group");
    }
    let config = context.config();
    let group = KafkaGroup::new(config, Arc::clone(&context.security), &config.group_id);
    let committed = tokio::time::timeout(context.limit(), group.committed(&partitions)).await;
    // Closing it would take longer than all other checks.
    std::mem::forget(group);
    let committed = committed.unwrap_or_else(|_| {
        let what = "the group's coordinator does not respond";
        Err(Error::new(ErrorType::BrokerUnreachable, what))
    });
    let committed = committed.map(|offsets| offsets.iter().any(Option::is_some));
    of_group(committed.as_ref().copied()).on(&config.group_id)
}

/// For operators who move cursors from or to a consumer group. Runs need no
/// permission on any.
fn of_group(has_offsets: Result<bool, &Error>) -> Check {
    let permissions = match has_offsets {
        Ok(true) => "; this user may read its committed offsets",
        Ok(false) => "; this user may describe it, and it has no committed offsets",
        Err(error) if error.kind == ErrorType::NotAuthorized => {
            ", and this user has none: for `offsets import` it would need Describe, for `offsets export` Read"
        }
        Err(error) => return Check::skipped("group", format!("runs do not use it. {}", error.message())),
    };
    Check::ok("group", format!("runs need no permission on it{permissions}"))
}

#[cfg(test)]
mod tests;

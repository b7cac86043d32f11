//! The APIs of SQS, SNS and EventBridge as far as this project calls them, with AWS's limits and errors, and replies that
//! the test decides.

mod protocol;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::http::{self, Request};
use super::kafka::unique;
pub(crate) use protocol::Service;

/// A running server of one service. Clones are the same server; it ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct EntryApi {
    service: Service,
    name: String,
    endpoint: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<Reply>,
    /// For calls that the script has no reply for.
    otherwise: Option<Reply>,
    calls: Vec<Vec<Entry>>,
    accepted: Vec<Entry>,
    /// What AWS would have refused.
    violations: Vec<String>,
    /// The operations that were requested.
    operations: BTreeSet<String>,
    is_missing: bool,
}

/// An entry of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The partition and the offset that it names.
    pub(crate) place: (i32, i64),
    /// The entry; in the shape of SQS's also for SNS.
    pub(crate) json: Value,
}

/// The reply to a call.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Every entry is accepted.
    Accept,
    /// The entries at these indexes are refused, the others accepted.
    Refuse(Vec<usize>, Refusal),
    /// The entries of these offsets are refused in every call, the others accepted.
    RefuseOffsets(Vec<i64>, Refusal),
    /// The call is refused as a whole.
    Fail(Refusal),
    /// Every entry is accepted, and the connection closed without a response.
    Lose,
    /// Every entry is accepted, after so long.
    After(Duration),
}

/// Why an entry or a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Throttled,
    Internal,
    Invalid,
    TooLarge,
    Denied,
    Missing,
}

impl EntryApi {
    /// Starts a server that accepts every entry.
    pub(crate) fn start(service: Service) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let of_server = Arc::clone(&state);
        let address = http::start(|| {}, move |request| serve(service, &of_server, &request));
        Self {
            service,
            name: unique("destination"),
            endpoint: format!("http://{address}"),
            state,
        }
    }

    /// Where entries are sent to: the ARN of a queue, a topic or a bus.
    pub(crate) fn arn(&self) -> String {
        self.service.arn(&self.name)
    }

    /// The variable for [`endpoint`](Self::endpoint).
    pub(crate) fn variable(&self) -> &'static str {
        self.service.variable()
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replies to the next calls.
    pub(crate) fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state().script.extend(replies);
    }

    /// The reply to every call that has none by [`next`](Self::next).
    pub(crate) fn always(&self, reply: Reply) {
        self.state().otherwise = Some(reply);
    }

    /// Whether the bus is found when it is looked up.
    pub(crate) fn set_missing(&self) {
        self.state().is_missing = true;
    }

    /// The places of the entries of each call, also of refused ones.
    pub(crate) fn calls(&self) -> Vec<Vec<(i32, i64)>> {
        let places = |call: &Vec<Entry>| call.iter().map(|entry| entry.place).collect();
        self.valid().calls.iter().map(places).collect()
    }

    /// The accepted entries, in their order.
    pub(crate) fn accepted(&self) -> Vec<Entry> {
        self.valid().accepted.clone()
    }

    /// The places of the accepted entries, in their order.
    pub(crate) fn places(&self) -> Vec<(i32, i64)> {
        self.valid().accepted.iter().map(|entry| entry.place).collect()
    }

    /// The operations that were requested.
    pub(crate) fn operations(&self) -> BTreeSet<String> {
        self.valid().operations.clone()
    }

    fn valid(&self) -> MutexGuard<'_, State> {
        let state = self.state();
        assert_eq!(state.violations, Vec::<String>::new(), "AWS would have refused this");
        state
    }
}

fn serve(service: Service, state: &Mutex<State>, request: &Request) -> Option<Vec<u8>> {
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    if service.is_look_up(request) {
        lock().operations.insert("DescribeEventBus".to_owned());
        let is_missing = lock().is_missing;
        return Some(service.look_up(is_missing));
    }
    let entries = match service.entries(request) {
        Ok(entries) => entries,
        Err(violation) => {
            lock().violations.push(violation);
            return Some(service.failure(Refusal::Invalid));
        }
    };
    let reply = {
        let mut state = lock();
        state.calls.push(entries.clone());
        state.operations.insert(service.operation().to_owned());
        let scripted = state.script.pop_front().or_else(|| state.otherwise.clone());
        scripted.unwrap_or(Reply::Accept)
    };
    if let Reply::After(pause) = reply {
        thread::sleep(pause);
    }
    let refused: Vec<Option<Refusal>> = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| match &reply {
            Reply::Refuse(indexes, refusal) if indexes.contains(&index) => Some(*refusal),
            Reply::RefuseOffsets(offsets, refusal) if offsets.contains(&entry.place.1) => Some(*refusal),
            Reply::Fail(refusal) => Some(*refusal),
            _ => None,
        })
        .collect();
    let accepted = entries.iter().zip(&refused).filter(|(_, refused)| refused.is_none());
    lock().accepted.extend(accepted.map(|(entry, _)| entry.clone()));
    match reply {
        Reply::Fail(refusal) => Some(service.failure(refusal)),
        Reply::Lose => None,
        _ => Some(service.success(&entries, &refused)),
    }
}

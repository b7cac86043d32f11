//! An EventBridge bus.
//!
//! **Calls.** `PutEvents` with at most 10 events and 1 MB. A call has 8 seconds, with three
//! attempts in it.
//!
//! **A bus that does not exist.** EventBridge accepts events for it, and drops them (known as
//! [aws-sdk#186](https://github.com/aws/aws-sdk/issues/186)). So the bus is looked up with
//! `DescribeEventBus` before the first call, and again after a minute.
//!
//! **Permissions.** `events:PutEvents` and `events:DescribeEventBus` on the bus.
//!
//! | file | |
//! |---|---|
//! | `event.rs` | a record -> its event; pure |

mod event;

use std::time::Duration;

use aws_config::Region;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::SETTING;
use super::batched::{CallFailure, EntryOutcome, Limits, Sender};
use super::refusal::{Refusals, Service};
use crate::aws::{self, CallLimits};
use crate::config::EventBusArn;
use event::Event;
pub(super) use event::RecordEvents;

/// Of all events of a call. EventBridge states less than 1 MB, and not which one.
const CALL_BYTES: usize = 1_000_000;

/// An event between the two is sent alone, and EventBridge decides.
const ENTRY_BYTES: usize = 1024 * 1024;

/// How long a bus that was found counts as there.
const FOUND: Duration = Duration::from_mins(1);

pub(super) static SERVICE: Service = service("events:PutEvents");

/// The look-up of the bus.
static LOOK_UP: Service = service("events:DescribeEventBus");

const fn service(action: &'static str) -> Service {
    Service {
        name: "EventBridge",
        a_name: "an EventBridge (`events`)",
        thing: "bus",
        action,
        variable: "AWS_ENDPOINT_URL_EVENTBRIDGE",
        if_throttled: "Raise the account's quota of PutEvents, or lower BATCH_SIZE",
        is_too_large: |code, reason| {
            code.contains("TooLarge") || code == "ValidationException" && reason.contains("over the limit")
        },
    }
}

/// A bus. The EventBridge client is created for the first call.
pub(super) struct BusSender {
    arn: EventBusArn,
    client: OnceCell<Client>,
    found_at: Mutex<Option<Instant>>,
}

impl BusSender {
    /// The bus `arn`, in its own region. Nothing is connected before the first call.
    pub(super) fn new(arn: EventBusArn) -> Self {
        Self {
            arn,
            client: OnceCell::new(),
            found_at: Mutex::default(),
        }
    }

    async fn client(&self) -> &Client {
        let make = async || {
            let region = Region::new(self.arn.region().to_owned());
            Client::new(&aws::config(region, CallLimits::default()).await)
        };
        self.client.get_or_init(make).await
    }

    /// Verifies that the bus exists.
    async fn find(&self, client: &Client) -> Result<(), CallFailure> {
        let mut found_at = self.found_at.lock().await;
        if found_at.is_some_and(|found| found.elapsed() < FOUND) {
            return Ok(());
        }
        let refusals = Refusals::new(&LOOK_UP, self.arn.region(), SETTING);
        let request = client.describe_event_bus().name(self.arn.as_str());
        let response = request.customize().interceptor(refusals.observer()).send().await;
        match response {
            Ok(_) => {
                *found_at = Some(Instant::now());
                Ok(())
            }
            // No entry is the cause.
            Err(error) => Err(match refusals.of_call(&error) {
                CallFailure::Invalid(text) => CallFailure::Fatal(text),
                failure => failure,
            }),
        }
    }

    fn entry(&self, event: &Event) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(self.arn.as_str())
            .source(&event.source)
            .detail_type(&event.detail_type)
            .detail(&event.detail)
            .set_time(event.time_ms.map(DateTime::from_millis))
            .build()
    }
}

impl Sender for BusSender {
    type Entry = Event;

    fn limits(&self) -> Limits {
        Limits {
            entries: 10,
            call_bytes: CALL_BYTES,
            entry_bytes: ENTRY_BYTES,
        }
    }

    fn bytes(&self, entry: &Event) -> usize {
        entry.bytes()
    }

    async fn send(&self, entries: &[Event]) -> Result<Vec<EntryOutcome>, CallFailure> {
        let client = self.client().await;
        self.find(client).await?;
        let refusals = Refusals::new(&SERVICE, self.arn.region(), SETTING);
        let request = client.put_events();
        let request = request.set_entries(Some(entries.iter().map(|event| self.entry(event)).collect()));
        let response = request.customize().interceptor(refusals.observer()).send().await;
        let response = response.map_err(|error| refusals.of_call(&error))?;
        // By index: there are no ids.
        let outcome = |entry: &aws_sdk_eventbridge::types::PutEventsResultEntry| match entry.error_code() {
            None if entry.event_id().is_some() => EntryOutcome::Accepted,
            None => refusals.of_unnamed_entry(),
            Some(code) => {
                let is_ours = !matches!(code, "InternalFailure" | "InternalException" | "ServiceUnavailable");
                refusals.of_entry(code, entry.error_message().unwrap_or_default(), is_ours)
            }
        };
        Ok(response.entries().iter().map(outcome).collect())
    }
}

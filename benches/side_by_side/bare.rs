//! The limit: the speed of librdkafka and the SDK if nothing is checked, claimed, reported or kept for
//! a retry. For comparison only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_runtime::{LambdaEvent, service_fn};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

/// The variable that selects the bare program, and its mode.
pub(crate) const VARIABLE: &str = "BENCH_BARE";
/// As a Lambda function.
pub(crate) const FUNCTION: &str = "function";
/// One cold run that reads this many records, in [`RECORDS`].
pub(crate) const ONCE: &str = "once";
pub(crate) const RECORDS: &str = "BENCH_RECORDS";
/// The function that is invoked.
const FUNCTION_ARN: &str = "DESTINATION";

/// The minimal update and condition of a claim, and of the cursor that ends it.
const CLAIM: (&str, &str) = (
    "SET claim_until = :new, run = :run",
    "#offset = :observed AND attribute_not_exists(claim_until)",
);
const CURSOR: (&str, &str) = (
    "SET #offset = :new REMOVE claim_until",
    "run = :run AND #offset = :observed AND attribute_exists(claim_until)",
);
/// Any time in the future: there is no other run.
const CLAIM_UNTIL: i64 = 4_102_444_800_000;

const LIMIT: Duration = Duration::from_mins(1);

/// The work of one invocation.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// One consistent Query.
    Query,
    /// The end offsets of all partitions, in one request to each leader.
    Ends,
    /// Both, in parallel.
    Idle,
    /// Reads this number of records from where the last read stopped, checks their JSON, writes the cursors.
    Read {
        records: u64,
        /// Reads from the beginning instead.
        again: bool,
    },
    /// The same from the beginning, and invokes a function with each batch of a partition, of this size. The
    /// partitions side by side.
    Invoke { records: u64, batch: usize },
    /// The same with the minimum for the product's promises: the requests of an idle run first, a claim of each
    /// partition in parallel with the fetch, cursors that are conditional on it.
    Claim { records: u64 },
}

pub(crate) type Failure = lambda_runtime::Error;

pub(crate) fn main(what: &str) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let bare = Arc::new(Bare::new().await?);
        if what == ONCE {
            let records = variable(RECORDS)?.parse()?;
            bare.read(records, true).await?;
            // As the product does: closing a client takes 100 ms.
            std::process::exit(0);
        }
        lambda_runtime::run(service_fn(move |event: LambdaEvent<Event>| {
            let bare = Arc::clone(&bare);
            async move { bare.handle(event.payload).await }
        }))
        .await
    })
}

struct Bare {
    consumer: Arc<BaseConsumer>,
    client: Client,
    functions: aws_sdk_lambda::Client,
    table: String,
    consumer_id: String,
    topic: String,
    group: String,
    /// The start of the next read, by partition.
    next: std::sync::Mutex<Vec<i64>>,
}

impl Bare {
    async fn new() -> Result<Self, Failure> {
        let (topic, group) = (variable("KAFKA_TOPIC")?, variable("KAFKA_GROUP_ID")?);
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", variable("KAFKA_BOOTSTRAP_SERVERS")?)
            .set("group.id", &group)
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "1")
            // By default it waits 50 ms between its bootstrap broker and the next.
            .set("reconnect.backoff.ms", "20")
            .set("fetch.queue.backoff.ms", "0")
            .create()?;
        let consumer = Arc::new(consumer);
        // As the product does: otherwise librdkafka waits before its second broker.
        let (connecting, name) = (Arc::clone(&consumer), topic.clone());
        drop(tokio::task::spawn_blocking(move || {
            let mut first = TopicPartitionList::new();
            first.add_partition_offset(&name, 0, Offset::End)?;
            connecting.offsets_for_times(first, LIMIT)
        }));
        let (metadata_client, name) = (Arc::clone(&consumer), topic.clone());
        // Connects while the SDK is initialised.
        let partitions = tokio::task::spawn_blocking(move || {
            metadata_client
                .fetch_metadata(Some(&name), LIMIT)
                .map(|found| found.topics().first().map_or(0, |topic| topic.partitions().len()))
        });
        let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
        Ok(Self {
            client: Client::new(&config),
            functions: aws_sdk_lambda::Client::new(&config),
            table: variable("DYNAMODB_TABLE")?,
            consumer_id: format!("{group}_{topic}"),
            next: std::sync::Mutex::new(vec![0; partitions.await??]),
            consumer,
            topic,
            group,
        })
    }

    /// Does the work, and returns its duration in microseconds.
    async fn handle(&self, event: Event) -> Result<u64, Failure> {
        let started = now();
        match event {
            Event::Query => self.query().await?,
            Event::Ends => self.ends().await?,
            Event::Idle => {
                futures::future::try_join(self.query(), self.ends()).await?;
            }
            Event::Read { records, again } => self.read(records, again).await?,
            Event::Invoke { records, batch } => self.invoke(records, batch).await?,
            Event::Claim { records } => self.claim(records).await?,
        }
        Ok(u64::try_from(started.elapsed().as_micros())?)
    }

    async fn query(&self) -> Result<(), Failure> {
        let mut start = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("consumer_id = :key")
                .expression_attribute_values(":key", AttributeValue::S(self.consumer_id.clone()))
                .set_exclusive_start_key(start)
                .send()
                .await?;
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(());
            }
        }
    }

    async fn ends(&self) -> Result<(), Failure> {
        let (consumer, list) = (Arc::clone(&self.consumer), self.list(|_, _| Offset::End)?);
        tokio::task::spawn_blocking(move || consumer.offsets_for_times(list, LIMIT)).await??;
        Ok(())
    }

    fn list(&self, offset: impl Fn(usize, i64) -> Offset) -> Result<TopicPartitionList, Failure> {
        let next = self.next.lock().map_err(|_| "a panic before")?;
        let mut list = TopicPartitionList::with_capacity(next.len());
        for (partition, next) in next.iter().enumerate() {
            list.add_partition_offset(&self.topic, i32::try_from(partition)?, offset(partition, *next))?;
        }
        Ok(list)
    }

    async fn read(&self, records: u64, again: bool) -> Result<(), Failure> {
        if again {
            self.next.lock().map_err(|_| "a panic before")?.fill(0);
        }
        let moved = self.fetch(records).await?;
        let writes = moved.iter().map(|(partition, last)| self.write(*partition, *last));
        futures::future::try_join_all(writes).await?;
        self.on_to(&moved)
    }

    async fn invoke(&self, records: u64, batch: usize) -> Result<(), Failure> {
        self.next.lock().map_err(|_| "a panic before")?.fill(0);
        let (consumer, list) = (Arc::clone(&self.consumer), self.list(|_, _| Offset::Offset(0))?);
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..list.count()).map(|_| mpsc::channel::<Vec<EventRecord>>(1)).unzip();
        let reading = tokio::task::spawn_blocking(move || {
            consumer.assign(&list)?;
            read_batches(&consumer, &senders, records, batch)?;
            consumer.assign(&TopicPartitionList::new())?;
            Ok::<_, Failure>(())
        });
        let partitions = receivers.into_iter().enumerate();
        let invoking = partitions.map(|(partition, batches)| self.invoke_each(partition, batches));
        let (reading, invoked) = futures::future::join(reading, futures::future::try_join_all(invoking)).await;
        reading??;
        let writes = invoked?.into_iter().enumerate();
        futures::future::try_join_all(writes.map(|(partition, last)| self.write(partition, last))).await?;
        Ok(())
    }

    /// Invokes the function with each batch of one partition, and returns the last offset.
    async fn invoke_each(
        &self,
        partition: usize,
        mut batches: mpsc::Receiver<Vec<EventRecord>>,
    ) -> Result<i64, Failure> {
        let mut last = -1;
        while let Some(batch) = batches.recv().await {
            last = batch.last().map_or(last, |record| record.offset);
            let name = format!("{}-{partition}", self.topic);
            let event = serde_json::json!({"eventSource": "SelfManagedKafka", "bootstrapServers": "b:9092"});
            let mut event = serde_json::to_vec(&event)?;
            event.pop();
            event.extend_from_slice(b",\"records\":{");
            serde_json::to_writer(&mut event, &name)?;
            event.push(b':');
            serde_json::to_writer(&mut event, &batch)?;
            event.extend_from_slice(b"}}");
            let request = self.functions.invoke().function_name(variable(FUNCTION_ARN)?);
            request
                .payload(aws_sdk_lambda::primitives::Blob::new(event))
                .send()
                .await?;
        }
        Ok(last)
    }

    async fn claim(&self, records: u64) -> Result<(), Failure> {
        futures::future::try_join(self.query(), self.ends()).await?;
        let from = self.next.lock().map_err(|_| "a panic before")?.clone();
        let claims = from
            .iter()
            .enumerate()
            .map(|(partition, next)| self.update(partition, CLAIM, next - 1, CLAIM_UNTIL));
        let (moved, _) = futures::future::try_join(self.fetch(records), futures::future::try_join_all(claims)).await?;
        let writes = moved
            .iter()
            .map(|(partition, last)| self.update(*partition, CURSOR, from[*partition] - 1, *last));
        futures::future::try_join_all(writes).await?;
        self.on_to(&moved)
    }

    /// The last offset of each partition that had something.
    async fn fetch(&self, records: u64) -> Result<Vec<(usize, i64)>, Failure> {
        let (consumer, list) = (Arc::clone(&self.consumer), self.list(|_, next| Offset::Offset(next))?);
        let partitions = list.count();
        let read = tokio::task::spawn_blocking(move || {
            consumer.assign(&list)?;
            let read = poll(&consumer, partitions, records)?;
            consumer.assign(&TopicPartitionList::new())?;
            Ok::<_, Failure>(read)
        });
        let found = read.await??.into_iter().enumerate();
        Ok(found.filter_map(|(partition, last)| Some((partition, last?))).collect())
    }

    fn on_to(&self, moved: &[(usize, i64)]) -> Result<(), Failure> {
        let mut next = self.next.lock().map_err(|_| "a panic before")?;
        for (partition, last) in moved {
            next[*partition] = last + 1;
        }
        Ok(())
    }

    async fn update(
        &self,
        partition: usize,
        (update, condition): (&str, &str),
        observed: i64,
        new: i64,
    ) -> Result<(), Failure> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("consumer_id", AttributeValue::S(self.consumer_id.clone()))
            .key("partition", AttributeValue::N(partition.to_string()))
            .update_expression(update)
            .condition_expression(condition)
            .expression_attribute_names("#offset", "offset")
            .expression_attribute_values(":run", AttributeValue::S(self.group.clone()))
            .expression_attribute_values(":observed", AttributeValue::N(observed.to_string()))
            .expression_attribute_values(":new", AttributeValue::N(new.to_string()))
            .send()
            .await?;
        Ok(())
    }

    async fn write(&self, partition: usize, offset: i64) -> Result<(), Failure> {
        self.client
            .put_item()
            .table_name(&self.table)
            .item("consumer_id", AttributeValue::S(self.consumer_id.clone()))
            .item("partition", AttributeValue::N(partition.to_string()))
            .item("offset", AttributeValue::N(offset.to_string()))
            .item("topic", AttributeValue::S(self.topic.clone()))
            .item("group_id", AttributeValue::S(self.group.clone()))
            .send()
            .await?;
        Ok(())
    }
}

/// Reads this number of records, and returns the last offset of each partition.
fn poll(consumer: &BaseConsumer, partitions: usize, records: u64) -> Result<Vec<Option<i64>>, Failure> {
    let mut last = vec![None; partitions];
    let mut left = records;
    while left > 0 {
        let message = consumer.poll(LIMIT).ok_or("nothing came")??;
        serde_json::from_slice::<&RawValue>(message.payload().ok_or("no value")?)?;
        last[usize::try_from(message.partition())?] = Some(message.offset());
        left -= 1;
    }
    Ok(last)
}

/// A record of an event, as AWS writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventRecord {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: i64,
    timestamp_type: &'static str,
    value: String,
    headers: Vec<()>,
}

/// Reads this number of records, and sends them on in batches of each partition.
fn read_batches(
    consumer: &BaseConsumer,
    senders: &[mpsc::Sender<Vec<EventRecord>>],
    records: u64,
    batch: usize,
) -> Result<(), Failure> {
    let mut waiting: Vec<Vec<EventRecord>> = senders.iter().map(|_| vec![]).collect();
    for _ in 0..records {
        let message = consumer.poll(LIMIT).ok_or("nothing came")??;
        let partition = usize::try_from(message.partition())?;
        waiting[partition].push(EventRecord {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
            timestamp_type: "CREATE_TIME",
            value: STANDARD.encode(message.payload().ok_or("no value")?),
            headers: vec![],
        });
        if waiting[partition].len() == batch {
            senders[partition].blocking_send(std::mem::take(&mut waiting[partition]))?;
        }
    }
    for (sender, rest) in senders.iter().zip(waiting) {
        if !rest.is_empty() {
            sender.blocking_send(rest)?;
        }
    }
    Ok(())
}

fn variable(name: &str) -> Result<String, Failure> {
    std::env::var(name).map_err(|_| format!("{name} is not set").into())
}

fn now() -> Instant {
    Instant::now()
}

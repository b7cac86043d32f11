//! A topic, a table and a group for a single test, and the real command line to run on them.

use std::ffi::OsString;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use super::certificates::{CertificateAuthority, Pair};
use super::kafka::{self, Message, unique, values};
use super::listeners::{ALLOWED, Listener, secured};
use super::secrets::arn;
use super::services::services;
use super::table::{Item, Table, five_attributes, number};

/// The topic, table and group of one test. No other test uses them.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) bootstrap: String,
    pub(crate) endpoint: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) table: Table,
    settings: Vec<(String, String)>,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl World {
    /// A new topic with this number of partitions, and an empty table.
    pub(crate) async fn new(name: &str, partitions: i32) -> Self {
        let bootstrap = services().kafka_bootstrap.clone();
        Self::on(&bootstrap, name, partitions, &[]).await
    }

    /// As [`new`](Self::new), on another broker and with settings of the topic.
    pub(crate) async fn on(bootstrap: &str, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Self {
        let endpoint = services().dynamodb_endpoint.clone();
        let topic = unique(name);
        kafka::create_topic(bootstrap, &topic, partitions, configs);
        Self {
            bootstrap: bootstrap.to_owned(),
            table: Table::create(&endpoint, &unique(name)).await,
            endpoint,
            topic,
            group: unique("group"),
            settings: vec![],
        }
    }

    /// As [`new`](Self::new), on the broker with users and ACLs. The topic is one that
    /// [`ALICE`](super::listeners::ALICE) has permission to read. The commands use the plaintext
    /// listener, until [`connect`](Self::connect).
    pub(crate) async fn secured(name: &str, partitions: i32) -> Self {
        let bootstrap = tokio::task::spawn_blocking(|| {
            secured().allow_all();
            secured().address(Listener::Plaintext)
        });
        let bootstrap = bootstrap.await.expect("the broker starts");
        Self::on(&bootstrap, &format!("{ALLOWED}{name}"), partitions, &[]).await
    }

    /// The same topic and table, with cursors of a new group.
    pub(crate) fn of_another_group(&self, name: &str) -> Self {
        Self {
            group: unique(name),
            ..self.clone()
        }
    }

    /// From now on the commands connect to this listener, with the CA of its certificate. The caller
    /// sets the credentials that it needs.
    pub(crate) fn connect(&mut self, listener: Listener) -> &mut Self {
        self.set("KAFKA_BOOTSTRAP_SERVERS", secured().address(listener))
            .set("KAFKA_SECURITY_PROTOCOL", listener.protocol());
        if listener.protocol().ends_with("SSL") {
            self.set("KAFKA_SSL_CA_PEM", CertificateAuthority::trusted().pem());
        }
        self
    }

    /// The commands authenticate with this user and password.
    pub(crate) fn log_in(&mut self, mechanism: &str, (name, password): (&str, &str)) -> &mut Self {
        self.set("KAFKA_SASL_MECHANISM", mechanism)
            .set("KAFKA_SASL_USERNAME", name)
            .set("KAFKA_SASL_PASSWORD", password)
    }

    /// The commands authenticate with this certificate.
    pub(crate) fn set_certificate(&mut self, certificate: &Pair) -> &mut Self {
        self.set("KAFKA_SSL_CERTIFICATE_PEM", certificate.certificate_pem())
            .set("KAFKA_SSL_KEY_PEM", certificate.key_pem())
    }

    /// The commands authenticate with the user in this secret.
    pub(crate) fn log_in_with_secret(&mut self, name: &str) -> &mut Self {
        self.set("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
            .set("KAFKA_SECRET_ARN", arn(name))
    }

    /// The commands verify brokers with the CA in this secret only.
    pub(crate) fn set_ca_secret(&mut self, name: &str) -> &mut Self {
        self.set("KAFKA_SSL_CA_PEM", "").set("KAFKA_CA_SECRET_ARN", arn(name))
    }

    /// The commands authenticate with an unsigned token.
    pub(crate) fn set_token(&mut self, config: &str) -> &mut Self {
        self.set("KAFKA_SASL_MECHANISM", "OAUTHBEARER")
            .set("KAFKA_ENABLE_SASL_OAUTHBEARER_UNSECURE_JWT", "true")
            .set("KAFKA_SASL_OAUTHBEARER_CONFIG", config)
    }

    /// A setting for all later commands.
    pub(crate) fn set(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// The partition key of this world's cursors.
    pub(crate) fn consumer_id(&self) -> String {
        format!("{}_{}", self.group, self.topic)
    }

    /// Produces `{"n": 0}`, `{"n": 1}`, ... to a partition.
    pub(crate) fn produce(&self, partition: i32, count: usize) {
        let records = values((0..count).map(|n| format!("{{\"n\":{n}}}")));
        self.produce_these(partition, &records);
    }

    pub(crate) fn produce_these(&self, partition: i32, records: &[Message]) {
        kafka::produce(&self.bootstrap, &self.topic, partition, records, &[]);
    }

    /// The stored `offset` of a partition: the last processed one.
    pub(crate) async fn offset(&self, partition: i32) -> Option<i64> {
        self.table.offset(&self.consumer_id(), partition).await
    }

    /// The item of a partition, which must exist.
    pub(crate) async fn item(&self, partition: i32) -> Item {
        let item = self.table.get_item(&self.consumer_id(), partition).await;
        item.unwrap_or_else(|| panic!("partition {partition} has no item"))
    }

    /// Whether a run has a claim on a partition that has not expired.
    #[allow(clippy::disallowed_methods, reason = "claims are in real time")]
    pub(crate) async fn is_claimed(&self, partition: i32) -> bool {
        let item = self.table.get_item(&self.consumer_id(), partition).await;
        let until = item.and_then(|item| item.get("claim_until").map(|_| number(&item, "claim_until")));
        until.is_some_and(|until| until > jiff::Timestamp::now().as_millisecond())
    }

    /// Makes a claim expire at once.
    pub(crate) async fn end_the_claim(&self, partition: i32) {
        let past = AttributeValue::N("1".to_owned());
        let table = &self.table;
        table
            .set_attribute(&self.consumer_id(), partition, "claim_until", past)
            .await;
    }

    /// Stores the expired claim of a run that had planned to reach `to`, as a crash leaves it: the
    /// next run has small chunks and writes the cursor after each.
    pub(crate) async fn leave_a_crash_behind(&self, partition: i32, to: i64) {
        let mut item = five_attributes(&self.group, &self.topic, partition, -1);
        item.insert("run".into(), AttributeValue::S("crashed".into()));
        item.insert("claim_until".into(), AttributeValue::N("1".into()));
        item.insert("claim_to".into(), AttributeValue::N(to.to_string()));
        self.table.put_item(item).await;
    }

    /// Waits until a run has claimed a partition.
    pub(crate) async fn wait_for_the_claim(&self, partition: i32) {
        for _ in 0..4_000 {
            if self.is_claimed(partition).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("partition {partition} is not claimed");
    }

    /// Stores a cursor with the five attributes only, as another program does.
    pub(crate) async fn put_offset(&self, partition: i32, offset: i64) {
        self.table.put_cursor(&self.group, &self.topic, partition, offset).await;
    }

    /// The command, with this world's settings and without the machine's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-consumer"));
        command
            .args(arguments)
            .env_clear()
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_ENDPOINT_URL_DYNAMODB", &self.endpoint)
            .env("KAFKA_BOOTSTRAP_SERVERS", &self.bootstrap)
            .env("KAFKA_TOPIC", &self.topic)
            .env("KAFKA_GROUP_ID", &self.group)
            .env("DYNAMODB_TABLE", &self.table.name)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The environment variables of [`command`](Self::command), for the function.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let command = self.command(&[]);
        let set = command.get_envs();
        set.filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect()
    }

    /// Runs a command and waits for its end.
    pub(crate) fn ran(&self, arguments: &[&str]) -> Ran {
        let started = Instant::now();
        let output = self.command(arguments).output().expect("the command starts");
        Ran::new(output, started)
    }

    /// `run --output json`.
    pub(crate) fn run(&self) -> Ran {
        self.ran(&["run", "--output", "json"])
    }

    /// Starts a command and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the command starts")
    }
}

impl Ran {
    pub(crate) fn new(output: Output, started: Instant) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is text"),
            stderr: String::from_utf8(output.stderr).expect("stderr is text"),
            took: started.elapsed(),
        }
    }

    /// The JSON document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The report of a run that succeeded.
    pub(crate) fn success(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        let report = self.json();
        assert_eq!(report["status"], "success", "{report}");
        report
    }

    /// The report of a run that failed, by its error type and exit code.
    pub(crate) fn failure(&self, error_type: &str, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        let report = self.json();
        assert_eq!(report["status"], "failed", "{report}");
        assert_eq!(report["error"]["type"], error_type, "{report}");
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(
            last.starts_with(&format!("{error_type}: ")),
            "the last line of stderr: {last}"
        );
        report
    }

    /// The offsets that were logged, one for each record, in order.
    pub(crate) fn logged_offsets(&self) -> Vec<i64> {
        self.logged().into_iter().map(|(_, offset)| offset).collect()
    }

    /// The same, with consecutive ones as a range, so that a failed assertion stays readable.
    pub(crate) fn logged_ranges(&self) -> Vec<(i64, i64)> {
        ranges(self.logged_offsets())
    }

    /// Partition and offset of each record that was logged, in order.
    pub(crate) fn logged(&self) -> Vec<(i32, i64)> {
        let field = |line: &str, name| line.split(name).nth(1)?.split(' ').next()?.parse::<i64>().ok();
        self.stderr
            .lines()
            .filter(|line| line.contains(" record "))
            .filter_map(|line| Some((field(line, " partition=")?.try_into().ok()?, field(line, " offset=")?)))
            .collect()
    }
}

/// Consecutive offsets as ranges, first and last.
pub(crate) fn ranges(offsets: impl IntoIterator<Item = i64>) -> Vec<(i64, i64)> {
    let mut ranges: Vec<(i64, i64)> = vec![];
    for offset in offsets {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == offset => *last = offset,
            _ => ranges.push((offset, offset)),
        }
    }
    ranges
}

//! The table of all settings. The command line's flags and docs/CONFIGURATION.md follow it.

/// One setting: the environment variable, its default, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The name of the environment variable.
    pub variable: &'static str,
    /// The shorter flag of the command line, without `--`, where there is one.
    pub alias: Option<&'static str>,
    /// The value of an unset or empty variable. `None`: there is no fixed one, see `meaning`.
    pub default: Option<&'static str>,
    /// What it sets, its unit, and the values allowed: one line of plain text.
    pub meaning: &'static str,
}

impl Setting {
    /// The long flag of the command line, without `--`: `kafka-topic` for `KAFKA_TOPIC`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.variable.to_ascii_lowercase().replace('_', "-")
    }
}

/// Every named setting, in the order in which they are documented.
///
/// Any other `KAFKA_*` variable is a librdkafka property.
pub const SETTINGS: &[Setting] = &[
    Setting {
        variable: "KAFKA_BOOTSTRAP_SERVERS",
        alias: Some("bootstrap-servers"),
        default: Some("localhost:9092"),
        meaning: "Bootstrap brokers: host:port, comma-separated",
    },
    Setting {
        variable: "KAFKA_TOPIC",
        alias: Some("topic"),
        default: Some("test-topic"),
        meaning: "The topic to read, or several, comma-separated",
    },
    Setting {
        variable: "KAFKA_GROUP_ID",
        alias: Some("group-id"),
        default: Some("lambda-consumer-group"),
        meaning: "Names the cursors in the table; also the default client.id. Runs need no permission on the group",
    },
    Setting {
        variable: "DYNAMODB_TABLE",
        alias: Some("table"),
        default: Some("kafka-consumer-offsets"),
        meaning: "The table of the cursors, by name or ARN",
    },
    Setting {
        variable: "MAX_MESSAGES",
        alias: None,
        default: Some("1000"),
        meaning: "Records a run may handle, 1 or more; unlimited: until caught up, or the deadline",
    },
    Setting {
        variable: "POLL_TIMEOUT",
        alias: None,
        default: Some("5.0"),
        meaning: "Seconds without a byte from the brokers before a run fails, 0.1 to 300",
    },
    Setting {
        variable: "TIME_LIMIT",
        alias: None,
        default: Some("60"),
        meaning: "Seconds a run may take on the command line, 1 to 5400; in Lambda the function's deadline applies",
    },
    Setting {
        variable: "START_POSITION",
        alias: None,
        default: Some("earliest"),
        meaning: "Where a topic without cursors starts: earliest, latest, an RFC 3339 time, or a date (midnight UTC)",
    },
    Setting {
        variable: "MESSAGE_FORMAT",
        alias: None,
        default: None,
        meaning: "Format of the values: json, text (UTF-8) or bytes. Unset: json; bytes for a destination that gets values as they are: functions, queues, topics, buses",
    },
    Setting {
        variable: "DESTINATION",
        alias: None,
        default: Some("log"),
        meaning: "Where records go: log (one structured line each), discard, the ARN of a Lambda function, which gets AWS's Kafka event, of an SQS queue, an SNS topic, an EventBridge bus or a DynamoDB table, which holds the newest value of each key, kafka://<topic>, an https:// URL, which gets CloudEvents, or a JSON object from topic (a name, prefix* or *) to one of these or to {to, filters, format, batch_size, parallelization_factor, envelope}",
    },
    Setting {
        variable: "BATCH_SIZE",
        alias: None,
        default: None,
        meaning: "Records in one call of the destination, 1 to 10000. Unset: 100 to a function or a table, 1 to an HTTP endpoint, else as many as the service takes",
    },
    Setting {
        variable: "PARALLELIZATION_FACTOR",
        alias: None,
        default: Some("1"),
        meaning: "Batches of one partition in flight at once to a destination that sends, 1 to 100. Records with the same key stay in order; above 1, records without a key have no order among themselves",
    },
    Setting {
        variable: "ENVELOPE",
        alias: None,
        default: Some("value"),
        meaning: "What queues, topics and HTTP endpoints get: the value, with the rest of the record as attributes, or the whole record as JSON",
    },
    Setting {
        variable: "HTTP_HEADERS_SECRET_ARN",
        alias: None,
        default: None,
        meaning: "ARN of the secret with headers that HTTP endpoints get with each request, such as credentials: {Authorization: ...}. Unset: none",
    },
    Setting {
        variable: "MSK_CLUSTER_ARN",
        alias: None,
        default: None,
        meaning: "ARN of the MSK cluster that a function sees as the source: its events name aws:kafka and this ARN. Unset: SelfManagedKafka",
    },
    Setting {
        variable: "LOG_VALUES",
        alias: None,
        default: Some("false"),
        meaning: "Whether the log destination also writes keys and values, which may be personal data: true or false",
    },
    Setting {
        variable: "FILTER_PATTERNS",
        alias: None,
        default: None,
        meaning: "JSON array of filter patterns in AWS's syntax, on value, key, headers, topic, partition, offset and timestamp; a record that matches none is settled without the handler. Unset: every record is passed to the handler",
    },
    Setting {
        variable: "REPORT_BATCH_ITEM_FAILURES",
        alias: None,
        default: Some("false"),
        meaning: "Whether the response to an event of AWS's mapping names the records that failed, instead of failing the invocation: true or false. Only where the mapping has FunctionResponseTypes ReportBatchItemFailures; else their records are lost",
    },
    Setting {
        variable: "ON_FAILURE",
        alias: None,
        default: Some("halt"),
        meaning: "A record that cannot be decoded or processed: halt its partition, skip it, or send it as a dead letter to kafka://<topic> or to an SQS queue by its ARN",
    },
    Setting {
        variable: "MAX_ATTEMPTS",
        alias: None,
        default: Some("3"),
        meaning: "Attempts for a record, over all runs, before skip or a dead letter applies to a retryable failure, 1 to 10000",
    },
    Setting {
        variable: "ON_RETENTION_LOSS",
        alias: None,
        default: Some("continue"),
        meaning: "Records after the cursor were deleted by retention: continue from the earliest, or halt",
    },
    Setting {
        variable: "ON_TRUNCATION",
        alias: None,
        default: Some("halt"),
        meaning: "The cursor lies past the end of the partition: halt, earliest or latest",
    },
    Setting {
        variable: "MAX_MEMORY_BYTES",
        alias: None,
        default: None,
        meaning: "Bytes that fetched records may take at once, 1 MiB to 10 GiB. Unset: 40 % of the function's memory above 40 MiB; 256 MiB on the command line",
    },
    Setting {
        variable: "KAFKA_SECRET_ARN",
        alias: None,
        default: None,
        meaning: "ARN of the Secrets Manager secret to authenticate with: {username, password}, or {certificate, privateKey, privateKeyPassword}. Unset: the KAFKA_SASL_* and KAFKA_SSL_* properties",
    },
    Setting {
        variable: "KAFKA_CA_SECRET_ARN",
        alias: None,
        default: None,
        meaning: "ARN of the secret with the CA of the brokers' certificates: {certificate}, or the PEM itself. Unset: KAFKA_SSL_CA_PEM or KAFKA_SSL_CA_LOCATION, else the system's CAs",
    },
];

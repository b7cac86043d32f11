//! The metrics of a run: one line of `CloudWatch`'s embedded metric format for each
//! topic.

use super::dimension;

/// The counts of one run for one topic, for its metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicCounts {
    /// Records fetched.
    pub polled: u64,
    /// Records that match no filter pattern.
    pub filtered: u64,
    /// Records handled.
    pub processed: u64,
    /// Times that a record was passed to the handler.
    pub invoked: u64,
    /// Failed attempts, also of records that could not be decoded.
    pub failed: u64,
    /// Records skipped by policy.
    pub dropped: u64,
    /// Records sent to a dead-letter target.
    pub dead_lettered: u64,
    /// Offsets lost.
    pub lost: u64,
    /// Blocked partitions.
    pub blocked: u64,
    /// End offset minus next offset; `None` if it is unknown.
    pub lag: Option<u64>,
}

/// One line of `CloudWatch`'s embedded metric format for one run and topic.
///
/// Where AWS's own event source mapping has a name for a figure, it is the
/// same name (Lambda Developer Guide, "Event source mapping metrics").
#[must_use]
pub fn metrics_line(group_id: &str, topic: &str, counts: &TopicCounts, duration_ms: u64, now_ms: i64) -> String {
    let count = |name: &'static str, value: u64| (name, "Count", value);
    let mut figures = vec![
        count("PolledEventCount", counts.polled),
        count("FilteredOutEventCount", counts.filtered),
        // As AWS counts: once for each time that a record was passed to the handler.
        count("InvokedEventCount", counts.invoked),
        count("ProcessedEventCount", counts.processed),
        count("FailedInvokeEventCount", counts.failed),
        count("DroppedEventCount", counts.dropped),
        count("OnFailureDestinationDeliveredEventCount", counts.dead_lettered),
        count("LostEventCount", counts.lost),
        count("BlockedPartitions", counts.blocked),
        ("RunDuration", "Milliseconds", duration_ms),
    ];
    // An unknown lag is not a lag of 0.
    figures.extend(counts.lag.map(|lag| count("OffsetLag", lag)));
    let metrics: Vec<_> = figures
        .iter()
        .map(|(name, unit, _)| serde_json::json!({ "Name": name, "Unit": unit }))
        .collect();
    let mut line = serde_json::json!({
        "_aws": {
            "Timestamp": now_ms,
            "CloudWatchMetrics": [{
                "Namespace": "KafkaConsumer",
                "Dimensions": [["ConsumerGroup", "Topic"]],
                "Metrics": metrics,
            }],
        },
        "ConsumerGroup": dimension(group_id),
        "Topic": dimension(topic),
    });
    for (name, _, value) in figures {
        line[name] = value.into();
    }
    line.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cloudwatch_does_not_take_are_written_escaped() {
        let line = metrics_line("café", "t", &TopicCounts::default(), 7, 1_700_000_000_000);
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            (&line["ConsumerGroup"], &line["Topic"]),
            (&"caf%C3%A9".into(), &"t".into())
        );
    }

    #[test]
    fn an_unknown_lag_is_not_a_metric_of_zero() {
        let unknown = metrics_line("g", "t", &TopicCounts::default(), 7, 1_700_000_000_000);
        assert!(!unknown.contains("OffsetLag"), "{unknown}");
        let known = metrics_line(
            "g",
            "t",
            &TopicCounts {
                lag: Some(0),
                ..Default::default()
            },
            7,
            1_700_000_000_000,
        );
        let line: serde_json::Value = serde_json::from_str(&known).expect("JSON");
        assert_eq!(line["OffsetLag"], 0);
        assert_eq!(line["RunDuration"], 7);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "KafkaConsumer");
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().map(Vec::len),
            Some(11)
        );
    }
}

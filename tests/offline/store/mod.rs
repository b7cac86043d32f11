//! The store seam without a server: the conformance suite for the memory store and the embedded
//! `DynamoDB`, and the errors of a store.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

pub(crate) mod item;

mod memory {
    use kafka_consumer_lambda::store::memory::MemoryStore;

    use crate::support::store_conformance::conformance_tests;

    conformance_tests!(async { MemoryStore::new() });
}

#[cfg(feature = "embedded")]
mod embedded {
    use kafka_consumer_lambda::claim::{Claim, ObservedItem, RunId, Verdict, claim, judge_claim};
    use kafka_consumer_lambda::store::{Store, write_and_judge};

    use super::failures::store_at;
    use crate::support::dynamo_conformance::{DynamoBench, dynamo_conformance_tests};
    use crate::support::scripted_dynamodb::{Act, Scripted};
    use crate::support::states::next;
    use crate::support::store_conformance::conformance_tests;
    use crate::support::store_histories::consumer;

    /// Starts a `DynamoDB` in this process, for one test, and returns its address.
    async fn start() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let database = dynoxide::Database::memory().expect("it takes memory only");
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        address
    }

    async fn endpoint() -> String {
        format!("http://{}", start().await)
    }

    conformance_tests!(async { DynamoBench::create(&endpoint().await).await });
    dynamo_conformance_tests!(endpoint());

    /// Claims a partition while the server does `act` with this number of attempts of the write.
    async fn claim_succeeds_despite(act: Act, attempts: usize) {
        let server = Scripted::start(&start().await).await;
        let store = store_at(&server.endpoint);
        store.create_table().await.unwrap();
        let (consumer, observed) = (consumer(), ObservedItem::Missing { start: next(0) });
        let ours = Claim {
            run: RunId::new("me"),
            until_ms: 200,
            to: next(9),
            now_ms: 100,
        };
        let write = claim(&observed, &ours);
        server.next(vec![act.clone(); attempts]);
        let verdict = write_and_judge(&store, &consumer, 0, &write, |item| judge_claim(&observed, &ours, item)).await;
        assert_eq!(verdict, Ok(Verdict::Applied), "{attempts} times {act:?}");
        assert_eq!(server.left(), 0);
        assert_eq!(store.load_one(&consumer, 0).await.unwrap().unwrap().run, Some(ours.run));
    }

    #[tokio::test]
    async fn a_claim_whose_responses_were_lost_is_recognised() {
        // The client's second attempt shows it, or one read if all attempts are lost.
        claim_succeeds_despite(Act::ForwardAndHangUp, 1).await;
        claim_succeeds_despite(Act::ForwardAndHangUp, 3).await;
    }

    #[tokio::test]
    async fn a_claim_that_never_arrived_is_written_again() {
        claim_succeeds_despite(Act::HangUp, 3).await;
    }
}

mod failures {
    use std::time::Duration;

    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
    use kafka_consumer_lambda::claim::pin;
    use kafka_consumer_lambda::error::{Error, ErrorType};
    use kafka_consumer_lambda::store::dynamodb::{CallLimits, DynamoStore};
    use kafka_consumer_lambda::store::{Store, WriteResult};
    use tokio::time::Instant;

    use crate::support::scripted_dynamodb::{Act, Scripted};
    use crate::support::states::next;
    use crate::support::store_histories::consumer;

    const NOWHERE: &str = "127.0.0.1:9";

    /// A store with short timeouts.
    pub(super) fn store_at(endpoint: &str) -> DynamoStore {
        store_with(endpoint, Duration::from_millis(200), Duration::from_secs(3))
    }

    fn store_with(endpoint: &str, response: Duration, call: Duration) -> DynamoStore {
        let patience = CallLimits {
            connect: Duration::from_millis(200),
            response,
            call,
            ..CallLimits::default()
        };
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new(
                "test",
                "planted-secret",
                Some("planted-token".into()),
                None,
                "test",
            ));
        DynamoStore::new(Client::from_conf(patience.apply(config).build()), "cursors")
    }

    /// The result of a write whose attempts meet `acts`, all of which must be used.
    async fn write_with_acts(acts: &[Act]) -> Result<WriteResult, Error> {
        let server = Scripted::start(NOWHERE).await;
        server.next(acts.iter().cloned());
        let written = store_at(&server.endpoint)
            .write(&consumer(), 0, &pin(next(0), 100))
            .await;
        assert_eq!(server.left(), 0, "{written:?}");
        written
    }

    fn throttled() -> Act {
        Act::error(400, "ThrottlingException", "slow down")
    }

    #[tokio::test]
    async fn a_write_that_was_only_throttled_was_not_applied() {
        let error = write_with_acts(&[throttled(), throttled(), throttled()])
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorType::TableUnreachable);
        assert!(
            error.message().contains("throttled") && error.message().contains("slow down"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_result_of_a_write_without_a_response_stays_unknown_after_any_last_attempt() {
        for act in [
            Act::HangUp,
            Act::Silence,
            Act::error(500, "InternalServerError", "oops"),
        ] {
            let denied = Act::error(400, "AccessDeniedException", "no");
            let written = write_with_acts(&[act.clone(), throttled(), denied]).await;
            assert!(matches!(written, Ok(WriteResult::Unknown(_))), "{act:?}: {written:?}");
        }
    }

    #[tokio::test]
    async fn the_result_of_a_write_that_never_gets_a_response_is_unknown() {
        for act in [
            Act::HangUp,
            Act::Silence,
            Act::error(500, "InternalServerError", "oops"),
        ] {
            let written = write_with_acts(&[act.clone(), act.clone(), act.clone()]).await;
            assert!(matches!(written, Ok(WriteResult::Unknown(_))), "{act:?}: {written:?}");
        }
    }

    /// The SDK drops an attempt that is open when the timeout of the call expires.
    #[tokio::test]
    async fn the_result_of_a_write_that_is_open_at_the_timeout_of_the_call_is_unknown() {
        let server = Scripted::start(NOWHERE).await;
        server.next([Act::Silence]);
        let store = store_with(&server.endpoint, Duration::from_secs(5), Duration::from_millis(300));
        let written = store.write(&consumer(), 0, &pin(next(0), 100)).await;
        assert_eq!(server.left(), 0);
        assert!(matches!(written, Ok(WriteResult::Unknown(_))), "{written:?}");
    }

    #[tokio::test]
    async fn a_conflict_with_a_transaction_leaves_the_result_unknown() {
        let written = write_with_acts(&[Act::error(400, "TransactionConflictException", "busy")]).await;
        assert!(matches!(written, Ok(WriteResult::Unknown(_))), "{written:?}");
    }

    #[tokio::test]
    async fn a_refused_request_is_an_error_with_the_next_step() {
        let rows = [
            (
                "AccessDeniedException",
                ErrorType::TableUnreachable,
                "Allow dynamodb:UpdateItem",
            ),
            (
                "UnrecognizedClientException",
                ErrorType::TableUnreachable,
                "the AWS credentials were refused",
            ),
            (
                "ResourceNotFoundException",
                ErrorType::TableNotFound,
                "kafka-consumer table create",
            ),
            (
                "ValidationException",
                ErrorType::TableUnreachable,
                "ValidationException: words",
            ),
        ];
        for (code, error_type, advice) in rows {
            let error = write_with_acts(&[Act::error(400, code, "words")]).await.unwrap_err();
            assert_eq!(error.kind, error_type, "{error}");
            assert!(error.message().contains(advice), "{error}");
        }
    }

    #[tokio::test]
    async fn a_response_that_is_not_dynamodbs_is_an_error_with_its_status() {
        let error = write_with_acts(&[Act::Respond(403, "<html>Forbidden</html>".to_owned())])
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorType::TableUnreachable);
        assert!(
            error.message().contains("with HTTP status 403. Check the network"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_message_never_shows_a_secret() {
        let signature = "the canonical request was: x-amz-security-token:planted-token";
        let error = write_with_acts(&[Act::error(400, "InvalidSignatureException", signature)])
            .await
            .unwrap_err();
        assert!(!error.message().contains("planted"), "{error}");
        let error = store_at(&format!("http://{NOWHERE}"))
            .load(&consumer())
            .await
            .unwrap_err();
        assert!(!error.message().contains("planted"), "{error}");
    }

    #[tokio::test]
    async fn a_table_that_cannot_be_reached_is_an_error_before_the_deadline() {
        let silent = Scripted::start(NOWHERE).await;
        silent.next(vec![Act::Silence; 3]);
        for endpoint in [
            silent.endpoint.as_str(),
            &format!("http://{NOWHERE}"),
            "http://no-such-host.invalid",
        ] {
            let start = Instant::now();
            let error = store_at(endpoint).load(&consumer()).await.unwrap_err();
            assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
            assert_eq!(error.kind, ErrorType::TableUnreachable, "{error}");
            let place =
                format!("no response to Query from table \"cursors\" (region eu-west-1, endpoint {endpoint}): ");
            assert!(error.message().starts_with(&place), "{error}");
        }
    }
}

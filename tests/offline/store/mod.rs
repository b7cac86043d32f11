//! The store seam without a server: the conformance suite for the memory store
//! and the embedded `DynamoDB`, and what a store makes of failures.

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

    /// Starts a `DynamoDB` in this process, for one test, and gives its address.
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

    /// Claims a partition while the script does `act` with `tries` tries of the write.
    async fn claim_meets(act: Act, tries: usize) {
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
        server.next(vec![act.clone(); tries]);
        let verdict = write_and_judge(&store, &consumer, 0, &write, |item| judge_claim(&observed, &ours, item)).await;
        assert_eq!(verdict, Ok(Verdict::Applied), "{tries} times {act:?}");
        assert_eq!(server.left(), 0);
        assert_eq!(store.load_one(&consumer, 0).await.unwrap().unwrap().run, Some(ours.run));
    }

    #[tokio::test]
    async fn a_claim_whose_answers_were_lost_is_ours() {
        // The client's own second try finds it out; or, with every try lost, one read.
        claim_meets(Act::ForwardAndHangUp, 1).await;
        claim_meets(Act::ForwardAndHangUp, 3).await;
    }

    #[tokio::test]
    async fn a_claim_that_never_arrived_is_made_again() {
        claim_meets(Act::HangUp, 3).await;
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

    /// A store without much patience.
    pub(super) fn store_at(endpoint: &str) -> DynamoStore {
        store_with(endpoint, Duration::from_millis(200), Duration::from_secs(3))
    }

    fn store_with(endpoint: &str, answer: Duration, call: Duration) -> DynamoStore {
        let patience = CallLimits {
            connect: Duration::from_millis(200),
            response: answer,
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

    /// What a write comes to whose tries meet `acts`; all of them must be used.
    async fn write_meets(acts: &[Act]) -> Result<WriteResult, Error> {
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
    async fn a_write_that_was_only_throttled_was_certainly_not_made() {
        let error = write_meets(&[throttled(), throttled(), throttled()]).await.unwrap_err();
        assert_eq!(error.kind, ErrorType::TableUnreachable);
        assert!(
            error.message().contains("throttled") && error.message().contains("slow down"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_write_without_an_answer_stays_in_doubt_whatever_the_last_try_came_to() {
        for doubt in [
            Act::HangUp,
            Act::Silence,
            Act::error(500, "InternalServerError", "oops"),
        ] {
            let denied = Act::error(400, "AccessDeniedException", "no");
            let written = write_meets(&[doubt.clone(), throttled(), denied]).await;
            assert!(matches!(written, Ok(WriteResult::Unknown(_))), "{doubt:?}: {written:?}");
        }
    }

    #[tokio::test]
    async fn a_write_that_is_never_answered_is_unanswered() {
        for doubt in [
            Act::HangUp,
            Act::Silence,
            Act::error(500, "InternalServerError", "oops"),
        ] {
            let written = write_meets(&[doubt.clone(), doubt.clone(), doubt.clone()]).await;
            assert!(matches!(written, Ok(WriteResult::Unknown(_))), "{doubt:?}: {written:?}");
        }
    }

    /// The SDK drops an attempt that is open when the time of the call is over.
    #[tokio::test]
    async fn a_write_whose_open_try_ends_with_the_calls_time_is_unanswered() {
        let server = Scripted::start(NOWHERE).await;
        server.next([Act::Silence]);
        let store = store_with(&server.endpoint, Duration::from_secs(5), Duration::from_millis(300));
        let written = store.write(&consumer(), 0, &pin(next(0), 100)).await;
        assert_eq!(server.left(), 0);
        assert!(matches!(written, Ok(WriteResult::Unknown(_))), "{written:?}");
    }

    #[tokio::test]
    async fn a_conflict_with_a_transaction_is_worth_another_try() {
        let written = write_meets(&[Act::error(400, "TransactionConflictException", "busy")]).await;
        assert!(matches!(written, Ok(WriteResult::Unknown(_))), "{written:?}");
    }

    #[tokio::test]
    async fn a_refused_request_is_an_error_that_says_what_to_do() {
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
            let error = write_meets(&[Act::error(400, code, "words")]).await.unwrap_err();
            assert_eq!(error.kind, error_type, "{error}");
            assert!(error.message().contains(advice), "{error}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_not_dynamodbs_is_an_error_with_its_status() {
        let error = write_meets(&[Act::Answer(403, "<html>Forbidden</html>".to_owned())])
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
        let error = write_meets(&[Act::error(400, "InvalidSignatureException", signature)])
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
    async fn a_table_that_cannot_be_reached_is_an_error_in_time() {
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

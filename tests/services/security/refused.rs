//! What a run says whose login is refused, or that may not read.

use super::{Refusals, at, localhost, wrong};
use crate::support::certificates::Authority;
use crate::support::doors;
use crate::support::listeners::{ALICE, BOB, CAROL, Listener};
use crate::support::world::World;

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_refused_logins() {
    let mut refusals = Refusals::new("login").await;
    for (mechanism, said) in [
        ("PLAIN", "Invalid username or password"),
        ("SCRAM-SHA-256", "invalid credentials"),
        ("SCRAM-SHA-512", "invalid credentials"),
    ] {
        let named = format!("refused the user or the password ({mechanism}): ");
        let words = [
            &named,
            said,
            "Check KAFKA_SECRET_ARN, or KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
        ];
        refusals.add(&words, |it| {
            it.connect(Listener::Scram).log_in(mechanism, wrong("alice"));
        });
        refusals.add(&words, |it| {
            it.connect(Listener::ScramSsl).log_in(mechanism, wrong("nobody"));
        });
    }
    refusals.fail_with("AuthenticationFailed");
}

#[tokio::test]
async fn a_mechanism_or_a_token_that_the_listener_does_not_take_is_a_refused_login() {
    Refusals::new("mechanism")
        .await
        .add(
            &["does not support PLAIN, but OAUTHBEARER. Set KAFKA_SASL_MECHANISM"],
            |it| {
                it.connect(Listener::Oauth).log_in("PLAIN", ALICE);
            },
        )
        .add(&["does not support OAUTHBEARER, but ", "SCRAM-SHA-512"], |it| {
            it.connect(Listener::Scram).show_token("principal=alice");
        })
        .add(&["refused the token", "invalid_token"], |it| {
            it.connect(Listener::Oauth)
                .show_token("principal=alice principalClaimName=other");
        })
        .add(
            &[
                "there is no OAUTHBEARER token",
                "Unrecognized sasl.oauthbearer.config. Check",
            ],
            |it| {
                it.connect(Listener::Oauth).show_token("planted=alice");
            },
        )
        .add(
            &["is a listener without SASL. Set KAFKA_SECURITY_PROTOCOL=PLAINTEXT"],
            |it| {
                it.connect(Listener::Scram).log_in("SCRAM-SHA-512", ALICE);
                it.set("KAFKA_BOOTSTRAP_SERVERS", at(Listener::Plaintext));
            },
        )
        .add(&["is a listener without SASL. Set KAFKA_SECURITY_PROTOCOL=SSL"], |it| {
            it.connect(Listener::ScramSsl).log_in("SCRAM-SHA-512", ALICE);
            it.set("KAFKA_BOOTSTRAP_SERVERS", at(Listener::Tls));
        })
        .fail_with("AuthenticationFailed");
}

#[tokio::test]
async fn a_client_certificate_that_is_missing_or_of_a_foreign_authority_is_a_refused_login() {
    let foreign = Authority::foreign().client("alice");
    let picky = doors::tls_for_clients_of(Authority::ours(), &Authority::ours().server("localhost", 24));
    Refusals::new("certificate")
        .await
        .add(
            &["requires a client certificate, and none is set. Set KAFKA_SECRET_ARN, or KAFKA_SSL_CERT"],
            |it| {
                it.connect(Listener::Mtls);
            },
        )
        .add(
            &["accepts client certificates of certain CAs only, and the client certificate is of none"],
            |it| {
                it.connect(Listener::Mtls).show(&foreign);
            },
        )
        // It does not say of which authorities, so the certificate is shown.
        .add(
            &["refused the client certificate", "unknown ca", "signed by a CA"],
            |it| {
                it.connect(Listener::Mtls).show(&foreign);
                it.set("KAFKA_BOOTSTRAP_SERVERS", localhost(picky));
            },
        )
        .fail_with("AuthenticationFailed");
}

#[tokio::test]
async fn a_user_without_rights_on_the_topic_is_told_which_right_is_missing() {
    let mut refusals = Refusals::new("rights").await;
    let topic = refusals.world.topic.clone();
    refusals
        .add(&[&topic, "Allow Read and Describe on it"], |it| {
            it.connect(Listener::Scram).log_in("SCRAM-SHA-512", BOB);
        })
        .add(
            &["missing", "Allow Read and Describe on it, or correct KAFKA_TOPIC"],
            |it| {
                it.connect(Listener::Scram)
                    .log_in("SCRAM-SHA-512", BOB)
                    .set("KAFKA_TOPIC", "missing");
            },
        )
        .fail_with("NotAuthorized");
}

/// That is found out when it is read: how much there is may be known.
#[tokio::test]
async fn a_user_who_may_see_the_topic_and_not_read_it_is_told_so() {
    let mut world = World::secured("rights", 1).await;
    world.produce(0, 1);
    world.connect(Listener::Scram).log_in("SCRAM-SHA-512", CAROL);
    let report = world.run().failure("NotAuthorized", 1);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains(&world.topic) && message.contains("Allow Read"),
        "{message}"
    );
    assert_eq!((&report["lag"], world.offset(0).await), (&1.into(), Some(-1)));
}

#[tokio::test]
async fn a_missing_topic_is_one_for_who_may_see_it() {
    Refusals::new("missing")
        .await
        .add(&["allowed-nothing does not exist", "create the topic"], |it| {
            it.connect(Listener::Scram)
                .log_in("SCRAM-SHA-512", ALICE)
                .set("KAFKA_TOPIC", "allowed-nothing");
        })
        .fail_with("UnknownTopic");
}

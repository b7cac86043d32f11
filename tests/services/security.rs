//! A run connects to Kafka in each of the ways that there are.

use crate::support::certificates::Authority;
use crate::support::listeners::{ALICE, Listener, secured};
use crate::support::world::World;

/// A run by this listener reads what is there, and the next one finds nothing new.
async fn reads(listener: Listener, more: impl FnOnce(&mut World)) {
    let mut world = World::secured("reads", 2).await;
    world.produce(0, 3);
    world.produce(1, 2);
    world.connect(listener);
    more(&mut world);
    assert_eq!(world.run().success()["messages_processed"], 5);
    let report = world.run().success();
    assert_eq!(
        (&report["messages_processed"], &report["stop_reason"]),
        (&0.into(), &"caught_up".into())
    );
    assert_eq!((world.offset(0).await, world.offset(1).await), (Some(2), Some(1)));
}

#[tokio::test]
async fn plaintext_is_read() {
    reads(Listener::Plaintext, |_| ()).await;
}

#[tokio::test]
async fn tls_is_read_with_the_authority_as_pem() {
    reads(Listener::Tls, |_| ()).await;
}

#[tokio::test]
async fn tls_is_read_with_the_authority_as_a_file() {
    reads(Listener::Tls, |world| {
        world.set("KAFKA_SSL_CA_PEM", "");
        world.set("KAFKA_SSL_CA_LOCATION", secured().ca_file().display());
    })
    .await;
}

#[tokio::test]
async fn every_password_mechanism_is_read_without_tls_and_with_it() {
    for listener in [Listener::Scram, Listener::ScramSsl] {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            reads(listener, |world| _ = world.log_in(mechanism, ALICE)).await;
        }
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let certificate = Authority::ours().client("alice");
    reads(Listener::Mtls, |world| _ = world.show(&certificate)).await;
}

#[tokio::test]
async fn the_key_of_a_client_certificate_may_be_encrypted() {
    let certificate = Authority::ours().client("alice");
    reads(Listener::Mtls, |world| {
        world
            .show(&certificate)
            .set("KAFKA_SSL_KEY_PEM", certificate.encrypted_key_pem("key-secret"))
            .set("KAFKA_SSL_KEY_PASSWORD", "key-secret");
    })
    .await;
}

#[tokio::test]
async fn an_unsecured_token_is_shown() {
    reads(Listener::Oauth, |world| {
        world
            .set("KAFKA_SASL_MECHANISM", "OAUTHBEARER")
            .set("KAFKA_ENABLE_SASL_OAUTHBEARER_UNSECURE_JWT", "true")
            .set("KAFKA_SASL_OAUTHBEARER_CONFIG", "principal=alice");
    })
    .await;
}

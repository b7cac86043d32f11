//! A run connects to Kafka with every protocol and mechanism.

use crate::support::certificates::CertificateAuthority;
use crate::support::endpoints;
use crate::support::kafka::{self, Message, unique};
use crate::support::listeners::{ALICE, ALLOWED, Listener, secured};
use crate::support::world::World;

/// A run with this listener reads all records, and the next one is idle.
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
async fn tls_is_read_with_the_ca_as_pem() {
    reads(Listener::Tls, |_| ()).await;
}

#[tokio::test]
async fn tls_is_read_with_the_ca_as_pem_with_escaped_line_breaks() {
    let escaped = CertificateAuthority::trusted().pem().replace('\n', "\\n");
    reads(Listener::Tls, |world| _ = world.set("KAFKA_SSL_CA_PEM", escaped)).await;
}

#[tokio::test]
async fn tls_is_read_with_the_ca_as_a_file() {
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
async fn a_client_certificate_is_accepted() {
    let certificate = CertificateAuthority::trusted().client("alice");
    reads(Listener::Mtls, |world| _ = world.set_certificate(&certificate)).await;
}

#[tokio::test]
async fn the_key_of_a_client_certificate_may_be_encrypted() {
    let certificate = CertificateAuthority::trusted().client("alice");
    reads(Listener::Mtls, |world| {
        world
            .set_certificate(&certificate)
            .set("KAFKA_SSL_KEY_PEM", certificate.encrypted_key_pem("key-secret"))
            .set("KAFKA_SSL_KEY_PASSWORD", "key-secret");
    })
    .await;
}

#[tokio::test]
async fn an_unsecured_token_is_accepted() {
    reads(Listener::Oauth, |world| _ = world.set_token("principal=alice")).await;
}

/// The producer of dead letters authenticates as the consumer does.
#[tokio::test]
async fn dead_letters_are_written_with_the_same_credentials() {
    let mut world = World::secured("dead", 1).await;
    let (dead, name) = (unique(&format!("{ALLOWED}letters")), unique("writer"));
    kafka::create_topic(&world.bootstrap, &dead, 1, &[]);
    secured().scram_user(&name, "writer-secret");
    secured().allow(&name, &["Read", "Write"], ALLOWED);
    world.produce_these(0, &[Message::value("nothing"), Message::value("1")]);
    world
        .connect(Listener::ScramSsl)
        .log_in("SCRAM-SHA-512", (&name, "writer-secret"))
        .set("ON_FAILURE", format!("kafka://{dead}"));
    assert_eq!(world.run().success()["dead_lettered"], 1);
    assert_eq!(kafka::watermarks(&world.bootstrap, &dead, 0), (0, 1));
}

/// A broker that cannot be used does not affect the others.
#[tokio::test]
async fn unusable_bootstrap_servers_beside_a_usable_one_are_no_failure() {
    let (at, mut world) = (|it| secured().address(it), World::secured("beside", 1).await);
    let nowhere = format!("[::1]:{0},127.0.0.1:{0},no-such-host.invalid:9092", endpoints::closed());
    // librdkafka chooses at random which of them it connects to first.
    for _ in 0..3 {
        for wrong in [Listener::Tls, Listener::Scram] {
            let all = format!("{nowhere},{},{}", at(wrong), at(Listener::Plaintext));
            world.set("KAFKA_BOOTSTRAP_SERVERS", all);
            world.produce(0, 1);
            assert_eq!(world.run().success()["messages_processed"], 1);
        }
    }
    world.connect(Listener::Scram).log_in("SCRAM-SHA-512", ALICE);
    for _ in 0..3 {
        let all = format!("{nowhere},{},{}", at(Listener::Plaintext), at(Listener::Scram));
        world.set("KAFKA_BOOTSTRAP_SERVERS", all);
        world.produce(0, 1);
        assert_eq!(world.run().success()["messages_processed"], 1);
    }
}

//! All features of librdkafka work in both packages: the one that contains it, and the one with the layer.

use serde_json::json;

use crate::packages::BOTH;
use crate::support::certificates::CertificateAuthority;
use crate::support::kafka::{produce, values};
use crate::support::listeners::{ALICE, Listener};
use crate::support::secrets::{Secrets, arn};
use crate::support::world::World;

/// A world of SCRAM over TLS, with user and CA in secrets, and three records to read.
pub(crate) async fn with_secrets(name: &str) -> (World, Secrets) {
    let mut world = World::secured(name, 1).await;
    world.produce(0, 3);
    let secrets = Secrets::start();
    let (username, password) = ALICE;
    secrets.put(
        &arn("AmazonMSK_user"),
        json!({"username": username, "password": password}),
    );
    secrets.put(
        &arn("ca"),
        json!({"certificate": CertificateAuthority::trusted().pem()}),
    );
    world
        .connect(Listener::ScramSsl)
        .log_in_with_secret("AmazonMSK_user")
        .set_ca_secret("ca")
        .set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.endpoint);
    (world, secrets)
}

async fn reads(listener: Listener, more: impl FnOnce(&mut World) + Copy) {
    for package in BOTH {
        let mut world = World::secured("package", 1).await;
        world.produce(0, 3);
        world.connect(listener);
        more(&mut world);
        let invocation = package.start(&world).invoke(&json!({}));
        assert_eq!(
            invocation.success()["messages_processed"],
            3,
            "{package:?}, {listener:?}"
        );
    }
}

#[tokio::test]
async fn each_protocol_and_mechanism_connects() {
    reads(Listener::Tls, |_| ()).await;
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        reads(Listener::ScramSsl, |world| _ = world.log_in(mechanism, ALICE)).await;
    }
    let certificate = CertificateAuthority::trusted().client("alice");
    reads(Listener::Mtls, |world| _ = world.set_certificate(&certificate)).await;
    reads(Listener::Oauth, |world| _ = world.set_token("principal=alice")).await;
    for package in BOTH {
        let (world, _secrets) = with_secrets("package").await;
        let invocation = package.start(&world).invoke(&json!({}));
        assert_eq!(invocation.success()["messages_processed"], 3, "{package:?}");
    }
}

#[tokio::test]
async fn each_compression_is_read() {
    let records = values((0..100).map(|n| format!(r#"{{"n":{n},"text":"much of the same, much of the same"}}"#)));
    for package in BOTH {
        let world = World::new("package", 1).await;
        for codec in ["gzip", "snappy", "lz4", "zstd"] {
            produce(
                &world.bootstrap,
                &world.topic,
                0,
                &records,
                &[("compression.type", codec)],
            );
        }
        let invocation = package.start(&world).invoke(&json!({}));
        assert_eq!(invocation.success()["messages_processed"], 400, "{package:?}");
    }
}

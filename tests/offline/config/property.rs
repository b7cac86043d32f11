//! `KAFKA_*` variables: which become librdkafka properties, which are refused, and that secrets are never shown.

use kafka_consumer_lambda::config::{property_of, variable_of};
use proptest::prelude::*;

use super::{accepted, assert_refused, read, refused};

#[test]
fn kafka_variables_are_librdkafka_properties() {
    let config = accepted(&[
        ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "user"),
        ("KAFKA_SASL_PASSWORD", "pass word "),
        ("KAFKA_ISOLATION_LEVEL", "read_uncommitted"),
        ("KAFKA_SOCKET_TIMEOUT_MS", "10000"),
        ("KAFKA_CLIENT_ID", "me"),
        ("PATH", "/bin"),
        ("MY_KAFKA_THING", "x"),
        ("kafka_lower", "x"),
    ]);
    let properties: Vec<_> = config.kafka_properties.iter().collect();
    assert_eq!(
        properties,
        [
            ("client.id", "me"),
            ("isolation.level", "read_uncommitted"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.password", "pass word "),
            ("sasl.username", "user"),
            ("security.protocol", "SASL_PLAINTEXT"),
            ("socket.timeout.ms", "10000"),
        ]
    );
}

#[test]
fn tls_properties_are_passed_on_unchanged() {
    let vars = [
        ("KAFKA_SECURITY_PROTOCOL", "ssl"),
        ("KAFKA_SSL_CA_LOCATION", "/opt/ca.pem"),
        ("KAFKA_BOOTSTRAP_SERVERS", "SSL://b:9093"),
        ("KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM", "none"),
    ];
    assert_eq!(accepted(&vars).bootstrap_servers, "SSL://b:9093");
}

#[test]
fn each_variable_has_one_property_and_each_property_one_variable() {
    for (variable, property) in [
        ("KAFKA_SECURITY_PROTOCOL", "security.protocol"),
        ("KAFKA_A__B", "a_b"),
        ("KAFKA_A___B", "a-b"),
        ("KAFKA_A_B__C___D", "a.b_c-d"),
    ] {
        assert_eq!(property_of(variable).as_deref(), Some(property));
        assert_eq!(variable_of(property), variable);
    }
    assert_eq!(property_of("KAFKA_a____b").as_deref(), Some("a-.b"));
    assert_eq!(property_of("KAFKA_").as_deref(), Some(""));
    assert_eq!(property_of("KAFKA"), None);
}

#[test]
fn owned_properties_are_refused_with_what_to_use_instead() {
    let store = ": owned by the program: the table holds the positions, and nothing is committed to Kafka; remove it";
    for (variable, expected) in [
        ("KAFKA_METADATA_BROKER_LIST", ": use KAFKA_BOOTSTRAP_SERVERS"),
        ("KAFKA_Group_Id", ": use KAFKA_GROUP_ID, in this spelling"),
        ("KAFKA_topic", ": use KAFKA_TOPIC, in this spelling"),
        ("KAFKA_ENABLE_AUTO_COMMIT", store),
        ("KAFKA_AUTO_COMMIT_ENABLE", store),
        ("KAFKA_ENABLE_AUTO_OFFSET_STORE", store),
        (
            "KAFKA_AUTO_OFFSET_RESET",
            ": owned by the program: it would skip records silently; use START_POSITION, ON_RETENTION_LOSS and ON_TRUNCATION",
        ),
        (
            "KAFKA_ENABLE_PARTITION_EOF",
            ": owned by the program: a run needs it to detect that it has caught up; remove it",
        ),
        (
            "KAFKA_CHECK_CRCS",
            ": owned by the program: damaged records are always detected; remove it",
        ),
        (
            "KAFKA_PLUGIN_LIBRARY_PATHS",
            ": not available: it would load code into the process; remove it",
        ),
    ] {
        assert_refused(variable, "true", expected);
    }
}

#[test]
fn a_property_that_does_not_exist_is_named_with_a_suggestion() {
    for (variable, property, next) in [
        (
            "KAFKA_SASL_PASWORD",
            "sasl.pasword",
            "did you mean KAFKA_SASL_PASSWORD?",
        ),
        (
            "KAFKA_SSAL_USERNAME",
            "ssal.username",
            "did you mean KAFKA_SASL_USERNAME?",
        ),
        (
            "KAFKA_FETCH_MAX_WAIT_MS",
            "fetch.max.wait.ms",
            "did you mean KAFKA_FETCH_WAIT_MAX_MS?",
        ),
        (
            "KAFKA_SOCKETTIMEOUT_MS",
            "sockettimeout.ms",
            "did you mean KAFKA_SOCKET_TIMEOUT_MS?",
        ),
        ("KAFKA_TOPICS", "topics", "did you mean KAFKA_TOPIC?"),
        (
            "KAFKA_BOOTSTRAP_SERVER",
            "bootstrap.server",
            "did you mean KAFKA_BOOTSTRAP_SERVERS?",
        ),
        ("KAFKA_ID_GROUP", "id.group", "did you mean KAFKA_GROUP_ID?"),
        (
            "KAFKA_BROKER_ID",
            "broker.id",
            "correct the name, or unset it if it belongs to another program",
        ),
        (
            "KAFKA_",
            "",
            "correct the name, or unset it if it belongs to another program",
        ),
        // Those that the program owns are not suggested.
        (
            "KAFKA_CHECK_CRC",
            "check.crc",
            "correct the name, or unset it if it belongs to another program",
        ),
    ] {
        assert_refused(
            variable,
            "hunter2",
            &format!(": librdkafka has no property {property:?}; {next}"),
        );
    }
}

#[test]
fn a_value_that_librdkafka_refuses_or_misreads_is_named() {
    for (variable, value, expected) in [
        (
            "KAFKA_SECURITY_PROTOCOL",
            "tls",
            "=\"tls\": Invalid value \"tls\" for configuration property \"security.protocol\"",
        ),
        (
            "KAFKA_SOCKET_TIMEOUT_MS",
            "1",
            "=\"1\": Configuration property \"socket.timeout.ms\" value 1 is outside allowed range 10..300000",
        ),
        (
            "KAFKA_SOCKET_KEEPALIVE_ENABLE",
            "maybe",
            "=\"maybe\": Expected bool value for \"socket.keepalive.enable\": true or false",
        ),
        (
            "KAFKA_SOCKET_TIMEOUT_MS",
            "60s",
            "=\"60s\": would be read as 60; write a plain number, without a unit",
        ),
        (
            "KAFKA_SOCKET_TIMEOUT_MS",
            "4294977296",
            "=\"4294977296\": would be read as 10000; write a plain number, without a unit",
        ),
        (
            "KAFKA_FETCH_MAX_BYTES",
            "50MB",
            "=\"50MB\": would be read as 50; write a plain number, without a unit",
        ),
        (
            "KAFKA_SASL_MECHANISM",
            "GSSAPI",
            "=\"GSSAPI\": must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM",
        ),
        (
            "KAFKA_SASL_MECHANISM",
            "plain",
            "=\"plain\": must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM",
        ),
        (
            "KAFKA_ERROR__CB",
            "x",
            "=\"x\": Property \"error_cb\" must be set through dedicated .._set_..() function",
        ),
    ] {
        assert_refused(variable, value, expected);
    }
    for value in ["60000", " 60000 ", "+60000", "60000.0"] {
        accepted(&[("KAFKA_SOCKET_TIMEOUT_MS", value)]);
    }
    accepted(&[
        ("KAFKA_SOCKET_KEEPALIVE_ENABLE", "1"),
        ("KAFKA_CLIENT_ID", "007"),
        ("KAFKA_DEBUG", "broker,cgrp"),
    ]);
}

#[test]
fn variables_of_other_programs_are_ignored_with_a_warning_each() {
    let config = accepted(&[
        ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
        ("KAFKA_SERVICE_HOST", "10.0.0.1"),
        ("KAFKA_UI_PORT_8080_TCP_PROTO", "tcp"),
        ("KAFKA_OPTS", "-Dplanted"),
        ("KAFKA_HEAP_OPTS", "-Xmx1G"),
        // This one is a property.
        ("KAFKA_DEBUG", "broker"),
    ]);
    assert_eq!(
        config.kafka_properties.iter().collect::<Vec<_>>(),
        [("debug", "broker")]
    );
    assert_eq!(
        config.warnings,
        [
            "KAFKA_HEAP_OPTS: ignored, it is a setting of Kafka's own scripts",
            "KAFKA_OPTS: ignored, it is a setting of Kafka's own scripts",
            "KAFKA_PORT: ignored, it is a service variable of Kubernetes",
            "KAFKA_SERVICE_HOST: ignored, it is a service variable of Kubernetes",
            "KAFKA_UI_PORT_8080_TCP_PROTO: ignored, it is a service variable of Kubernetes",
        ]
    );
}

#[test]
fn text_that_begins_with_white_space_is_refused_because_librdkafka_removes_it() {
    for variable in [
        "KAFKA_SASL_PASSWORD",
        "KAFKA_SASL_USERNAME",
        "KAFKA_SSL_KEY_PASSWORD",
        "KAFKA_SSL_KEYSTORE_PASSWORD",
        "KAFKA_CLIENT_ID",
        "KAFKA_SSL_CA_LOCATION",
    ] {
        for space in [" ", "\n", "\t", "\u{b}", "\r\n"] {
            let cut = ": begins with white space, which the Kafka client library cuts off; remove it, or choose another value";
            assert_refused(variable, &format!("{space}hunter2"), cut);
        }
        // Other white space is kept.
        let whole = "\u{a0}hunter2 \n";
        let config = accepted(&[(variable, whole)]);
        assert_eq!(
            config
                .kafka_properties
                .iter()
                .map(|(_, value)| value)
                .collect::<Vec<_>>(),
            [whole]
        );
    }
}

#[test]
fn pem_without_its_line_breaks_is_restored_and_other_text_is_refused_by_name() {
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    for text in [
        pem.replace('\n', "\\n"),
        pem.replace('\n', "\r\n    "),
        pem.replace('\n', " "),
    ] {
        for variable in ["KAFKA_SSL_CA_PEM", "KAFKA_SSL_CERTIFICATE_PEM"] {
            let config = accepted(&[(variable, &text)]);
            assert_eq!(
                config
                    .kafka_properties
                    .iter()
                    .map(|(_, value)| value)
                    .collect::<Vec<_>>(),
                [pem]
            );
        }
    }
    assert_refused(
        "KAFKA_SSL_KEY_PEM",
        "hunter2",
        ": is not PEM with a private key. It must contain a line -----BEGIN PRIVATE KEY-----",
    );
    assert!(refused(&[("KAFKA_SSL_CA_PEM", &pem[..40])]).contains("KAFKA_SSL_CA_PEM: is damaged PEM"));
}

#[test]
fn one_property_in_two_spellings_is_ambiguous() {
    let twice = "sets the same property as";
    assert_eq!(
        refused(&[("KAFKA_CLIENT_ID", "a"), ("KAFKA_client_id", "a")]),
        format!("KAFKA_client_id: {twice} KAFKA_CLIENT_ID; set one of them only")
    );
    assert_eq!(
        refused(&[("KAFKA_SASL_MECHANISM", "PLAIN"), ("KAFKA_SASL_MECHANISMS", "PLAIN")]),
        format!("KAFKA_SASL_MECHANISMS: {twice} KAFKA_SASL_MECHANISM; set one of them only")
    );
}

#[test]
fn sasl_without_its_mechanism_or_credentials_is_refused_before_connecting() {
    let protocol = ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT");
    assert_eq!(
        refused(&[protocol]),
        "KAFKA_SASL_MECHANISM: not set; KAFKA_SECURITY_PROTOCOL=sasl_plaintext needs one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM"
    );
    assert_eq!(
        refused(&[protocol, ("KAFKA_SASL_MECHANISMS", "SCRAM-SHA-512")]),
        "KAFKA_SASL_USERNAME: not set; KAFKA_SASL_MECHANISM=SCRAM-SHA-512 needs it, or KAFKA_SECRET_ARN\n\
         KAFKA_SASL_PASSWORD: not set; KAFKA_SASL_MECHANISM=SCRAM-SHA-512 needs it, or KAFKA_SECRET_ARN"
    );
    // A wrong mechanism is one problem, not three.
    assert!(!refused(&[protocol, ("KAFKA_SASL_MECHANISM", "x")]).contains('\n'));
    accepted(&[protocol, ("KAFKA_SASL_MECHANISM", "OAUTHBEARER")]);
    // Without SASL librdkafka ignores the rest, and so do we.
    accepted(&[("KAFKA_SASL_MECHANISM", "PLAIN")]);
}

#[test]
fn secrets_are_never_shown() {
    for variable in [
        "KAFKA_SASL_PASSWORD",
        "KAFKA_SASL_PASWORD",
        "KAFKA_SASL_USERNAM",
        "KAFKA_SSL_KEY_PEM",
        "KAFKA_SSL_KEY_PASSWORD",
        "KAFKA_SASL_JAAS_CONFIG",
        "KAFKA_SASL_OAUTHBEARER_CONFIG",
        "KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET",
        "KAFKA_SECRET_ARN",
        "KAFKA_CA_SECRET_ARN",
    ] {
        for result in [read(&[(variable, "hunter2")]), read(&[(variable, "hunter2\u{0}")])] {
            assert!(!format!("{result:?}").contains("hunter2"), "{variable}: {result:?}");
            if let Err(problems) = result {
                assert!(!problems.to_string().contains("hunter2"), "{problems}");
            }
        }
    }
    assert_eq!(
        refused(&[("KAFKA_SASL_JAAS_CONFIG", "password=hunter2")]),
        "KAFKA_SASL_JAAS_CONFIG=***: is not a value for librdkafka's `sasl.jaas.config`"
    );
    assert!(refused(&[("KAFKA_BOOTSTRAP_SERVERS", "user:hunter2@b:1")]).starts_with("KAFKA_BOOTSTRAP_SERVERS=***: "));
}

proptest! {
    #[test]
    fn any_kafka_variable_parses_or_is_named(
        name in prop_oneof![
            any::<String>(),
            "[A-Z_]{0,20}",
            prop::sample::select(vec![
                "SOCKET_TIMEOUT_MS", "SASL_PASSWORD", "SECURITY_PROTOCOL", "DEBUG", "CLIENT_ID",
                "ISOLATION_LEVEL", "SSL_CA_PEM", "STATISTICS_INTERVAL_MS", "RECONNECT_BACKOFF_JITTER_MS",
            ]).prop_map(str::to_owned),
        ],
        value in any::<String>(),
    ) {
        let variable = format!("KAFKA_{name}");
        match read(&[(&variable, &value)]) {
            Ok(config) => prop_assert!(
                value.is_empty()
                    || ["TOPIC", "GROUP_ID", "BOOTSTRAP_SERVERS"].contains(&name.as_str())
                    || !config.warnings.is_empty()
                    || config.kafka_properties.iter().any(|(_, held)| held == value)
            ),
            Err(problems) => {
                let text = problems.to_string();
                prop_assert_eq!(text.lines().count(), problems.problems().len());
                // A SASL protocol needs other variables too.
                prop_assert!(name == "SECURITY_PROTOCOL" || problems.problems()[0].variable() == variable);
            }
        }
    }

    #[test]
    fn the_variable_of_a_property_sets_that_property(
        property in "[a-z0-9]{1,6}([._-][a-z0-9]{1,6}){0,5}",
    ) {
        prop_assert_eq!(property_of(&variable_of(&property)), Some(property));
    }
}

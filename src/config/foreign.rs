//! `KAFKA_*` variables of other programs, set by a container platform or a shell.

/// The variables that Kafka's own scripts and images read, beside everything that ends with `_OPTS`.
const SCRIPTS: [&str; 5] = [
    "KAFKA_HOME",
    "KAFKA_VERSION",
    "KAFKA_SCALA_VERSION",
    "KAFKA_JMX_PORT",
    "KAFKA_JMX_HOSTNAME",
];

/// The protocols of Kubernetes services.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Describes a well-known variable of another program; `None` for any other variable. Names of librdkafka
/// properties take precedence; the caller checks that.
///
/// | variable | set by |
/// |---|---|
/// | `KAFKA_PORT`, `KAFKA_PORT_*`, `KAFKA_SERVICE_*` | Kubernetes, for a service named kafka |
/// | `KAFKA_<NAME>_SERVICE_HOST`, `.._SERVICE_PORT`, `.._SERVICE_PORT_*` | Kubernetes, for a service named kafka-<name> |
/// | `KAFKA_<NAME>_PORT` with `tcp://..`, `KAFKA_<NAME>_PORT_<number>_TCP`, `.._TCP_*` | the same |
/// | `KAFKA_OPTS`, `KAFKA_<NAME>_OPTS`, `KAFKA_HOME`, `KAFKA_VERSION`, `KAFKA_JMX_PORT` and the like | Kafka's own scripts |
/// | anything else, in lower case too | none: a misspelt property must not be ignored |
pub(super) fn other_program(variable: &str, value: &str) -> Option<&'static str> {
    let name = variable.strip_prefix("KAFKA_")?;
    if name == "OPTS" || name.ends_with("_OPTS") || SCRIPTS.contains(&variable) {
        Some("a setting of Kafka's own scripts")
    } else if is_of_kubernetes(name, value) {
        Some("a service variable of Kubernetes")
    } else {
        None
    }
}

fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    let of_this_name = |words: &[&str]| matches!(words, ["PORT" | "SERVICE", ..]);
    let of_another = |words: &[&str]| match words {
        ["SERVICE", "HOST" | "PORT"] | ["SERVICE", "PORT", ..] => true,
        ["PORT"] => PROTOCOLS
            .iter()
            .any(|it| value.starts_with(&format!("{}://", it.to_lowercase()))),
        ["PORT", number, protocol, ..] => number.parse::<u16>().is_ok() && PROTOCOLS.contains(protocol),
        _ => false,
    };
    of_this_name(&words) || (1..words.len()).any(|start| of_another(&words[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_kubernetes_and_of_kafkas_scripts_are_recognised() {
        for (variable, value) in [
            ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
            ("KAFKA_PORT", "9092"),
            ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
            ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
            ("KAFKA_SERVICE_HOST", "10.0.0.1"),
            ("KAFKA_SERVICE_PORT_TCP_CLIENT", "9092"),
            ("KAFKA_UI_PORT", "tcp://10.0.0.1:8080"),
            ("KAFKA_UI_PORT_8080_TCP_PROTO", "tcp"),
            ("KAFKA_UI_SERVICE_HOST", "10.0.0.1"),
            ("KAFKA_MY_UI_SERVICE_PORT_HTTP", "8080"),
            ("KAFKA_OPTS", "-Dx=y"),
            ("KAFKA_HEAP_OPTS", "-Xmx1G"),
            ("KAFKA_LOG4J_OPTS", "-Dx"),
            ("KAFKA_HOME", "/opt/kafka"),
        ] {
            assert!(other_program(variable, value).is_some(), "{variable}");
        }
    }

    #[test]
    fn anything_else_could_be_a_misspelt_property() {
        for (variable, value) in [
            ("KAFKA_BROKER_ID", "1"),
            ("KAFKA_UI_PORT", "8080"),
            ("KAFKA_SASL_PASWORD", "x"),
            ("KAFKA_SASL_KERBEROS_SERVICE_NAME", "kafka"),
            ("KAFKA_UI_PORT_X_TCP", "1"),
            ("KAFKA_heap_opts", "x"),
            ("MY_KAFKA_OPTS", "x"),
            ("KAFKA_", "x"),
        ] {
            assert_eq!(other_program(variable, value), None, "{variable}");
        }
    }
}

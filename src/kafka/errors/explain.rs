//! A connection error in terms of the settings, with the next step.

use super::Explanation;
use super::cause::{Cause, ClientAuth, ConnectionError, Endpoint, Evidence};
use crate::kafka::tls::CertificateError;

/// librdkafka's texts are as long as a line, and OpenSSL's part of them longer.
const MAX_DETAIL_CHARS: usize = 200;

const SASL_SETTINGS: &str = "KAFKA_SECRET_ARN, or KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD";
const CERTIFICATE_SETTINGS: &str = "KAFKA_SECRET_ARN, or KAFKA_SSL_CERTIFICATE_PEM and KAFKA_SSL_KEY_PEM";
const CA_SETTINGS: &str = "KAFKA_CA_SECRET_ARN, KAFKA_SSL_CA_PEM or KAFKA_SSL_CA_LOCATION";
/// What it means when a listener closes connections that it accepted before.
const DOWN: &str = "the broker is down or starting, behind a load balancer that accepts for it: check the broker";

impl ConnectionError {
    /// What happened, and what to do next.
    pub(crate) fn explain(&self, auth: &ClientAuth, evidence: Evidence<'_>) -> Explanation {
        let (at, detail) = (&self.endpoint.address, shorten(&self.detail));
        let listener = configured_in(&self.endpoint);
        match self.cause {
            Cause::Unknown => Explanation::new(format!("{at}: {detail}"), "Check the broker's log"),
            Cause::Lost => Explanation::new(
                format!("the connection to {at} was lost ({detail})"),
                "The next run connects again; if it is lost again, check the broker's log and the network between",
            ),
            Cause::UnknownHost if self.endpoint.advertised => Explanation::new(
                format!(
                    "the brokers advertise {at} (advertised.listeners), and the name does not resolve here: {detail}"
                ),
                "Use a listener for external clients, or make the name resolve in this network",
            ),
            Cause::UnknownHost => Explanation::new(
                format!("the host name of {at} does not resolve: {detail}"),
                "Correct it in KAFKA_BOOTSTRAP_SERVERS; a private name resolves within its VPC only",
            ),
            Cause::DnsTimeout => Explanation::new(
                format!("the host name of {at} does not resolve: {detail}"),
                "Check the DNS of this network: in a VPC, its DNS support and its resolver",
            ),
            Cause::Refused => Explanation::new(
                format!("nothing listens at {at}: connection refused"),
                format!("Check that the broker runs, and the port{listener}"),
            ),
            Cause::NoRoute => Explanation::new(
                format!("{at} cannot be reached: {detail}"),
                "Check routes, peering and security groups",
            ),
            Cause::ConnectTimeout => Explanation::new(
                format!("the TCP connection to {at} timed out"),
                "Check that the broker runs, that its security groups allow the port, and the routes of the subnets",
            ),
            Cause::TlsTimeout => Explanation::new(
                format!("{at} accepts the connection, and the TLS handshake timed out"),
                format!("Check the broker's health, and that the port{listener} is a Kafka listener with TLS"),
            ),
            Cause::ApiVersionsTimeout => Explanation::new(
                format!("{at} accepts the connection and sends no response"),
                format!("Check the broker's health, and that the port{listener} is a Kafka listener"),
            ),
            Cause::SaslTimeout => Explanation::new(
                format!("the SASL authentication at {at} timed out"),
                "Check the broker's health and log",
            ),
            Cause::RequestTimeout => Explanation::new(
                format!("{at} is connected and sends no response to a request"),
                "Check the broker's health and log",
            ),
            Cause::NotKafka => Explanation::new(
                format!("the server at {at} does not speak the Kafka protocol: {detail}"),
                format!("Correct the port{listener}"),
            ),
            Cause::NotTls | Cause::TlsRequired | Cause::SaslNotSupported => self.wrong_protocol(),
            Cause::Closed | Cause::ClosedInTls | Cause::ClosedAtOnce => self.closed(),
            Cause::Tls => handshake_failed(at, &detail, auth.has_certificate),
            Cause::Certificate => match evidence.certificate_error {
                Some(error) => certificate(at, error),
                None => Explanation::new(
                    format!(
                        "the certificate of {at} cannot be verified: its CA is unknown, it has expired, or it is for another host"
                    ),
                    format!("Check {CA_SETTINGS}, and the certificate"),
                ),
            },
            Cause::ClosedAfterTls => Explanation::new(
                format!("{at} closes the connection after the TLS handshake"),
                format!(
                    "If this worked before, {DOWN}; if it never has, the listener may require a client certificate: set \
                     {CERTIFICATE_SETTINGS}, or check that the port is a Kafka listener"
                ),
            ),
            Cause::ClientCertificate => self.client_certificate(auth, evidence),
            Cause::ClosedInSasl => Explanation::new(
                format!("{at} closes the connection during the SASL authentication"),
                format!(
                    "Check the broker's log for why it refused; then check {SASL_SETTINGS}, and KAFKA_SASL_MECHANISM"
                ),
            ),
            Cause::Mechanism => self.mechanism(auth),
            Cause::Token => Explanation::new(
                format!("there is no OAUTHBEARER token: {detail}"),
                "Check the KAFKA_SASL_OAUTHBEARER_* settings, or KAFKA_SASL_MECHANISM",
            ),
            Cause::Credentials => self.credentials(auth),
        }
    }

    /// The listener has another security protocol, by the bytes it returned.
    fn wrong_protocol(&self) -> Explanation {
        let (at, endpoint) = (&self.endpoint.address, &self.endpoint);
        let (what, tls, sasl) = match self.cause {
            Cause::NotTls => (
                "does not respond with TLS: it is a listener without TLS",
                false,
                endpoint.sasl,
            ),
            Cause::TlsRequired => (
                "requires TLS, and the client connected without TLS",
                true,
                endpoint.sasl,
            ),
            _ => ("is a listener without SASL", endpoint.tls, false),
        };
        let protocol = protocol(tls, sasl);
        Explanation::new(
            format!("{at} {what}"),
            format!("Set KAFKA_SECURITY_PROTOCOL={protocol}, or use the port of another listener"),
        )
    }

    /// The connection was accepted and closed. An outage looks the same as a
    /// listener of another security protocol, and must not make people change
    /// settings that are right.
    fn closed(&self) -> Explanation {
        let (at, endpoint) = (&self.endpoint.address, &self.endpoint);
        let (closes, listener, protocol, credentials) = match self.cause {
            Cause::ClosedInTls => (
                "accepts the connection and closes it during the TLS handshake",
                "be one without TLS",
                protocol(false, endpoint.sasl),
                String::new(),
            ),
            Cause::ClosedAtOnce => (
                "closes the connection at the first request",
                "require SASL",
                protocol(endpoint.tls, true),
                format!(" with KAFKA_SASL_MECHANISM and {SASL_SETTINGS}"),
            ),
            _ => (
                "accepts the connection and closes it without a response",
                "require TLS",
                protocol(true, endpoint.sasl),
                String::new(),
            ),
        };
        Explanation::new(
            format!("{at} {closes}"),
            format!(
                "If this worked before, {DOWN}; if it never has, the listener may {listener}: set \
                 KAFKA_SECURITY_PROTOCOL={protocol}{credentials}, or use the port of another listener"
            ),
        )
    }

    fn client_certificate(&self, auth: &ClientAuth, evidence: Evidence<'_>) -> Explanation {
        let at = &self.endpoint.address;
        if auth.has_certificate && evidence.certificate_withheld {
            return Explanation::new(
                format!(
                    "{at} accepts client certificates of certain CAs only, and the client certificate is of none of them"
                ),
                format!("Use one that they signed, in {CERTIFICATE_SETTINGS}"),
            );
        }
        client_certificate_refused(at, &shorten(&self.detail), auth.has_certificate)
    }

    fn credentials(&self, auth: &ClientAuth) -> Explanation {
        let (at, mechanism, detail) = (&self.endpoint.address, &auth.mechanism, shorten(&self.detail));
        if mechanism == "OAUTHBEARER" {
            return Explanation::new(
                format!("{at} refused the token: {detail}"),
                "Check its audience and its expiry; for MSK, that the role is allowed kafka-cluster:Connect",
            );
        }
        let line_break = auth.trailing_line_break.map_or(String::new(), |setting| {
            format!("; the {setting} ends with a line break, which `echo` writes and `printf` does not: remove it")
        });
        Explanation::new(
            format!("{at} refused the user or the password ({mechanism}): {detail}"),
            format!("Check {SASL_SETTINGS}, and that the user was created for this mechanism{line_break}"),
        )
    }

    fn mechanism(&self, auth: &ClientAuth) -> Explanation {
        let (at, mechanism) = (&self.endpoint.address, &auth.mechanism);
        let supported = self.detail.rsplit_once("supported mechanisms: ");
        let supported = supported.map(|(_, list)| list.trim()).filter(|list| !list.is_empty());
        let but = supported.map_or(String::new(), |list| format!(", but {list}"));
        Explanation::new(
            format!("{at} does not support {mechanism}{but}"),
            "Set KAFKA_SASL_MECHANISM, or use another port",
        )
    }
}

/// The TLS handshake failed, and not because of the certificates.
fn handshake_failed(at: &str, detail: &str, has_certificate: bool) -> Explanation {
    let requires = if has_certificate {
        ""
    } else {
        ", and whether it requires a client certificate"
    };
    Explanation::new(
        format!("the TLS handshake with {at} failed: {detail}"),
        format!(
            "Check that the broker and the KAFKA_SSL_* settings have a TLS version and a cipher in common{requires}"
        ),
    )
}

/// The broker refused the client certificate, or requires one and none is set.
fn client_certificate_refused(at: &str, detail: &str, has_certificate: bool) -> Explanation {
    if has_certificate {
        Explanation::new(
            format!("{at} refused the client certificate: {detail}"),
            format!(
                "It must be signed by a CA that the broker accepts (its ssl.truststore), and be neither expired nor \
                 revoked. Check {CERTIFICATE_SETTINGS}"
            ),
        )
    } else {
        Explanation::new(
            format!("{at} requires a client certificate, and none is set"),
            format!("Set {CERTIFICATE_SETTINGS}"),
        )
    }
}

/// The broker's certificate cannot be verified.
fn certificate(at: &str, error: &CertificateError) -> Explanation {
    match error {
        CertificateError::Expired { subject, until } => Explanation::new(
            format!("the certificate of {at} has expired: that of {subject} ended {until}"),
            "Renew it at the broker; if it should still be valid, check this machine's clock",
        ),
        CertificateError::NotYetValid { subject, from } => Explanation::new(
            format!("the certificate of {at} is not valid yet: that of {subject} begins {from}"),
            "Check the clocks, here and where it was made",
        ),
        CertificateError::OtherHost { names } => Explanation::new(
            format!("the certificate of {at} is for another host: {names}"),
            "Use such a name in KAFKA_BOOTSTRAP_SERVERS and in the broker's advertised.listeners, or give the broker a \
             certificate for this one",
        ),
        CertificateError::UnknownAuthority { issuer } => Explanation::new(
            format!("the certificate of {at} is signed by an unknown CA: {issuer}"),
            format!("Set {CA_SETTINGS} to the certificate of that CA"),
        ),
        CertificateError::Other { reason } => Explanation::new(
            format!("the certificate of {at} cannot be verified: {reason}"),
            "Check the certificate that the broker sends",
        ),
    }
}

fn protocol(tls: bool, sasl: bool) -> &'static str {
    match (sasl, tls) {
        (false, false) => "PLAINTEXT",
        (false, true) => "SSL",
        (true, false) => "SASL_PLAINTEXT",
        (true, true) => "SASL_SSL",
    }
}

/// Where the port is configured: a broker may have advertised it.
fn configured_in(endpoint: &Endpoint) -> &'static str {
    if endpoint.advertised {
        " in the broker's advertised.listeners"
    } else {
        " in KAFKA_BOOTSTRAP_SERVERS"
    }
}

/// librdkafka's text without OpenSSL's files, lines and numbers, and without
/// librdkafka's guesses.
fn shorten(detail: &str) -> String {
    let detail = detail.rsplit_once("SSL routines::").map_or(detail, |(_, rest)| rest);
    let detail = match detail.split_once(" failed: ") {
        // `Connect to ipv4#127.0.0.1:1 failed: ..`: the address was named before.
        Some((start, rest)) if start.starts_with("Connect to ") => rest,
        _ => [
            "SASL authentication error: ",
            "Failed to acquire SASL OAUTHBEARER token: ",
        ]
        .iter()
        .find_map(|start| detail.strip_prefix(start))
        .unwrap_or(detail),
    };
    let resolve = detail.strip_prefix("Failed to resolve ");
    let detail = match resolve.and_then(|rest| rest.split_once(": ")) {
        Some((_, rest)) => rest,
        None => detail,
    };
    let detail = detail
        .split(": increase receive.message.max.bytes")
        .next()
        .unwrap_or(detail);
    detail.trim_end_matches('.').chars().take(MAX_DETAIL_CHARS).collect()
}

//! A trouble in the words of the settings, with the next step.

use super::{Flaw, Hints, Kind, Manner, Place, Trouble};

/// What librdkafka says is as long as a line, and OpenSSL's part of it longer.
const MOST_CHARS: usize = 200;

const LOGIN: &str = "KAFKA_SECRET_ARN, or KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD";
const CERTIFICATE: &str = "KAFKA_SECRET_ARN, or KAFKA_SSL_CERTIFICATE_PEM and KAFKA_SSL_KEY_PEM";
/// What it means when a listener closes connections that it took before.
const DOWN: &str = "the broker is down or starting, behind something that accepts for it: look at the broker";
const AUTHORITY: &str = "KAFKA_CA_SECRET_ARN, KAFKA_SSL_CA_PEM or KAFKA_SSL_CA_LOCATION";

impl Trouble {
    /// What happened, and what to do next.
    pub(in super::super) fn sentence(&self, manner: &Manner, hints: Hints<'_>) -> String {
        let (at, words, place) = (&self.place.address, words(&self.said), &self.place);
        match self.kind {
            Kind::Unknown => format!("{at}: {words}. Look at the broker's log"),
            Kind::Lost => format!(
                "the connection to {at} was lost ({words}). The next run connects again; if it is lost again, look at \
                 the broker's log and at what is between"
            ),
            Kind::Name if place.advertised => format!(
                "the brokers give {at} as an address of theirs (advertised.listeners), and the name is not known \
                 here: {words}. Take a listener for clients outside, or make the name known to the DNS"
            ),
            Kind::Name => format!(
                "the name of {at} is not known: {words}. Correct it in KAFKA_BOOTSTRAP_SERVERS; a private name is \
                 known within its VPC only"
            ),
            Kind::Refused => format!(
                "nobody listens at {at}: connection refused. Check that the broker runs, and the port{}",
                of_settings(place)
            ),
            Kind::NoRoute => format!("{at} cannot be reached: {words}. Check routes, peering and security groups"),
            Kind::SilentTcp => format!(
                "{at} does not answer to a connection at all. Check that the broker runs, that its security groups \
                 allow the port, and the routes of the subnets"
            ),
            Kind::SilentTls => format!(
                "{at} takes the connection and does not answer to TLS. Check that the broker is well, and that the \
                 port{} is Kafka's, and with TLS",
                of_settings(place)
            ),
            Kind::SilentPort => format!(
                "{at} takes the connection and never answers. Check that the broker is well, and that the port{} is \
                 Kafka's",
                of_settings(place)
            ),
            Kind::SilentLogin => format!("{at} does not answer to the login. Look after the broker"),
            Kind::SilentUp => format!("{at} is connected and does not answer. Look after the broker"),
            Kind::NotKafka => format!(
                "what answers at {at} is no Kafka: {words}. Correct the port{}",
                of_settings(place)
            ),
            Kind::NoTls | Kind::WantsTls | Kind::NoSasl => self.other_protocol(),
            Kind::Closed | Kind::ClosedInTls | Kind::ClosedAtOnce => self.closed(),
            Kind::Tls => format!(
                "TLS with {at} failed: {words}. Check that it and the ssl.* properties have a version and a cipher in \
                 common{}",
                if manner.shows_certificate {
                    ""
                } else {
                    ", and whether it asks for a client certificate"
                }
            ),
            Kind::Certificate => flawed(at, hints.flaw),
            Kind::ClosedAfterTls => format!(
                "{at} closes the connection after the TLS handshake. If that worked before, {DOWN}; if it never has, \
                 the listener may ask for a client certificate: set {CERTIFICATE}, or check that the port is Kafka's"
            ),
            Kind::ClientCertificate => self.own_certificate(manner, hints),
            Kind::LoginCut => format!(
                "{at} closes the connection during the login. Look at the broker's log, which says whether it refused \
                 it; then check {LOGIN}, and KAFKA_SASL_MECHANISM"
            ),
            Kind::Mechanism => self.mechanism(manner),
            Kind::Token => format!(
                "there is no OAUTHBEARER token: {words}. Check the KAFKA_SASL_OAUTHBEARER_* settings, or \
                 KAFKA_SASL_MECHANISM"
            ),
            Kind::Credentials if manner.mechanism == "OAUTHBEARER" => format!(
                "{at} refused the token: {words}. Check whom it is for and until when it holds; for MSK, that the role \
                 is allowed kafka-cluster:Connect"
            ),
            Kind::Credentials => format!(
                "{at} refused the user or the password ({}): {words}. Check {LOGIN}, and that the user was made for \
                 this mechanism{}",
                manner.mechanism,
                manner.line_break_behind.map_or(String::new(), |what| format!(
                    "; the {what} ends with a line break, which `echo` writes and `printf` does not: remove it"
                ))
            ),
        }
    }

    /// The listener speaks another security protocol: it said so.
    fn other_protocol(&self) -> String {
        let (at, place) = (&self.place.address, &self.place);
        let (seems, tls, sasl) = match self.kind {
            Kind::NoTls => (
                "answers TLS with something else: it is a listener without TLS",
                false,
                place.sasl,
            ),
            Kind::WantsTls => ("wants TLS, and was spoken to without", true, place.sasl),
            _ => ("is a listener without SASL", place.tls, false),
        };
        let protocol = protocol(tls, sasl);
        format!("{at} {seems}. Set KAFKA_SECURITY_PROTOCOL={protocol}, or take the port of another listener")
    }

    /// The connection was accepted and closed. An outage looks so, and a
    /// listener of another security protocol too; an outage must not make
    /// people change settings that are right.
    fn closed(&self) -> String {
        let (at, place) = (&self.place.address, &self.place);
        let (closes, listener, protocol, login) = match self.kind {
            Kind::ClosedInTls => (
                "accepts the connection and closes it during the TLS handshake",
                "be one without TLS",
                protocol(false, place.sasl),
                String::new(),
            ),
            Kind::ClosedAtOnce => (
                "closes the connection at the first request",
                "want a login",
                protocol(place.tls, true),
                format!(" with KAFKA_SASL_MECHANISM and {LOGIN}"),
            ),
            _ => (
                "accepts the connection and closes it without an answer",
                "want TLS",
                protocol(true, place.sasl),
                String::new(),
            ),
        };
        format!(
            "{at} {closes}. If this worked before, {DOWN}; if it never has, the listener may {listener}: set \
             KAFKA_SECURITY_PROTOCOL={protocol}{login}, or take the port of another listener"
        )
    }

    fn own_certificate(&self, manner: &Manner, hints: Hints<'_>) -> String {
        let at = &self.place.address;
        if !manner.shows_certificate {
            return format!("{at} asks for a client certificate, and none is set. Set {CERTIFICATE}");
        }
        if hints.kept_back {
            return format!(
                "{at} takes client certificates of certain authorities only, and ours is of none of them. Take one \
                 that they signed, in {CERTIFICATE}"
            );
        }
        format!(
            "{at} refused the client certificate: {}. It must be signed by an authority that the broker trusts, and \
             neither be over nor revoked. Check {CERTIFICATE}",
            words(&self.said)
        )
    }

    fn mechanism(&self, manner: &Manner) -> String {
        let (at, mechanism) = (&self.place.address, &manner.mechanism);
        match self
            .said
            .rsplit_once("supported mechanisms: ")
            .map(|(_, offered)| offered.trim())
        {
            Some(offered) if !offered.is_empty() => {
                format!(
                    "{at} does not offer {mechanism}, but {offered}. Set KAFKA_SASL_MECHANISM, or take another port"
                )
            }
            _ => format!("{at} does not offer {mechanism}. Set KAFKA_SASL_MECHANISM, or take another port"),
        }
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

/// The broker's certificate does not pass.
fn flawed(at: &str, flaw: Option<&Flaw>) -> String {
    match flaw {
        None => format!(
            "the certificate of {at} does not pass: its authority is not trusted, its time is over, or it is for \
             another host. Check {AUTHORITY}, and the certificate"
        ),
        Some(Flaw::Expired { until }) => {
            format!("the certificate of {at} has expired: it ended {until}. Renew it at the broker")
        }
        Some(Flaw::NotYetValid { from }) => format!(
            "the certificate of {at} is not valid yet: it begins {from}. Check the clocks, here and where it was made"
        ),
        Some(Flaw::OtherHost { names }) => format!(
            "the certificate of {at} is for another host: {names}. Use such a name in KAFKA_BOOTSTRAP_SERVERS and in the \
             broker's advertised.listeners, or give the broker a certificate for this one"
        ),
        Some(Flaw::Authority { issuer }) => format!(
            "the certificate of {at} is signed by {issuer}, which is not trusted. Set {AUTHORITY} to the certificate of \
             that authority"
        ),
    }
}

/// Where the port is set, unless brokers gave it.
fn of_settings(place: &Place) -> &'static str {
    if place.advertised {
        " in the broker's advertised.listeners"
    } else {
        " in KAFKA_BOOTSTRAP_SERVERS"
    }
}

/// What was said, without OpenSSL's files, lines and numbers, and without what
/// librdkafka guesses.
fn words(said: &str) -> String {
    let said = said.rsplit_once("SSL routines::").map_or(said, |(_, said)| said);
    let said = match said.split_once(" failed: ") {
        // `Connect to ipv4#127.0.0.1:1 failed: ..`: the address was named before.
        Some((start, said)) if start.starts_with("Connect to ") => said,
        _ => [
            "SASL authentication error: ",
            "Failed to acquire SASL OAUTHBEARER token: ",
        ]
        .iter()
        .find_map(|start| said.strip_prefix(start))
        .unwrap_or(said),
    };
    let said = match said
        .strip_prefix("Failed to resolve ")
        .and_then(|rest| rest.split_once(": "))
    {
        Some((_, said)) => said,
        None => said,
    };
    let said = said
        .split(": increase receive.message.max.bytes")
        .next()
        .unwrap_or(said);
    said.trim_end_matches('.').chars().take(MOST_CHARS).collect()
}

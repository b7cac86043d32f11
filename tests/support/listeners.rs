//! A Kafka with a listener for each way to connect, users, and ACLs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tokio::sync::{Mutex, MutexGuard};

use super::certificates::CertificateAuthority;
use super::jvm::{self, Broker, kafka_tool};
use super::proxy::Proxy;
use super::services::{not_available, services};

/// The prefix of the topics that [`ALICE`] has permissions on.
pub(crate) const ALLOWED: &str = "allowed-";

/// A name and a password, for PLAIN and both kinds of SCRAM.
pub(crate) type User = (&'static str, &'static str);

/// May read the topics whose names begin with [`ALLOWED`], and has no permission on any group.
pub(crate) const ALICE: User = ("alice", "alice-secret");
/// Has no permissions.
pub(crate) const BOB: User = ("bob", "bob-secret");
/// May describe the topics that [`ALICE`] may read, and not read them.
pub(crate) const CAROL: User = ("carol", "carol-secret");

pub(super) const USERS: [User; 3] = [ALICE, BOB, CAROL];

/// A listener of the broker's; see kafka.properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Anonymous clients have all permissions, as with [`Proxied`](Self::Proxied) and [`Tls`](Self::Tls).
    Plaintext,
    /// Behind a [`Proxy`], which is its advertised address too.
    Proxied,
    /// PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, without TLS.
    Scram,
    /// The same mechanisms, over TLS.
    ScramSsl,
    /// TLS without a client certificate.
    Tls,
    /// TLS with a client certificate of [`CertificateAuthority::trusted`], whose common name is the user.
    Mtls,
    /// OAUTHBEARER with unsigned tokens, without TLS.
    Oauth,
}

impl Listener {
    const ALL: [Self; 7] = [
        Self::Plaintext,
        Self::Proxied,
        Self::Scram,
        Self::ScramSsl,
        Self::Tls,
        Self::Mtls,
        Self::Oauth,
    ];

    /// A value for `security.protocol`.
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::Plaintext | Self::Proxied => "PLAINTEXT",
            Self::Scram | Self::Oauth => "SASL_PLAINTEXT",
            Self::ScramSsl => "SASL_SSL",
            Self::Tls | Self::Mtls => "SSL",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Proxied => "proxied",
            Self::Scram => "scram",
            Self::ScramSsl => "scramssl",
            Self::Tls => "tls",
            Self::Mtls => "mtls",
            Self::Oauth => "oauth",
        }
    }
}

/// The ports of a broker, in the order of [`Listener::ALL`], and that of its controller.
#[derive(Debug)]
pub(super) struct Ports {
    listeners: [u16; Listener::ALL.len()],
    controller: u16,
}

impl Ports {
    pub(super) fn free() -> Self {
        let [controller, listeners @ ..] = jvm::free_ports::<{ Listener::ALL.len() + 1 }>();
        Self { listeners, controller }
    }

    pub(super) fn of(&self, listener: Listener) -> u16 {
        self.listeners[listener as usize]
    }

    /// Fills in the broker's properties.
    pub(super) fn fill(&self, properties: &str, proxy: u16) -> String {
        let mut filled = properties
            .replace("{controller}", &self.controller.to_string())
            .replace("{proxy}", &proxy.to_string())
            .replace("{plain-users}", &plain_users());
        for listener in Listener::ALL {
            let place = format!("{{{}}}", listener.name());
            filled = filled.replace(&place, &self.of(listener).to_string());
        }
        filled
    }
}

fn plain_users() -> String {
    USERS
        .map(|(name, password)| format!("user_{name}=\"{password}\""))
        .join(" ")
}

/// The arguments of the program that formats the data folder, for a shell.
pub(super) fn scram_users() -> String {
    let mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
    let of_user = |(name, password): User| {
        mechanisms
            .map(|it| format!("--add-scram '{it}=[name={name},password={password}]'"))
            .join(" ")
    };
    USERS.map(of_user).join(" ")
}

/// Writes the certificates of a broker below its folder.
pub(super) fn write_certificates(directory: &Path) -> Result<(), String> {
    let folder = tls_folder(directory);
    let (ours, server) = (
        CertificateAuthority::trusted(),
        CertificateAuthority::trusted().server("localhost", 24),
    );
    let chain = [server.key_pem(), server.certificate_pem(), ours.pem()].concat();
    fs::create_dir(&folder)
        .and_then(|()| fs::write(folder.join("server.pem"), chain))
        .and_then(|()| fs::write(folder.join("ca.pem"), ours.pem()))
        .map_err(|error| format!("cannot write to {}: {error}", folder.display()))
}

fn tls_folder(directory: &Path) -> PathBuf {
    directory.join("tls")
}

/// The broker with these listeners and users.
#[derive(Debug)]
pub(crate) struct Secured {
    broker: Broker,
    proxied: Mutex<()>,
}

/// The tests' broker with all its listeners. It is the one of [`services`] where this process
/// started that itself, and else one more.
///
/// # Panics
/// Where there is no Java to start it with: a container or an external broker has none of these
/// listeners, and a test that needs them must not pass without.
pub(crate) fn secured() -> &'static Secured {
    static OWN: OnceLock<Result<Secured, String>> = OnceLock::new();
    if let Some(secured) = &services().secured {
        return secured;
    }
    let start = || match jvm::missing() {
        None => jvm::kafka().map(Secured::new),
        Some(missing) => Err(format!(
            "this test needs Kafka's listeners with TLS and SASL, its users and ACLs. Only a broker that is \
             started from Maven Central has them. {}",
            not_available(&missing)
        )),
    };
    OWN.get_or_init(start)
        .as_ref()
        .unwrap_or_else(|message| panic!("{message}"))
}

impl Secured {
    pub(super) fn new(broker: Broker) -> Self {
        Self {
            broker,
            proxied: Mutex::default(),
        }
    }

    /// A value for `KAFKA_BOOTSTRAP_SERVERS`.
    pub(crate) fn address(&self, listener: Listener) -> String {
        match listener {
            Listener::Proxied => format!("127.0.0.1:{}", self.broker.proxy.port),
            Listener::ScramSsl | Listener::Tls | Listener::Mtls => {
                format!("localhost:{}", self.broker.ports.of(listener))
            }
            _ => format!("127.0.0.1:{}", self.broker.ports.of(listener)),
        }
    }

    /// The certificate of [`CertificateAuthority::trusted`], as a file.
    pub(crate) fn ca_file(&self) -> PathBuf {
        tls_folder(self.broker.process.directory()).join("ca.pem")
    }

    /// Creates a user for SCRAM-SHA-512, or changes its password; two seconds.
    pub(crate) fn scram_user(&self, name: &str, password: &str) {
        let config = format!("SCRAM-SHA-512=[password={password}]");
        let of_user = ["--entity-type", "users", "--entity-name", name];
        let what = ["--alter", "--add-config", &config];
        self.tool("kafka.admin.ConfigCommand", &[&what[..], &of_user].concat());
    }

    /// Grants a user these operations, such as `Read`, on all topics with this prefix; two seconds.
    pub(crate) fn allow(&self, user: &str, operations: &[&str], topics: &str) {
        let principal = format!("User:{user}");
        let mut arguments = vec!["--add", "--allow-principal", &principal];
        arguments.extend(operations.iter().flat_map(|it| ["--operation", it]));
        arguments.extend(["--topic", topics, "--resource-pattern-type", "prefixed"]);
        self.tool("org.apache.kafka.tools.AclCommand", &arguments);
    }

    /// Grants [`ALICE`] and [`CAROL`] their permissions on the first call.
    pub(crate) fn allow_all(&self) {
        static DONE: OnceLock<()> = OnceLock::new();
        DONE.get_or_init(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| self.allow(CAROL.0, &["Describe"], ALLOWED));
                self.allow(ALICE.0, &["Read", "Describe"], ALLOWED);
            });
        });
    }

    /// The proxy in front of [`Listener::Proxied`], for one test at a time.
    pub(crate) async fn proxy(&self) -> Proxied<'_> {
        Proxied {
            _turn: self.proxied.lock().await,
            proxy: &self.broker.proxy,
        }
    }

    fn tool(&self, class: &str, arguments: &[&str]) {
        let server = self.address(Listener::Plaintext);
        kafka_tool(class, &[&["--bootstrap-server", &server], arguments].concat());
    }
}

/// The proxy of a broker, until this is dropped.
#[derive(Debug)]
pub(crate) struct Proxied<'a> {
    _turn: MutexGuard<'a, ()>,
    proxy: &'a Proxy,
}

impl std::ops::Deref for Proxied<'_> {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        self.proxy
    }
}

impl Drop for Proxied<'_> {
    /// Resets the proxy for the next test.
    fn drop(&mut self) {
        self.proxy.delay(std::time::Duration::ZERO);
        self.proxy.cut();
    }
}

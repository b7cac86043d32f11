//! Properties -> whom to trust, and what to show, as librdkafka reads them.

use std::fs;
use std::path::Path;

use openssl::error::ErrorStack;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslOptions};
use openssl::x509::X509;

use super::certificate::{Certificate, Life, life, names};
use crate::cli::doctor::check::Check;
use crate::config::{Properties, variable_of};
use crate::error::ErrorType::{AuthenticationFailed, InvalidConfiguration};

/// What cannot be used, and what to do about it. librdkafka makes no client of it either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable {
    what: String,
    next: String,
}

impl Unusable {
    fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: next.into(),
        }
    }

    pub(super) fn check(&self, name: &'static str) -> Check {
        Check::failed(name, InvalidConfiguration, &self.what, &self.next)
    }
}

/// What we show.
pub(super) struct Identity {
    leaf: X509,
    chain: Vec<X509>,
    key: PKey<Private>,
}

/// Our own certificate and key, where there is one.
pub(super) fn identity(properties: &Properties) -> Option<Result<Identity, Unusable>> {
    if properties.get("ssl.keystore.location").is_some() {
        return Some(keystore(properties));
    }
    // Both may be given, and librdkafka takes the text last.
    let certificate = text(properties, "ssl.certificate")?;
    Some(certificate.and_then(|(source, pem)| with_key(properties, &source, &pem)))
}

fn with_key(properties: &Properties, source: &str, pem: &[u8]) -> Result<Identity, Unusable> {
    let mut chain = match X509::stack_from_pem(pem) {
        Ok(chain) if !chain.is_empty() => chain,
        _ => {
            let next = "It must hold -----BEGIN CERTIFICATE----- lines, the client's own first";
            return Err(Unusable::new(format!("{source} holds no certificate in PEM"), next));
        }
    };
    let leaf = chain.remove(0);
    let (source, pem) = text(properties, "ssl.key").unwrap_or_else(|| {
        let next = format!(
            "Set {} or {}",
            variable_of("ssl.key.pem"),
            variable_of("ssl.key.location")
        );
        Err(Unusable::new(
            "there is a client certificate, and no private key for it",
            next,
        ))
    })?;
    let password = properties.get("ssl.key.password");
    // An empty one where there is none: OpenSSL would ask the terminal.
    let key = PKey::private_key_from_pem_passphrase(&pem, password.unwrap_or_default().as_bytes());
    let key = key.map_err(|_| unreadable_key(&source, &pem, password.is_some()))?;
    Ok(Identity { leaf, chain, key })
}

fn unreadable_key(source: &str, pem: &[u8], has_password: bool) -> Unusable {
    let is_encrypted = String::from_utf8_lossy(pem).contains("ENCRYPTED");
    match (is_encrypted, has_password) {
        (true, true) => Unusable::new(
            format!("the password does not open the private key in {source}"),
            "Correct KAFKA_SSL_KEY_PASSWORD, or privateKeyPassword in the secret",
        ),
        (true, false) => Unusable::new(
            format!("the private key in {source} is encrypted, and there is no password"),
            "Set KAFKA_SSL_KEY_PASSWORD, or privateKeyPassword in the secret",
        ),
        (false, _) => Unusable::new(
            format!("{source} holds no private key in PEM"),
            "It must hold -----BEGIN PRIVATE KEY----- lines",
        ),
    }
}

fn keystore(properties: &Properties) -> Result<Identity, Unusable> {
    let (source, bytes) = file(properties, "ssl.keystore.location")
        .unwrap_or_else(|| Err(Unusable::new("there is no keystore", "Set KAFKA_SSL_KEYSTORE_LOCATION")))?;
    let password = properties.get("ssl.keystore.password").unwrap_or_default();
    let opened = Pkcs12::from_der(&bytes).and_then(|store| store.parse2(password));
    let opened = opened.map_err(|_| {
        Unusable::new(
            format!("{source} is no PKCS#12 keystore, or KAFKA_SSL_KEYSTORE_PASSWORD does not open it"),
            "Correct the password; a keystore of an old kind (RC2, 3DES) must be written anew",
        )
    })?;
    let (Some(leaf), Some(key)) = (opened.cert, opened.pkey) else {
        let next = "Export both into it";
        return Err(Unusable::new(
            format!("{source} holds no certificate with its key"),
            next,
        ));
    };
    let chain = opened.ca.into_iter().flatten().collect();
    Ok(Identity { leaf, chain, key })
}

/// Whether our own certificate can be shown.
///
/// | | |
/// |---|---|
/// | it cannot be read | `InvalidConfiguration` |
/// | the key is another's | `InvalidConfiguration` |
/// | it is over, or does not hold yet | `AuthenticationFailed`: so the brokers will say |
/// | it ends in less than 30 days | warning |
/// | else | ok |
pub(super) fn judge(own: &Result<Identity, Unusable>, now: i64) -> Check {
    let name = "client_certificate";
    let own = match own {
        Ok(own) => own,
        Err(unusable) => return unusable.check(name),
    };
    let belongs = own.leaf.public_key().is_ok_and(|public| own.key.public_eq(&public));
    let certificate = Certificate::of(&own.leaf);
    let life = life(&certificate, now);
    let check = match life {
        _ if !belongs => Check::failed(
            name,
            InvalidConfiguration,
            "the private key is not that of the client certificate",
            "Set the two that belong together; the client's own certificate comes first in its chain",
        ),
        Life::Early { .. } | Life::Over { .. } => Check::failed(
            name,
            AuthenticationFailed,
            format!("the client certificate {life}"),
            "Renew it, and check this machine's clock",
        ),
        Life::Short { .. } => Check::warning(name, format!("it {life}"), "Renew it in time"),
        Life::Long { .. } => Check::ok(name, format!("it {life}, and its key belongs to it")),
    };
    check.with(names(&certificate))
}

/// What librdkafka would connect with. Nobody verifies here: each problem is
/// collected, and the handshake goes on.
pub(super) fn context(properties: &Properties, tls: bool) -> Result<SslContext, Unusable> {
    let broken =
        |error: ErrorStack| Unusable::new(format!("OpenSSL fails: {error}"), "Look at the KAFKA_SSL_* settings");
    let mut builder = SslContext::builder(SslMethod::tls_client()).map_err(broken)?;
    builder.set_options(SslOptions::NO_SSLV3);
    if tls {
        trust(properties, &mut builder)?;
        show(properties, &mut builder)?;
        choices(properties, &mut builder)?;
    }
    Ok(builder.build())
}

fn show(properties: &Properties, builder: &mut SslContextBuilder) -> Result<(), Unusable> {
    let Some(own) = identity(properties) else { return Ok(()) };
    let Identity { leaf, chain, key } = own?;
    let shown = builder
        .set_certificate(&leaf)
        .and_then(|()| builder.set_private_key(&key));
    let shown = shown.and_then(|()| chain.into_iter().try_for_each(|it| builder.add_extra_chain_cert(it)));
    shown.map_err(|_| {
        let next = "Set the certificate and the key that belong together";
        Unusable::new("the client certificate cannot be shown with its key", next)
    })
}

fn choices(properties: &Properties, builder: &mut SslContextBuilder) -> Result<(), Unusable> {
    type Choose = fn(&mut SslContextBuilder, &str) -> Result<(), ErrorStack>;
    let all: [(&str, Choose); 3] = [
        ("ssl.cipher.suites", |builder, list| builder.set_cipher_list(list)),
        ("ssl.curves.list", |builder, list| builder.set_groups_list(list)),
        ("ssl.sigalgs.list", |builder, list| builder.set_sigalgs_list(list)),
    ];
    for (name, choose) in all {
        if let Some(list) = properties.get(name) {
            let next = "Correct it: names as OpenSSL writes them, with colons between";
            choose(builder, list)
                .map_err(|_| Unusable::new(format!("OpenSSL does not know {}", variable_of(name)), next))?;
        }
    }
    Ok(())
}

/// Where librdkafka looks for the system's authorities: the first that is there.
const PROBED: [&str; 17] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-bundle.crt",
    "/etc/pki/tls/certs/ca-bundle.trust.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/cacert.pem",
    "/etc/certs/ca-certificates.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/certs",
    "/usr/local/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cacert.pem",
    "/usr/local/etc/ssl/certs/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/private/etc/ssl/cert.pem",
    "/private/etc/ssl/certs",
];

fn trust(properties: &Properties, builder: &mut SslContextBuilder) -> Result<(), Unusable> {
    let location = properties
        .get("ssl.ca.location")
        .filter(|location| *location != "probe");
    if let Some(location) = location {
        load(builder, location).map_err(|_| {
            let next = "It must be a file in PEM, or a folder made by `openssl rehash`";
            Unusable::new(
                format!("no CA can be read from KAFKA_SSL_CA_LOCATION, {location}"),
                next,
            )
        })?;
    }
    if let Some(pem) = properties.get("ssl.ca.pem") {
        let all = X509::stack_from_pem(pem.as_bytes()).ok().filter(|all| !all.is_empty());
        let added = all.and_then(|all| {
            all.into_iter()
                .try_for_each(|it| builder.cert_store_mut().add_cert(it))
                .ok()
        });
        added.ok_or_else(|| {
            let next =
                "KAFKA_SSL_CA_PEM, or the secret of KAFKA_CA_SECRET_ARN, must hold -----BEGIN CERTIFICATE----- lines";
            Unusable::new("the CA is not a certificate in PEM", next)
        })?;
    } else if location.is_none() {
        let there = |path: &&&str| Path::new(path).exists() && !is_empty_folder(path);
        if !PROBED.iter().filter(there).any(|path| load(builder, path).is_ok()) {
            // Whatever this OpenSSL was built with; librdkafka ignores a failure too.
            let _ = builder.set_default_verify_paths();
        }
    }
    Ok(())
}

fn is_empty_folder(path: &str) -> bool {
    fs::read_dir(path).is_ok_and(|mut files| files.next().is_none())
}

fn load(builder: &mut SslContextBuilder, location: &str) -> Result<(), ErrorStack> {
    let path = Path::new(location);
    if path.is_dir() {
        builder.load_verify_locations(None, Some(path))
    } else {
        builder.set_ca_file(path)
    }
}

/// What a property holds as text (`<name>.pem`) or in a file (`<name>.location`), and its variable.
fn text(properties: &Properties, name: &str) -> Option<Result<(String, Vec<u8>), Unusable>> {
    let pem = format!("{name}.pem");
    match properties.get(&pem) {
        Some(text) => Some(Ok((variable_of(&pem), text.as_bytes().to_vec()))),
        None => file(properties, &format!("{name}.location")),
    }
}

fn file(properties: &Properties, name: &str) -> Option<Result<(String, Vec<u8>), Unusable>> {
    let path = properties.get(name)?;
    let source = format!("{}, {path}", variable_of(name));
    let read = fs::read(path).map_err(|error| {
        Unusable::new(
            format!("the file of {source} cannot be read: {error}"),
            "Correct the path, or its permissions",
        )
    });
    Some(read.map(|bytes| (source, bytes)))
}

//! Properties -> CAs, client certificate and key, as librdkafka reads them.

use std::fs;
use std::path::Path;

use openssl::error::ErrorStack;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslOptions};
use openssl::x509::X509;

use super::certificate::Certificate;
use crate::config::{Properties, variable_of};
use crate::kafka::errors::Explanation;
use crate::kafka::errors::create::{encrypted_key, key_mismatch, no_pem};

/// The client's certificate, the rest of its chain, and its key.
pub(crate) struct ClientCertificate {
    leaf: X509,
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl ClientCertificate {
    /// From the properties; `None` if they hold none.
    pub(crate) fn read(properties: &Properties) -> Option<Result<Self, Explanation>> {
        if let Some(path) = properties.get("ssl.keystore.location") {
            let password = properties.get("ssl.keystore.password").unwrap_or_default();
            return Some(Self::from_keystore(path, password));
        }
        let certificate = pem(properties, "ssl.certificate")?;
        Some(certificate.and_then(|(property, pem)| Self::from_pem(properties, &property, &pem)))
    }

    pub(crate) fn certificate(&self) -> Certificate {
        Certificate::of(&self.leaf)
    }

    /// Whether the key is that of the certificate.
    pub(crate) fn has_its_key(&self) -> bool {
        self.leaf.public_key().is_ok_and(|public| self.key.public_eq(&public))
    }

    fn from_pem(properties: &Properties, property: &str, pem_of_chain: &[u8]) -> Result<Self, Explanation> {
        let mut chain = X509::stack_from_pem(pem_of_chain).unwrap_or_default();
        if chain.is_empty() {
            return Err(no_pem(property));
        }
        let leaf = chain.remove(0);
        let (property, pem) = pem(properties, "ssl.key").unwrap_or_else(|| {
            let (text, file) = (variable_of("ssl.key.pem"), variable_of("ssl.key.location"));
            Err(Explanation::new(
                "there is a client certificate without its private key",
                format!("Set {text} or {file}"),
            ))
        })?;
        let password = properties.get("ssl.key.password");
        // Without a password an empty one: OpenSSL would prompt for it on the terminal.
        let key = PKey::private_key_from_pem_passphrase(&pem, password.unwrap_or_default().as_bytes());
        let is_encrypted = String::from_utf8_lossy(&pem).contains("ENCRYPTED");
        let key = key.map_err(|_| match (is_encrypted, password) {
            (true, Some(_)) => encrypted_key("wrong"),
            (true, None) => encrypted_key("missing"),
            (false, _) => no_pem(&property),
        })?;
        Ok(Self { leaf, chain, key })
    }

    fn from_keystore(path: &str, password: &str) -> Result<Self, Explanation> {
        let variable = variable_of("ssl.keystore.location");
        let bytes = fs::read(path).map_err(|error| {
            let what = format!("{variable} names no file that can be read: {path}: {error}");
            Explanation::new(what, "Correct the path, or its permissions")
        })?;
        let store = Pkcs12::from_der(&bytes).and_then(|store| store.parse2(password));
        let store = store.map_err(|_| {
            Explanation::new(
                format!("{variable}, {path}, is no PKCS#12 keystore, or its password is wrong"),
                "Correct KAFKA_SSL_KEYSTORE_PASSWORD; a keystore with RC2 or 3DES must be exported again",
            )
        })?;
        let (Some(leaf), Some(key)) = (store.cert, store.pkey) else {
            return Err(Explanation::new(
                format!("{variable}, {path}, holds no certificate with its key"),
                "Export both into it",
            ));
        };
        let chain = store.ca.into_iter().flatten().collect();
        Ok(Self { leaf, chain, key })
    }
}

/// The context of librdkafka's connections; without TLS in the settings, one to
/// probe for TLS with. Certificates are not verified by it, but by the callback
/// of the [handshake](super::probe::handshake).
pub(crate) fn context(properties: &Properties) -> Result<SslContext, Explanation> {
    let failed =
        |error: ErrorStack| Explanation::new(format!("OpenSSL fails: {error}"), "Check the KAFKA_SSL_* settings");
    let mut builder = SslContext::builder(SslMethod::tls_client()).map_err(failed)?;
    builder.set_options(SslOptions::NO_SSLV3);
    if properties.has_tls() {
        set_cas(properties, &mut builder)?;
        set_certificate(properties, &mut builder)?;
        set_algorithms(properties, &mut builder)?;
    }
    Ok(builder.build())
}

fn set_certificate(properties: &Properties, builder: &mut SslContextBuilder) -> Result<(), Explanation> {
    let Some(own) = ClientCertificate::read(properties) else {
        return Ok(());
    };
    let ClientCertificate { leaf, chain, key } = own?;
    let set = builder
        .set_certificate(&leaf)
        .and_then(|()| builder.set_private_key(&key))
        .and_then(|()| chain.into_iter().try_for_each(|it| builder.add_extra_chain_cert(it)));
    set.map_err(|_| key_mismatch())
}

fn set_algorithms(properties: &Properties, builder: &mut SslContextBuilder) -> Result<(), Explanation> {
    type Set = fn(&mut SslContextBuilder, &str) -> Result<(), ErrorStack>;
    let all: [(&str, Set); 3] = [
        ("ssl.cipher.suites", |builder, list| builder.set_cipher_list(list)),
        ("ssl.curves.list", |builder, list| builder.set_groups_list(list)),
        ("ssl.sigalgs.list", |builder, list| builder.set_sigalgs_list(list)),
    ];
    for (name, set) in all {
        if let Some(list) = properties.get(name) {
            let next = "Use OpenSSL's names, with colons between them";
            set(builder, list)
                .map_err(|_| Explanation::new(format!("OpenSSL does not support {}", variable_of(name)), next))?;
        }
    }
    Ok(())
}

/// Where librdkafka looks for the system's CAs: the first that exists.
const SYSTEM_CAS: [&str; 17] = [
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

fn set_cas(properties: &Properties, builder: &mut SslContextBuilder) -> Result<(), Explanation> {
    let location = properties.get("ssl.ca.location").filter(|path| *path != "probe");
    if let Some(path) = location {
        load_cas(builder, path).map_err(|_| with_path(no_pem("ssl.ca.location"), path))?;
    }
    if let Some(pem) = properties.get("ssl.ca.pem") {
        let all = X509::stack_from_pem(pem.as_bytes()).unwrap_or_default();
        let is_empty = all.is_empty();
        let added = all.into_iter().try_for_each(|it| builder.cert_store_mut().add_cert(it));
        if is_empty || added.is_err() {
            return Err(no_pem("ssl.ca.pem"));
        }
    } else if location.is_none() {
        let exists = |path: &&&str| Path::new(path).exists() && !is_empty_folder(path);
        if !SYSTEM_CAS
            .iter()
            .filter(exists)
            .any(|path| load_cas(builder, path).is_ok())
        {
            // OpenSSL's own paths; librdkafka ignores a failure too.
            let _ = builder.set_default_verify_paths();
        }
    }
    Ok(())
}

fn is_empty_folder(path: &str) -> bool {
    fs::read_dir(path).is_ok_and(|mut files| files.next().is_none())
}

fn load_cas(builder: &mut SslContextBuilder, location: &str) -> Result<(), ErrorStack> {
    let path = Path::new(location);
    if path.is_dir() {
        builder.load_verify_locations(None, Some(path))
    } else {
        builder.set_ca_file(path)
    }
}

/// The text of a property (`<name>.pem`), or of its file (`<name>.location`),
/// and the property that holds it.
fn pem(properties: &Properties, name: &str) -> Option<Result<(String, Vec<u8>), Explanation>> {
    let (text, file) = (format!("{name}.pem"), format!("{name}.location"));
    // librdkafka uses the text where both are set.
    if let Some(pem) = properties.get(&text) {
        return Some(Ok((text, pem.as_bytes().to_vec())));
    }
    let path = properties.get(&file)?;
    let read = fs::read(path).map_err(|error| with_path(no_pem(&file), &format!("{path}: {error}")));
    Some(read.map(|pem| (file, pem)))
}

fn with_path(explanation: Explanation, path: &str) -> Explanation {
    Explanation {
        what: format!("{}: {path}", explanation.what),
        ..explanation
    }
}

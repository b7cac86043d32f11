//! Certificates for the tests' brokers and clients, created by each process that needs them.

use std::sync::OnceLock;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::symm::Cipher;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

const HOUR: i64 = 3600;

/// A certificate authority (CA).
pub(crate) struct CertificateAuthority {
    pair: Pair,
}

/// A certificate and its private key.
pub(crate) struct Pair {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

impl CertificateAuthority {
    /// The CA of all valid certificates.
    pub(crate) fn trusted() -> &'static Self {
        static TRUSTED: OnceLock<CertificateAuthority> = OnceLock::new();
        TRUSTED.get_or_init(|| Self::new("Test CA"))
    }

    /// A CA that no broker or client trusts, except where a test sets it.
    pub(crate) fn untrusted() -> &'static Self {
        static UNTRUSTED: OnceLock<CertificateAuthority> = OnceLock::new();
        UNTRUSTED.get_or_init(|| Self::new("Other CA"))
    }

    fn new(name: &str) -> Self {
        let key = key();
        let mut builder = certificate(name, &key, 24);
        let constraints = BasicConstraints::new().critical().ca().build();
        let usage = KeyUsage::new().key_cert_sign().crl_sign().build();
        for extension in [constraints, usage] {
            let extension = extension.expect("an extension");
            builder.append_extension(extension).expect("OpenSSL accepts it");
        }
        let issuer = name_of(name);
        builder.set_issuer_name(&issuer).expect("OpenSSL accepts it");
        builder.sign(&key, MessageDigest::sha256()).expect("OpenSSL signs");
        let certificate = builder.build();
        Self {
            pair: Pair { certificate, key },
        }
    }

    pub(crate) fn certificate(&self) -> &X509 {
        &self.pair.certificate
    }

    /// Its certificate, as PEM.
    pub(crate) fn pem(&self) -> String {
        self.pair.certificate_pem()
    }

    /// A server's certificate for this DNS name, and for 127.0.0.1 if that is `localhost`. It expires
    /// after this number of hours.
    pub(crate) fn server(&self, host: &str, hours: i64) -> Pair {
        self.sign(host, hours, |builder| {
            let mut names = SubjectAlternativeName::new();
            names.dns(host);
            if host == "localhost" {
                names.ip("127.0.0.1");
            }
            let extension = names.build(&builder.x509v3_context(Some(&self.pair.certificate), None));
            builder
                .append_extension(extension.expect("an extension"))
                .expect("OpenSSL accepts it");
        })
    }

    /// A client's certificate. The broker authenticates it as `user`.
    pub(crate) fn client(&self, user: &str) -> Pair {
        self.sign(user, 24, |_| ())
    }

    fn sign(&self, name: &str, hours: i64, extend: impl FnOnce(&mut X509Builder)) -> Pair {
        let key = key();
        let mut builder = certificate(name, &key, hours);
        extend(&mut builder);
        builder
            .set_issuer_name(self.pair.certificate.subject_name())
            .expect("OpenSSL accepts it");
        builder
            .sign(&self.pair.key, MessageDigest::sha256())
            .expect("OpenSSL signs");
        let certificate = builder.build();
        Pair { certificate, key }
    }
}

impl Pair {
    pub(crate) fn certificate_pem(&self) -> String {
        text(self.certificate.to_pem())
    }

    /// The key in PKCS#8, without a password.
    pub(crate) fn key_pem(&self) -> String {
        text(self.key.private_key_to_pem_pkcs8())
    }

    /// The key in PKCS#8, encrypted.
    pub(crate) fn encrypted_key_pem(&self, password: &str) -> String {
        text(
            self.key
                .private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), password.as_bytes()),
        )
    }
}

/// An elliptic curve key, which is created quickly.
fn key() -> PKey<Private> {
    EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)
        .and_then(|group| EcKey::generate(&group))
        .and_then(PKey::from_ec_key)
        .expect("OpenSSL makes a key")
}

/// A certificate without issuer and signature. With a negative number of hours it has expired.
#[allow(clippy::disallowed_methods, reason = "certificates hold in real time")]
fn certificate(name: &str, key: &PKey<Private>, hours: i64) -> X509Builder {
    let now = jiff::Timestamp::now().as_second();
    let time = |seconds| Asn1Time::from_unix(seconds).expect("a time");
    let mut serial = BigNum::new().expect("a number");
    serial.rand(127, MsbOption::ONE, false).expect("a number");
    let serial = serial.to_asn1_integer().expect("a number");
    let build = || {
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        builder.set_serial_number(&serial)?;
        builder.set_subject_name(&name_of(name))?;
        builder.set_pubkey(key)?;
        builder.set_not_before(&time(now - 48 * HOUR)).map(|()| builder)
    };
    let mut builder: X509Builder = build().expect("OpenSSL accepts it");
    let end = time(now + hours * HOUR);
    builder.set_not_after(&end).expect("OpenSSL accepts it");
    builder
}

fn name_of(common_name: &str) -> openssl::x509::X509Name {
    let mut name = X509NameBuilder::new().expect("a name");
    name.append_entry_by_text("CN", common_name).expect("a name");
    name.build()
}

fn text(pem: Result<Vec<u8>, openssl::error::ErrorStack>) -> String {
    String::from_utf8(pem.expect("OpenSSL writes PEM")).expect("PEM is text")
}

//! A look at a broker's certificate, when librdkafka says that it does not
//! pass: it says no more than that.

use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode};
use openssl::x509::{GeneralNameRef, X509NameRef, X509Ref, X509StoreContextRef};

use super::now;
use super::trouble::Flaw;

/// A broker that has just answered librdkafka answers this as fast.
const LIMIT: Duration = Duration::from_secs(1);

/// Asks the broker at `host:port` for its certificate, and says what is wrong
/// with it. Nothing is sent but what TLS needs.
///
/// No authority is trusted here. One that is neither over nor for another host
/// is therefore said to be of an unknown authority, which is what is left when
/// librdkafka refuses it.
pub(super) async fn look(address: &str, checks_host: bool) -> Option<Flaw> {
    let address = address.to_owned();
    let looked = tokio::task::spawn_blocking(move || handshake(&address, checks_host));
    let flaws = tokio::time::timeout(LIMIT, looked).await.ok()?.ok()??;
    flaws.into_iter().min()
}

fn handshake(address: &str, checks_host: bool) -> Option<Vec<Flaw>> {
    let until = now() + LIMIT;
    let (host, _) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = connect(address, until)?;
    let flaws = Arc::new(Mutex::new(vec![]));
    let ssl = client(host, checks_host, Arc::clone(&flaws)).ok()?;
    // It may well fail: what was seen until then counts.
    let _ = ssl.connect(stream);
    let mut flaws = flaws.lock().unwrap_or_else(PoisonError::into_inner);
    Some(std::mem::take(&mut *flaws))
}

/// To the address of the name that answers.
fn connect(address: &str, until: Instant) -> Option<TcpStream> {
    address.to_socket_addrs().ok()?.find_map(|address| {
        let left = || Some(until.saturating_duration_since(now())).filter(|left| !left.is_zero());
        let stream = TcpStream::connect_timeout(&address, left()?).ok()?;
        stream.set_read_timeout(left()).ok()?;
        stream.set_write_timeout(left()).ok()?;
        Some(stream)
    })
}

fn client(host: &str, checks_host: bool, flaws: Arc<Mutex<Vec<Flaw>>>) -> Result<Ssl, ErrorStack> {
    let mut ssl = Ssl::new(&SslContext::builder(SslMethod::tls_client())?.build())?;
    match host.parse::<IpAddr>() {
        Ok(address) if checks_host => ssl.param_mut().set_ip(address)?,
        Ok(_) => {}
        Err(_) => {
            ssl.set_hostname(host)?;
            if checks_host {
                ssl.param_mut().set_host(host)?;
            }
        }
    }
    ssl.set_verify_callback(SslVerifyMode::PEER, move |passes, chain| {
        if !passes && let Some(flaw) = flaw(chain) {
            flaws.lock().unwrap_or_else(PoisonError::into_inner).push(flaw);
        }
        true
    });
    Ok(ssl)
}

/// What OpenSSL complains about; by the numbers of its `x509_vfy.h`.
fn flaw(chain: &X509StoreContextRef) -> Option<Flaw> {
    let certificate = chain.current_cert()?;
    Some(match chain.error().as_raw() {
        9 => Flaw::NotYetValid {
            from: certificate.not_before().to_string(),
        },
        10 => Flaw::Expired {
            until: certificate.not_after().to_string(),
        },
        62 | 64 => Flaw::OtherHost {
            names: names(certificate),
        },
        2 | 18 | 19 | 20 | 21 => Flaw::Authority {
            issuer: name(certificate.issuer_name()),
        },
        _ => return None,
    })
}

/// The hosts that a certificate is for, or whose it is if it names none.
fn names(certificate: &X509Ref) -> String {
    let hosts = hosts(certificate);
    if hosts.is_empty() {
        name(certificate.subject_name())
    } else {
        hosts[..hosts.len().min(5)].join(", ")
    }
}

/// The hosts that a certificate is for.
pub(crate) fn hosts(certificate: &X509Ref) -> Vec<String> {
    let alternatives = certificate.subject_alt_names();
    let host = |name: &GeneralNameRef| {
        let dns = name.dnsname().map(str::to_owned);
        dns.or_else(|| name.ipaddress().and_then(ip))
    };
    alternatives.iter().flatten().filter_map(host).collect()
}

fn ip(bytes: &[u8]) -> Option<String> {
    let address = match *bytes {
        [a, b, c, d] => IpAddr::from([a, b, c, d]),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(address.to_string())
}

/// A name as OpenSSL's tools print it: `CN=Test Authority, O=..`.
pub(crate) fn name(name: &X509NameRef) -> String {
    let part = |entry: &openssl::x509::X509NameEntryRef| {
        let kind = entry.object().nid().short_name().ok()?;
        Some(format!("{kind}={}", entry.data().to_string().ok()?))
    };
    name.entries().filter_map(part).collect::<Vec<_>>().join(", ")
}

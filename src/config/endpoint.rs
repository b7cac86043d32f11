//! The URL of an HTTP endpoint, validated when parsed.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use reqwest::Url;
use url::Host;

use super::problem::NotAllowed;

/// The URL of an HTTP endpoint: `https://`, or `http://` to a loopback address. It has no user, no
/// password and no fragment.
///
/// As text it is without its query, which may hold a token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EndpointUrl(Url);

impl EndpointUrl {
    /// Whether the text begins as a URL of HTTP does.
    pub(super) fn is_form_of(text: &str) -> bool {
        let begins = |scheme: &str| {
            text.get(..scheme.len())
                .is_some_and(|it| it.eq_ignore_ascii_case(scheme))
        };
        begins("https://") || begins("http://")
    }

    /// The URL that requests are sent to, with its query.
    pub(crate) const fn url(&self) -> &Url {
        &self.0
    }

    /// Whether requests are encrypted. If not, they do not leave the machine.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Host and port, for messages.
    pub(crate) fn address(&self) -> String {
        let (host, port) = (self.0.host_str(), self.0.port_or_known_default());
        format!("{}:{}", host.unwrap_or_default(), port.unwrap_or_default())
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.as_str();
        match text.split_once('?') {
            Some((before, _)) => write!(f, "{before}?***"),
            None => f.write_str(text),
        }
    }
}

/// As [`Display`](fmt::Display): settings may be logged.
impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({self})")
    }
}

impl FromStr for EndpointUrl {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        // The parser removes or replaces these, and a URL with them is a mistake.
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '"' | '<' | '>');
        let url = match Url::parse(text) {
            Ok(url) if Self::is_form_of(text) && !text.contains(is_odd) => url,
            _ => return Err(NotAllowed::new("must be a URL such as https://example.com/orders")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NotAllowed::new(
                "must have no user and no password; put credentials into the secret of HTTP_HEADERS_SECRET_ARN",
            ));
        }
        if url.fragment().is_some() {
            return Err(NotAllowed::new("must have no fragment (#): it is not sent"));
        }
        if url.port() == Some(0) {
            return Err(NotAllowed::new("must have a port above 0"));
        }
        if url.scheme() == "http" && !url.host().is_some_and(|host| is_loopback(&host)) {
            return Err(NotAllowed::new(
                "must begin with https://; http:// is allowed to a loopback address only, such as http://127.0.0.1:8080/",
            ));
        }
        Ok(Self(url))
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => Ipv4Addr::is_loopback(address),
        Host::Ipv6(address) => Ipv6Addr::is_loopback(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<EndpointUrl>().expect_err(text).to_string()
    }

    #[test]
    fn an_endpoint_is_an_https_url_or_an_http_url_of_this_machine() {
        for (text, shown, address) in [
            ("https://example.com", "https://example.com/", "example.com:443"),
            (
                "https://example.com/a/b?token=x",
                "https://example.com/a/b?***",
                "example.com:443",
            ),
            (
                "HTTPS://Example.com:8443/",
                "https://example.com:8443/",
                "example.com:8443",
            ),
            ("http://127.0.0.1:8080/in", "http://127.0.0.1:8080/in", "127.0.0.1:8080"),
            ("http://127.1.2.3/", "http://127.1.2.3/", "127.1.2.3:80"),
            ("http://localhost/", "http://localhost/", "localhost:80"),
            ("http://[::1]:1/", "http://[::1]:1/", "[::1]:1"),
        ] {
            let url: EndpointUrl = text.parse().expect(text);
            assert_eq!((url.to_string(), url.address()), (shown.to_owned(), address.to_owned()));
        }
        let url: EndpointUrl = "https://h/?token=x".parse().expect("a URL");
        assert_eq!(url.url().query(), Some("token=x"));
        assert_eq!(format!("{url:?}"), "EndpointUrl(https://h/?***)");
    }

    #[test]
    fn credentials_fragments_and_unencrypted_hosts_are_refused() {
        for text in ["https://u:p@h/", "https://u@h/", "https://:p@h/"] {
            assert!(refusal(text).contains("HTTP_HEADERS_SECRET_ARN"), "{text}");
        }
        assert!(refusal("https://h/#a").contains("fragment"));
        for text in [
            "http://example.com/",
            "http://10.0.0.1/",
            "http://localhost.example.com/",
            "http://128.0.0.1/",
            "http://[::2]/",
        ] {
            assert!(refusal(text).contains("must begin with https://"), "{text}");
        }
        for text in [
            "https://",
            "https:h",
            "ftp://h/",
            "https://h /",
            "https://h\\a",
            "https://h:x/",
            "https://h:65536/",
            "https://[::1/",
            "https://h/\n",
            "https://h/\"a\"",
        ] {
            assert!(refusal(text).contains("must be a URL"), "{text}");
        }
        assert!(refusal("https://h:0/").contains("port"));
    }
}

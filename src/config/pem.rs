//! PEM as templates, consoles and YAML leave it -> PEM that OpenSSL parses.
//!
//! Between BEGIN and END there is only base64, which has neither white space nor backslashes. So PEM
//! can be restored unambiguously when line breaks and indentation were lost, doubled or escaped.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The use of a PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PemKind {
    /// Certificates of certificate authorities (CAs), in any order.
    Ca,
    /// The client certificate, followed by the intermediate certificates of its chain.
    Certificate,
    /// A private key.
    Key,
}

impl PemKind {
    /// The kind of PEM that the property takes; `None` for a property that takes none.
    pub(crate) fn of(property: &str) -> Option<Self> {
        match property {
            "ssl.ca.pem" => Some(Self::Ca),
            "ssl.certificate.pem" => Some(Self::Certificate),
            "ssl.key.pem" => Some(Self::Key),
            _ => None,
        }
    }

    /// The end of the labels of its blocks.
    fn label(self) -> &'static str {
        match self {
            Self::Ca | Self::Certificate => "CERTIFICATE",
            Self::Key => "PRIVATE KEY",
        }
    }
}

/// Why a text is not PEM, in two parts as in [`Error`](crate::error::Error). Quotes nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidPem {
    /// What is wrong, as half a sentence that follows the name of the text.
    pub(crate) what: Cow<'static, str>,
    /// What to do next.
    pub(crate) next: Cow<'static, str>,
}

impl fmt::Display for InvalidPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.what, self.next)
    }
}

const LINE_BREAKS: InvalidPem = InvalidPem {
    what: Cow::Borrowed("is PEM that lost its line breaks, and has headers, so that they cannot be put back"),
    next: Cow::Borrowed("Keep each line"),
};
const DAMAGED: InvalidPem = InvalidPem {
    what: Cow::Borrowed("is damaged PEM: the text between BEGIN and END is not base64"),
    next: Cow::Borrowed("Check its line breaks, its indentation, and that each BEGIN has its END"),
};

/// The PEM in `text`, in lines of 64 characters.
///
/// | text | |
/// |---|---|
/// | lines with CR LF, indented, or with blank lines | restored |
/// | literal `\n` or `\r\n` in place of line breaks | broken into lines |
/// | blanks in place of line breaks, or nothing at all | broken into lines; with headers (`Proc-Type`): refused |
/// | anything before, between and behind the blocks | left out |
/// | a chain with a CA before the client certificate | the client certificate first, each followed by its issuer |
/// | a chain in which several could be the client certificate | unchanged |
/// | a BEGIN without its END, or no block of this kind | refused |
pub(crate) fn normalised(text: &str, kind: PemKind) -> Result<String, InvalidPem> {
    let text = text.replace("\\\\", "\\").replace("\\r", "\r").replace("\\n", "\n");
    let mut blocks = blocks(&text)?;
    if !blocks.iter().any(|block| block.label.ends_with(kind.label())) {
        return Err(InvalidPem {
            what: format!("is not PEM with a {}", kind.label().to_lowercase()).into(),
            next: format!("It must contain a line -----BEGIN {}-----", kind.label()).into(),
        });
    }
    if kind == PemKind::Certificate {
        blocks = client_first(blocks);
    }
    Ok(blocks.iter().map(Block::text).collect())
}

struct Block<'a> {
    label: &'a str,
    headers: Vec<&'a str>,
    base64: String,
}

fn blocks(text: &str) -> Result<Vec<Block<'_>>, InvalidPem> {
    let mut blocks = vec![];
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let (label, body) = begun.split_once("-----").ok_or(DAMAGED)?;
        let (body, behind) = body.split_once(&format!("-----END {label}-----")).ok_or(DAMAGED)?;
        blocks.push(Block::read(label, body)?);
        rest = behind;
    }
    Ok(blocks)
}

impl<'a> Block<'a> {
    fn read(label: &'a str, body: &'a str) -> Result<Self, InvalidPem> {
        let lines: Vec<&str> = body
            .split(['\n', '\r'])
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let headers: Vec<&str> = lines.iter().copied().take_while(|line| line.contains(':')).collect();
        let base64: String = lines[headers.len()..]
            .iter()
            .flat_map(|line| line.split_whitespace())
            .collect();
        let is_base64 = base64
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        match (&*headers, &*base64) {
            ([_, ..], "") => Err(LINE_BREAKS),
            _ if !is_base64 => Err(DAMAGED),
            _ => Ok(Self { label, headers, base64 }),
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("-----BEGIN {}-----", self.label)];
        if !self.headers.is_empty() {
            lines.extend(self.headers.iter().map(|&header| header.to_owned()));
            lines.push(String::new());
        }
        let mut rest = &*self.base64;
        while !rest.is_empty() {
            let (line, behind) = rest.split_at(rest.len().min(64));
            lines.push(line.to_owned());
            rest = behind;
        }
        lines.push(format!("-----END {}-----\n", self.label));
        lines.join("\n")
    }
}

/// A certificate's issuer and subject, as they are encoded.
struct Names {
    issuer: Vec<u8>,
    subject: Vec<u8>,
}

/// The client certificate first, then the issuer of each; unchanged where the order is ambiguous.
fn client_first(blocks: Vec<Block<'_>>) -> Vec<Block<'_>> {
    let names = |block: &Block<'_>| names(&STANDARD.decode(&block.base64).ok()?);
    let (certificates, others): (Vec<_>, Vec<_>) = blocks
        .into_iter()
        .partition(|block| block.label.ends_with("CERTIFICATE"));
    let all: Option<Vec<Names>> = certificates.iter().map(names).collect();
    let order = all.and_then(|all| order(&all));
    let mut certificates: Vec<_> = certificates.into_iter().map(Some).collect();
    let order = order.unwrap_or_else(|| (0..certificates.len()).collect());
    let ordered = order.into_iter().filter_map(|index| certificates[index].take());
    ordered.chain(others).collect()
}

/// The order of the chain, from the only certificate that issued no other one; `None` if there are several.
fn order(all: &[Names]) -> Option<Vec<usize>> {
    let issued_another = |index: usize| {
        let others = all.iter().enumerate().filter(|(other, _)| *other != index);
        others.into_iter().any(|(_, other)| other.issuer == all[index].subject)
    };
    let mut own = (0..all.len()).filter(|index| !issued_another(*index));
    let (first, None) = (own.next()?, own.next()) else {
        return None;
    };
    let mut order = vec![first];
    while order.len() < all.len() {
        let issuer = &all[*order.last()?].issuer;
        let left = |index: &usize| !order.contains(index);
        let next = (0..all.len()).filter(left).find(|index| all[*index].subject == *issuer);
        order.push(next.or_else(|| (0..all.len()).find(left))?);
    }
    Some(order)
}

/// Of a certificate in DER: `SEQUENCE { SEQUENCE { [0] version?, serial, algorithm, issuer,
/// validity, subject, .. }, .. }`.
fn names(der: &[u8]) -> Option<Names> {
    const VERSION: u8 = 0xA0;
    let (_, certificate, _) = element(der)?;
    let (_, fields, _) = element(certificate)?;
    let (tag, _, behind_first) = element(fields)?;
    let serial = if tag == VERSION { behind_first } else { fields };
    let (_, _, algorithm) = element(serial)?;
    let (_, _, issuer) = element(algorithm)?;
    let (_, issuer, validity) = element(issuer)?;
    let (_, _, subject) = element(validity)?;
    let (_, subject, _) = element(subject)?;
    Some(Names {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
    })
}

/// The first element of DER: its tag, its content, and the bytes behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00FF\n\nMIIB\n\
                       -----END RSA PRIVATE KEY-----\n";

    fn read(text: &str) -> Result<String, InvalidPem> {
        normalised(text, PemKind::Ca)
    }

    #[test]
    fn line_breaks_and_indentation_may_be_lost_doubled_or_escaped() {
        let two = ONE.repeat(2);
        for text in [
            two.clone(),
            two.replace('\n', "\r\n"),
            two.replace('\n', "\\n"),
            two.replace('\n', "\\r\\n"),
            two.replace('\n', "\\\\n"),
            two.replace('\n', " "),
            two.replace('\n', "\n\n"),
            two.replace('\n', "\n    "),
            format!("\t{}", two.replace('\n', "  \n\t")),
            two.replace("MIIB", "M\nI I\tB"),
            two.replace("-----\nMIIB\n-----", "-----MIIB-----"),
            format!("\u{feff}\"{two}\""),
            format!("# our authorities\n{two}# the end"),
            two.trim_end().to_owned(),
        ] {
            assert_eq!(read(&text).as_deref(), Ok(&*two), "{text:?}");
        }
    }

    #[test]
    fn lines_are_as_long_as_pem_has_them() {
        let long = format!("-----BEGIN CERTIFICATE-----{}-----END CERTIFICATE-----", "A".repeat(65));
        let expected = format!(
            "-----BEGIN CERTIFICATE-----\n{}\nA\n-----END CERTIFICATE-----\n",
            "A".repeat(64)
        );
        assert_eq!(read(&long), Ok(expected));
    }

    #[test]
    fn the_headers_of_an_encrypted_key_stay_with_the_blank_line_behind_them() {
        let read = |text: &str| normalised(text, PemKind::Key);
        for text in [KEY.to_owned(), KEY.replace('\n', "\\n"), KEY.replace('\n', "\r\n   ")] {
            assert_eq!(read(&text).as_deref(), Ok(KEY), "{text:?}");
        }
        assert_eq!(read(&KEY.replace('\n', " ")), Err(LINE_BREAKS));
    }

    #[test]
    fn pem_that_is_cut_damaged_or_of_another_kind_is_refused_and_never_shown() {
        for (text, kind, expected) in [
            ("planted", PemKind::Ca, "is not PEM with a certificate"),
            (ONE, PemKind::Key, "is not PEM with a private key"),
            (KEY, PemKind::Certificate, "is not PEM with a certificate"),
            ("-----BEGIN CERTIFICATE", PemKind::Ca, "damaged"),
            ("-----BEGIN CERTIFICATE-----\nplanted", PemKind::Ca, "damaged"),
            (
                "-----BEGIN CERTIFICATE-----\npl$nted\n-----END CERTIFICATE-----",
                PemKind::Ca,
                "damaged",
            ),
        ] {
            let problem = normalised(text, kind).expect_err(text).to_string();
            assert!(problem.contains(expected) && !problem.contains("planted"), "{problem}");
        }
    }

    /// A certificate with only the fields that `names` reads.
    fn certificate(issuer: u8, subject: u8) -> String {
        let sequence = |content: &[u8]| [&[0x30, u8::try_from(content.len()).expect("short")], content].concat();
        let name = |name| sequence(&[2, 1, name]);
        let version = [0xA0, 3, 2, 1, 2];
        let fields = [
            &version[..],
            &[2, 1, 7],
            &sequence(&[]),
            &name(issuer),
            &sequence(&[]),
            &name(subject),
        ]
        .concat();
        let der = sequence(&sequence(&fields));
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            STANDARD.encode(der)
        )
    }

    #[test]
    fn the_client_certificate_comes_first_and_each_is_followed_by_its_issuer() {
        const ROOT: u8 = 1;
        let (root, middle, own) = (certificate(ROOT, ROOT), certificate(ROOT, 2), certificate(2, 3));
        let right = [&*own, &middle, &root].concat();
        for wrong in [
            [&root, &middle, &own],
            [&middle, &own, &root],
            [&own, &root, &middle],
            [&root, &own, &middle],
        ] {
            let wrong: String = wrong.map(String::as_str).concat();
            assert_eq!(normalised(&wrong, PemKind::Certificate).as_deref(), Ok(&*right));
            assert_eq!(normalised(&wrong, PemKind::Ca).as_deref(), Ok(&*wrong));
        }
        // Two candidates, and a block that is not a certificate: the order is not guessed.
        let another = certificate(2, 4);
        for uncertain in [[&*root, &own, &another].concat(), format!("{root}{own}{ONE}")] {
            assert_eq!(normalised(&uncertain, PemKind::Certificate).as_deref(), Ok(&*uncertain));
        }
    }

    proptest! {
        #[test]
        fn normalised_pem_stays_unchanged_and_any_other_text_is_refused(
            text in prop_oneof![
                any::<String>(),
                "(-----BEGIN CERTIFICATE-----|-----END CERTIFICATE-----|[A-Za-z0-9+/=: \n\\\\rn-]{0,9}){0,8}",
            ],
        ) {
            for kind in [PemKind::Ca, PemKind::Certificate, PemKind::Key] {
                if let Ok(pem) = normalised(&text, kind) {
                    prop_assert_eq!(normalised(&pem, kind), Ok(pem));
                }
            }
        }

        #[test]
        fn any_bytes_are_der_or_not(der: Vec<u8>) {
            let _ = names(&der);
        }
    }
}

//! PEM as it comes out of templates, consoles and YAML -> PEM that OpenSSL reads.
//!
//! Between BEGIN and END there is base64 alone, which has neither white space nor backslashes. So
//! line breaks and indentation can be lost, doubled or escaped, and what is meant stays certain.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a PEM is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PemKind {
    /// Certificates to trust; their order means nothing.
    Authority,
    /// Our own certificate, and behind it those that vouch for it.
    Certificate,
    /// A private key.
    Key,
}

impl PemKind {
    /// What the property holds, if it is PEM.
    pub(crate) fn of(property: &str) -> Option<Self> {
        match property {
            "ssl.ca.pem" => Some(Self::Authority),
            "ssl.certificate.pem" => Some(Self::Certificate),
            "ssl.key.pem" => Some(Self::Key),
            _ => None,
        }
    }

    /// How the labels of its blocks end.
    fn label(self) -> &'static str {
        match self {
            Self::Authority | Self::Certificate => "CERTIFICATE",
            Self::Key => "PRIVATE KEY",
        }
    }
}

const LINE_BREAKS: &str =
    "is PEM that lost its line breaks, and has headers, so that they cannot be put back. Keep each line";
const DAMAGED: &str = "is damaged PEM: between BEGIN and END stands what is no base64. Check its line breaks, its \
                       indentation, and that each BEGIN has its END";

/// The PEM in `text` with a line of its own for each line; or what is wrong, as half a sentence
/// that shows nothing of it.
///
/// | text | |
/// |---|---|
/// | lines with CR LF, indented, or with blank lines | as they were meant |
/// | literal `\n` or `\r\n` in place of line breaks | broken into lines |
/// | blanks in place of line breaks, or nothing at all | broken into lines; with headers (`Proc-Type`): refused |
/// | anything before, between and behind the blocks | left out |
/// | a chain with an authority before our own certificate | our own first, each followed by its issuer |
/// | a chain in which several could be our own | as it is |
/// | a BEGIN without its END, or no block of this kind | refused |
pub(crate) fn normalised(text: &str, kind: PemKind) -> Result<String, String> {
    let text = text.replace("\\\\", "\\").replace("\\r", "\r").replace("\\n", "\n");
    let mut blocks = blocks(&text)?;
    if !blocks.iter().any(|block| block.label.ends_with(kind.label())) {
        return Err(format!(
            "is no PEM with a {}. It must hold a line -----BEGIN {}-----",
            kind.label().to_lowercase(),
            kind.label()
        ));
    }
    if kind == PemKind::Certificate {
        blocks = own_first(blocks);
    }
    Ok(blocks.iter().map(Block::text).collect())
}

struct Block<'a> {
    label: &'a str,
    headers: Vec<&'a str>,
    base64: String,
}

fn blocks(text: &str) -> Result<Vec<Block<'_>>, String> {
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
    fn read(label: &'a str, body: &'a str) -> Result<Self, String> {
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
            ([_, ..], "") => Err(LINE_BREAKS.to_owned()),
            _ if !is_base64 => Err(DAMAGED.to_owned()),
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

/// Our own certificate first, then the issuer of each; unchanged where that is not certain.
fn own_first(blocks: Vec<Block<'_>>) -> Vec<Block<'_>> {
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

/// The chain from the only certificate that issued no other one.
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

/// The first element of DER: its tag, its content, and what is behind it.
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

    fn read(text: &str) -> Result<String, String> {
        normalised(text, PemKind::Authority)
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
        assert_eq!(read(&KEY.replace('\n', " ")), Err(LINE_BREAKS.to_owned()));
    }

    #[test]
    fn what_is_cut_damaged_or_of_another_kind_is_refused_and_never_shown() {
        for (text, kind, said) in [
            ("planted", PemKind::Authority, "is no PEM with a certificate"),
            (ONE, PemKind::Key, "is no PEM with a private key"),
            (KEY, PemKind::Certificate, "is no PEM with a certificate"),
            ("-----BEGIN CERTIFICATE", PemKind::Authority, "damaged"),
            ("-----BEGIN CERTIFICATE-----\nplanted", PemKind::Authority, "damaged"),
            (
                "-----BEGIN CERTIFICATE-----\npl$nted\n-----END CERTIFICATE-----",
                PemKind::Authority,
                "damaged",
            ),
        ] {
            let problem = normalised(text, kind).expect_err(text);
            assert!(problem.contains(said) && !problem.contains("planted"), "{problem}");
        }
    }

    /// What `names` reads of a certificate, and nothing else.
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
    fn our_own_certificate_comes_first_and_each_is_followed_by_its_issuer() {
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
            assert_eq!(normalised(&wrong, PemKind::Authority).as_deref(), Ok(&*wrong));
        }
        // Two that could be ours, and what is no certificate: nothing is guessed.
        let another = certificate(2, 4);
        for uncertain in [[&*root, &own, &another].concat(), format!("{root}{own}{ONE}")] {
            assert_eq!(normalised(&uncertain, PemKind::Certificate).as_deref(), Ok(&*uncertain));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_pem_that_stays_as_it_is_or_is_refused(
            text in prop_oneof![
                any::<String>(),
                "(-----BEGIN CERTIFICATE-----|-----END CERTIFICATE-----|[A-Za-z0-9+/=: \n\\\\rn-]{0,9}){0,8}",
            ],
        ) {
            for kind in [PemKind::Authority, PemKind::Certificate, PemKind::Key] {
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

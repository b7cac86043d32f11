//! The ARNs of functions and of MSK clusters, validated when parsed.

use std::fmt;
use std::str::FromStr;

use super::arn::Arn;
use super::problem::NotAllowed;

/// The longest name of a function, in characters.
const MAX_NAME_CHARS: usize = 64;

/// The longest alias or version, in characters.
const MAX_QUALIFIER_CHARS: usize = 128;

/// The ARN of a Lambda function, with an alias or a version or without:
/// `arn:<partition>:lambda:<region>:<account>:function:<name>[:<alias or version>]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FunctionArn {
    arn: String,
    region: String,
    name: String,
}

impl FunctionArn {
    /// The ARN, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// The region that the function is in, whatever region this program runs in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The function's name, without alias or version.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for FunctionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

impl FromStr for FunctionArn {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        let arn = Arn::parse(text, "lambda").ok_or_else(not_a_function)?;
        let (name, qualifier) = match arn.resource.split(':').collect::<Vec<_>>().as_slice() {
            ["function", name] => (*name, None),
            ["function", name, qualifier] => (*name, Some(*qualifier)),
            _ => return Err(not_a_function()),
        };
        let is_qualifier = |text| text == "$LATEST" || is_word(text, MAX_QUALIFIER_CHARS);
        if !is_word(name, MAX_NAME_CHARS) || !qualifier.is_none_or(is_qualifier) {
            return Err(not_a_function());
        }
        Ok(Self {
            arn: text.to_owned(),
            region: arn.region.to_owned(),
            name: name.to_owned(),
        })
    }
}

fn not_a_function() -> NotAllowed {
    NotAllowed::new(
        "must be the ARN of a Lambda function, arn:aws:lambda:<region>:<account of 12 digits>:function:<name>, with \
         :<alias or version> behind it or without, such as \
         arn:aws:lambda:eu-central-1:123456789012:function:orders:live",
    )
}

fn is_word(text: &str, max_chars: usize) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (1..=max_chars).contains(&text.len()) && text.bytes().all(valid)
}

/// The ARN of an MSK cluster: `arn:<partition>:kafka:<region>:<account>:cluster/<name>/<id>`.
pub(super) fn cluster_arn(text: &str) -> Result<String, NotAllowed> {
    let is_cluster = |arn: Arn<'_>| {
        let of_a_cluster: Vec<&str> = arn.resource.split('/').collect();
        matches!(of_a_cluster.as_slice(), ["cluster", name, id] if is_word(name, 64) && is_word(id, 128))
    };
    let is_valid = Arn::parse(text, "kafka").is_some_and(is_cluster);
    is_valid.then(|| text.to_owned()).ok_or_else(|| {
        NotAllowed::new(
            "must be the ARN of an MSK cluster, arn:aws:kafka:<region>:<account of 12 digits>:cluster/<name>/<id>",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arn_of_a_function_is_taken_with_alias_and_version() {
        for (arn, region, name) in [
            ("arn:aws:lambda:eu-west-1:123456789012:function:f", "eu-west-1", "f"),
            (
                "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:live",
                "cn-north-1",
                "f",
            ),
            (
                "arn:aws:lambda:eu-west-1:123456789012:function:f_2:17",
                "eu-west-1",
                "f_2",
            ),
            (
                "arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST",
                "eu-west-1",
                "f",
            ),
        ] {
            let parsed: FunctionArn = arn.parse().expect(arn);
            assert_eq!((parsed.as_str(), parsed.region(), parsed.name()), (arn, region, name));
        }
    }

    #[test]
    fn what_is_no_arn_of_a_function_is_refused() {
        for wrong in [
            "arn:aws:lambda:eu-west-1:123456789012:function:",
            "arn:aws:lambda:eu-west-1:123456789012:function:f:",
            "arn:aws:lambda:eu-west-1:123456789012:function:f:a:b",
            "arn:aws:lambda:eu-west-1:12345678901:function:f",
            "arn:aws:lambda::123456789012:function:f",
            "arn:aws:lambda:eu-west-1:123456789012:layer:f",
            "arn:aws:sqs:eu-west-1:123456789012:f",
            "arn:aws:lambda:eu-west-1:123456789012:function:f/../g",
            "arn:aws:lambda:eu-west-1:123456789012:function:a b",
        ] {
            assert!(wrong.parse::<FunctionArn>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_arn_of_a_cluster_names_an_msk_cluster() {
        let arn = "arn:aws:kafka:eu-west-1:123456789012:cluster/shop/6f8e-22";
        assert_eq!(cluster_arn(arn).expect("valid"), arn);
        for wrong in [
            "arn:aws:kafka:eu-west-1:123456789012:topic/shop/6f8e-22/t",
            "arn:aws:kafka:eu-west-1:123456789012:cluster/shop",
            "arn:aws:kafka:eu-west-1:1:cluster/shop/x",
            "shop",
        ] {
            assert!(cluster_arn(wrong).is_err(), "{wrong}");
        }
    }
}

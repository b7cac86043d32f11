//! The ARN of a `DynamoDB` table, validated when parsed.

use std::fmt;
use std::str::FromStr;

use super::arn::Arn;
use super::name::is_table;
use super::problem::NotAllowed;

/// The ARN of a `DynamoDB` table: `arn:<partition>:dynamodb:<region>:<account>:table/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableArn {
    arn: String,
    region: String,
    name: String,
}

impl TableArn {
    /// The ARN, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// The region that the table is in, whatever region this program runs in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The table's name: 3 to 255 characters.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TableArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

impl FromStr for TableArn {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        let arn = Arn::parse(text, "dynamodb");
        let named = arn.and_then(|arn| Some((arn, arn.resource.strip_prefix("table/")?)));
        match named {
            Some((arn, name)) if is_table(name) => Ok(Self {
                arn: text.to_owned(),
                region: arn.region.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(NotAllowed::new(
                "must be the ARN of a DynamoDB table, arn:aws:dynamodb:<region>:<account of 12 digits>:table/<name>, \
                 such as arn:aws:dynamodb:eu-central-1:123456789012:table/customers",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arn_of_a_table_has_its_region_and_name() {
        for (arn, region, name) in [
            ("arn:aws:dynamodb:eu-west-1:123456789012:table/abc", "eu-west-1", "abc"),
            (
                "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/a.b_c-9",
                "cn-north-1",
                "a.b_c-9",
            ),
        ] {
            let parsed: TableArn = arn.parse().expect(arn);
            assert_eq!((parsed.as_str(), parsed.region(), parsed.name()), (arn, region, name));
        }
    }

    #[test]
    fn what_is_no_arn_of_a_table_is_refused() {
        for wrong in [
            "arn:aws:dynamodb:eu-west-1:123456789012:table/ab",
            "arn:aws:dynamodb:eu-west-1:123456789012:table/abc/index/x",
            "arn:aws:dynamodb:eu-west-1:123456789012:table/abc/stream/2026-01-01T00:00:00.000",
            "arn:aws:dynamodb:eu-west-1:123456789012:abc",
            "arn:aws:dynamodb:eu-west-1:12345678901:table/abc",
            "arn:aws:dynamodb::123456789012:table/abc",
            "arn:aws:sqs:eu-west-1:123456789012:table/abc",
            "arn:aws:dynamodb:eu-west-1:123456789012:table/a b c",
        ] {
            assert!(wrong.parse::<TableArn>().is_err(), "{wrong}");
        }
    }
}

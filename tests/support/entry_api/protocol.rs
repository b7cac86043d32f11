//! The requests and responses of each service.

use serde_json::{Map, Value, json};

use super::{Entry, Refusal};
use crate::support::http::{Request, response};

/// A service that takes entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Sqs,
    Sns,
    EventBridge,
}

/// The most entries of a call.
const MAX_ENTRIES: usize = 10;
/// The most attributes of a message.
const MAX_ATTRIBUTES: usize = 10;
/// The size of a message of SQS, and of all messages of a call.
const MAX_BYTES: usize = 1_048_576;

impl Service {
    pub(super) fn arn(self, name: &str) -> String {
        match self {
            Self::Sqs => format!("arn:aws:sqs:eu-central-1:123456789012:{name}"),
            Self::Sns => format!("arn:aws:sns:eu-central-1:123456789012:{name}"),
            Self::EventBridge => format!("arn:aws:events:eu-central-1:123456789012:event-bus/{name}"),
        }
    }

    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Sqs => "AWS_ENDPOINT_URL_SQS",
            Self::Sns => "AWS_ENDPOINT_URL_SNS",
            Self::EventBridge => "AWS_ENDPOINT_URL_EVENTBRIDGE",
        }
    }

    /// The operation that takes entries.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::Sqs => "SendMessageBatch",
            Self::Sns => "PublishBatch",
            Self::EventBridge => "PutEvents",
        }
    }

    /// Whether the request only looks up whether the bus exists.
    pub(super) fn is_look_up(self, request: &Request) -> bool {
        self == Self::EventBridge && request.header("x-amz-target") == Some("AWSEvents.DescribeEventBus")
    }

    pub(super) fn look_up(self, is_missing: bool) -> Vec<u8> {
        if is_missing {
            self.failure(Refusal::Missing)
        } else {
            response(200, "", br#"{"Name": "bus"}"#)
        }
    }

    /// The entries of a request, if AWS takes it.
    pub(super) fn entries(self, request: &Request) -> Result<Vec<Entry>, String> {
        let entries = match self {
            Self::Sqs => json_entries(request, "AmazonSQS.SendMessageBatch")?,
            Self::Sns => form_entries(request)?,
            Self::EventBridge => json_entries(request, "AWSEvents.PutEvents")?,
        };
        if entries.is_empty() || entries.len() > MAX_ENTRIES {
            return Err(format!("{} entries", entries.len()));
        }
        let read = match self {
            Self::Sqs | Self::Sns => message,
            Self::EventBridge => event,
        };
        entries.into_iter().map(read).collect()
    }

    /// The response to a call, with the reason for each entry that is refused.
    pub(super) fn success(self, entries: &[Entry], refused: &[Option<Refusal>]) -> Vec<u8> {
        let outcomes = || entries.iter().zip(refused);
        let body = match self {
            Self::Sqs => {
                let (mut successful, mut failed) = (vec![], vec![]);
                for (entry, refused) in outcomes() {
                    let id = &entry.json["Id"];
                    match refused {
                        None => successful.push(json!({"Id": id, "MessageId": "m", "MD5OfMessageBody": "x"})),
                        Some(refusal) => {
                            let (code, message, sender_fault) = self.code(*refusal);
                            failed
                                .push(json!({"Id": id, "Code": code, "Message": message, "SenderFault": sender_fault}));
                        }
                    }
                }
                json!({"Successful": successful, "Failed": failed}).to_string()
            }
            Self::Sns => {
                let member = |(entry, refused): (&Entry, &Option<Refusal>)| {
                    let id = entry.json["Id"].as_str().unwrap_or_default();
                    match refused {
                        None => (
                            format!("<member><Id>{id}</Id><MessageId>m</MessageId></member>"),
                            String::new(),
                        ),
                        Some(refusal) => {
                            let (code, message, sender_fault) = self.code(*refusal);
                            let member = format!(
                                "<member><Id>{id}</Id><Code>{code}</Code><Message>{message}</Message><SenderFault>\
                                 {sender_fault}</SenderFault></member>"
                            );
                            (String::new(), member)
                        }
                    }
                };
                let (successful, failed): (Vec<_>, Vec<_>) = outcomes().map(member).unzip();
                format!(
                    "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
                     <Successful>{}</Successful><Failed>{}</Failed></PublishBatchResult></PublishBatchResponse>",
                    successful.concat(),
                    failed.concat()
                )
            }
            Self::EventBridge => {
                let entry = |(_, refused): (&Entry, &Option<Refusal>)| match refused {
                    None => json!({"EventId": "e"}),
                    Some(refusal) => {
                        let (code, message, _) = self.code(*refusal);
                        json!({"ErrorCode": code, "ErrorMessage": message})
                    }
                };
                let count = refused.iter().flatten().count();
                json!({"FailedEntryCount": count, "Entries": outcomes().map(entry).collect::<Vec<_>>()}).to_string()
            }
        };
        response(200, "", body.as_bytes())
    }

    /// The response to a call that is refused as a whole.
    pub(super) fn failure(self, refusal: Refusal) -> Vec<u8> {
        let (code, message, _) = self.code(refusal);
        let status = match refusal {
            Refusal::Internal => 500,
            Refusal::Denied => 403,
            _ => 400,
        };
        let body = match self {
            Self::Sqs => json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message}).to_string(),
            Self::EventBridge => json!({"__type": code, "message": message}).to_string(),
            Self::Sns => format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                 </ErrorResponse>"
            ),
        };
        response(status, "", body.as_bytes())
    }

    /// The service's code and message, and whether the sender is the cause.
    fn code(self, refusal: Refusal) -> (&'static str, &'static str, bool) {
        match (self, refusal) {
            (Self::Sqs, Refusal::Throttled) => ("RequestThrottled", "slow down", true),
            (Self::Sns, Refusal::Throttled) => ("Throttled", "slow down", true),
            (Self::EventBridge, Refusal::Throttled) => ("ThrottlingException", "slow down", true),
            (Self::EventBridge, Refusal::Internal) => ("InternalFailure", "try again", false),
            (_, Refusal::Internal) => ("InternalError", "try again", false),
            (Self::Sqs, Refusal::Invalid) => ("InvalidMessageContents", "planted characters", true),
            (Self::Sns, Refusal::Invalid) => ("InvalidParameter", "Invalid parameter: planted", true),
            (Self::EventBridge, Refusal::Invalid) => ("MalformedDetail", "Detail is malformed", true),
            (Self::Sqs, Refusal::TooLarge) => (
                "InvalidParameterValue",
                "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.",
                true,
            ),
            (Self::Sns, Refusal::TooLarge) => ("InvalidParameter", "Invalid parameter: Message too long", true),
            (Self::EventBridge, Refusal::TooLarge) => (
                "ValidationException",
                "Total size of the entries in the request is over the limit.",
                true,
            ),
            (Self::Sns, Refusal::Denied) => ("AuthorizationError", "not authorized", true),
            (_, Refusal::Denied) => ("AccessDeniedException", "not authorized", true),
            (Self::Sqs, Refusal::Missing) => ("QueueDoesNotExist", "The specified queue does not exist.", true),
            (Self::Sns, Refusal::Missing) => ("NotFound", "Topic does not exist", true),
            (Self::EventBridge, Refusal::Missing) => (
                "ResourceNotFoundException",
                "Event bus destination does not exist.",
                true,
            ),
        }
    }
}

fn json_entries(request: &Request, target: &str) -> Result<Vec<Value>, String> {
    if request.header("x-amz-target") != Some(target) {
        return Err(format!("the operation {:?}", request.header("x-amz-target")));
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|error| error.to_string())?;
    body["Entries"]
        .as_array()
        .cloned()
        .ok_or_else(|| "no entries".to_owned())
}

/// The entries of `PublishBatch`, in the shape of SQS's.
fn form_entries(request: &Request) -> Result<Vec<Value>, String> {
    let text = std::str::from_utf8(&request.body).map_err(|error| error.to_string())?;
    let mut fields: Vec<(String, String)> = text
        .split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    fields.sort();
    let field = |name: &str| fields.iter().find(|(it, _)| it == name).map(|(_, value)| value.clone());
    if field("Action").as_deref() != Some("PublishBatch") || field("TopicArn").is_none() {
        return Err(format!("the action {:?}", field("Action")));
    }
    let entry = |number: usize| {
        let of = |name: &str| field(&format!("PublishBatchRequestEntries.member.{number}.{name}"));
        let attribute = |number: usize| {
            let of = |name: &str| of(&format!("MessageAttributes.entry.{number}.{name}"));
            let value = json!({
                "DataType": of("Value.DataType")?, "StringValue": of("Value.StringValue"),
                "BinaryValue": of("Value.BinaryValue"),
            });
            let value = value.as_object()?.iter().filter(|(_, value)| !value.is_null());
            Some((
                of("Name")?,
                value
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect::<Value>(),
            ))
        };
        let attributes: Map<String, Value> = (1..).map_while(attribute).collect();
        let mut entry = json!({"Id": of("Id")?, "MessageBody": of("Message"), "MessageAttributes": attributes});
        for name in ["MessageGroupId", "MessageDeduplicationId"] {
            if let Some(value) = of(name) {
                entry[name] = value.into();
            }
        }
        Some(entry)
    };
    Ok((1..).map_while(entry).collect())
}

/// A text of a form without its percent encoding.
fn decoded(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.extend(u8::from_str_radix(&digits, 16));
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// A message, if AWS takes it.
fn message(json: Value) -> Result<Entry, String> {
    let body = json["MessageBody"].as_str().unwrap_or_default();
    let is_allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    if body.is_empty() || !body.chars().all(is_allowed) {
        return Err("a body that is empty, or has characters that AWS refuses".to_owned());
    }
    if body.len() > MAX_BYTES {
        return Err(format!("a body of {} bytes", body.len()));
    }
    let none = Map::new();
    let attributes = json["MessageAttributes"].as_object().unwrap_or(&none);
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(format!("{} attributes", attributes.len()));
    }
    for (name, value) in attributes {
        let text = value["StringValue"].as_str().or_else(|| value["BinaryValue"].as_str());
        if text.is_none_or(str::is_empty) {
            return Err(format!("the attribute {name} is empty"));
        }
    }
    let number = |name: &str| {
        let value = attributes.get(name)?["StringValue"].as_str()?;
        value.parse::<i64>().ok()
    };
    let partition = number("partition").and_then(|it| it.try_into().ok());
    let place = partition.zip(number("offset")).ok_or("no place of the record")?;
    Ok(Entry { place, json })
}

/// An event, if EventBridge takes it.
fn event(mut json: Value) -> Result<Entry, String> {
    let detail: Value =
        serde_json::from_str(json["Detail"].as_str().unwrap_or_default()).map_err(|it| it.to_string())?;
    if !detail.is_object() {
        return Err("a detail that is no object".to_owned());
    }
    for (name, most) in [("Source", 256), ("DetailType", 128), ("EventBusName", 1600)] {
        let length = json[name].as_str().map_or(0, str::len);
        if !(1..=most).contains(&length) {
            return Err(format!("{name} of {length} characters"));
        }
    }
    let partition = detail["partition"].as_i64().and_then(|it| it.try_into().ok());
    let place = partition
        .zip(detail["offset"].as_i64())
        .ok_or("no place of the record")?;
    json["Detail"] = detail;
    Ok(Entry { place, json })
}

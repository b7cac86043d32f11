//! Services as destinations: the real program, a real Kafka, and the services.

pub(crate) mod dynamodb;

//! The store seam on DynamoDB Local.

use std::future::ready;

use crate::support::dynamo_conformance::{DynamoBench, dynamo_conformance_tests};
use crate::support::services::services;
use crate::support::store_conformance::conformance_tests;

conformance_tests!(DynamoBench::create(&services().dynamodb_endpoint));
dynamo_conformance_tests!(ready(services().dynamodb_endpoint.clone()));

//! The Lambda function: settings from the environment, `DESTINATION` decides
//! what happens to records.

use kafka_consumer_lambda::lambda;
use kafka_consumer_lambda::processor::Configured;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::run(Configured::new).await
}

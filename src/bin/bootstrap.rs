//! The Lambda function: settings from the environment, `DESTINATION` decides
//! what happens to records.

use kafka_consumer_lambda::destination::Configured;
use kafka_consumer_lambda::lambda;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::run(Configured::new).await
}

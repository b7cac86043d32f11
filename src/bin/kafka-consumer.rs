//! The operator's command line.

use std::process::exit;

fn main() {
    // Not a return: a Kafka client with a lost broker may take its time to close.
    exit(kafka_consumer_lambda::cli::main());
}

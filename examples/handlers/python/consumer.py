"""Handles orders with Powertools' Kafka consumer. An exception fails the batch."""

import json

from aws_lambda_powertools.utilities.kafka import ConsumerRecords, SchemaConfig, kafka_consumer


@kafka_consumer(schema_config=SchemaConfig(value_schema_type="JSON"))
def handler(records: ConsumerRecords, context):
    for record in records.records:
        order = record.value if "value" in record else None  # A tombstone has no value.
        if order is not None and "id" not in order:
            raise ValueError("an order without an id")
        headers = {name: value.decode() for name, value in record.headers.items()}
        print(json.dumps({"offset": record.offset, "key": record.key, "order": order, "headers": headers}))

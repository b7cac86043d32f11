"""Handles orders with Powertools' batch processor. An exception fails its record alone."""

import json

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.kafka_event import KafkaEventRecord

processor = BatchProcessor(event_type=EventType.Kafka)


def handle(record: KafkaEventRecord):
    order = record.json_value if "value" in record else None  # A tombstone has no value.
    if order is not None and "id" not in order:
        raise ValueError("an order without an id")
    key = record.decoded_key.decode() if record.key is not None else None
    headers = {name: value.decode() for name, value in record.decoded_headers.items()}
    print(json.dumps({"offset": record.offset, "key": key, "order": order, "headers": headers}))


def handler(event, context):
    return process_partial_response(event=event, record_handler=handle, processor=processor, context=context)

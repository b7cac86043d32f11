"""A conventional poller: confluent-kafka and boto3, offsets in a table.

Reads a command a line from stdin, makes a run for each, and prints its milliseconds.
With `once` as its argument it makes one run and ends.
"""

import json
import os
import sys
import time

import boto3
from boto3.dynamodb.conditions import Key
from confluent_kafka import Consumer, TopicPartition

TOPIC = os.environ["KAFKA_TOPIC"]
GROUP = os.environ["KAFKA_GROUP_ID"]
MAX_MESSAGES = int(os.environ.get("MAX_MESSAGES", "1000"))
POLL_TIMEOUT = float(os.environ.get("POLL_TIMEOUT", "5.0"))
CONSUMER_ID = f"{GROUP}_{TOPIC}"

table = boto3.resource("dynamodb").Table(os.environ["DYNAMODB_TABLE"])
consumer = Consumer(
    {
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "group.id": GROUP,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    }
)


def run():
    items = table.query(KeyConditionExpression=Key("consumer_id").eq(CONSUMER_ID))["Items"]
    stored = {int(item["partition"]): int(item["offset"]) for item in items}
    partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
    consumer.assign([TopicPartition(TOPIC, p, stored.get(p, -1) + 1) for p in partitions])
    last = {}
    messages = 0
    while messages < MAX_MESSAGES:
        message = consumer.poll(POLL_TIMEOUT)
        if message is None:
            break
        if message.error():
            raise RuntimeError(message.error())
        json.loads(message.value())
        last[message.partition()] = message.offset()
        messages += 1
    for partition, offset in last.items():
        table.put_item(
            Item={
                "consumer_id": CONSUMER_ID,
                "partition": partition,
                "offset": offset,
                "topic": TOPIC,
                "group_id": GROUP,
            }
        )
    return messages


if sys.argv[1:] == ["once"]:
    run()
    sys.stdout.flush()
    os._exit(0)
for line in sys.stdin:
    started = time.perf_counter()
    count = run()
    print(json.dumps({"ms": (time.perf_counter() - started) * 1000, "messages": count}), flush=True)

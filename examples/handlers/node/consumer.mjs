// Handles orders with Powertools' Kafka consumer. An exception fails the batch.
import { SchemaType, kafkaConsumer } from '@aws-lambda-powertools/kafka';

export const handler = kafkaConsumer(
  async ({ records }) => {
    for (const { offset, key = null, value: order = null, headers } of records) {
      // A tombstone has no value.
      if (order !== null && order.id === undefined) throw new Error('an order without an id');
      console.log(JSON.stringify({ offset, key, order, headers: Object.assign({}, ...headers) }));
    }
  },
  { value: { type: SchemaType.JSON } },
);

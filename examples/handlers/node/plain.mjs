// Handles orders without a library, and reports each failed record.
const text = (base64) => (base64 === undefined ? null : Buffer.from(base64, 'base64').toString());

const handle = ({ offset, key, value, headers }) => {
  const order = JSON.parse(text(value)); // A tombstone has no value, and JSON.parse(null) is null.
  if (order !== null && order.id === undefined) throw new Error('an order without an id');
  const decoded = headers.flatMap(Object.entries).map(([name, bytes]) => [name, Buffer.from(bytes).toString()]);
  console.log(JSON.stringify({ offset, key: text(key), order, headers: Object.fromEntries(decoded) }));
};

export const handler = async (event, context) => {
  const batchItemFailures = [];
  for (const [partition, records] of Object.entries(event.records)) {
    for (const record of records) {
      try {
        handle(record);
      } catch (error) {
        console.error(`attempt ${context.clientContext?.custom?.attempt}: ${error.message}`);
        batchItemFailures.push({ itemIdentifier: { partition, offset: record.offset } });
      }
    }
  }
  return { batchItemFailures };
};

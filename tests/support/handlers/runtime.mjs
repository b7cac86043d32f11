// Lambda's runtime of Node as far as these tests need it, because AWS's own client has to be compiled.
// Arguments: the module and the name of its handler.
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;
const post = (path, body) => fetch(`${api}/${path}`, { method: 'POST', body: JSON.stringify(body) ?? 'null' });
const described = (error) => ({ errorType: error.name, errorMessage: error.message });

const [file, name] = process.argv.slice(2);
let handler;
try {
  handler = (await import(file))[name];
} catch (error) {
  await post('init/error', described(error));
  process.exit(1);
}
for (;;) {
  const next = await fetch(`${api}/invocation/next`);
  const id = next.headers.get('lambda-runtime-aws-request-id');
  const clientContext = JSON.parse(next.headers.get('lambda-runtime-client-context') ?? 'null');
  try {
    const result = await handler(await next.json(), { awsRequestId: id, clientContext });
    await post(`invocation/${id}/response`, result);
  } catch (error) {
    await post(`invocation/${id}/error`, described(error));
  }
}

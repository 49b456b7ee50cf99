// How Node reads HTTP (llhttp), for the tests that compare readers. As a server it remembers the whole requests of each
// connection, and whether it has refused anything on it; GET /-/seen gives them and forgets them. As a client it fetches what
// GET /-/fetch?port=…&path=…&method=… names, and says what it has read.
import http from 'node:http';

let connections = [];

const server = http.createServer({ maxHeaderSize: 128 * 1024 }, (request, response) => {
  const { url, method, socket } = request;
  if (url === '/-/seen' && method === 'GET') {
    const whole = (requests) => requests.filter((one) => one.request.complete);
    const told = (one) => [one.method, one.target, Buffer.concat(one.body).toString('latin1')];
    const seen = connections.slice(0, -1).map(({ requests, refused }) => ({ requests: whole(requests).map(told), refused }));
    connections = [];
    return response.end(JSON.stringify(seen));
  }
  if (url.startsWith('/-/fetch?')) return fetchRaw(new URL(url, 'http://localhost').searchParams, response);
  const one = { request, method, target: url, body: [] };
  socket.seen.requests.push(one);
  request.on('data', (chunk) => one.body.push(chunk));
  request.on('end', () => response.end());
  request.on('error', () => {});
});
server.maxHeadersCount = 0;
server.keepAliveTimeout = 60_000;
server.on('connection', (socket) => {
  socket.seen = { requests: [], refused: false };
  connections.push(socket.seen);
});
// Requests before the one that cannot be read are still handed out.
server.on('clientError', (error, socket) => {
  socket.seen.refused = true;
  setImmediate(() => setImmediate(() => socket.destroy()));
});
// What it answers by itself, it has refused as well.
server.on('checkExpectation', (request, response) => {
  request.socket.seen.refused = true;
  response.writeHead(417, { connection: 'close' }).end();
});
server.on('connect', (request, socket) => {
  socket.seen.refused = true;
  socket.destroy();
});

function fetchRaw(parameters, response) {
  const tell = (read) => response.end(JSON.stringify(read));
  const options = { port: parameters.get('port'), path: parameters.get('path'), method: parameters.get('method'), agent: false };
  const request = http.request(options, (answer) => {
    const body = [];
    answer.on('data', (chunk) => body.push(chunk));
    answer.on('end', () => tell({ status: answer.statusCode, body: Buffer.concat(body).toString('latin1') }));
    answer.on('error', (error) => tell({ error: error.code }));
  });
  request.on('error', (error) => response.writableEnded || tell({ error: error.code }));
  request.end();
}

server.listen(Number(process.env.PORT), '127.0.0.1');

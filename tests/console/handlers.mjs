// The handlers of the cases. Each knows nothing but its path.
import { createServer } from "node:http";

export const HOSTILE = `<img src=x onerror="window.hostile='error'">`;

const responses = {
  "/offer": [200, { productId: 1, total: 12.5, note: `<img src=x onerror="window.hostile='response'">` }],
  "/quote": [200, { total: 99.5, currency: "CHF" }],
  "/hostile": [400, { message: HOSTILE }],
  "/derived": [200, { id: 7, name: "derived" }],
};
let invoices = 0;

export function startHandlers(port) {
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      const [status, body] = respond(new URL(request.url, "http://handlers").pathname);
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  return new Promise((resolve, reject) => {
    let attempts = 0;
    server.on("listening", () => resolve(server));
    // The port may be that of an outgoing connection for a moment.
    server.on("error", (error) => {
      attempts += 1;
      if (attempts > 25) reject(error);
      else setTimeout(() => server.listen(port, "127.0.0.1"), 200);
    });
    server.listen(port, "127.0.0.1");
  });
}

/** The first invoice fails, the others succeed. */
function respond(path) {
  if (path !== "/invoice") return responses[path] ?? [404, { message: `no handler at ${path}` }];
  invoices += 1;
  return invoices === 1 ? [500, { message: "the printer is out of paper" }] : [200, { number: invoices }];
}

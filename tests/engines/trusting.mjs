// A handler that trusts nobody: it takes calls over TLS from who has the certificate CA, signed with SECRET, and says so.
import { createServer } from "node:https";
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const { PORT, CERT, KEY, CA, SECRET } = process.env;
const options = { cert: readFileSync(CERT), key: readFileSync(KEY), ca: readFileSync(CA), requestCert: true };

createServer(options, (request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const answer = (status, value) => {
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(value));
    };
    try {
      new Webhook(SECRET).verify(Buffer.concat(chunks).toString(), request.headers);
      answer(200, 42);
    } catch (error) {
      answer(400, { message: error.message });
    }
  });
}).listen(Number(PORT), "127.0.0.1");

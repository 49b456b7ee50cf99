// A client of graphql-ws that comes back when its socket is closed. Standard input is { url, query, connections, take }: it
// ends once it has been connected so often and has got so many results since. The answer is what has happened, as a list.
import { readFileSync } from "node:fs";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const { url, query, connections, take } = JSON.parse(readFileSync(0, "utf8"));
const events = [];
const end = () => process.stdout.write(JSON.stringify(events), () => process.exit(0));
let [connected, results] = [0, 0];
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  retryAttempts: 100,
  retryWait: () => new Promise((done) => setTimeout(done, 200)),
  on: {
    connected: () => {
      [connected, results] = [connected + 1, 0];
      events.push("connected");
    },
    closed: ({ code, reason }) => events.push(`closed ${code} ${reason}`.trim()),
  },
});
setTimeout(() => (events.push("in vain"), end()), 25_000);
client.subscribe(
  { query },
  {
    next: ({ data, errors }) => {
      events.push(data ?? errors);
      results += 1;
      if (connected >= connections && results >= take) end();
    },
    error: (error) => (events.push({ error: Array.isArray(error) ? error : String(error.reason ?? error) }), end()),
    complete: () => (events.push("complete"), end()),
  },
);

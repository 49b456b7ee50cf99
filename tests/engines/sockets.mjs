// Clients of GraphQL over WebSocket, and over server-sent events, as people use them. Standard input is { client, url, params, operations }, where each
// operation is { query, variables, take, after }: its first `take` results are waited for; `after` is a shell command that
// runs once it has been subscribed to. Each may have { "$": n } in its variables, which is the value that operation n's
// last result ends in. The answer is a list of lists of results.
import { exec } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createClient as createEventsClient } from "graphql-sse";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const require = createRequire(import.meta.url);
const { client, url, params, operations } = JSON.parse(readFileSync(0, "utf8"));

function modern() {
  const connection = createClient({ url, webSocketImpl: WebSocket, connectionParams: params, retryAttempts: 0, lazy: true, lazyCloseTimeout: 1000 });
  return {
    subscribe: (payload, sink) => connection.subscribe(payload, sink),
    end: () => connection.dispose(),
  };
}

function legacy() {
  const { SubscriptionClient } = require("subscriptions-transport-ws");
  const connection = new SubscriptionClient(url, { connectionParams: params, reconnect: false, timeout: 30000 }, WebSocket);
  return {
    subscribe: (payload, sink) => {
      const { unsubscribe } = connection.request(payload).subscribe(sink);
      return unsubscribe;
    },
    end: () => connection.close(),
  };
}

async function apollo() {
  const { ApolloClient, InMemoryCache, gql } = require("@apollo/client");
  const { GraphQLWsLink } = require("@apollo/client/link/subscriptions");
  const socket = createClient({ url, webSocketImpl: WebSocket, connectionParams: params, retryAttempts: 0 });
  const connection = new ApolloClient({ link: new GraphQLWsLink(socket), cache: new InMemoryCache() });
  return {
    subscribe: ({ query, variables }, sink) => {
      const document = gql(query);
      const { operation } = document.definitions.find((one) => one.kind === "OperationDefinition");
      if (operation === "subscription") {
        const handle = connection.subscribe({ query: document, variables }).subscribe(sink);
        return () => handle.unsubscribe();
      }
      const send = operation === "query" ? connection.query({ query: document, variables }) : connection.mutate({ mutation: document, variables });
      send.then(({ data }) => (sink.next({ data }), sink.complete()), sink.error);
      return () => {};
    },
    end: () => (connection.stop(), socket.dispose()),
  };
}

function events() {
  const connection = createEventsClient({ url, headers: params, retryAttempts: 0 });
  return {
    subscribe: (payload, sink) => connection.subscribe(payload, sink),
    end: () => connection.dispose(),
  };
}

function run(connection, { query, variables, take, after }) {
  return new Promise((resolve) => {
    const results = [];
    const done = (stop) => (stop?.(), resolve(results));
    let stop;
    stop = connection.subscribe(
      { query, variables },
      {
        next: (result) => {
          // Apollo Client asks for the name of every type.
          results.push(JSON.parse(JSON.stringify(result, (key, value) => (key === "__typename" ? undefined : value))));
          if (results.length === take) setImmediate(() => done(stop));
        },
        error: (error) => done(void results.push({ error: Array.isArray(error) ? error.map(({ message }) => message) : (error.reason ?? error.message) })),
        complete: () => done(),
      },
    );
    if (after) setTimeout(() => exec(after), 500);
  });
}

const leaf = (value) => (value !== null && typeof value === "object" ? leaf(Object.values(value)[0]) : value);
const connection = await { modern, legacy, apollo, events }[client]();
const all = [];
// Whoever waits in vain shows how far it came.
setTimeout(() => process.stdout.write(JSON.stringify([...all, "in vain"]), () => process.exit(0)), 20_000).unref();
for (const operation of operations) {
  const variables = Object.fromEntries(
    Object.entries(operation.variables ?? {}).map(([name, value]) => [name, value?.$ === undefined ? value : leaf(all[value.$].at(-1))]),
  );
  all.push(await run(connection, { ...operation, variables }));
}
connection.end();
process.stdout.write(JSON.stringify(all), () => process.exit(0));

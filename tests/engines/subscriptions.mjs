// An engine that speaks graphql-transport-ws by graphql-ws's own server, and does to its clients what engines do: the
// member "act" of their connection_init says what. GET /closed tells how its sockets were closed, GET /open how many
// subscriptions to rows are under way.
import { createServer } from "node:http";
import { GraphQLError, parse } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { createSchema, createYoga } from "graphql-yoga";
import { WebSocketServer } from "ws";

const closed = [];
let open = 0;
const sleep = (millis) => new Promise((done) => setTimeout(done, millis));
const schema = createSchema({
  typeDefs: /* GraphQL */ `
    type Query { a: Int row(id: Int!): Row other: Other }
    type Subscription {
      ticks(every: Int! = 50): Int
      rows(events: Int! = 3, size: Int! = 1, bytes: Int! = 1, every: Int! = 0): [Row!]
      others: Other
    }
    type Row { id: Int! name: String! }
    type Other { offer: String }
  `,
  resolvers: {
    Query: { a: () => 1, row: (_, { id }) => ({ id, name: "n" }), other: () => ({ offer: "its own" }) },
    Subscription: {
      ticks: {
        subscribe: async function* (_, { every }) {
          for (let tick = 0; ; tick++) {
            yield { ticks: tick };
            await sleep(every);
          }
        },
      },
      // The ids of an event's rows begin with its number.
      rows: {
        subscribe: async function* (_, { events, size, bytes, every }) {
          open++;
          try {
            for (let event = 0; event < events; event++) {
              yield { rows: Array.from({ length: size }, (_, row) => ({ id: event * 10 + row, name: "n".repeat(bytes) })) };
              if (every > 0) await sleep(every);
            }
          } finally {
            open--;
          }
        },
      },
      others: {
        subscribe: async function* () {
          yield { others: { offer: "its own" } };
        },
      },
    },
  },
});

// An error about the last field of the document, as if it were not valid.
function reject(document) {
  let node = parse(document).definitions[0];
  while (node.selectionSet) node = node.selectionSet.selections.at(-1);
  return [new GraphQLError("rejected", { nodes: node })];
}

const acts = {
  forbid: () => false,
  throw: () => {
    throw new Error("the token has expired");
  },
  close: ({ extra }) => extra.socket.close(4401, "Token expired"),
  closeLater: ({ extra }) => void setTimeout(() => extra.socket.close(4403, "Token expired"), 300),
  endLater: ({ extra }) => void setTimeout(() => extra.socket.close(1001, "restarting"), 300),
  breakLater: ({ extra }) => void setTimeout(() => extra.socket.terminate(), 300),
};
const yoga = createYoga({ graphqlEndpoint: "/graphql", logging: false, landingPage: false, schema });
const server = createServer((request, response) => {
  if (request.url === "/closed") return response.end(JSON.stringify(closed));
  if (request.url === "/open") return response.end(JSON.stringify(open));
  return yoga(request, response);
});
const sockets = new WebSocketServer({ server, path: "/graphql" });
useServer(
  {
    schema,
    onConnect: (context) => acts[context.connectionParams?.act]?.(context) ?? { hello: context.connectionParams?.name ?? "there" },
    onSubscribe: (context, id, payload) => (context.connectionParams?.act === "reject" ? reject(payload.query) : undefined),
    onDisconnect: (_, code, reason) => void closed.push([code, reason]),
  },
  sockets,
);
server.listen(Number(process.env.PORT), "127.0.0.1");

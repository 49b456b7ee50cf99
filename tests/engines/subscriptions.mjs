// An engine that speaks graphql-transport-ws by graphql-ws's own server, and does to its clients what engines do: the
// member "act" of their connection_init says what. GET /closed tells how its sockets were closed.
import { createServer } from "node:http";
import { useServer } from "graphql-ws/use/ws";
import { createSchema, createYoga } from "graphql-yoga";
import { WebSocketServer } from "ws";

const closed = [];
const sleep = (millis) => new Promise((done) => setTimeout(done, millis));
const schema = createSchema({
  typeDefs: /* GraphQL */ `
    type Query { a: Int }
    type Subscription { ticks(every: Int! = 50): Int }
  `,
  resolvers: {
    Query: { a: () => 1 },
    Subscription: {
      ticks: {
        subscribe: async function* (_, { every }) {
          for (let tick = 0; ; tick++) {
            yield { ticks: tick };
            await sleep(every);
          }
        },
      },
    },
  },
});

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
  return yoga(request, response);
});
const sockets = new WebSocketServer({ server, path: "/graphql" });
useServer(
  {
    schema,
    onConnect: (context) => acts[context.connectionParams?.act]?.(context) ?? { hello: context.connectionParams?.name ?? "there" },
    onDisconnect: (_, code, reason) => void closed.push([code, reason]),
  },
  sockets,
);
server.listen(Number(process.env.PORT), "127.0.0.1");

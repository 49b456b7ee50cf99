// A gateway as one writes it by hand: GraphQL Yoga with a schema stitched from the engine's and from one whose resolver
// calls the handler. Both are called over kept connections.
import { createServer } from "node:http";
import { Agent, request } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";
import { buildSchema, print } from "graphql";
import { stitchSchemas } from "@graphql-tools/stitch";

const upstream = process.env.UPSTREAM;
const agent = new Agent({ keepAlive: true });

const post = (path, body) =>
  new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const sent = request(`http://${upstream}${path}`, { method: "POST", agent, headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (piece) => (text += piece));
      answer.on("end", () => resolve(JSON.parse(text)));
      answer.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });

const schema = stitchSchemas({
  subschemas: [
    {
      schema: buildSchema("type Query { items: [Item!]! } type Item { id: Int! name: String! }"),
      executor: ({ document, variables }) => post("/graphql", JSON.stringify({ query: print(document), variables })),
    },
    createSchema({
      typeDefs: "type Query { act: Done! } type Done { ok: Boolean! }",
      resolvers: {
        Query: {
          act: (_source, input) =>
            post("/handler", JSON.stringify({ action: { name: "act" }, input, session_variables: {} })),
        },
      },
    }),
  ],
});

const yoga = createYoga({ schema, logging: false, graphqlEndpoint: "/graphql" });
createServer(yoga).listen(Number(process.env.PORT), "127.0.0.1");

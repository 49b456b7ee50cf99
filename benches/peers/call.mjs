// Calls over kept connections, as a gateway's resolvers make them.
import { Agent, request } from "node:http";

const agent = new Agent({ keepAlive: true });

export const post = (url, body) =>
  new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const sent = request(url, { method: "POST", agent, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece) => (text += piece));
      response.on("end", () => resolve(JSON.parse(text)));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });

const { UPSTREAM, HANDLER } = process.env;
const payload = (name, input) => JSON.stringify({ action: { name }, input, session_variables: {} });

// What is added to the upstream's schema.
export const actions = {
  types: `
    type Query { act: Done! }
    type Mutation { change: Done! take(text: String!): Done! }
    type Done { ok: Boolean! }`,
  resolvers: {
    Query: { act: (_source, input) => post(`http://${UPSTREAM}/handler`, payload("act", input)) },
    Mutation: {
      change: (_source, input) => post(`http://${UPSTREAM}/handler`, payload("change", input)),
      take: (_source, input) => post(`http://${HANDLER}/handler`, payload("take", input)),
    },
  },
};

export const upstream = {
  url: `http://${UPSTREAM}/graphql`,
  types: "type Query { items: [Item!]! } type Mutation { insert: [Item!]! } type Item { id: Int! name: String! }",
};

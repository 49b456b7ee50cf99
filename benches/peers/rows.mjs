// An upstream with as many rows as are asked for, and the handler of a field of theirs, which takes batches.
import { createServer } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";

const typeDefs = "type Query { items(first: Int!): [Item!]! } type Item { id: Int! name: String! }";
const items = (_source, { first }) => Array.from({ length: first }, (_, id) => ({ id, name: "a name of usual length" }));
const schema = createSchema({ typeDefs, resolvers: { Query: { items } } });
const yoga = createYoga({ schema, logging: false, graphqlEndpoint: "/graphql" });

const offers = async (request, response) => {
  let body = "";
  for await (const piece of request) body += piece;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(JSON.parse(body).inputs.map(({ itemId }) => ({ total: itemId / 2 }))));
};

createServer((request, response) => (request.url === "/offers" ? offers : yoga)(request, response)).listen(
  Number(process.env.PORT),
  "127.0.0.1",
);

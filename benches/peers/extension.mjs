// A gateway as one writes it by hand, with a field of the upstream's rows: its resolver collects the keys of a request's rows,
// and calls the handler once for all of them.
import { createServer } from "node:http";
import { createYoga } from "graphql-yoga";
import { buildSchema, print } from "graphql";
import { stitchSchemas } from "@graphql-tools/stitch";
import DataLoader from "dataloader";
import { post, upstream } from "./call.mjs";

const { UPSTREAM, PORT } = process.env;

const offers = (keys) => {
  const inputs = keys.map((itemId) => ({ itemId }));
  return post(`http://${UPSTREAM}/offers`, JSON.stringify({ action: { name: "offer" }, inputs, session_variables: {} }));
};

const schema = stitchSchemas({
  subschemas: [
    {
      schema: buildSchema("type Query { items: [Item] } type Item { id: Int name: String }"),
      executor: ({ document, variables }) => post(upstream.url, JSON.stringify({ query: print(document), variables })),
    },
  ],
  typeDefs: "type Offer { total: Float! } extend type Item { offer: Offer }",
  resolvers: {
    Item: { offer: { selectionSet: "{ id }", resolve: ({ id }, _input, context) => context.offers.load(id) } },
  },
});

const yoga = createYoga({
  schema,
  logging: false,
  graphqlEndpoint: "/graphql",
  context: () => ({ offers: new DataLoader(offers) }),
});
createServer(yoga).listen(Number(PORT), "127.0.0.1");

// A gateway as one writes it by hand: GraphQL Yoga with a schema stitched from the upstream's and from one whose resolvers
// call the handler.
import { createServer } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";
import { buildSchema, print } from "graphql";
import { stitchSchemas } from "@graphql-tools/stitch";
import { actions, upstream, post } from "./call.mjs";

const schema = stitchSchemas({
  subschemas: [
    {
      schema: buildSchema(upstream.types),
      executor: ({ document, variables }) => post(upstream.url, JSON.stringify({ query: print(document), variables })),
    },
    createSchema({ typeDefs: actions.types, resolvers: actions.resolvers }),
  ],
});

const yoga = createYoga({ schema, logging: false, graphqlEndpoint: "/graphql" });
createServer(yoga).listen(Number(process.env.PORT), "127.0.0.1");

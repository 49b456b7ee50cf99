// Hive Gateway with the upstream as its only subgraph and the actions as resolvers beside it.
import { createServer } from "node:http";
import { createGatewayRuntime } from "@graphql-hive/gateway-runtime";
import { actions, upstream } from "./call.mjs";

const supergraph = `
  schema @link(url: "https://specs.apollo.dev/link/v1.0") @link(url: "https://specs.apollo.dev/join/v0.3", for: EXECUTION) {
    query: Query
    mutation: Mutation
  }
  directive @join__field(graph: join__Graph, type: String) repeatable on FIELD_DEFINITION | INPUT_FIELD_DEFINITION
  directive @join__graph(name: String!, url: String!) on ENUM_VALUE
  directive @join__type(graph: join__Graph!, key: join__FieldSet, resolvable: Boolean! = true) repeatable on OBJECT | SCALAR
  directive @link(url: String, as: String, for: link__Purpose, import: [link__Import]) repeatable on SCHEMA
  scalar join__FieldSet
  scalar link__Import
  enum link__Purpose { SECURITY EXECUTION }
  enum join__Graph { UPSTREAM @join__graph(name: "upstream", url: "${upstream.url}") }
  ${upstream.types.replaceAll(/type (\w+)/g, "type $1 @join__type(graph: UPSTREAM)")}`;

const gateway = createGatewayRuntime({
  supergraph,
  logging: false,
  graphqlEndpoint: "/graphql",
  landingPage: false,
  graphiql: false,
  additionalTypeDefs: actions.types.replaceAll(/type (Query|Mutation)/g, "extend type $1"),
  additionalResolvers: actions.resolvers,
});
createServer(gateway).listen(Number(process.env.PORT), "127.0.0.1");

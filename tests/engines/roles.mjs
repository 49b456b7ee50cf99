// An engine that shows each role, or each tenant, a schema of its own, with the root types of Hasura. Its behaviour is changed by POSTs
// to /control: { introspection: "open" | "closed" | "400" | "2018", extra: true }.
import { createServer } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";
import { GraphQLError, NoSchemaIntrospectionCustomRule } from "graphql";

const state = { introspection: "open", extra: false };
const rows = [{ id: 1, name: "City bicycle", price: "890.00" }];

const shop = (isClerk, extra) => /* GraphQL */ `
  schema { query: query_root ${isClerk ? "mutation: mutation_root" : ""} subscription: subscription_root }
  type query_root {
    products(distinct_on: [products_select_column!], limit: Int, order_by: [products_order_by!], where: products_bool_exp): [products!]!
    products_by_pk(id: Int!): products
    ${isClerk ? "products_aggregate(limit: Int, where: products_bool_exp): products_aggregate!" : ""}
    ${extra ? "extra: Int" : ""}
  }
  type subscription_root { products(limit: Int): [products!]! }
  ${isClerk ? "type mutation_root { delete_products_by_pk(id: Int!): products }" : ""}
  "columns and relationships of \\"products\\""
  type products { id: Int! name: String! ${isClerk ? "price: numeric!" : ""} }
  ${isClerk ? "type products_aggregate { count: Int! nodes: [products!]! } scalar numeric" : ""}
  input products_bool_exp { _and: [products_bool_exp!] id: Int_comparison_exp }
  input Int_comparison_exp { _eq: Int _in: [Int!] }
  input products_order_by { id: order_by }
  enum order_by { asc desc }
  enum products_select_column { id name }
  scalar uuid
`;

const resolvers = (isClerk) => ({
  query_root: { products: () => rows, products_by_pk: () => rows[0], ...(isClerk && { products_aggregate: () => ({ count: 1, nodes: rows }) }) },
  ...(isClerk && { mutation_root: { delete_products_by_pk: () => rows[0] } }),
});

const TENANTS = { big: "clerk", small: "customer" };
const schemas = new Map();
function schemaOf(role) {
  const key = `${role} ${state.extra}`;
  const isClerk = role === "clerk" || role === "admin";
  if (!schemas.has(key)) {
    schemas.set(key, createSchema({ typeDefs: shop(isClerk, state.extra), resolvers: resolvers(isClerk) }));
  }
  return schemas.get(key);
}

// What servers of 2018 did not know.
const NEWER = ["isOneOf", "specifiedByURL", "isRepeatable"];
function only2018(context) {
  return {
    Field(node) {
      if (NEWER.includes(node.name.value)) {
        context.reportError(new GraphQLError(`field '${node.name.value}' not found in type: '__Type'`, { nodes: node }));
      }
    },
  };
}

const validation = {
  onValidate({ addValidationRule }) {
    if (state.introspection === "closed") addValidationRule(NoSchemaIntrospectionCustomRule);
    if (state.introspection === "2018") addValidationRule(only2018);
  },
};

const yoga = createYoga({
  graphqlEndpoint: "/graphql",
  logging: false,
  landingPage: false,
  maskedErrors: false,
  plugins: [validation],
  schema: ({ request }) => schemaOf(request.headers.get("x-hasura-role") ?? TENANTS[request.headers.get("x-tenant")] ?? "admin"),
});

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString();
    if (request.url === "/control") {
      Object.assign(state, { introspection: "open", extra: false }, JSON.parse(body));
      response.end();
    } else if (state.introspection === "400" && body.includes("__schema") && !body.includes("queryType{name}")) {
      response.writeHead(400, { "content-type": "application/json" }).end('{"errors":[{"message":"no introspection here"}]}');
    } else if (body.includes("_service")) {
      // Federation's field is served, but not shown.
      response.writeHead(200, { "content-type": "application/json" }).end('{"data":{"_service":{"sdl":"type query_root"}}}');
    } else {
      Object.assign(request, { body: body === "" ? undefined : JSON.parse(body) });
      yoga(request, response);
    }
  });
});
server.listen(Number(process.env.PORT), "127.0.0.1");

// Apollo Server with automatic persisted queries of its own, as it comes.
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";

const typeDefs = "type Query { books: [Book!]! } type Book { id: ID! title: String! }";
const resolvers = { Query: { books: () => [{ id: "1", title: "Zen and the Art of Motorcycle Maintenance" }] } };
const server = new ApolloServer({ typeDefs, resolvers });
await startStandaloneServer(server, { listen: { port: Number(process.env.PORT), host: "127.0.0.1" } });

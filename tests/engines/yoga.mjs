// A second engine, strict in other ways: GraphQL Yoga on graphql-js, with a root type of another name.
import { createServer } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";

const books = [{ id: "1", title: "Zen and the Art of Motorcycle Maintenance", pages: 418 }];

const yoga = createYoga({
  graphqlEndpoint: "/graphql",
  logging: false,
  landingPage: false,
  schema: createSchema({
    typeDefs: /* GraphQL */ `
      schema { query: RootQuery mutation: RootMutation }
      type RootQuery { books(first: Int = 10): [Book!]! book(id: ID!): Book required: Book! echo(text: String!): String! }
      type RootMutation { addBook(title: String!, pages: Int): Book! failing: Book! }
      type Book { id: ID! title: String! pages: Int broken: String! }
    `,
    resolvers: {
      RootQuery: {
        books: (_, { first }) => books.slice(0, first),
        book: (_, { id }) => books.find((book) => book.id === id),
        required: () => null,
        echo: (_, { text }) => text,
      },
      RootMutation: {
        addBook: (_, { title, pages }) => ({ id: "2", title, pages }),
        failing: () => {
          throw new Error("no");
        },
      },
      Book: {
        broken: () => {
          throw new Error("this field always fails");
        },
      },
    },
  }),
});

createServer(yoga).listen(Number(process.env.PORT), "127.0.0.1");

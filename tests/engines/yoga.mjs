// A second engine, strict in other ways: GraphQL Yoga on graphql-js, with root types of other names, no subscriptions,
// and every kind of type that introspection can show.
import { createServer } from "node:http";
import { useDeferStream } from "@graphql-yoga/plugin-defer-stream";
import { createSchema, createYoga } from "graphql-yoga";

const books = [{ id: "1", title: "Zen and the Art of Motorcycle Maintenance", pages: 418 }];

// async-graphql answers null for all of data when its only root field fails, although that field may be null.
const likeAsyncGraphql = {
  onExecute: ({ args }) => ({
    onExecuteDone: ({ result, setResult }) => {
      const isAsked = args.contextValue.request.headers.get("x-answers-like") === "async-graphql";
      if (isAsked && result.errors?.length > 0) setResult({ errors: result.errors, data: null });
    },
  }),
};

// Apollo's rule against cross-site request forgery: a request that a page could send without a preflight is refused.
const csrfPrevention = {
  onRequest({ request, endResponse, fetchAPI }) {
    const isSimple = /^(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)/.test(request.headers.get("content-type") ?? "text/plain");
    const isNamed = ["x-apollo-operation-name", "apollo-require-preflight"].some((name) => request.headers.get(name));
    if (request.method !== "OPTIONS" && isSimple && !isNamed) {
      const message = "This operation has been blocked as a potential cross-site request forgery (CSRF).";
      endResponse(fetchAPI.Response.json({ errors: [{ message }] }, { status: 400 }));
    }
  },
};

const yoga = createYoga({
  plugins: [useDeferStream(), likeAsyncGraphql, ...(process.env.CSRF_PREVENTION === "true" ? [csrfPrevention] : [])],
  graphqlEndpoint: "/graphql",
  logging: false,
  landingPage: false,
  schema: createSchema({
    typeDefs: /* GraphQL */ `
      "Marks what may be kept."
      directive @keep(seconds: Int = 60, tags: [String!] @deprecated(reason: "use names"), names: [String!] = ["a", "b\\n\\"c\\""]) repeatable on FIELD | QUERY
      "All of it."
      schema { query: RootQuery mutation: RootMutation }
      type RootQuery {
        books(first: Int = 10): [Book!]!
        book(id: ID!): Book
        required: Book!
        echo(text: String!): String!
        exhibits(filter: Filter = { size: { width: 2.50, height: 1 }, periods: [MODERN], id: 7 }, by: Finder): [[Exhibit!]!]
        "Whatever is found."
        find(old: Int @deprecated): Found @deprecated(reason: "ask for \\"exhibits\\"")
      }
      type RootMutation {
        addBook(title: String!, pages: Int): Book!
        failing: Book!
        find: Book
        "What was given, as JSON."
        given(pages: Int! = 1, by: Finder, filter: Filter, periods: [Period!], price: Float, id: ID, isbn: ISBN): String!
        required(pages: Int!, by: Finder!): Boolean
      }
      type Book implements Thing { id: ID! title: String! pages: Int broken: String! isbn: ISBN }
      """
      A thing.
      It has an id.
      """
      interface Thing { id: ID! }
      interface Exhibit implements Thing { id: ID! period: Period }
      type Painting implements Exhibit & Thing { id: ID! period: Period size: Float @deprecated }
      type Statue implements Thing & Exhibit { id: ID! period: Period weight: Float! }
      union Found = Book | Painting
      enum Period { "Long ago." ANTIQUE MODERN FUTURE @deprecated(reason: "not yet") }
      input Filter { id: ID = "007", periods: [Period!]! = [ANTIQUE, MODERN], size: Size, note: String = "", on: Boolean = true }
      input Size { width: Float! = 1.5e3, height: Float @deprecated(reason: "guess") }
      "Exactly one of them."
      input Finder @oneOf { id: ID, name: String }
      scalar ISBN @specifiedBy(url: "https://www.isbn-international.org")
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
        find: () => {
          throw new Error("not found");
        },
        given: (_, given) => JSON.stringify(given),
        required: () => true,
      },
      Book: {
        broken: () => {
          throw new Error("this field always fails");
        },
      },
      Thing: { __resolveType: () => "Book" },
      Exhibit: { __resolveType: () => "Statue" },
      Found: { __resolveType: () => "Book" },
    },
  }),
});

createServer(yoga).listen(Number(process.env.PORT), "127.0.0.1");

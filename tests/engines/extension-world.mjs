// What the property test of extension fields is about: an upstream's schema, the actions that add fields to its types, and
// the values of all of it. Every value is computed from the row that it belongs to, so that the upstream, the handlers and
// the reference agree without sharing anything. A row's id is "seed-kind-number".
import { readFileSync } from "node:fs";
import { GraphQLScalarType, buildSchema, extendSchema, parse } from "graphql";

const UPSTREAM = `
  scalar Big
  interface Node { id: ID! code: String }
  union Thing = User | Product
  type User implements Node {
    id: ID! number: Int code: String big: Big best: Product friend: User friends: [User!]! maybe: [User] grid: [[Product]!]
    strictGrid: [[Product!]!]! things(first: Int = 2): [Thing] node: Node nodes: [Node!] products(first: Int = 2): Products!
  }
  type Product implements Node { id: ID! sku: String! code: String big: Big owner: User user: User! parts: [Product] }
  type Products { nodes: [Product!]! edges: [Edge]! aggregate: Totals! }
  type Edge { cursor: ID! node: Product }
  type Totals { count: Int! nodes: [Product] }
  type Query {
    user(id: ID!): User product(id: ID!): Product users(seed: Int!, first: Int! = 2): [User] node(id: ID!): Node
    things(seed: Int!): [Thing!]
  }
  type Mutation { touch(seed: Int!, first: Int! = 1): Touched! buy(id: ID!): Product }
  type Touched { returning: [User!]! user: User }
`;

const FIELDS = `
  extend type User { profile(size: Int! = 1, style: Style): Profile mood(weights: [Int!], deep: Deep): String heavy: Heavy }
  extend type Product { stock(site: String = "north"): Stock offer(pieces: Int): Offer! }
  extend interface Node { label: String }
  extend type User { label: String }
  extend type Product { label: String }
  extend type Profile { user: User }
  extend type Stock { product: Product }
`;

/** What `pillion.yaml` says of them. */
export const CONFIG = `
fields:
  User.profile: "profile(id: $id)"
  User.mood: "mood(number: $number)"
  User.heavy: "heavies(bigs: [$big]) by big"
  Product.stock: "stocks(skus: [$sku]) by sku"
  Product.offer: { call: "offer(id: $id, big: $big)", output: non_null }
  Node.label: { call: "label(id: $id, code: $code)", output: nullable }
relationships:
  Profile.user: "user(id: $user_id)"
  Stock.product: "product(id: $product_id)"
actions:
  mood: { batch: 3 }
  offer: { batch: 4 }
limits:
  max_field_rounds: 30
  max_field_keys_per_call: 5
`;

/** How many keys one handler call may have, by action. */
export const BATCH = { profile: 1, label: 1, mood: 3, offer: 4, stocks: 5, heavies: 5 };

/** A hash of 32 bits. */
export function hash(...parts) {
  let state = 0x811c9dc5;
  for (const character of parts.join("\0")) state = Math.imul(state ^ character.codePointAt(0), 0x01000193);
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}

const one = (list, ...parts) => list[hash(...parts) % list.length];
const TEXTS = ["plain", "", 'a "quoted" \\ one', "tab\tand\nline", "\u0001\u001f\u007f", "é😀", "null", "}{[", "ab"];
const BIGS = ["5", "0", "-7", "9007199254740992", "9007199254740993", "123456789012345678901234567890"];

export const row = (type, seed, number) => ({ __typename: type, id: `${seed}-${type === "User" ? "u" : "p"}-${number % 40}`, seed });

/** The row of an id; nothing if it is none. */
export function rowOf(id) {
  const [seed, kind] = String(id).split("-");
  return kind === "u" || kind === "p" ? { __typename: kind === "u" ? "User" : "Product", id: String(id), seed } : null;
}

/** A field of a row: rows of `type` for most rows, null or an error for some. */
function related(from, field, type, index = 0) {
  const chance = hash(from.id, field, index) % 60;
  if (chance === 0) throw new Error(`no ${field} of ${from.id}`);
  if (chance < 8) return null;
  return certain(from, field, type, index);
}
const certain = (from, field, type, index = 0) => row(type, from.seed, hash(from.id, field, index, "row"));
const list = (from, field, make, most = 6) => Array.from({ length: hash(from.id, field) % most }, (_, index) => make(index));
const either = (...parts) => one(["User", "Product"], ...parts);
const text = (from, field) => (hash(from.id, field, "null") % 5 === 0 ? null : one(TEXTS, from.id, field));
const big = (from) => (hash(from.id, "nobig") % 5 === 0 ? null : JSON.rawJSON(one(BIGS, from.id, "big")));

/** An error of a whole list is thrown when it is resolved, and null stays null. */
const nullable = (from, field, index) => (hash(from.id, field, index, "hole") % 6 === 0 ? null : certain(from, field, "Product", index));

const RESOLVERS = {
  User: {
    number: (from) => (hash(from.id, "number") % 4 === 0 ? null : hash(from.id, "number") % 5),
    code: (from) => text(from, "code"),
    big,
    best: (from) => related(from, "best", "Product"),
    friend: (from) => related(from, "friend", "User"),
    friends: (from) => list(from, "friends", (index) => certain(from, "friends", "User", index)),
    maybe: (from) => list(from, "maybe", (index) => related(from, "maybe", "User", index)),
    grid: (from) => list(from, "grid", (outer) => list({ id: from.id + outer }, "row", (index) => nullable(from, "grid", outer * 10 + index))),
    strictGrid: (from) => list(from, "strict", (outer) => [certain(from, "strict", "Product", outer), certain(from, "strict", "Product", outer + 1)], 3),
    things: (from, { first }) => list(from, "things", (index) => related(from, "things", either(from.id, index), index)).slice(0, first ?? 1),
    node: (from) => related(from, "node", either(from.id, "node")),
    nodes: (from) => list(from, "nodes", (index) => certain(from, "nodes", either(from.id, index, "nodes"), index)),
    products: (from, { first }) => ({ from, rows: list(from, "products", (index) => certain(from, "products", "Product", index)).slice(0, first ?? 3) }),
  },
  Product: {
    sku: (from) => `sku ${one(TEXTS, from.id, "sku")}${hash(from.id, "sku") % 4}`,
    code: (from) => text(from, "code"),
    big,
    owner: (from) => related(from, "owner", "User"),
    user: (from) => certain(from, "user", "User"),
    parts: (from) => list(from, "parts", (index) => nullable(from, "parts", index)),
  },
  Products: {
    nodes: ({ rows }) => rows,
    edges: ({ from, rows }) => rows.map((node, index) => (hash(from.id, "edge", index) % 7 === 0 ? null : { cursor: node.id, node })),
    aggregate: ({ from, rows }) => ({ count: rows.length, nodes: rows.map((node, index) => (hash(from.id, "total", index) % 7 === 0 ? null : node)) }),
  },
  Query: {
    user: (_, { id }) => rowOf(id),
    product: (_, { id }) => rowOf(id),
    node: (_, { id }) => rowOf(id),
    users: (_, { seed, first }) => Array.from({ length: first }, (__, index) => row("User", seed, index)),
    things: (_, { seed }) => [0, 1, 2].map((index) => row(either(seed, index), seed, hash(seed, index))),
  },
  Mutation: {
    touch: (_, { seed, first }) => ({ seed, rows: Array.from({ length: first }, (__, index) => row("User", seed, index)) }),
    buy: (_, { id }) => rowOf(id),
  },
  Touched: { returning: ({ rows }) => rows, user: ({ seed }) => row("User", seed, 3) },
};

const asks = (key) => `${hash(JSON.stringify(key))}`;
const fails = (action, key) => hash(action, asks(key), "fails") % 12 === 0;

/** What a handler answers to one input: a value, or an error that it throws. */
const ACTIONS = {
  profile({ id, size, style }) {
    if (fails("profile", [id, size])) throw new Error(`no profile of ${id}`);
    const key = `${id}/${size}`;
    if (hash(key, "none") % 9 === 0) return null;
    const tags = hash(key, "tags") % 3 === 0 ? null : [one(TEXTS, key, 1), one(TEXTS, key, 2)];
    const inner = { note: hash(key, "note") % 7 === 0 ? null : one(TEXTS, key, "note"), matrix: [[1, 2], null, []] };
    const user_id = hash(key, "user") % 4 === 0 ? null : row("User", String(id).split("-")[0], hash(key)).id;
    return { picture: `${key}.png`, size, style: style ?? null, tags, inner, user_id };
  },
  mood({ number, weights, deep }) {
    if (fails("mood", [number, weights])) throw new Error(`no mood for ${number}`);
    return one(["GOOD", "BAD", null], number, JSON.stringify([weights ?? null, deep ?? null]));
  },
  offer({ id, big: size, pieces }) {
    if (fails("offer", [id, pieces])) throw new Error(`no offer for ${id}`);
    return { total: hash(id, "total") % 9 === 0 ? null : hash(id) % 50 / 4, pieces: pieces ?? null, big: size };
  },
  label({ id, code }) {
    if (fails("label", [id])) throw new Error(`no label for ${id}`);
    return `${id}: ${code}`;
  },
  stock({ sku, site }) {
    if (hash(sku, "gone") % 6 === 0) return null;
    const product_id = hash(sku, "link") % 3 === 0 ? null : row("Product", 7, hash(sku, site)).id;
    return { sku, pieces: hash(sku, "pieces") % 10 === 0 ? null : hash(sku) % 100, site: site ?? null, product_id };
  },
  heavy({ big: size }) {
    return hash(JSON.stringify(size), "gone") % 6 === 0 ? null : { big: size, weight: hash(JSON.stringify(size)) % 90 };
  },
};

const bigType = (schema) => {
  const type = schema.getType("Big");
  if (type instanceof GraphQLScalarType) type.serialize = (value) => value;
};

function resolve(schema, resolvers) {
  bigType(schema);
  for (const [type, fields] of Object.entries(resolvers)) {
    for (const [name, resolver] of Object.entries(fields)) schema.getType(type).getFields()[name].resolve = resolver;
  }
  return schema;
}

/** The upstream's schema. */
export const upstream = () => resolve(buildSchema(UPSTREAM), RESOLVERS);

/** A field of a row: `keys` are the arguments that the row gives. It notes each call with its key. */
const extension = (action, keys, make) => async (from, args, { note }, info) => {
  const given = {};
  for (const [argument, field] of Object.entries(keys)) {
    const resolver = info.parentType.getFields()[field].resolve;
    given[argument] = resolver ? resolver(from, {}) : from[field];
    if (given[argument] === null) return null;
  }
  note(action, args, given, info.path);
  return make({ ...given, ...args });
};

/** The upstream's row whose id a handler's value has. */
const relationship = (key) => (from, _, context) => {
  context.hasRelated = true;
  return from[key] == null ? null : rowOf(from[key]);
};

/** The schema as Pillion's clients see it, with resolvers that do what the handlers do. */
export function merged() {
  const actions = readFileSync(new URL("../fixtures/metadata/extension-world/actions.graphql", import.meta.url), "utf8");
  const own = actions.replace("type Query", "extend type Query").replace("scalar Big", "");
  const schema = extendSchema(extendSchema(buildSchema(UPSTREAM), parse(own)), parse(FIELDS));
  const label = extension("label", { id: "id", code: "code" }, ACTIONS.label);
  return resolve(schema, {
    ...RESOLVERS,
    Query: {
      ...RESOLVERS.Query, time: async () => HANDLERS.time(), portrait: async (_, args) => HANDLERS.portrait(args),
    },
    User: {
      ...RESOLVERS.User, label,
      profile: extension("profile", { id: "id" }, ACTIONS.profile),
      mood: extension("mood", { number: "number" }, ACTIONS.mood),
      heavy: extension("heavies", { big: "big" }, ACTIONS.heavy),
    },
    Product: {
      ...RESOLVERS.Product, label,
      stock: extension("stocks", { sku: "sku" }, ACTIONS.stock),
      offer: extension("offer", { id: "id", big: "big" }, ACTIONS.offer),
    },
    Profile: { user: relationship("user_id") },
    Stock: { product: relationship("product_id") },
  });
}

/** In another order, with strangers, and with each twice, of which the first counts. */
const mixed = (found, stranger, other) => {
  const known = found.filter((element) => element !== null).reverse();
  return [stranger, ...known, ...known.map((element) => ({ ...element, ...other }))];
};

/** What each handler answers to one input. */
export const HANDLERS = {
  profile: ACTIONS.profile,
  mood: ACTIONS.mood,
  offer: ACTIONS.offer,
  label: ACTIONS.label,
  stocks: ({ skus, site }) => mixed(skus.map((sku) => ACTIONS.stock({ sku, site })), { sku: "stranger", pieces: 1 }, { pieces: 999 }),
  heavies: ({ bigs }) => mixed(bigs.map((size) => ACTIONS.heavy({ big: size })), { big: -1, weight: 1 }, { weight: 999 }),
  time: () => 1234567,
  portrait: ({ id }) => ACTIONS.profile({ id, size: 5 }),
};

/** The arguments whose values are a row's, or the list of all rows' values, by action. */
export const KEYS = { profile: ["id"], mood: ["number"], offer: ["id", "big"], label: ["id", "code"], stocks: ["skus"], heavies: ["bigs"] };

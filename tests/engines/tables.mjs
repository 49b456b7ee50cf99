// An engine with Hasura's dialect over the tables that its standard input describes: its root fields, arguments,
// permissions by role, and the form of its errors. Queries are executed by graphql-js on the rows; nothing is canned.
// GET /seen gives the requests that have come since it was last asked. The input is
// { name: { columns: { name: type }, rows: [], related?: { name: { table, by: { column: column }, many? } },
//           roles?: { name: { columns: [], filter?: where, limit? } } } }; a string "X-Hasura-…" in a filter is that header.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createSchema } from "graphql-yoga";
import { GraphQLError, getNamedType, graphql, parse, validate } from "graphql";

const tables = JSON.parse(readFileSync(0, "utf8"));
const names = (object) => Object.keys(object ?? {});
const scalar = (type) => type.replace("!", "");

// What a role sees of a table; an admin sees all.
function viewOf(table, role) {
  if (role === "admin") return { columns: names(tables[table].columns) };
  return tables[table].roles?.[role];
}

function visible(role) {
  return names(tables).filter((table) => viewOf(table, role));
}

function typesOf(table, role) {
  const { columns, related } = tables[table];
  const { columns: shown } = viewOf(table, role);
  const links = Object.entries(related ?? {}).filter(([, link]) => viewOf(link.table, role));
  const list = (target) => `(distinct_on: [${target}_select_column!], limit: Int, offset: Int, order_by: [${target}_order_by!], where: ${target}_bool_exp)`;
  const linkFields = links.map(([name, { table: target, many }]) =>
    many ? `${name}${list(target)}: [${target}!]! ${name}_aggregate${list(target)}: ${target}_aggregate!` : `${name}: ${target}`);
  return {
    list: list(table),
    sdl: `
      type ${table} { ${shown.map((name) => `${name}: ${columns[name]}`).join(" ")} ${linkFields.join(" ")} }
      type ${table}_aggregate { aggregate: ${table}_aggregate_fields nodes: [${table}!]! }
      type ${table}_aggregate_fields { count: Int! max: ${table}_extreme min: ${table}_extreme }
      type ${table}_extreme { ${shown.map((name) => `${name}: ${scalar(columns[name])}`).join(" ")} }
      enum ${table}_select_column { ${shown.join(" ")} }
      input ${table}_order_by { ${shown.map((name) => `${name}: order_by`).join(" ")} }
      input ${table}_bool_exp {
        _and: [${table}_bool_exp!] _or: [${table}_bool_exp!] _not: ${table}_bool_exp
        ${shown.map((name) => `${name}: ${scalar(columns[name])}_comparison_exp`).join(" ")}
        ${links.map(([name, { table: target }]) => `${name}: ${target}_bool_exp`).join(" ")}
      }
      input ${table}_insert_input { ${shown.map((name) => `${name}: ${scalar(columns[name])}`).join(" ")} }
    `,
  };
}

const built = new Map();
function schemaOf(role) {
  if (built.has(role)) return built.get(role);
  const shown = visible(role);
  const scalars = new Set(shown.flatMap((table) => Object.values(tables[table].columns).map(scalar)));
  const own = [...scalars].filter((name) => !["Int", "Float", "String", "Boolean", "ID"].includes(name));
  const types = shown.map((table) => [table, typesOf(table, role)]);
  const inserts = role === "admin" ? types.map(([table]) => `insert_${table}_one(object: ${table}_insert_input!): ${table}`) : [];
  const typeDefs = `
    schema { query: query_root ${inserts.length > 0 ? "mutation: mutation_root" : ""} subscription: subscription_root }
    type query_root { ${types.map(([table, { list }]) => `${table}${list}: [${table}!]! ${table}_aggregate${list}: ${table}_aggregate!`).join(" ")} no_tables: Boolean }
    type subscription_root { no_tables: Boolean }
    ${inserts.length > 0 ? `type mutation_root { ${inserts.join(" ")} }` : ""}
    enum order_by { asc desc }
    ${own.map((name) => `scalar ${name}`).join(" ")}
    ${[...scalars].map((name) => `input ${name}_comparison_exp { _eq: ${name} _neq: ${name} _gt: ${name} _lt: ${name} _in: [${name}!] _nin: [${name}!] _is_null: Boolean }`).join(" ")}
    ${types.map(([, { sdl }]) => sdl).join("\n")}
  `;
  const resolvers = { query_root: {}, ...(inserts.length > 0 && { mutation_root: {} }) };
  for (const [table] of types) {
    resolvers.query_root[table] = (_, args, context) => select(table, args, context);
    resolvers.query_root[`${table}_aggregate`] = (_, args, context) => sumUp(select(table, args, context));
    if (inserts.length > 0) {
      resolvers.mutation_root[`insert_${table}_one`] = (_, { object }) => insert(table, object);
    }
    resolvers[table] = {};
    for (const [name, link] of Object.entries(tables[table].related ?? {})) {
      const condition = (row) => Object.fromEntries(Object.entries(link.by).map(([own, column]) => [column, { _eq: row[own] }]));
      const rows = (row, args, context) => select(link.table, { ...args, where: { _and: [args.where ?? {}, condition(row)] } }, context);
      if (viewOf(link.table, role)) {
        resolvers[table][name] = link.many ? rows : (row, args, context) => rows(row, args, context)[0];
        if (link.many) resolvers[table][`${name}_aggregate`] = (row, args, context) => sumUp(rows(row, args, context));
      }
    }
  }
  const schema = createSchema({ typeDefs, resolvers });
  built.set(role, schema);
  return schema;
}

function insert(table, object) {
  const row = { id: tables[table].rows.length + 1, ...object };
  tables[table].rows.push(row);
  return row;
}

const comparisons = {
  _eq: (value, wanted) => value === wanted,
  _neq: (value, wanted) => value !== wanted,
  _gt: (value, wanted) => value > wanted,
  _lt: (value, wanted) => value < wanted,
  _in: (value, wanted) => wanted.includes(value),
  _nin: (value, wanted) => !wanted.includes(value),
  _is_null: (value, wanted) => (value == null) === wanted,
};

function matches(table, row, where, context) {
  return Object.entries(where ?? {}).every(([key, wanted]) => {
    if (key === "_and") return wanted.every((one) => matches(table, row, one, context));
    if (key === "_or") return wanted.some((one) => matches(table, row, one, context));
    if (key === "_not") return !matches(table, row, wanted, context);
    const link = tables[table].related?.[key];
    if (link) {
      const belongs = (other) => Object.entries(link.by).every(([own, column]) => row[own] === other[column]);
      return tables[link.table].rows.some((other) => belongs(other) && matches(link.table, other, wanted, context));
    }
    return Object.entries(wanted ?? {}).every(([operator, operand]) => {
      const value = typeof operand === "string" && operand.startsWith("X-Hasura-") ? fromSession(operand, row[key], context) : operand;
      return (operator === "_is_null" || row[key] != null) && comparisons[operator](row[key], value);
    });
  });
}

function fromSession(name, like, { headers }) {
  const value = headers[name.toLowerCase()];
  return typeof like === "number" ? Number(value) : value;
}

const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

function select(table, { where, order_by, distinct_on, limit, offset }, context) {
  const view = viewOf(table, context.role);
  let rows = tables[table].rows.filter((row) => matches(table, row, view.filter, context) && matches(table, row, where, context));
  const orders = (distinct_on ?? []).map((column) => [column, "asc"]).concat((order_by ?? []).flatMap((order) => Object.entries(order)));
  rows.sort((one, other) => {
    for (const [column, direction] of orders) {
      const result = compare(one[column], other[column]);
      if (result !== 0) return direction === "asc" ? result : -result;
    }
    return 0;
  });
  if (distinct_on) {
    const key = (row) => JSON.stringify(distinct_on.map((column) => row[column]));
    rows = rows.filter((row, index) => index === 0 || key(row) !== key(rows[index - 1]));
  }
  const most = Math.min(limit ?? Infinity, view.limit ?? Infinity);
  return rows.slice(offset ?? 0, (offset ?? 0) + most);
}

function sumUp(rows) {
  const extreme = (pick) => {
    const columns = names(rows[0]);
    return Object.fromEntries(columns.map((column) => [column, rows.map((row) => row[column]).reduce((one, other) => (pick(compare(one, other)) ? one : other))]));
  };
  const some = rows.length > 0;
  return {
    aggregate: { count: rows.length, max: some ? extreme((order) => order > 0) : {}, min: some ? extreme((order) => order < 0) : {} },
    nodes: rows,
  };
}

// Hasura names the first field that a type does not have, with the path of selection sets that leads to it.
function unknownField(document, schema) {
  const fragments = new Map(document.definitions.filter((one) => one.kind === "FragmentDefinition").map((one) => [one.name.value, one]));
  const search = (type, selectionSet, path) => {
    for (const selection of selectionSet?.selections ?? []) {
      let found;
      if (selection.kind === "Field") {
        const name = selection.name.value;
        if (name.startsWith("__")) continue;
        const definition = type.getFields?.()[name];
        if (!definition) return { message: `field '${name}' not found in type: '${type.name}'`, path: `${path}.selectionSet.${name}` };
        found = search(getNamedType(definition.type), selection.selectionSet, `${path}.selectionSet.${(selection.alias ?? selection.name).value}`);
      } else {
        const target = selection.kind === "InlineFragment" ? selection : fragments.get(selection.name.value);
        const condition = target.typeCondition?.name.value;
        found = search(condition ? schema.getType(condition) : type, target.selectionSet, path);
      }
      if (found) return found;
    }
  };
  const operation = document.definitions.find((one) => one.kind === "OperationDefinition");
  const root = operation.operation === "mutation" ? schema.getMutationType() : schema.getQueryType();
  return search(root, operation.selectionSet, "$");
}

const failure = (message, path, code) => ({ errors: [{ message, extensions: { path, code } }] });

async function answer({ query, variables, operationName }, headers) {
  const role = headers["x-hasura-role"] ?? "admin";
  const schema = schemaOf(role);
  let document;
  try {
    document = parse(query);
  } catch (error) {
    return failure(`not a valid graphql query: ${error.message}`, "$.query", "validation-failed");
  }
  const mistakes = validate(schema, document);
  if (mistakes.length > 0) {
    const { message, path } = unknownField(document, schema) ?? { message: mistakes[0].message, path: "$.query" };
    return failure(message, path, "validation-failed");
  }
  const result = await graphql({ schema, source: query, variableValues: variables, operationName, contextValue: { role, headers } });
  const first = result.errors?.[0];
  return first instanceof GraphQLError ? failure(first.message, "$", "unexpected") : result;
}

let seen = [];
createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", async () => {
    response.setHeader("content-type", "application/json");
    if (request.url === "/seen") {
      response.end(JSON.stringify(seen));
      seen = [];
      return;
    }
    const body = JSON.parse(Buffer.concat(chunks).toString());
    seen.push({ path: request.url, headers: request.headers, ...body });
    response.end(JSON.stringify(await answer(body, request.headers)));
  });
}).listen(Number(process.env.PORT), "127.0.0.1");

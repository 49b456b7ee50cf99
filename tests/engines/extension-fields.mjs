// The reference for extension fields. On one port: an upstream on graphql-js (/graphql), handlers, and POST /check, which
// sends random documents to a proxy and compares its responses with what graphql-js makes of the merged schema. Keys are
// compared in their order, numbers as they are written, errors by path and location, and handler calls by their number.
import { Agent, createServer, request } from "node:http";
import { execute, graphql, printSchema } from "graphql";
import { addedFields, documentOf } from "./extension-documents.mjs";
import { BATCH, CONFIG, HANDLERS, KEYS, merged, upstream } from "./extension-world.mjs";

const [UPSTREAM, MERGED] = [upstream(), merged()];
const FIELDS = { added: addedFields(MERGED, UPSTREAM), leftOut: new Set(Object.keys(KEYS).map((action) => `Query.${action}`)) };
const AT_ONCE = 24;

/** Integers that JavaScript cannot hold stay as they are written. */
const exact = (text) =>
  JSON.parse(text, (_, value, { source } = {}) => (Number.isInteger(value) && !Number.isSafeInteger(value) ? JSON.rawJSON(source) : value));
/** The data of a response: keys in their order, numbers as they are written. */
const dataOf = (text) =>
  JSON.stringify(JSON.parse(text, (_, value, { source } = {}) => (typeof value === "number" ? { number: source } : value)).data);
const sorted = (value) =>
  JSON.stringify(value, (_, inner) => (inner && typeof inner === "object" && !Array.isArray(inner) && !JSON.isRawJSON(inner) ? Object.fromEntries(Object.entries(inner).sort(([one], [other]) => (one < other ? -1 : 1))) : inner));

/** Calls of handlers by the name of the operation: which action, what arguments of the client's, and how many keys. */
const calls = new Map();

function count({ action: { name: action }, input, inputs, request_query }) {
  const operation = /(?:query|mutation) (D\d+)/.exec(request_query)?.[1];
  if (!calls.has(operation) || !KEYS[action]) return;
  const given = inputs ?? [input];
  const own = Object.fromEntries(Object.entries(given[0]).filter(([name]) => !KEYS[action].includes(name)));
  const keys = action === "stocks" || action === "heavies" ? Object.values(given[0]).find(Array.isArray) : given;
  calls.get(operation).push({ call: `${action} ${sorted(own)}`, keys: keys.map((key) => sorted(key)), action });
}

function answer(action, input) {
  try {
    return { value: HANDLERS[action](input) };
  } catch (error) {
    return { error: { message: error.message } };
  }
}

function handle(text) {
  const payload = exact(text);
  count(payload);
  const action = payload.action.name;
  if (payload.inputs) return [200, payload.inputs.map((input) => answer(action, input)).map(({ value, error }) => (error ? { error } : value))];
  const { value, error } = answer(action, payload.input);
  return error ? [400, error] : [200, value];
}

/** What graphql-js makes of a document, and how many calls it takes: the distinct keys of each call in each round. */
async function reference({ document, variables }) {
  const rounds = new Map();
  const note = (action, args, given, path) => {
    const steps = [];
    for (let step = path; step; step = step.prev) steps.unshift(step);
    const fields = steps.filter(({ typename }) => typename !== undefined);
    // Rows below a handler's value are another round; those below a root field of an action are on their own.
    const round = fields.filter(({ typename }) => typename === "Profile" || typename === "Stock").length;
    const part = fields[1].typename === "Profile" ? steps[0].key : "";
    const call = `${action} ${sorted(args)}`;
    const scope = `${call} ${round} ${part}`;
    if (!rounds.has(scope)) rounds.set(scope, { call, action, isFirst: round === 0, keys: new Set() });
    rounds.get(scope).keys.add(sorted(given));
  };
  const contextValue = { note, hasRelated: false };
  const result = await execute({ schema: MERGED, document, variableValues: variables, contextValue });
  return { result, rounds: [...rounds.values()], hasRelated: contextValue.hasRelated };
}

const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });

function post(port, body) {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const sent = request({ agent, port, host: "127.0.0.1", method: "POST", path: "/graphql", headers }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve(Buffer.concat(chunks).toString()));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(JSON.stringify(body));
  });
}

/** Is there null before the end of the path? Then the error has taken what is around it. */
function isLost(data, path) {
  let at = data;
  for (const segment of path) {
    if (at === null || at === undefined) return true;
    at = at[segment];
  }
  return false;
}

const sum = (numbers) => numbers.reduce((one, other) => one + other, 0);
const IS_HANDLERS = /^no (profile|mood|offer|label) /;

function compareErrors(data, wanted, got, { isNested, hasRelated }) {
  const path = (error) => JSON.stringify(error.path);
  const isExact = ![...wanted, ...got].some((error) => isLost(data, error.path ?? []));
  const expected = new Map(wanted.map((error) => [path(error), error]));
  for (const error of got) {
    const known = expected.get(path(error));
    if (!known && !(isLost(data, error.path ?? []) && !isExact)) return `no error is expected at ${path(error)}: ${error.message}`;
    // Errors of completion have messages of their own and the location of the action's field, those of the upstream below a
    // relationship the location of that.
    const isLocated = known?.message === error.message && (IS_HANDLERS.test(error.message) || !hasRelated);
    if (isLocated && sorted(error.locations?.[0]) !== sorted(known.locations[0])) return `the error at ${path(error)} is located elsewhere`;
  }
  const of = (errors, message) => sum(errors.filter((error) => error.message === message).map((error) => error.extensions?.rows ?? 1));
  for (const { message, path: at } of wanted) {
    if (!isExact) {
      if (!isLost(data, at) && !got.some((error) => error.message === message || sorted(error.path) === sorted(at))) return `no error says ${message}`;
    } else if (IS_HANDLERS.test(message)) {
      // Rows of relationships that several values have are counted once.
      if (isNested ? of(got, message) === 0 : of(wanted, message) !== of(got, message)) return `${of(got, message)} rows have the error ${message}`;
    } else if (got.filter((error) => sorted(error.path) === sorted(at)).length !== 1) return `not one error at ${sorted(at)}`;
  }
  return null;
}

function compareCalls(rounds, got) {
  const of = (list, make) => {
    const found = new Map();
    for (const entry of list) found.set(entry.call, (found.get(entry.call) ?? 0) + make(entry));
    return sorted(Object.fromEntries(found));
  };
  const wanted = of(rounds, ({ action, keys }) => Math.ceil(keys.size / BATCH[action]));
  const made = of(got, () => 1);
  if (wanted !== made) return `calls: wanted ${wanted}, got ${made}`;
  const [keys, asked] = [of(rounds, (entry) => entry.keys.size), of(got, (entry) => new Set(entry.keys).size)];
  return keys === asked ? null : `keys: wanted ${keys}, got ${asked}`;
}

async function check(port, seed, totals) {
  const name = `D${seed}`;
  const { query, variables, document } = documentOf(MERGED, seed, name, FIELDS);
  const { result, rounds, hasRelated } = await reference({ document, variables });
  calls.set(name, []);
  const text = await post(port, { query, variables });
  const made = calls.get(name);
  calls.delete(name);
  totals.documents += 1;
  totals.calls += made.length;
  totals.rows += sum(rounds.map(({ keys }) => keys.size));
  totals.errors += result.errors?.length ?? 0;
  const wanted = JSON.stringify({ data: result.data });
  let got;
  try {
    got = JSON.parse(text);
  } catch {
    return report(seed, query, variables, "the response is not JSON", wanted, text);
  }
  if (dataOf(wanted) !== dataOf(text)) return report(seed, query, variables, "other data", wanted, text);
  const errors = (result.errors ?? []).map((error) => error.toJSON());
  const about = compareErrors(JSON.parse(wanted).data, errors, got.errors ?? [], { isNested: rounds.some(({ isFirst }) => !isFirst), hasRelated });
  if (about) return report(seed, query, variables, `${about}\n${JSON.stringify(errors)}`, wanted, text);
  // Where null has taken rows, the reference may have called a handler for them before.
  const isExact = !errors.some((error) => isLost(JSON.parse(wanted).data, error.path));
  totals.exact += isExact ? 1 : 0;
  const different = isExact ? compareCalls(rounds, made) : null;
  return different ? report(seed, query, variables, different, wanted, text) : null;
}

function report(seed, query, variables, what, wanted, got) {
  return `seed ${seed}: ${what}\n${query}\n${JSON.stringify(variables)}\nwanted ${wanted}\ngot    ${got}`;
}

/** Several documents at a time, until all are done or five have failed. */
async function checkAll({ port, seed, documents }) {
  const totals = { documents: 0, exact: 0, calls: 0, rows: 0, errors: 0 };
  const failures = [];
  let next = seed;
  const work = async () => {
    while (next < seed + documents && failures.length < 5) {
      next += 1;
      const failure = await check(port, next - 1, totals);
      if (failure) failures.push(failure);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { ...totals, failures };
}

async function serve(url, text) {
  if (url === "/config") return [200, { config: CONFIG, sdl: printSchema(UPSTREAM) }];
  if (url === "/check") return [200, await checkAll(JSON.parse(text))];
  if (url !== "/graphql") return handle(text);
  const { query, variables, operationName } = JSON.parse(text);
  return [200, await graphql({ schema: UPSTREAM, source: query, variableValues: variables, operationName })];
}

createServer((incoming, response) => {
  const chunks = [];
  incoming.on("data", (chunk) => chunks.push(chunk));
  incoming.on("end", async () => {
    const [status, body] = await serve(incoming.url, Buffer.concat(chunks).toString()).catch((error) => [500, { message: String(error.stack) }]);
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body ?? null));
  });
}).listen(Number(process.env.PORT), "127.0.0.1");

// The three REST APIs that tests/fixtures/openapi describes: they know nothing of GraphQL and check what they are sent.
import { createServer } from "node:http";

class Failure extends Error {
  constructor(status, body) {
    super();
    Object.assign(this, { status, body });
  }
}

const found = (value, body) => {
  if (value === undefined) throw new Failure(404, body);
  return value;
};

// Pets: errors have a title.
const pets = new Map([["1", { id: "1", name: "Rex", status: "on-hold", "born-on": "2024-02-29", tags: ["dog", "big one"] }]]);
const noPet = { title: "there is no such pet", code: "no-pet" };
const petShop = {
  "GET /pets": ({ query }) => {
    const [tags, status, limit] = [query.getAll("tag"), query.get("status"), query.get("limit") ?? 10];
    const is = (pet) => (tags.length === 0 || pet.tags.some((tag) => tags.includes(tag))) && (!status || pet.status === status);
    return [...pets.values()].filter(is).slice(0, Number(limit));
  },
  "POST /pets": ({ body }) => {
    if (!["available", "on-hold", "sold"].includes(body.status)) throw new Failure(400, { title: "no such status" });
    const pet = { tags: [], ...body, id: String(pets.size + 1) };
    pets.set(pet.id, pet);
    return [201, pet];
  },
  "GET /pets/:id": ({ ids }) => found(pets.get(ids[0]), noPet),
  "DELETE /pets/:id": ({ ids }) => {
    found(pets.get(ids[0]), noPet);
    pets.delete(ids[0]);
    return [204];
  },
  "POST /orders": ({ body, headers }) => {
    if (headers["x-api-key"] !== "pet-key") throw new Failure(401, { title: "no key" });
    return [201, { id: 9007199254740993n, pet: pets.get(body.get("petId")), "gift-wrap": body.get("gift-wrap") === "true" }];
  },
};

// Bookings: problem details, a bearer token, merge patches.
const rooms = new Map();
const bookings = new Map();
const guests = [];
const problem = (detail) => ({ title: "Not possible", detail, code: "problem" });
const room = (ids) => found(rooms.get(ids[0]), problem(`there is no room ${ids[0]}`));
const booking = (ids) => found(bookings.get(Number(ids[0])), problem(`there is no booking ${ids[0]}`));
const stored = (map, id, value) => (map.set(id, value), value);
const features = ["projector", "white-board", "24h"];
const checkedRoom = (body) => {
  const odd = (body.features ?? []).find((feature) => !features.includes(feature));
  if (odd) throw new Failure(422, problem(`"${odd}" is no feature`));
  return body;
};
const roomBookings = {
  "GET /rooms": ({ query }) => {
    const wanted = query.getAll("features");
    const is = (room) =>
      room.capacity >= Number(query.get("min-capacity") ?? 0) && wanted.every((feature) => room.features?.includes(feature));
    const items = [...rooms.values()].filter(is);
    const sign = query.get("sort") === "+capacity" ? 1 : -1;
    items.sort((left, right) => sign * (left.capacity - right.capacity));
    return { items, "total-count": rooms.size };
  },
  "POST /rooms": ({ body }) => {
    const id = `r ${rooms.size + 1}`;
    return [201, stored(rooms, id, { ...checkedRoom(body), "room-id": id })];
  },
  "GET /rooms/:id": ({ ids }) => room(ids),
  "PUT /rooms/:id": ({ ids, body }) => (room(ids), stored(rooms, ids[0], { ...checkedRoom(body), "room-id": ids[0] })),
  "PATCH /rooms/:id": ({ ids, body, headers }) => {
    if (headers["content-type"] !== "application/merge-patch+json") throw new Failure(415, problem("no merge patch"));
    const patched = { ...room(ids), ...body };
    for (const [key, value] of Object.entries(patched)) if (value === null) delete patched[key];
    return stored(rooms, ids[0], patched);
  },
  "DELETE /rooms/:id": ({ ids }) => (room(ids), rooms.delete(ids[0]), [204]),
  "POST /rooms/:id/ratings": ({ ids, body }) => (room(ids), Number(body.get("stars")) + (body.get("rated-by") === "Ann" ? 0.5 : 0)),
  "GET /bookings": ({ query }) => {
    const ids = query.get("ids")?.split(",").map(Number);
    const [state, roomId] = [query.get("filter[state]"), query.get("filter[room-id]")];
    const is = (one) =>
      (!ids || ids.includes(one.id)) && (!state || one.state === state) && (!roomId || one["room-id"] === roomId);
    return [...bookings.values()].filter(is);
  },
  "POST /bookings": ({ body, headers }) => {
    const id = bookings.size + 1;
    if (!/^[0-9a-f-]{36}$/.test(headers["idempotency-key"])) throw new Failure(409, problem("no key"));
    return [201, stored(bookings, id, { ...body, id, state: "requested" })];
  },
  "GET /bookings/:id": ({ ids }) => booking(ids),
  "POST /bookings/:id/cancel": ({ ids }) => ((booking(ids).state = "cancelled"), [202]),
  "POST /bookings/:id/move": ({ ids, body }) => Object.assign(booking(ids), body),
  "GET /bookings/:id/guests": ({ ids }) => (booking(ids), guests),
  "POST /bookings/:id/guests": ({ ids, body }) => (booking(ids), guests.push(body), [201, body]),
  "DELETE /bookings/:id/guests/:email": ({ ids }) => {
    const index = guests.findIndex((guest) => guest.email === ids[1]);
    found(guests[index], problem(`there is no guest ${ids[1]}`));
    guests.splice(index, 1);
    return [204];
  },
  "GET /availability": ({ query }) => {
    const needs = JSON.parse(query.get("needs") ?? "{}");
    if (!(Date.parse(query.get("from")) < Date.parse(query.get("to")))) throw new Failure(400, problem("no such time"));
    return [...rooms.values()].filter((room) => room.capacity >= (needs["min-capacity"] ?? 0)).map((room) => room.name);
  },
  "GET /statistics": () => Object.fromEntries([...bookings.values()].map((one) => [one.state, 1])),
  "GET /health": () => "going-down",
};

// Invoices: errors in a member, two credentials, amounts of 64 bits.
const customers = new Map();
const invoices = new Map();
const accounts = { name: "root", children: [] };
const error = (message, code) => ({ error: { message, code } });
const customer = (ids) => found(customers.get(ids[0]), error("no such customer", "customer"));
const invoice = (ids) => found(invoices.get(ids[0]), error("no such invoice", "invoice"));
const total = (lines) => ({
  amount: lines.reduce((sum, line) => sum + BigInt(line.price.amount) * BigInt(line.quantity ?? 1), 0n),
  currency: lines[0]?.price.currency ?? "CHF",
});
const numbered = (lines) => lines.map((line, index) => ({ ...line, position: index + 1 }));
const withLines = (one, lines) => Object.assign(one, { lines: numbered(lines), total: total(lines) });
const invoicing = {
  "GET /customers": ({ query }) => [...customers.values()].slice(0, Number(query.get("per_page") ?? 10)),
  "POST /customers": ({ body }) => {
    const customer_id = `00000000-0000-4000-8000-${String(customers.size + 1).padStart(12, "0")}`;
    return [201, stored(customers, customer_id, { ...body, customer_id, created_at: "2026-01-02T03:04:05Z" })];
  },
  "GET /customers/:id": ({ ids }) => customer(ids),
  "PUT /customers/:id": ({ ids, body }) => {
    const { customer_id, created_at } = customer(ids);
    return stored(customers, ids[0], { ...body, customer_id, created_at });
  },
  "DELETE /customers/:id": ({ ids }) => (customer(ids), customers.delete(ids[0]), [204]),
  "POST /customers/:id/contacts": ({ ids, body }) => {
    if (!Array.isArray(body)) throw new Failure(400, error("no list"));
    return (customer(ids).contacts = body).length;
  },
  "GET /invoices": ({ query }) => {
    const [states, after] = [query.get("status")?.split("|"), query.get("due_after") ?? ""];
    const is = (one) => (!states || states.includes(one.status)) && (one.due_on ?? "") >= after;
    return { data: [...invoices.values()].filter(is), next_page: null };
  },
  "POST /invoices": ({ body }) => {
    customer([body.customer_id]);
    const number = 9007199254740993n + BigInt(invoices.size);
    const made = withLines({ ...body, number, status: "draft" }, body.lines);
    return [201, stored(invoices, String(number), made)];
  },
  "GET /invoices/:id": ({ ids }) => invoice(ids),
  "PATCH /invoices/:id": ({ ids, body }) => Object.assign(invoice(ids), body),
  "DELETE /invoices/:id": ({ ids }) => (invoice(ids), invoices.delete(ids[0]), [204]),
  "GET /invoices/:id/lines": ({ ids }) => invoice(ids).lines,
  "POST /invoices/:id/lines": ({ ids, body }) => [201, withLines(invoice(ids), [...invoice(ids).lines, body]).lines.at(-1)],
  "DELETE /invoices/:id/lines/:position": ({ ids }) =>
    withLines(invoice(ids), invoice(ids).lines.filter((line) => line.position !== Number(ids[1]))),
  "POST /invoices/:id/send": ({ ids, body }) =>
    Object.assign(invoice(ids), { status: "open", metadata: { copies: body["copy-to"]?.length ?? 0 } }),
  "POST /invoices/:id/payments": ({ ids, body }) => Object.assign(invoice(ids), { status: "paid", paid_by: body }),
  "GET /accounts": () => accounts,
  "POST /accounts": ({ body }) => [201, accounts.children.push(body)],
  "GET /reports/revenue": ({ query }) => {
    const currency = query.get("currency") ?? "CHF";
    return [{ month: `${query.get("year")}-01`, total: { amount: 2n ** 62n, currency }, "invoice-count": invoices.size }];
  },
  "GET /ping": () => ({ time: "2026-01-02T03:04:05Z", ok: true }),
};

const services = { pets: petShop, bookings: roomBookings, invoices: invoicing };

// What is sent without the credentials that the document wants, is not served.
const isAllowed = (service, path, headers) =>
  service === "bookings" && path !== "/health"
    ? headers.authorization === "Bearer booking-token"
    : service !== "invoices" || path === "/ping" || (headers.authorization === "Bearer i" && headers["x-tenant"] === "t1");

const bodyOf = async (request) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  const type = request.headers["content-type"] ?? "";
  if (type.includes("json")) return JSON.parse(text, (key, value, context) => exact(value, context?.source));
  return type === "application/x-www-form-urlencoded" ? new URLSearchParams(text) : text;
};

// Integers of any size are read and written as they are.
const exact = (value, source) => (typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? BigInt(source) : value);
const written = (value) => JSON.stringify(value, (key, value) => (typeof value === "bigint" ? JSON.rawJSON(String(value)) : value));

const routeOf = (service, method, segments) => {
  for (const [route, handler] of Object.entries(service)) {
    const [routeMethod, path] = route.split(" ");
    const pattern = path.split("/").slice(1);
    const fits = pattern.every((part, index) => part.startsWith(":") || part === segments[index]);
    if (routeMethod === method && pattern.length === segments.length && fits) {
      return { handler, ids: segments.filter((_, index) => pattern[index].startsWith(":")) };
    }
  }
  throw new Failure(405, { message: "there is no such route" });
};

createServer(async (request, response) => {
  const send = (status, value) => {
    response.writeHead(status, value === undefined ? {} : { "content-type": "application/json" });
    response.end(value === undefined ? undefined : written(value));
  };
  try {
    const url = new URL(request.url, "http://api");
    const [name, ...segments] = url.pathname.split("/").slice(1).map(decodeURIComponent);
    const { handler, ids } = routeOf(services[name] ?? {}, request.method, segments);
    const body = await bodyOf(request);
    if (!isAllowed(name, `/${segments.join("/")}`, request.headers)) throw new Failure(401, { message: "no credential" });
    const result = handler({ ids, query: url.searchParams, headers: request.headers, body });
    // A list that begins with a status is a response with that status.
    const hasStatus = Array.isArray(result) && Number.isInteger(result[0]) && result[0] >= 200 && result[0] < 300;
    if (hasStatus) send(result[0], result[1]);
    else send(200, result);
  } catch (failure) {
    if (!(failure instanceof Failure)) console.error(failure);
    send(failure.status ?? 500, failure.body ?? { message: "broken" });
  }
}).listen(process.env.PORT, "127.0.0.1");

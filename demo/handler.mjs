// The sample handler of `make demo`: its request and its response, in a few lines.
import { createServer } from "node:http";

const prices = { 1: 890.0, 2: 75.9, 3: 59.0 };

const actions = {
  "/quote": ({ productId, amount }) => ({ productId, amount, total: total(productId, amount), currency: "CHF" }),
  "/place-order": ({ order }) => ({ id: "4711", status: "accepted", total: total(order.productId, order.amount) }),
};

function total(productId, amount) {
  const price = prices[productId];
  if (price === undefined) throw new Error("no such product");
  return Math.round(price * amount * 100) / 100;
}

createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const respond = (status, value) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  try {
    const action = actions[request.url];
    if (!action) return respond(404, { message: "there is no such action here" });
    respond(200, action(JSON.parse(body).input));
  } catch (error) {
    respond(400, { message: error.message, extensions: { code: "no-product" } });
  }
}).listen(Number(process.env.PORT), process.env.HOST ?? "127.0.0.1");

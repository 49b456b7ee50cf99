// What demo/run.sh asks over HTTP.
//   ask.mjs ports COUNT                      as many free ports of loopback
//   ask.mjs wait URL [DOCUMENT]              until URL responds with status 200
//   ask.mjs show URL ROLE VARIABLES FILE     sends the document in FILE as ROLE, and prints it with its response
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

const [command, ...args] = process.argv.slice(2);

function post(url, body, headers = {}) {
  return fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
}

async function ports(count) {
  // All are held until all are known, so that they differ.
  const servers = Array.from({ length: Number(count) }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => new Promise((done) => server.on("listening", done))));
  console.log(servers.map((server) => server.address().port).join(" "));
  servers.forEach((server) => server.close());
}

async function wait(url, document) {
  for (let tries = 0; tries < 600; tries += 1) {
    const response = await (document ? post(url, { query: document }) : fetch(url)).catch(() => undefined);
    if (response?.ok) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  console.error(`demo: nothing responds at ${url}`);
  process.exit(1);
}

async function show(url, role, variables, file) {
  const query = readFileSync(file, "utf8");
  console.log(query);
  if (variables !== "{}") console.log(`variables: ${variables}\n`);
  const response = await post(url, { query, variables: JSON.parse(variables) }, { "x-hasura-role": role });
  console.log("→ " + JSON.stringify(await response.json(), null, 2));
}

await { ports, wait, show }[command](...args);

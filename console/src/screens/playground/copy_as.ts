// An operation as something to paste elsewhere: curl, `pillion explain`, a case of `pillion test`. Secrets become variables of the shell.
import type { Identity, Operation, Overview, RunResult } from "../../api/types";
import { parseJson } from "../../api/client";

const SECRET_HEADER = /authorization|cookie|secret|token|key|password|signature/i;

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function identityHeaders(as: Identity): string[] {
  if (as.kind === "anonymous") return [];
  if (as.kind === "token") return [`-H "Authorization: Bearer $TOKEN"`];
  const secret = `-H "x-hasura-admin-secret: $HASURA_GRAPHQL_ADMIN_SECRET"`;
  if (as.kind === "admin") return [secret];
  return [secret, `-H ${quoted(`x-hasura-role: ${as.role}`)}`, ...Object.entries(as.session_variables).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`)];
}

export function asCurl(operation: Operation, listeners: Overview["listeners"]): string {
  const { query, variables, operation_name } = operation;
  const body = JSON.stringify({ query, ...(Object.keys(variables).length ? { variables } : {}), ...(operation_name ? { operationName: operation_name } : {}) });
  const url = `http://${listeners.clients.replace(/^0\.0\.0\.0|^\[::\]/, "127.0.0.1")}${listeners.graphql_path}`;
  const headers = Object.entries(operation.headers).map(([name, value]) =>
    SECRET_HEADER.test(name) ? `-H "${name}: $${shellName(name)}"` : `-H ${quoted(`${name}: ${value}`)}`,
  );
  return [`curl ${quoted(url)}`, `-H 'content-type: application/json'`, ...identityHeaders(operation.as), ...headers, `--data-binary ${quoted(body)}`].join(" \\\n  ");
}

const shellName = (header: string): string => header.toUpperCase().replace(/[^A-Z0-9]/g, "_");

export function asExplain(operation: Operation): string {
  const { query, variables, operation_name, as, headers } = operation;
  const role = as.kind === "role" ? as.role : as.kind === "admin" ? "admin" : "";
  const sent = as.kind === "role" ? { ...as.session_variables, ...headers } : headers;
  const parts = [
    "pillion explain",
    ...(role ? [`--role ${quoted(role)}`] : []),
    ...Object.entries(sent).map(([name, value]) => (SECRET_HEADER.test(name) ? `-H "${name}: $${shellName(name)}"` : `-H ${quoted(`${name}: ${value}`)}`)),
    ...(Object.keys(variables).length ? [`--variables ${quoted(JSON.stringify(variables))}`] : []),
    ...(operation_name ? [`--operation ${quoted(operation_name)}`] : []),
    "-",
  ];
  return `${parts.join(" \\\n  ")} <<'GRAPHQL'\n${query.trimEnd()}\nGRAPHQL`;
}

/** A case with this response as what is expected; handlers' responses are for the reader to fill in. JSON is YAML. */
export function asTestCase(operation: Operation, result: RunResult | null, actions: string[]): string {
  const { query, variables, as } = operation;
  const lines = ["cases:", "  - name: describe what must hold"];
  if (as.kind === "role") lines.push(`    role: ${JSON.stringify(as.role)}`, `    session_variables: ${JSON.stringify(as.session_variables)}`);
  else if (as.kind === "admin") lines.push("    role: admin");
  lines.push("    query: |", ...query.trimEnd().split("\n").map((line) => `      ${line}`));
  if (Object.keys(variables).length) lines.push(`    variables: ${JSON.stringify(variables)}`);
  if (actions.length) lines.push("    handlers:", ...actions.map((action) => `      ${action}: { json: {} } # what the handler responds`));
  const body = result ? parseJson(result.body) : undefined;
  if (body !== undefined) lines.push("    expect:", `      json: ${JSON.stringify(body)}`);
  return `${lines.join("\n")}\n`;
}

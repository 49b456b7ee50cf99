// GraphQL Code Generator, as front ends use it. Standard input: { introspection, document, usage }. It generates types
// for the document's operations and checks `usage`, TypeScript that uses them. Standard output: what is wrong with it.
import { codegen } from "@graphql-codegen/core";
import * as operationsPlugin from "@graphql-codegen/typescript-operations";
import { buildClientSchema, parse, printSchema } from "graphql";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const { introspection, document, usage } = JSON.parse(await text(process.stdin));
const generated = await codegen({
  filename: "types.ts",
  schema: parse(printSchema(buildClientSchema(introspection))),
  documents: [{ location: "document.graphql", document: parse(document) }],
  config: {},
  plugins: [{ operations: {} }],
  pluginMap: { operations: operationsPlugin },
});

const folder = mkdtempSync(join(tmpdir(), "pillion-codegen-"));
const path = join(folder, "types.ts");
writeFileSync(path, `${generated}\n${usage}\n`);
const tsc = spawnSync("node_modules/.bin/tsc", ["--strict", "--noEmit", "--target", "es2022", path], { encoding: "utf8" });
const problems = tsc.status === 0 ? [] : [tsc.stdout, tsc.stderr];
rmSync(folder, { recursive: true });
console.log(JSON.stringify({ problems, generated }));

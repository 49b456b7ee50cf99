// Bundles the console into dist: index.html, and assets whose names have a hash of their content. Each file also as brotli (.br) and gzip (.gz).
// Fails when the licences of what is bundled are not among those allowed, or when the files are larger than the budget.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const BUDGET_KIB = 300;
const LICENCES = ["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC"];

const options = {
  absWorkingDir: here,
  outdir: "dist",
  entryNames: "[dir]/[name]-[hash]",
  chunkNames: "assets/[name]-[hash]",
  assetNames: "[dir]/[name]-[hash]",
  loader: { ".svg": "copy" },
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  target: ["chrome123", "firefox121", "safari17.5"],
  jsx: "automatic",
  jsxImportSource: "preact",
  // graphql-js: without its checks for development, which would read `process`.
  define: { "process.env.NODE_ENV": '"production"', "globalThis.process": "undefined" },
  legalComments: "none",
  metafile: true,
  write: false,
  logLevel: "warning",
};
const page = { "assets/console": "src/main.tsx", "assets/style": "src/styles/index.css", "assets/icon": "src/icon.svg" };
// What is served without a session: its names begin with "login", and it shares no file with the page.
const login = { login: "src/login/login.ts", "login-style": "src/login/login.css", "login-icon": "src/login/icon.svg" };
const built = await Promise.all([page, login].map((entryPoints) => build({ ...options, entryPoints })));

const outputs = built.flatMap(({ metafile }) => Object.entries(metafile.outputs));
// The address of what was made of a source: `{{src/main.tsx}}` in a page.
const address = (source) => {
  const found = outputs.find(([name, output]) => output.entryPoint === source);
  if (!found) throw new Error(`nothing was made of ${source}`);
  return found[0].replace(/^dist\//, "/console/");
};
const html = async (name) =>
  Buffer.from((await readFile(join(here, name), "utf8")).replace(/\{\{(.+?)\}\}/g, (_, source) => address(source)));

const files = new Map(built.flatMap(({ outputFiles }) => outputFiles).map((file) => [relative(dist, file.path), file.contents]));
files.set("index.html", await html("src/index.html"));
files.set("login.html", await html("src/login/login.html"));
files.set("NOTICE.txt", Buffer.from(await notice()));

let total = 0;
const written = new Map();
for (const [name, content] of files) {
  const compressed = brotliCompressSync(content, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length },
  });
  total += compressed.length;
  written.set(name, content).set(`${name}.br`, compressed).set(`${name}.gz`, gzipSync(content, { level: 9 }));
}
console.log(`console: ${files.size} files, ${(total / 1024).toFixed(1)} KiB brotli of at most ${BUDGET_KIB}`);
if (total > BUDGET_KIB * 1024) throw new Error("the console is larger than its budget");
await replaceFiles(written);

// A file that is as it was keeps its time, so that Cargo builds nothing again.
async function replaceFiles(wanted) {
  await mkdir(dist, { recursive: true });
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && !wanted.has(relative(dist, path))) await rm(path);
  }
  for (const [name, content] of wanted) {
    const path = join(dist, name);
    const before = await readFile(path).catch(() => null);
    if (before?.equals(Buffer.from(content))) continue;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
}

// What is bundled, with its licences, as they require.
async function notice() {
  const inputs = built.flatMap(({ metafile }) => Object.keys(metafile.inputs));
  const packages = new Set(inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean));
  const parts = ["The console of Pillion contains these packages.\n"];
  for (const name of [...packages].sort()) {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    if (!LICENCES.includes(license)) throw new Error(`${name} has the licence ${license}`);
    parts.push(`${"-".repeat(72)}\n${name} ${version} (${license})\n\n${await licenceText(folder)}`);
  }
  return `${parts.join("\n")}\n`;
}

async function licenceText(folder) {
  for (const name of ["LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE"]) {
    try {
      return (await readFile(join(folder, name), "utf8")).trim();
    } catch {
      // Another name, then.
    }
  }
  return "The package has no text of its licence.";
}

// The console in a real browser: `node run.mjs [CASE…]` runs the cases against the console at CONSOLE_URL, one after the other, and prints
// a line of JSON for each: {"case", "ok", "problems", "ms"}. With CONSOLE_TOKEN set, the cases are those of a console that asks for a token.
// What does not depend on the upstream is looked at with one of them.
import { launch, newSession, settings } from "./browser.mjs";
import * as guarding from "./guarding.mjs";
import { startHandlers } from "./handlers.mjs";
import * as making from "./making.mjs";
import * as operating from "./operating.mjs";
import * as reading from "./reading.mjs";

const withUpstream = [...making.CASES, ...operating.CASES, ...guarding.CASES];
const all = settings.token ? guarding.WITH_TOKEN : settings.upstream === "hasura" ? withUpstream : [...withUpstream, ...reading.CASES];
const wanted = process.argv.slice(2);
const cases = wanted.length ? all.filter(({ name }) => wanted.includes(name)) : all;

const handlers = settings.handlerPort ? await startHandlers(settings.handlerPort) : null;
const browser = await launch();
for (const one of cases) {
  const started = Date.now();
  const problems = await run(one);
  console.log(JSON.stringify({ case: one.name, ok: problems.length === 0, problems, ms: Date.now() - started }));
}
await browser.close();
handlers?.close();
handlers?.closeAllConnections();

/** Each case has a session of its own. */
async function run(one) {
  const session = await newSession(browser);
  try {
    await one({ browser, ...session });
  } catch (error) {
    session.problems.push(String(error.message ?? error).replace(/\u001b\[[0-9;]*m/g, "").slice(0, 2000));
    if (settings.shots) await session.page.screenshot({ path: `${settings.shots}/failed-${one.name}.png`, fullPage: true }).catch(() => undefined);
  }
  await session.context.close();
  return [...new Set(session.problems)];
}

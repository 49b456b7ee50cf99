// One call of the action: arguments by a form or as JSON, as a chosen identity; what was sent, and what came back.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get, parseJson } from "../../api/client";
import type { ActionDetail, Diagnostic, Json, Operation } from "../../api/types";
import { Editor } from "../../editor/editor";
import { chosenIdentity, identity } from "../../state/identity";
import { Button } from "../../ui/controls";
import { Card } from "../../ui/data";
import { pretty } from "../../ui/format";
import { useLoad } from "../../ui/load";
import { Problem } from "../../ui/problem";
import { ArgumentForm } from "./argument_form";
import { IdentityBar } from "../identity_bar";
import { ResultView } from "../playground/outcome";
import { PlanView } from "../playground/plan_view";
import { openInPlayground } from "../playground/playground";
import { useRun } from "../playground/run";
import { Waterfall } from "../playground/waterfall";

const NOT_JSON: Diagnostic[] = [{ severity: "error", message: "The arguments are not a JSON object.", line: 1, column: 1 }];
const NONE: Diagnostic[] = [];

export function TryTab({ action }: { action: ActionDetail }): JSX.Element {
  const [text, setText] = useState(pretty(action.sample_arguments));
  const [operation, setOperation] = useState(action.sample_query);
  const roles = useLoad((signal) => get<{ roles: string[] }>("roles", signal), []);
  const run = useRun();
  const given = parseJson(text);
  const valid = typeof given === "object" && given !== null && !Array.isArray(given);
  const query = valid && operation === action.sample_query ? withArguments(operation, action, given) : operation;
  const request: Operation = { query, variables: {}, operation_name: null, headers: {}, as: chosenIdentity(identity.value) };
  const start = () => valid && void run.start(request, "http");
  return (
    <div class="playground">
      <div class="stack">
        <Card flush>
          <IdentityBar roles={roles.data?.roles ?? []} />
        </Card>
        <Card
          title="Arguments"
          side={
            <>
              <Button onClick={() => openInPlayground(query)}>Open in the playground</Button>
              <Button kind="primary" onClick={start} busy={run.running} disabled={!valid} title="Ctrl-Enter">
                Call
              </Button>
            </>
          }
        >
          {valid ? <ArgumentForm definition={action.definition} action={action.name} value={given} onChange={(value) => setText(pretty(value))} /> : null}
          <Editor label="Arguments" language="json" size="s" value={text} onChange={setText} onRun={start} diagnostics={valid ? NONE : NOT_JSON} />
          <details class="more">
            <summary>Operation</summary>
            <Editor label="Operation" language="sdl" size="s" value={query} onChange={setOperation} onRun={start} />
          </details>
        </Card>
      </div>
      <div class="stack">
        <Card title="Response">
          <ResultView run={run} />
        </Card>
        {run.result?.timing ? (
          <Card title="Timing">
            <Waterfall of={run.result} />
          </Card>
        ) : null}
        {run.planError ? <Problem error={run.planError} /> : null}
        {run.plan ? <PlanView plan={run.plan} /> : null}
      </div>
    </div>
  );
}

/** The sample with these arguments as literals. */
function withArguments(query: string, action: ActionDetail, given: { [key: string]: Json }): string {
  const start = query.search(new RegExp(`\\b${action.name}\\b`));
  if (start < 0) return query;
  const after = start + action.name.length;
  const list = Object.entries(given).map(([name, value]) => `${name}: ${literal(value, enumsOf(action.definition))}`);
  return query.slice(0, after) + (list.length ? `(${list.join(", ")})` : "") + query.slice(endOfArguments(query, after));
}

/** The end of the parenthesis that begins here, strings skipped. */
function endOfArguments(query: string, from: number): number {
  if (query[from] !== "(") return from;
  let depth = 0;
  for (const match of query.slice(from).matchAll(/"(?:[^"\\]|\\.)*"|[()]/g)) {
    if (match[0] === "(") depth += 1;
    else if (match[0] === ")") depth -= 1;
    if (depth === 0) return from + match.index + 1;
  }
  return query.length;
}

function literal(value: Json, enums: Set<string>): string {
  if (typeof value === "string" && enums.has(value)) return value;
  if (Array.isArray(value)) return `[${value.map((element) => literal(element, enums)).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value).map(([name, member]) => `${name}: ${literal(member, enums)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** Values of enums are names, not strings. */
function enumsOf(definition: string): Set<string> {
  const bodies = [...definition.matchAll(/\benum\s+\w+[^{]*\{([^}]*)\}/g)].map(([, body = ""]) => body.replace(/"(?:[^"\\]|\\.)*"/g, ""));
  return new Set(bodies.flatMap((body) => body.match(/[A-Za-z_]\w*/g) ?? []));
}

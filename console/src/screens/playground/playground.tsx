// The playground: an operation as a chosen identity, its result, plan, timing, and copies of it for elsewhere.
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { get, parseJson, query as parameters } from "../../api/client";
import type { Diagnostic, Json, Operation, Overview } from "../../api/types";
import { Editor } from "../../editor/editor";
import { chosenIdentity, identity } from "../../state/identity";
import { operationToDerive } from "../../state/handover";
import { href, navigate } from "../../state/router";
import { Button, Field, Segments, Select } from "../../ui/controls";
import { Card, PageHead } from "../../ui/data";
import { useLoad } from "../../ui/load";
import { parseHeaders } from "../action/handler_tab";
import { IdentityBar } from "../identity_bar";
import { readHistory, remember } from "./history";
import { HistoryMenu } from "./history_menu";
import { Outcome } from "./outcome";
import { useRun } from "./run";

const EXAMPLE = `# Ctrl-Enter runs it, Ctrl-Space completes names.
query {
  __typename
}
`;

export type Transport = "http" | "websocket" | "sse";

/** What was typed outlives a visit of another screen, and ends with the page. */
const draft = signal({ query: EXAMPLE, variables: "{}", headers: "", transport: "http" as Transport, operation: "" });

export function openInPlayground(query: string, variables: Record<string, unknown> = {}): void {
  draft.value = { ...draft.value, query, variables: JSON.stringify(variables, null, 2), operation: "" };
  navigate(href("playground"));
}

const NOT_JSON: Diagnostic[] = [{ severity: "error", message: "The variables are not a JSON object.", line: 1, column: 1 }];
const NONE: Diagnostic[] = [];

export function PlaygroundScreen(): JSX.Element {
  const { query, variables, headers, transport, operation: named } = draft.value;
  const set = (part: Partial<typeof draft.value>) => {
    draft.value = { ...draft.value, ...part };
  };
  const roles = useLoad((signal) => get<{ roles: string[] }>("roles", signal), []);
  const overview = useLoad((signal) => get<Overview>("overview", signal), []);
  const as = chosenIdentity(identity.value);
  const schemaRole = as.kind === "role" ? as.role : "admin";
  const schema = useLoad((signal) => get<{ introspection: { data: Json } }>(`schema${parameters({ role: schemaRole, format: "introspection" })}`, signal), [schemaRole]);
  const [history, setHistory] = useState(readHistory);
  const names = useMemo(() => operationNames(query), [query]);
  const parsed = variables.trim() ? parseJson(variables) : {};
  const valid = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
  const operation: Operation = {
    query,
    variables: valid ? (parsed as Record<string, unknown>) : {},
    operation_name: names.length > 1 ? (names.includes(named) ? named : (names[0] ?? null)) : null,
    headers: parseHeaders(headers),
    as,
  };
  const run = useRun();
  const start = () => {
    if (!valid || !query.trim()) return;
    setHistory(remember(query));
    void run.start(operation, transport);
  };
  return (
    <div class="stack">
      <PageHead title="Playground">
        <HistoryMenu entries={history} onChoose={(text) => set({ query: text })} onChange={setHistory} />
        <Button onClick={() => navigateToDerive(query)}>Derive an action</Button>
      </PageHead>
      <Card flush>
        <IdentityBar roles={roles.data?.roles ?? []} />
      </Card>
      <div class="playground">
        <div class="stack">
          <Editor label="Operation" language="graphql" size="l" value={query} onChange={(text) => set({ query: text })} onRun={start} introspection={schema.data?.introspection.data ?? null} />
          {schema.error ? <p class="muted small">No completions: {schema.error.message}</p> : null}
          <div class="row between">
            <Segments
              label="Over"
              value={transport}
              options={[
                ["http", "HTTP"],
                ["websocket", "WebSocket"],
                ["sse", "SSE"],
              ]}
              onChange={(chosen) => set({ transport: chosen })}
            />
            {names.length > 1 ? <Select label="Operation to run" value={operation.operation_name ?? ""} options={names} onChange={(name) => set({ operation: name })} /> : null}
            <div class="row">
              {run.running ? <Button onClick={run.stop}>Stop</Button> : null}
              <Button kind="primary" onClick={start} busy={run.running} disabled={!valid || !query.trim()} title="Ctrl-Enter">
                Run
              </Button>
            </div>
          </div>
          <div class="stack tight">
            <strong class="small">Variables</strong>
            <Editor label="Variables" language="json" size="s" value={variables} onChange={(text) => set({ variables: text })} onRun={start} diagnostics={valid ? NONE : NOT_JSON} />
            {valid ? null : <span class="small muted">Not a JSON object yet.</span>}
          </div>
          <Field label="Headers" hint="One a line, as the client would send them. They are in no storage.">
            {(id, described) => (
              <textarea
                id={id}
                class="input"
                rows={2}
                aria-describedby={described}
                placeholder="x-tenant: acme"
                value={headers}
                spellcheck={false}
                onInput={(event) => set({ headers: event.currentTarget.value })}
              />
            )}
          </Field>
        </div>
        <Outcome operation={operation} run={run} listeners={overview.data?.listeners ?? null} />
      </div>
    </div>
  );
}

function navigateToDerive(operation: string): void {
  operationToDerive.value = operation;
  navigate(`${href("actions")}?new=derive`);
}

function operationNames(document: string): string[] {
  const plain = document.replace(/"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"|#[^\n]*/g, "");
  return [...plain.matchAll(/\b(?:query|mutation|subscription)\s+([A-Za-z_]\w*)/g)].map(([, name = ""]) => name);
}

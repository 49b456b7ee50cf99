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
import { useLoad, useSettled } from "../../ui/load";
import { parseHeaders } from "../action/handler_tab";
import { IdentityBar } from "../identity_bar";
import { readHistory, remember } from "./history";
import { HistoryMenu } from "./history_menu";
import { Outcome } from "./outcome";
import { type Run, useRun } from "./run";

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

/** What the draft comes to: the operation that would be sent, and whether its variables can be. */
interface Request {
  operation: Operation;
  names: string[];
  isValid: boolean;
}

function useRequest(): Request {
  const { query, variables, headers, operation: named } = draft.value;
  const names = useMemo(() => operationNames(query), [query]);
  const parsed = variables.trim() ? parseJson(variables) : {};
  const isValid = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
  const chosen = names.includes(named) ? named : (names[0] ?? null);
  const operation: Operation = {
    query,
    variables: isValid ? (parsed as Record<string, unknown>) : {},
    operation_name: names.length > 1 ? chosen : null,
    headers: parseHeaders(headers),
    as: chosenIdentity(identity.value),
  };
  return { operation, names, isValid };
}

const set = (part: Partial<typeof draft.value>) => {
  draft.value = { ...draft.value, ...part };
};

export function PlaygroundScreen(): JSX.Element {
  const roles = useLoad((signal) => get<{ roles: string[] }>("roles", signal), []);
  const overview = useLoad((signal) => get<Overview>("overview", signal), []);
  const [history, setHistory] = useState(readHistory);
  const request = useRequest();
  const { operation, isValid } = request;
  const run = useRun();
  const start = () => {
    if (!isValid || !operation.query.trim()) return;
    setHistory(remember(operation.query));
    void run.start(operation, draft.value.transport);
  };
  return (
    <div class="stack">
      <PageHead title="Playground">
        <HistoryMenu entries={history} onChoose={(text) => set({ query: text })} onChange={setHistory} />
        <Button onClick={() => navigateToDerive(operation.query)}>Derive an action</Button>
      </PageHead>
      <Card flush>
        <IdentityBar roles={roles.data?.roles ?? []} />
      </Card>
      <div class="playground">
        <div class="stack">
          <OperationEditor onRun={start} />
          <RunRow request={request} run={run} onRun={start} />
          <VariablesEditor isValid={isValid} onRun={start} />
          <HeadersField />
        </div>
        <Outcome operation={operation} run={run} listeners={overview.data?.listeners ?? null} />
      </div>
    </div>
  );
}

function OperationEditor({ onRun }: { onRun: () => void }): JSX.Element {
  const { kind, role } = identity.value;
  // Each role's schema is fetched from the upstream, so not for every letter of its name.
  const settled = useSettled(kind === "role" && role ? role : "admin");
  const address = `schema${parameters({ role: settled, format: "introspection" })}`;
  const schema = useLoad((signal) => get<{ introspection: { data: Json } }>(address, signal), [address]);
  return (
    <>
      <Editor
        label="Operation"
        language="graphql"
        size="l"
        value={draft.value.query}
        onChange={(query) => set({ query })}
        onRun={onRun}
        introspection={schema.data?.introspection.data ?? null}
      />
      {schema.error ? <p class="muted small">No completions: {schema.error.message}</p> : null}
    </>
  );
}

function RunRow({ request, run, onRun }: { request: Request; run: Run; onRun: () => void }): JSX.Element {
  const { operation, names, isValid } = request;
  return (
    <div class="row between">
      <Segments
        label="Over"
        value={draft.value.transport}
        options={[
          ["http", "HTTP"],
          ["websocket", "WebSocket"],
          ["sse", "SSE"],
        ]}
        onChange={(transport) => set({ transport })}
      />
      {names.length > 1 ? <Select label="Operation to run" value={operation.operation_name ?? ""} options={names} onChange={(name) => set({ operation: name })} /> : null}
      <div class="row">
        {run.running ? <Button onClick={run.stop}>Stop</Button> : null}
        <Button kind="primary" onClick={onRun} busy={run.running} disabled={!isValid || !operation.query.trim()} title="Ctrl-Enter">
          Run
        </Button>
      </div>
    </div>
  );
}

function VariablesEditor({ isValid, onRun }: { isValid: boolean; onRun: () => void }): JSX.Element {
  return (
    <div class="stack tight">
      <strong class="small">Variables</strong>
      <Editor
        label="Variables"
        language="json"
        size="s"
        value={draft.value.variables}
        onChange={(variables) => set({ variables })}
        onRun={onRun}
        diagnostics={isValid ? NONE : NOT_JSON}
      />
      {isValid ? null : <span class="small muted">Not a JSON object yet.</span>}
    </div>
  );
}

function HeadersField(): JSX.Element {
  return (
    <Field label="Headers" hint="One a line, as the client would send them. They are in no storage.">
      {(id, described) => (
        <textarea
          id={id}
          class="input"
          rows={2}
          aria-describedby={described}
          placeholder="x-tenant: acme"
          value={draft.value.headers}
          spellcheck={false}
          onInput={(event) => set({ headers: event.currentTarget.value })}
        />
      )}
    </Field>
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

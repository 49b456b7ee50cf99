// What a run came to: result, plan, timing, copies.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Operation, Overview, RunResult } from "../../api/types";
import { Button, CopyButton, Tabs } from "../../ui/controls";
import { Badge, Card, Code, Empty, Table } from "../../ui/data";
import { bytes, duration, pretty } from "../../ui/format";
import { Problem } from "../../ui/problem";
import { asCurl, asExplain, asTestCase } from "./copy_as";
import { PlanView } from "./plan_view";
import type { Run, StreamedEvent } from "./run";
import { Waterfall } from "./waterfall";

type Tab = "result" | "plan" | "timing" | "headers" | "copy";

const TABS: [Tab, string][] = [
  ["result", "Result"],
  ["plan", "Plan"],
  ["timing", "Timing"],
  ["headers", "Headers"],
  ["copy", "Copy as"],
];

interface OutcomeProps {
  operation: Operation;
  run: Run;
  listeners: Overview["listeners"] | null;
}

export function Outcome({ operation, run, listeners }: OutcomeProps): JSX.Element {
  const [tab, setTab] = useState<Tab>("result");
  const choose = (chosen: Tab) => {
    setTab(chosen);
    if (chosen === "plan") void run.explain(operation);
  };
  return (
    <Card>
      <Tabs label="Outcome" tabs={TABS} selected={tab} onSelect={choose}>
        {tab === "result" ? <ResultView run={run} /> : null}
        {tab === "plan" ? <PlanTab run={run} explain={() => run.explain(operation)} /> : null}
        {tab === "timing" ? <TimingTab of={run.result} /> : null}
        {tab === "headers" ? <HeadersTab of={run.result} /> : null}
        {tab === "copy" ? <CopyTab operation={operation} run={run} listeners={listeners} /> : null}
      </Tabs>
    </Card>
  );
}

export function ResultView({ run }: { run: Run }): JSX.Element {
  if (run.error) return <Problem error={run.error} />;
  if (run.events) return <Events of={run.events} running={run.running} />;
  if (run.running) return <div class="progress" role="status" aria-label="Running" />;
  if (!run.result) {
    return (
      <Empty title="Nothing was run yet">
        <p>
          <kbd>Ctrl</kbd> <kbd>Enter</kbd> runs the operation. Beside the result you then find the plan, the steps over time, and the headers by source.
        </p>
      </Empty>
    );
  }
  return <HttpResult of={run.result} />;
}

function HttpResult({ of }: { of: RunResult }): JSX.Element {
  const value = parsedBody(of.body);
  const failed = of.status >= 400 || (typeof value === "object" && value !== null && "errors" in value);
  return (
    <>
      <div class="row" role="status">
        <Badge tone={of.status >= 400 ? "error" : "ok"}>status {of.status}</Badge>
        {failed ? <Badge tone="error">errors</Badge> : null}
        <span class="muted small">
          {duration(of.duration_ms)} · {bytes(of.body.length)}
          {of.truncated ? ", cut off" : ""}
          {of.request_id ? (
            <>
              {" "}
              · request id <code>{of.request_id}</code>
            </>
          ) : null}
        </span>
      </div>
      <Code label="Response" language="json" text={value === undefined ? of.body : pretty(value)} />
    </>
  );
}

function parsedBody(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined;
  }
}

function Events({ of, running }: { of: StreamedEvent[]; running: boolean }): JSX.Element {
  const count = of.filter(({ event }) => event === "next").length;
  return (
    <>
      <div class="row" role="status">
        <Badge tone={running ? "info" : ""}>{running ? "open" : "ended"}</Badge>
        <span class="muted small">{count === 1 ? "1 result" : `${count} results`}</span>
      </div>
      {running ? <div class="progress" /> : null}
      {[...of].reverse().map(({ at, event, data }, index) => (
        <div class="stack tight" key={of.length - index}>
          <div class="row">
            <Badge tone={event === "error" ? "error" : event === "next" ? "ok" : ""}>{event}</Badge>
            <span class="muted small">{new Date(at).toLocaleTimeString()}</span>
          </div>
          <Code label={`Event ${of.length - index}`} language="json" copy={false} text={pretty(payload(event, data))} />
        </div>
      ))}
    </>
  );
}

const payload = (event: string, data: unknown): unknown => (event === "next" && typeof data === "object" && data !== null && "payload" in data ? data.payload : data);

function PlanTab({ run, explain }: { run: Run; explain: () => Promise<void> }): JSX.Element {
  if (run.planError) return <Problem error={run.planError} retry={explain} />;
  if (run.plan) return <PlanView plan={run.plan} />;
  return <Empty title="No plan yet" action={<Button onClick={explain}>Explain</Button>} />;
}

function TimingTab({ of }: { of: RunResult | null }): JSX.Element {
  if (of) return <Waterfall of={of} />;
  return (
    <Empty title="No request yet">
      <p>After a run over HTTP the steps of the request are shown here: authentication, plan, validation, upstream, handlers.</p>
    </Empty>
  );
}

function HeadersTab({ of }: { of: RunResult | null }): JSX.Element {
  if (!of) return <Empty title="No response yet" />;
  const head = (
    <tr>
      <th scope="col">Header of the response</th>
      <th scope="col">Value</th>
    </tr>
  );
  return (
    <Table label="Headers of the response" head={head}>
      {of.headers.map(([name, value], index) => (
        <tr key={index}>
          <td>
            <code>{name}</code>
          </td>
          <td class="wrap">
            <code>{value}</code>
          </td>
        </tr>
      ))}
    </Table>
  );
}

function CopyTab({ operation, run, listeners }: OutcomeProps): JSX.Element {
  const actions = run.plan?.steps.flatMap(({ type, action }) => (type === "action" && action ? [action] : [])) ?? [];
  const forms: [string, string][] = [
    ...(listeners ? [["curl", asCurl(operation, listeners)] as [string, string]] : []),
    ["pillion explain", asExplain(operation)],
    ["Test case", asTestCase(operation, run.result, actions)],
  ];
  return (
    <>
      {forms.map(([title, text]) => (
        <div class="stack tight" key={title}>
          <div class="row between">
            <h3>{title}</h3>
            <CopyButton label={`Copy ${title}`} text={() => text} />
          </div>
          <Code label={title} text={text} copy={false} />
        </div>
      ))}
      <p class="muted small">Secrets are left to variables of the shell.</p>
    </>
  );
}

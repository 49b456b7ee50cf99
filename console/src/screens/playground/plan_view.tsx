// The plan of a document: which source resolves which field, what would be sent, with which headers.
import type { JSX } from "preact";
import type { Plan, PlannedBefore, PlanStep } from "../../api/types";
import { href } from "../../state/router";
import { Badge, Card, Code, Facts } from "../../ui/data";
import { pretty, seconds } from "../../ui/format";
import { HeaderTable } from "../header_table";

export function PlanView({ plan }: { plan: Plan }): JSX.Element {
  return (
    <div class="stack">
      <div class="row">
        <Badge>{plan.kind}</Badge>
        <Badge>role {plan.role}</Badge>
        <Badge>{plan.order === "serial" ? "steps in order" : "steps side by side"}</Badge>
        {plan.concerns_us ? null : <Badge tone="info">passes through unchanged</Badge>}
      </div>
      {plan.schema_known ? null : <div class="notice warn">The upstream's schema is not known{plan.schema_reason ? `: ${plan.schema_reason}` : ""}. Its part is not validated here.</div>}
      {plan.hints.map((hint) => (
        <div class="notice info" key={hint}>
          {hint}
        </div>
      ))}
      {plan.steps.map((step, index) => (
        <Step key={index} of={step} number={index + 1} />
      ))}
      <details class="more">
        <summary>As text</summary>
        <Code label="Plan as text" text={plan.text} />
      </details>
    </div>
  );
}

function Step({ of, number }: { of: PlanStep; number: number }): JSX.Element {
  if (of.type === "upstream") {
    return (
      <Card title={`${number}. Upstream: ${of.fields?.join(", ") ?? ""}`}>
        <Code label={`Document of step ${number}`} language="graphql" text={of.document ?? ""} />
        {of.variables && Object.keys(of.variables).length ? <Code label={`Variables of step ${number}`} language="json" text={pretty(of.variables)} /> : null}
        {of.extension_fields?.map((field) => (
          <p key={field.coordinate} class="small">
            <code>{field.coordinate}</code> of <code>{field.rows}</code> from action <a href={href("actions", field.action)}>{field.action}</a> by <code>{field.keys.join(", ")}</code>
          </p>
        ))}
      </Card>
    );
  }
  if (of.type === "introspection") return <Card title={`${number}. Introspection: ${of.response_name ?? ""}`}>{"The merged schema of the role."}</Card>;
  return <ActionStep of={of} number={number} />;
}

const MODES: Record<string, string> = { now: "is called now", later: "is stored as a job", result: "reads a job's result" };

function ActionStep({ of, number }: { of: PlanStep; number: number }): JSX.Element {
  const name = of.action ?? "";
  const title = (
    <>
      {number}. Action <a href={href("actions", name)}>{name}</a>
      {of.response_name && of.response_name !== name ? ` as ${of.response_name}` : ""}
    </>
  );
  return (
    <Card title={title} side={<Badge>{MODES[of.mode ?? "now"] ?? of.mode}</Badge>}>
      {of.not_called_because ? <div class="notice warn">The handler is not called: {of.not_called_because}</div> : null}
      <Facts
        of={[
          ["Request", <code>{`${of.method ?? "POST"} ${of.url ?? ""}`}</code>],
          ["Time limit", seconds(of.timeout_seconds)],
          ["Input", <code>{JSON.stringify(of.input)}</code>],
        ]}
      />
      {of.body ? (
        <details class="more">
          <summary>Body</summary>
          <Code label={`Body of step ${number}`} language="json" text={indented(of.body)} />
        </details>
      ) : null}
      {of.headers?.length ? <HeaderTable headers={of.headers} /> : null}
      {of.before ? <Before of={of.before} number={number} /> : null}
      {of.rows?.length ? <Code label={`Rows of relationships of step ${number}`} language="graphql" text={of.rows.join("\n")} /> : null}
    </Card>
  );
}

function Before({ of, number }: { of: PlannedBefore; number: number }): JSX.Element {
  return (
    <>
      <p class="small">
        Before the call the upstream is asked as {of.asked_as}
        {of.required.length ? `; the call needs ${of.required.join(", ")}` : ""}
        {of.sent.length ? `; the handler gets ${of.sent.join(", ")}` : ""}.
      </p>
      {of.not_asked_because ? <div class="notice warn">It is not asked: {of.not_asked_because}</div> : null}
      <Code label={`Query before the call of step ${number}`} language="graphql" text={of.document} />
      {of.variables && Object.keys(of.variables).length ? <Code label={`Variables before the call of step ${number}`} language="json" text={pretty(of.variables)} /> : null}
    </>
  );
}

function indented(body: string): string {
  try {
    return pretty(JSON.parse(body));
  } catch {
    return body;
  }
}

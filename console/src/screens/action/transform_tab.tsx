// Transforms with a live preview: request and response before and after, template errors with their carets.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { parseJson, post } from "../../api/client";
import type { ActionDetail, Diagnostic, HttpMessage, Json, TransformReport } from "../../api/types";
import { Editor } from "../../editor/editor";
import { Button, Segments } from "../../ui/controls";
import { Card, Code, Empty } from "../../ui/data";
import { pretty } from "../../ui/format";
import { Diagnostics, Problem } from "../../ui/problem";
import { fieldsOf, RequestFields, ResponseFields, transformOf } from "./transform_fields";
import type { Propose } from "./action";

type Part = "request" | "response";

export function TransformTab({ action, propose }: { action: ActionDetail; propose: Propose }): JSX.Element {
  const stored = { request: action.entry.definition["request_transform"], response: action.entry.definition["response_transform"] };
  const [part, setPart] = useState<Part>("request");
  const [request, setRequest] = useState(fieldsOf(stored.request));
  const [response, setResponse] = useState(fieldsOf(stored.response));
  const [input, setInput] = useState(pretty(action.sample_arguments));
  const [session, setSession] = useState(pretty({ "x-hasura-role": action.roles[0] ?? "admin", "x-hasura-user-id": "1" }));
  const [body, setBody] = useState(pretty({ total: 1 }));
  const made = { request: transformOf(request, stored.request), response: transformOf(response, stored.response) };
  const report = useReport(action, made, { input, session, body });
  const changed: Record<Part, boolean> = { request: differs(made.request, stored.request), response: differs(made.response, stored.response) };
  const save = () => {
    const set: { [key: string]: Json } = {};
    if (changed.request) set["request_transform"] = made.request;
    if (changed.response) set["response_transform"] = made.response;
    propose(`Transforms of ${action.name}`, { kind: "set", action: action.name, set });
  };
  const diagnostics = report.data?.diagnostics ?? [];
  return (
    <>
      <Card
        title="Transform"
        side={
          <Button kind="primary" disabled={(!changed.request && !changed.response) || diagnostics.some(({ severity }) => severity === "error")} onClick={save}>
            Preview
          </Button>
        }
      >
        <p class="muted small">
          Kriti templates: <code>{"{{$body.input.name}}"}</code> is a value of what would be sent, <code>{"{{$session_variables['x-hasura-user-id']}}"}</code> one of the session. The preview below follows what you type.
        </p>
        <div class="row">
          <Segments
            label="Which"
            value={part}
            options={[
              ["request", "Request"],
              ["response", "Response"],
            ]}
            onChange={setPart}
          />
        </div>
        {part === "request" ? (
          <RequestFields value={request} onChange={setRequest} diagnostics={diagnostics} />
        ) : (
          <ResponseFields value={response} onChange={setResponse} diagnostics={diagnostics} />
        )}
        {report.error ? <Problem error={report.error} /> : null}
        <Diagnostics of={diagnostics.filter((one) => (one.file ?? part).startsWith(part))} label="Errors of the templates" />
      </Card>
      <Card title="Sample">
        <div class="grid">
          <Sample label="Arguments" value={input} onChange={setInput} />
          <Sample label="Session variables" value={session} onChange={setSession} />
          {part === "response" ? <Sample label="Response of the handler" value={body} onChange={setBody} /> : null}
        </div>
      </Card>
      <div class="split">
        <Message title="Before" of={report.data?.[part]?.before} />
        <Message title="After" of={report.data?.[part]?.after} none={report.data?.[part] ? "A template has an error, so there is no result" : "There is no transform: it is sent as it is"} />
      </div>
    </>
  );
}

const differs = (made: Json, stored: Json | undefined): boolean => JSON.stringify(made) !== JSON.stringify(stored ?? null);

const PAUSE_MS = 250;

interface Samples {
  input: string;
  session: string;
  body: string;
}

function useReport(action: ActionDetail, made: Record<Part, Json>, samples: Samples): { data: TransformReport | undefined; error: Error | undefined } {
  const [data, setData] = useState<TransformReport>();
  const [error, setError] = useState<Error>();
  const question = {
    action: action.name,
    request_transform: made.request,
    response_transform: made.response,
    input: parseJson(samples.input) ?? null,
    session_variables: parseJson(samples.session) ?? null,
    query: action.sample_query,
    response: { status: 200, body: parseJson(samples.body) ?? null },
  };
  useEffect(() => {
    // Half-typed samples wait until they are JSON.
    if (question.input === null || question.session_variables === null) return undefined;
    const controller = new AbortController();
    const timer = setTimeout(() => {
      post<TransformReport>("transform", question, controller.signal).then(
        (report) => {
          setData(report);
          setError(undefined);
        },
        (problem: Error) => controller.signal.aborted || setError(problem),
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [JSON.stringify(question)]);
  return { data, error };
}

const INVALID: Diagnostic[] = [{ severity: "error", message: "This is not JSON.", line: 1, column: 1 }];
const VALID: Diagnostic[] = [];

function Sample({ label, value, onChange }: { label: string; value: string; onChange: (value: string) => void }): JSX.Element {
  const invalid = parseJson(value) === undefined;
  return (
    <div class="stack tight">
      <strong class="small">{label}</strong>
      <Editor label={label} language="json" size="s" value={value} onChange={onChange} diagnostics={invalid ? INVALID : VALID} />
      {invalid ? <span class="small muted">Not JSON yet.</span> : null}
    </div>
  );
}

function Message({ title, of, none = "–" }: { title: string; of: HttpMessage | null | undefined; none?: string }): JSX.Element {
  return (
    <Card title={title}>
      {of ? (
        <>
          {of.url ? (
            <code>
              {of.method} {of.url}
            </code>
          ) : null}
          {of.status ? <span>Status {of.status}</span> : null}
          {of.headers?.length ? <Code label={`Headers ${title.toLowerCase()}`} copy={false} text={of.headers.map(([name, value]) => `${name}: ${value}`).join("\n")} /> : null}
          <Code label={`Body ${title.toLowerCase()}`} language="json" text={typeof of.body === "string" ? of.body : pretty(of.body ?? null)} />
        </>
      ) : (
        <Empty title={none} />
      )}
    </Card>
  );
}

// How the handler is called: URL, kind, time limit, headers, and which source of a header wins.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { post } from "../../api/client";
import type { ActionDetail, ConfiguredHeader, HeaderEdit, HeaderReport, Identity, Json } from "../../api/types";
import { Button, Check, Segments, TextField } from "../../ui/controls";
import { Card, Table } from "../../ui/data";
import { Loaded, useLoad } from "../../ui/load";
import { HeaderFields } from "../handler_fields";
import { HeaderTable } from "../header_table";
import type { Propose } from "./action";

export function HandlerTab({ action, propose }: { action: ActionDetail; propose: Propose }): JSX.Element {
  return (
    <>
      <HandlerForm action={action} propose={propose} />
      <Arrives action={action} />
    </>
  );
}

function HandlerForm({ action, propose }: { action: ActionDetail; propose: Propose }): JSX.Element {
  const [handler, setHandler] = useState(action.handler);
  const [kind, setKind] = useState(action.kind);
  const [timeout, setLimit] = useState(String(action.timeout));
  const [forward, setForward] = useState(action.forward_client_headers);
  const [comment, setComment] = useState(action.comment ?? "");
  const [headers, setHeaders] = useState<ConfiguredHeader[]>(action.headers.map(shown));
  const set: { [key: string]: Json | HeaderEdit[] } = {};
  if (handler !== action.handler) set["handler"] = handler;
  if (kind !== action.kind) set["kind"] = kind;
  if (timeout !== String(action.timeout) && Number(timeout) > 0) set["timeout"] = Number(timeout);
  if (forward !== action.forward_client_headers) set["forward_client_headers"] = forward;
  if (comment !== (action.comment ?? "")) set["comment"] = comment || null;
  if (JSON.stringify(headers) !== JSON.stringify(action.headers.map(shown))) set["headers"] = headers.filter((header) => header.name).map((header) => edit(header, action.headers));
  const changed = Object.keys(set).length > 0;
  const side = (
    <Button kind="primary" disabled={!changed} onClick={() => propose(`Handler of ${action.name}`, { kind: "set", action: action.name, set })}>
      Preview
    </Button>
  );
  return (
    <Card title="Handler" side={side}>
      <TextField label="Handler" mono value={handler} onInput={setHandler} hint="Variables of the environment may stand in it in double braces." />
      <div class="grid">
        <Segments
          label="Kind"
          value={kind}
          options={[
            ["synchronous", "Synchronous"],
            ["asynchronous", "Asynchronous"],
          ]}
          onChange={setKind}
        />
        <TextField label="Time limit in seconds" value={timeout} onInput={setLimit} />
      </div>
      <TextField label="Comment" value={comment} onInput={setComment} hint="Becomes the description of the field." />
      <Check label="Forward the client's headers to the handler" checked={forward} onChange={setForward} />
      <HeaderFields headers={headers} onChange={setHeaders} />
      {action.headers.some((header) => header.value_from_env && header.is_set === false) ? (
        <div class="notice warn">
          {action.headers
            .filter((header) => header.value_from_env && header.is_set === false)
            .map((header) => (
              <span key={header.name}>
                <code>{header.value_from_env}</code> is not set here: the header <code>{header.name}</code> has no value.
              </span>
            ))}
        </div>
      ) : null}
    </Card>
  );
}

const shown = ({ name, value, value_from_env }: ConfiguredHeader): ConfiguredHeader =>
  value_from_env === undefined ? { name, value: value ?? "" } : { name, value_from_env };

/** A value that is still `***` is the one in the file. */
function edit(header: ConfiguredHeader, before: ConfiguredHeader[]): HeaderEdit {
  const { name, value, value_from_env } = header;
  if (value_from_env !== undefined) return { name, value_from_env };
  if (value === "***" && before.some((other) => other.name === name && other.value === "***")) return { name, keep: true };
  return { name, value: value ?? "" };
}

const SAMPLE = "authorization: Bearer …\nx-request-source: console\nuser-agent: curl/8";

function Arrives({ action }: { action: ActionDetail }): JSX.Element {
  const [role, setRole] = useState(action.roles[0] ?? "admin");
  const [text, setText] = useState(SAMPLE);
  const [asked, setAsked] = useState({ role, text });
  const identity: Identity = asked.role === "admin" ? { kind: "admin" } : { kind: "role", role: asked.role, session_variables: { "x-hasura-user-id": "1" } };
  const report = useLoad(
    (signal) => post<HeaderReport>("headers", { action: action.name, client: parseHeaders(asked.text), as: identity }, signal),
    [action.name, action.revision, asked],
  );
  return (
    <Card title="What arrives, and which source wins" side={<Button onClick={() => setAsked({ role, text })}>Show</Button>}>
      <div class="split">
        <div class="stack">
          <TextField label="Role of the caller" mono value={role} onInput={setRole} />
          <TextField label="Headers of the client" lines={5} value={text} onInput={setText} hint="One a line. Values stay in this page." />
        </div>
        <div class="stack">
          <Loaded of={report} what="the headers">
            {({ headers, not_forwarded: left }) => (
              <>
                <HeaderTable headers={headers} />
                {left.length ? (
                  <Table
                    label="Headers that are not forwarded"
                    head={
                      <tr>
                        <th scope="col">Not forwarded</th>
                        <th scope="col">Why</th>
                      </tr>
                    }
                  >
                    {left.map(({ name, reason }) => (
                      <tr key={name}>
                        <td>
                          <code>{name}</code>
                        </td>
                        <td>{reason}</td>
                      </tr>
                    ))}
                  </Table>
                ) : null}
              </>
            )}
          </Loaded>
        </div>
      </div>
    </Card>
  );
}

export function parseHeaders(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  return headers;
}

// Policies of an action: timeout, retries, cache, limits, with effective value and origin.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { parseJson } from "../../api/client";
import type { ActionDetail, Json } from "../../api/types";
import { Button, CopyButton, TextField } from "../../ui/controls";
import { Badge, Card, Empty, Table } from "../../ui/data";
import { Dialog } from "../../ui/dialog";
import { text } from "../../ui/format";
import type { Propose } from "./action";

type Policy = ActionDetail["policies"][number];

export function PoliciesTab({ action, propose }: { action: ActionDetail; propose: Propose }): JSX.Element {
  const [editing, setEditing] = useState<Policy>();
  const set = (policy: Policy, value: Json) => {
    setEditing(undefined);
    propose(`${policy.name} of ${action.name}`, { kind: "settings", action: action.name, set: { [settingOf(policy)]: value } });
  };
  const head = (
    <tr>
      <th scope="col">Policy</th>
      <th scope="col">Effective value</th>
      <th scope="col">Origin</th>
      <th scope="col">
        <span class="visually-hidden">Commands</span>
      </th>
    </tr>
  );
  return (
    <Card title="Policies" flush>
      {action.policies.length ? (
        <Table label="Policies" head={head}>
          {action.policies.map((policy) => (
            <tr key={policy.name}>
              <th scope="row">
                <code>{policy.name}</code>
              </th>
              <td>
                <code>{text(policy.value)}</code>
              </td>
              <td>{policy.origin === "default" ? <span class="muted">default</span> : <code>{policy.origin}</code>}</td>
              <td>
                <div class="row end nowrap">
                  <CopyButton label="Copy snippet" text={() => snippet(action.name, policy)} />
                  {policy.key.startsWith("actions.") ? (
                    <Button label={`Change ${policy.name}`} onClick={() => setEditing(policy)}>
                      Change
                    </Button>
                  ) : null}
                </div>
              </td>
            </tr>
          ))}
        </Table>
      ) : (
        <Empty title="Nothing is set for this action" />
      )}
      {editing ? <PolicyDialog policy={editing} onClose={() => setEditing(undefined)} onSet={(value) => set(editing, value)} /> : null}
    </Card>
  );
}

function PolicyDialog({ policy, onClose, onSet }: { policy: Policy; onClose: () => void; onSet: (value: Json) => void }): JSX.Element {
  const [value, setValue] = useState(inFile(policy));
  const footer = (
    <>
      {policy.origin === "default" ? null : <Button onClick={() => onSet(null)}>Remove from the file</Button>}
      <Button onClick={onClose}>Cancel</Button>
      <Button kind="primary" disabled={!value.trim()} onClick={() => onSet(read(value.trim()))}>
        Preview
      </Button>
    </>
  );
  return (
    <Dialog narrow title={`Change ${policy.name}`} onClose={onClose} footer={footer}>
      <TextField
        label={policy.key}
        mono
        value={value}
        onInput={setValue}
        hint={
          <>
            As in <code>pillion.yaml</code>: a number, a duration such as <code>30s</code>, a list such as <code>[5 per 60s]</code>, or JSON. {policy.origin === "default" ? null : <Badge>{policy.origin}</Badge>}
          </>
        }
      />
    </Dialog>
  );
}

/** JSON, or the text as it is; a list without quotes, as in YAML, is a list of texts. */
function read(value: string): Json {
  const list = /^\[(.*)\]$/.exec(value)?.[1];
  const json = parseJson(value);
  if (json !== undefined) return json;
  return list === undefined ? value : list.split(",").map((element) => element.trim());
}

/** The key of `actions.NAME` that decides: a policy may be a part of it. */
const settingOf = (policy: Policy): string => policy.key.split(".").at(-1) ?? policy.name;

/** The value as the file has it. */
function inFile(policy: Policy): string {
  const { value } = policy;
  const setting = settingOf(policy);
  if (setting === "cache") return JSON.stringify({ ttl: typeof value === "number" ? `${value}s` : "60s" });
  if (setting === "circuit_breaker") return JSON.stringify(value !== null && value !== false);
  if (setting !== policy.name) return "";
  return value === null ? "" : text(value);
}

const snippet = (action: string, policy: Policy): string => `actions:\n  ${action}:\n    ${settingOf(policy)}: ${inFile(policy)}\n`;

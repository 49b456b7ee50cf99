// Permissions as a grid of actions and roles; the whole grid is one change.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ActionRow, Change } from "../api/types";
import { href } from "../state/router";
import { Button, TextField } from "../ui/controls";
import { Card, Table } from "../ui/data";
import { plural } from "../ui/format";
import { SaveDialog } from "./save_dialog";

type Permitted = Pick<ActionRow, "name" | "roles">;

interface PermissionGridProps {
  actions: Permitted[];
  roles: string[];
  onSaved: () => unknown;
}

export function PermissionGrid({ actions, roles, onSaved }: PermissionGridProps): JSX.Element {
  const [added, setAdded] = useState<string[]>([]);
  const [role, setRole] = useState("");
  const [changed, setChanged] = useState<Record<string, string[]>>({});
  const [change, setChange] = useState<Change>();
  const columns = [...new Set([...roles, ...added, ...actions.flatMap((action) => action.roles)])].filter((name) => name !== "admin");
  const rolesOf = (action: Permitted): string[] => changed[action.name] ?? action.roles;
  const differing = actions.filter((action) => [...rolesOf(action)].sort().join() !== [...action.roles].sort().join());
  const toggle = (action: Permitted, name: string) => {
    const now = rolesOf(action);
    setChanged({ ...changed, [action.name]: now.includes(name) ? now.filter((other) => other !== name) : [...now, name] });
  };
  const add = (event: Event) => {
    event.preventDefault();
    const name = role.trim();
    if (name && !columns.includes(name)) setAdded([...added, name]);
    setRole("");
  };
  const save = () => setChange({ kind: "permissions", grid: differing.map((action) => ({ action: action.name, roles: rolesOf(action) })) });
  return (
    <Card
      title="Who may call what"
      flush
      side={
        <>
          <span class="muted">{differing.length ? `${plural(differing.length, "action")} changed` : "no change"}</span>
          <Button kind="primary" disabled={!differing.length} onClick={save}>
            Preview
          </Button>
        </>
      }
    >
      <form class="identity" onSubmit={add}>
        <TextField label="Add a role" mono value={role} onInput={setRole} placeholder="editor" />
        <Button submit disabled={!role.trim()}>
          Add column
        </Button>
        <span class="muted small">admin may call every action.</span>
      </form>
      <GridTable actions={actions} columns={columns} rolesOf={rolesOf} onToggle={toggle} />
      {change ? (
        <SaveDialog
          title="Permissions"
          change={change}
          onClose={() => setChange(undefined)}
          onSaved={() => {
            setChange(undefined);
            setChanged({});
            void onSaved();
          }}
        />
      ) : null}
    </Card>
  );
}

interface GridTableProps {
  actions: Permitted[];
  columns: string[];
  rolesOf: (action: Permitted) => string[];
  onToggle: (action: Permitted, role: string) => void;
}

function GridTable({ actions, columns, rolesOf, onToggle }: GridTableProps): JSX.Element {
  return (
    <div class="permissions">
      <Table
        label="Permissions"
        head={
          <tr>
            <th scope="col">Action</th>
            {columns.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        }
      >
        {actions.map((action) => (
          <tr key={action.name}>
            <th scope="row">
              <a href={href("actions", action.name)}>{action.name}</a>
            </th>
            {columns.map((name) => (
              <td key={name}>
                <input type="checkbox" aria-label={`${name} may call ${action.name}`} checked={rolesOf(action).includes(name)} onChange={() => onToggle(action, name)} />
              </td>
            ))}
          </tr>
        ))}
      </Table>
    </div>
  );
}

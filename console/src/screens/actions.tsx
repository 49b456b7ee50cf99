// Actions: all of them with who may call them and how they do; where new ones are made.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get } from "../api/client";
import type { ActionList, ActionRow, Change } from "../api/types";
import { operationToDerive } from "../state/handover";
import { href, navigate, replaceQuery, route } from "../state/router";
import { Button, TextField } from "../ui/controls";
import { Badge, Card, Empty, PageHead, Table } from "../ui/data";
import { duration, plural, rate, share } from "../ui/format";
import { Loaded, useLoad } from "../ui/load";
import { NameDialog } from "./name_dialog";
import { NewAction } from "./new_action";
import { SaveDialog } from "./save_dialog";
import { PermissionGrid } from "./permission_grid";

export function ActionsScreen(): JSX.Element {
  const list = useLoad((signal) => get<ActionList>("actions", signal), [], 10_000);
  const [change, setChange] = useState<{ title: string; change: Change; after: string | null }>();
  const [cloned, setCloned] = useState<string>();
  const dialog = route.value.query.get("new");
  const view = route.value.query.get("view");
  const close = () => {
    operationToDerive.value = null;
    replaceQuery({ new: null });
  };
  return (
    <div class="stack">
      <PageHead title="Actions" lead="Fields that a handler resolves, beside those of the upstream. What is shown here is in the metadata files; what is changed here is written there, as a diff.">
        <Button pressed={view === "permissions"} onClick={() => replaceQuery({ view: view ? null : "permissions" })}>
          Permissions
        </Button>
        <a class="button" href={href("import")}>
          Import OpenAPI
        </a>
        <Button onClick={() => replaceQuery({ new: "derive" })}>Derive</Button>
        <Button kind="primary" onClick={() => replaceQuery({ new: "create" })}>
          Create action
        </Button>
      </PageHead>
      <Loaded of={list} what="the actions">
        {({ actions, roles }) =>
          actions.length === 0 ? (
            <FirstAction />
          ) : view === "permissions" ? (
            <PermissionGrid actions={actions} roles={roles} onSaved={list.reload} />
          ) : (
            <SearchableTable actions={actions} onClone={setCloned} />
          )
        }
      </Loaded>
      {dialog === "create" || dialog === "derive" ? (
        <NewAction
          kind={dialog}
          operation={operationToDerive.value}
          onClose={close}
          onChange={(made, name) => setChange({ title: `Create ${name}`, change: made, after: name })}
        />
      ) : null}
      {cloned ? (
        <NameDialog
          kind="clone"
          action={cloned}
          onClose={() => setCloned(undefined)}
          onName={(name) => {
            setCloned(undefined);
            setChange({ title: `Clone ${cloned}`, change: { kind: "clone", action: cloned, name }, after: name });
          }}
        />
      ) : null}
      {change ? (
        <SaveDialog
          {...change}
          onClose={() => setChange(undefined)}
          onSaved={() => {
            setChange(undefined);
            close();
            void list.reload();
            if (change.after) navigate(href("actions", change.after));
          }}
        />
      ) : null}
    </div>
  );
}

function SearchableTable({ actions, onClone }: ActionTableProps): JSX.Element {
  const [search, setSearch] = useState("");
  return (
    <Card flush>
      <div class="identity">
        <div class="grow">
          <TextField label="Search" value={search} onInput={setSearch} placeholder="name, handler, role, type" />
        </div>
        <span class="muted">{plural(actions.length, "action")}</span>
      </div>
      <ActionTable actions={actions.filter((action) => holds(action, search))} onClone={onClone} />
    </Card>
  );
}

function holds(action: ActionRow, search: string): boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const text = [action.name, action.handler, action.output, action.operation, action.kind, ...action.roles].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function FirstAction(): JSX.Element {
  return (
    <Card>
      <Empty
        title="No actions yet"
        action={
          <>
            <Button kind="primary" onClick={() => replaceQuery({ new: "create" })}>
              Create the first
            </Button>
            <a class="button" href={href("import")}>
              Import an OpenAPI file
            </a>
          </>
        }
      >
        <p>
          An action is a field such as <code>quote(to: String!): Quote</code> that Pillion adds to your schema. When a client asks for it, Pillion checks the caller's role, sends the arguments
          to your handler as JSON, and puts its response into the result beside the fields of the upstream.
        </p>
      </Empty>
    </Card>
  );
}

interface ActionTableProps {
  actions: ActionRow[];
  onClone: (action: string) => void;
}

function ActionTable({ actions, onClone }: ActionTableProps): JSX.Element {
  if (!actions.length) return <Empty title="No action has these words" />;
  const head = (
    <tr>
      <th scope="col">Name</th>
      <th scope="col">Kind</th>
      <th scope="col">Handler</th>
      <th scope="col">Roles</th>
      <th scope="col">Guards</th>
      <th scope="col" class="number">Rate</th>
      <th scope="col" class="number">Errors</th>
      <th scope="col" class="number">p99</th>
      <th scope="col">Breaker</th>
      <th scope="col">
        <span class="visually-hidden">Commands</span>
      </th>
    </tr>
  );
  return (
    <Table label="Actions" head={head}>
      {actions.map((action) => (
        <tr key={action.name}>
          <th scope="row">
            <a href={href("actions", action.name)}>{action.name}</a> <span class="muted">{action.output}</span>
            {action.served ? null : <Badge tone="warn">not in effect</Badge>}
          </th>
          <td class="nowrap">
            {action.operation} {action.kind === "asynchronous" ? <Badge tone="info">asynchronous</Badge> : null}
          </td>
          <td class="address">
            <code>{action.handler}</code>
            {action.request_transform || action.response_transform ? <div class="muted small">transformed</div> : null}
          </td>
          <td>{action.roles.length ? action.roles.join(", ") : <span class="muted">admin only</span>}</td>
          <td class="small">{action.guards.join(", ") || <span class="muted">–</span>}</td>
          <td class="number">{rate(action.requests_per_second)}</td>
          <td class="number">{share(action.error_share)}</td>
          <td class="number">{duration(action.p99_ms)}</td>
          <td>
            <Breaker state={action.breaker} />
          </td>
          <td>
            <Button kind="quiet" label={`Clone ${action.name}`} onClick={() => onClone(action.name)}>
              Clone
            </Button>
          </td>
        </tr>
      ))}
    </Table>
  );
}

export function Breaker({ state }: { state: ActionRow["breaker"] }): JSX.Element {
  if (!state) return <span class="muted">–</span>;
  const tone = { closed: "ok", half_open: "warn", open: "error" } as const;
  return <Badge tone={tone[state]}>{state.replace("_", "-")}</Badge>;
}

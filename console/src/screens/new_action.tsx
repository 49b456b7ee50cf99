// A new action: written as SDL, or derived from an operation on the upstream. Diagnostics come while one types.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Change, HandlerFields } from "../api/types";
import { Editor } from "../editor/editor";
import { Button, TextField } from "../ui/controls";
import { Dialog } from "../ui/dialog";
import { Diagnostics, Problem } from "../ui/problem";
import { HandlerFieldset, NO_HANDLER } from "./handler_fields";
import { useLivePreview } from "./live_preview";

const EXAMPLE = `type Query {
  quote(productId: Int!): Quote
}

type Quote {
  total: Float!
  currency: String!
}
`;

const OPERATION = `mutation ($name: String!) {

}
`;

interface NewActionProps {
  kind: "create" | "derive";
  operation: string | null;
  onClose: () => void;
  onChange: (change: Change, name: string) => void;
}

export function NewAction({ kind, operation, onClose, onChange }: NewActionProps): JSX.Element {
  const [text, setText] = useState(kind === "create" ? EXAMPLE : (operation ?? OPERATION));
  const [name, setName] = useState("");
  const [handler, setHandler] = useState<HandlerFields>(NO_HANDLER);
  const change: Change | null = makeChange(kind, text, name.trim(), handler);
  const { preview, diagnostics, error, busy } = useLivePreview(change);
  const made = kind === "derive" ? name.trim() : nameOf(text);
  const footer = (
    <>
      <span class="muted small" role="status">
        {status(change, busy, preview?.ok, made)}
      </span>
      <Button onClick={onClose}>Cancel</Button>
      <Button kind="primary" disabled={!preview?.ok || busy || !change} onClick={() => change && onChange(change, made)}>
        Preview
      </Button>
    </>
  );
  return (
    <Dialog title={kind === "create" ? "Create an action" : "Derive an action from an operation"} onClose={onClose} footer={footer}>
      {kind === "derive" ? (
        <>
          <p class="muted">
            The action gets the operation's variables as its arguments and the operation's result as its type, so that a handler can check or change something before it sends the operation itself.
          </p>
          <TextField label="Name of the action" mono required value={name} onInput={setName} placeholder="createUser" />
        </>
      ) : (
        <p class="muted">One field of Query or Mutation with its arguments, and the types that it needs. Types of the upstream can be used as they are.</p>
      )}
      <div class="stack tight">
        <strong class="small">{kind === "create" ? "Definition" : "Operation"}</strong>
        <Editor
          label={kind === "create" ? "Definition" : "Operation"}
          language="sdl"
          value={text}
          onChange={setText}
          diagnostics={diagnostics}
        />
      </div>
      <HandlerFieldset value={handler} onChange={setHandler} />
      {error ? <Problem error={error} /> : null}
      <Diagnostics of={diagnostics} label="Diagnostics of the new action" />
    </Dialog>
  );
}

/** Nothing is asked for before there is something to check. */
function makeChange(kind: "create" | "derive", text: string, name: string, fields: HandlerFields): Change | null {
  if (!fields.handler.trim() || !text.trim()) return null;
  const handler = { ...fields, handler: fields.handler.trim(), roles: fields.roles.filter(Boolean), headers: fields.headers.filter((header) => header.name) };
  if (kind === "create") return { kind, definition: text, ...handler };
  return name ? { kind, name, operation: text, as: { kind: "admin" }, ...handler } : null;
}

function status(change: Change | null, busy: boolean, ok: boolean | undefined, name: string): string {
  if (!change) return "The handler is missing.";
  if (busy) return "Checking …";
  return ok ? `${name} can be created.` : "See what is wrong above.";
}

/** The first field of Query or Mutation. The server says what is wrong when there is none. */
function nameOf(definition: string): string {
  return /\btype\s+(?:Query|Mutation|\w+_root)\b[^{]*\{(?:\s|#[^\n]*|"""[\s\S]*?"""|"[^"\n]*")*([A-Za-z_]\w*)/.exec(definition)?.[1] ?? "action";
}

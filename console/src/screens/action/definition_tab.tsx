// The definition of an action and its types as SDL, with diagnostics as one types.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ActionDetail, Change, Diagnostic } from "../../api/types";
import { Editor } from "../../editor/editor";
import { Button } from "../../ui/controls";
import { Card } from "../../ui/data";
import { plural } from "../../ui/format";
import { Diagnostics, Problem } from "../../ui/problem";
import { useLivePreview } from "../live_preview";
import type { Propose } from "./action";

export function DefinitionTab({ action, propose }: { action: ActionDetail; propose: Propose }): JSX.Element {
  const [text, setText] = useState(action.definition);
  const changed = text !== action.definition;
  const change: Change | null = changed ? { kind: "definition", action: action.name, definition: text } : null;
  const { preview, diagnostics, error, busy } = useLivePreview(change);
  const save = () => change && propose(`Definition of ${action.name}`, change);
  const side = (
    <>
      <span class="muted small" role="status">
        {!changed ? "as in the files" : busy ? "Checking …" : found(diagnostics)}
      </span>
      <Button disabled={!changed} onClick={() => setText(action.definition)}>
        Undo
      </Button>
      <Button kind="primary" disabled={!changed || busy || !preview?.ok} onClick={save}>
        Preview
      </Button>
    </>
  );
  return (
    <Card title="Definition" side={side}>
      <Editor label="Definition" language="sdl" size="l" value={text} onChange={setText} diagnostics={diagnostics} onRun={save} />
      {error ? <Problem error={error} /> : null}
      <Diagnostics of={diagnostics} />
      <p class="muted small">The field of the action and the types that only actions have. Types of the upstream can be used by their names.</p>
    </Card>
  );
}

function found(diagnostics: Diagnostic[]): string {
  const errors = diagnostics.filter(({ severity }) => severity === "error").length;
  const warnings = diagnostics.length - errors;
  return `${errors ? plural(errors, "error") : "no errors"}${warnings ? `, ${plural(warnings, "warning")}` : ""}`;
}

// Errors and diagnostics: message, place, excerpt with caret, and what to do.
import type { JSX } from "preact";
import { ApiError } from "../api/client";
import type { Diagnostic } from "../api/types";

export function Problem({ error, retry }: { error: Error; retry?: () => unknown }): JSX.Element {
  const diagnostics = error instanceof ApiError ? error.diagnostics : [];
  return (
    <div class="stack tight" role="alert">
      <div class="notice error">
        <div class="row between">
          <span class="wrap grow">{error.message}</span>
          {retry ? (
            <button type="button" class="button" onClick={() => void retry()}>
              Try again
            </button>
          ) : null}
        </div>
      </div>
      <Diagnostics of={diagnostics} />
    </div>
  );
}

export function Diagnostics({ of, label }: { of: Diagnostic[]; label?: string }): JSX.Element | null {
  if (!of.length) return null;
  return (
    <ul class="diagnostics" aria-label={label ?? "Diagnostics"}>
      {of.map((diagnostic, index) => (
        <li key={index} class={`notice ${diagnostic.severity === "error" ? "error" : "warn"}`}>
          <DiagnosticText of={diagnostic} />
        </li>
      ))}
    </ul>
  );
}

function DiagnosticText({ of }: { of: Diagnostic }): JSX.Element {
  const rendered = of.text?.trimEnd();
  // Without a place there is no excerpt, and nothing that has to stand below something else.
  if (of.line && rendered?.includes("\n")) {
    const [message, ...excerpt] = rendered.split("\n");
    return (
      <>
        <code class="wrap">{message}</code>
        <pre tabIndex={0} role="group" aria-label={`Excerpt of ${place(of)}`}>
          {excerpt.join("\n")}
        </pre>
      </>
    );
  }
  return (
    <>
      <span class="wrap">
        {of.file ? <code class="muted">{place(of)} </code> : null}
        {of.message}
      </span>
      {of.notes?.map((note) => <span class="muted small wrap">{note}</span>)}
      {of.help ? <span class="muted small wrap">{of.help}</span> : null}
    </>
  );
}

function place({ file, line, column }: Diagnostic): string {
  return [file, line, column].filter((part) => part !== null && part !== undefined).join(":");
}

// An editor as a component: a text area until the code editor is loaded, and instead of it where it cannot be.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Diagnostic, Json } from "../api/types";
import type { EditorHandle, Language } from "./create";

interface EditorProps {
  label: string;
  value: string;
  language: Language;
  onChange?: (value: string) => void;
  onRun?: () => void;
  diagnostics?: Diagnostic[];
  introspection?: Json | null;
  size?: "s" | "m" | "l";
  hint?: string;
}

const NONE: Diagnostic[] = [];

export function Editor({ label, value, language, onChange, onRun, diagnostics = NONE, introspection = null, size = "m", hint = "" }: EditorProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<EditorHandle | null>(null);
  const [ready, setReady] = useState(false);
  // What the editor calls is always the newest function.
  const latest = useRef({ onChange, onRun, value });
  latest.current = { onChange, onRun, value };

  useEffect(() => {
    let gone = false;
    void import("./create").then(({ createEditor }) => {
      if (gone || !host.current) return;
      const hadFocus = host.current.parentElement?.contains(document.activeElement) ?? false;
      editor.current = createEditor({
        host: host.current,
        text: latest.current.value,
        label,
        language,
        hint,
        readOnly: !latest.current.onChange,
        lineNumbers: size !== "s",
        onChange: (text) => latest.current.onChange?.(text),
        onRun: () => latest.current.onRun?.(),
      });
      setReady(true);
      if (hadFocus) editor.current.focus();
    });
    return () => {
      gone = true;
      editor.current?.destroy();
      editor.current = null;
    };
  }, []);

  useEffect(() => editor.current?.setText(value), [value, ready]);
  useEffect(() => editor.current?.setDiagnostics(diagnostics), [diagnostics, ready]);
  useEffect(() => editor.current?.setIntrospection(introspection), [introspection, ready]);

  return (
    <div class={`editor h-${size}`} data-ready={ready}>
      <div ref={host} hidden={!ready} />
      {ready ? null : (
        <textarea aria-label={label} value={value} spellcheck={false} readOnly={!onChange} onInput={(event) => onChange?.(event.currentTarget.value)} />
      )}
    </div>
  );
}

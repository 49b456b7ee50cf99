// Controls: buttons, labelled fields, segments, tabs, a menu of commands.
import type { ComponentChildren, JSX } from "preact";
import { useId, useRef } from "preact/hooks";
import { toast } from "../state/toasts";

export interface ButtonProps {
  onClick?: () => unknown;
  children: ComponentChildren;
  kind?: "primary" | "danger" | "quiet";
  disabled?: boolean;
  busy?: boolean;
  label?: string;
  title?: string;
  submit?: boolean;
  pressed?: boolean;
}

export function Button({ onClick, children, kind, disabled, busy, label, title, submit, pressed }: ButtonProps): JSX.Element {
  return (
    <button
      type={submit ? "submit" : "button"}
      class={`button ${kind ?? ""}`}
      disabled={disabled || busy}
      aria-busy={busy ?? false}
      aria-label={label}
      aria-pressed={pressed}
      title={title}
      onClick={onClick && (() => void onClick())}
    >
      {children}
      {busy ? " …" : null}
    </button>
  );
}

export function CopyButton({ text, label = "Copy" }: { text: () => string; label?: string }): JSX.Element {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      toast("Copied.");
    } catch {
      toast("The browser does not allow copying here. Select the text and copy it.", "error");
    }
  };
  return <Button onClick={copy}>{label}</Button>;
}

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  children: (id: string, described: string | undefined) => ComponentChildren;
}

export function Field({ label, hint, children }: FieldProps): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children(id, hint ? `${id}-hint` : undefined)}
      {hint ? (
        <span class="hint" id={`${id}-hint`}>
          {hint}
        </span>
      ) : null}
    </div>
  );
}

interface TextFieldProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  hint?: ComponentChildren;
  placeholder?: string;
  mono?: boolean;
  lines?: number;
  required?: boolean;
  secret?: boolean;
}

export function TextField({ label, value, onInput, hint, placeholder, mono, lines, required, secret }: TextFieldProps): JSX.Element {
  return (
    <Field label={label} hint={hint}>
      {(id, described) =>
        lines ? (
          <textarea
            id={id}
            class="input"
            rows={lines}
            value={value}
            placeholder={placeholder}
            aria-describedby={described}
            spellcheck={false}
            onInput={(event) => onInput(event.currentTarget.value)}
          />
        ) : (
          <input
            id={id}
            class={`input ${mono ? "mono" : ""}`}
            type={secret ? "password" : "text"}
            value={value}
            placeholder={placeholder}
            required={required}
            aria-describedby={described}
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => onInput(event.currentTarget.value)}
          />
        )
      }
    </Field>
  );
}

interface SelectProps {
  label: string;
  value: string;
  options: (string | [value: string, text: string])[];
  onChange: (value: string) => void;
  hint?: ComponentChildren;
}

export function Select({ label, value, options, onChange, hint }: SelectProps): JSX.Element {
  return (
    <Field label={label} hint={hint}>
      {(id, described) => (
        <select id={id} class="input" value={value} aria-describedby={described} onChange={(event) => onChange(event.currentTarget.value)}>
          {options.map((option) => {
            const [name, text] = typeof option === "string" ? [option, option] : option;
            return (
              <option key={name} value={name} selected={name === value}>
                {text}
              </option>
            );
          })}
        </select>
      )}
    </Field>
  );
}

export function Check({ label, checked, onChange }: { label: string; checked: boolean; onChange: (on: boolean) => void }): JSX.Element {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      {label}
    </label>
  );
}

interface SegmentsProps<T extends string> {
  label: string;
  value: T;
  options: [T, string][];
  onChange: (value: T) => void;
}

export function Segments<T extends string>({ label, value, options, onChange }: SegmentsProps<T>): JSX.Element {
  const name = useId();
  return (
    <div class="field">
      <span class="label" id={`${name}-label`}>
        {label}
      </span>
      <div class="segments" role="radiogroup" aria-labelledby={`${name}-label`}>
        {options.map(([option, text]) => (
          <label key={option}>
            <input type="radio" name={name} checked={option === value} onChange={() => onChange(option)} />
            {text}
          </label>
        ))}
      </div>
    </div>
  );
}

interface TabsProps<T extends string> {
  label: string;
  tabs: [T, ComponentChildren][];
  selected: T;
  onSelect: (tab: T) => void;
  children: ComponentChildren;
}

/** Tabs with one tab stop: arrow keys, Home and End move between them. */
export function Tabs<T extends string>({ label, tabs, selected, onSelect, children }: TabsProps<T>): JSX.Element {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent) => {
    const at = tabs.findIndex(([name]) => name === selected);
    const last = tabs.length - 1;
    const targets: Record<string, number> = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last };
    const target = tabs[targets[event.key] ?? -1];
    if (!target) return;
    event.preventDefault();
    onSelect(target[0]);
    list.current?.querySelector<HTMLElement>(`[data-tab="${target[0]}"]`)?.focus();
  };
  return (
    <div class="stack">
      <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={move}>
        {tabs.map(([name, text]) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`${id}-${name}`}
            data-tab={name}
            aria-selected={name === selected}
            aria-controls={`${id}-panel`}
            tabIndex={name === selected ? 0 : -1}
            onClick={() => onSelect(name)}
          >
            {text}
          </button>
        ))}
      </div>
      <div class="stack" role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${selected}`}>
        {children}
      </div>
    </div>
  );
}

/** A menu of commands behind a button; Escape and a choice close it. */
export function Menu({ label, items }: { label: string; items: [string, () => unknown][] }): JSX.Element {
  const details = useRef<HTMLDetailsElement>(null);
  const close = () => {
    if (!details.current?.open) return;
    details.current.open = false;
    details.current.querySelector("summary")?.focus();
  };
  return (
    <details
      class="menu"
      ref={details}
      onKeyDown={(event) => event.key === "Escape" && close()}
      onFocusOut={(event) => {
        if (!details.current?.contains(event.relatedTarget as Node | null) && details.current) details.current.open = false;
      }}
    >
      <summary class="button">{label}</summary>
      <div class="items">
        {items.map(([text, act]) => (
          <button
            key={text}
            type="button"
            onClick={() => {
              close();
              void act();
            }}
          >
            {text}
          </button>
        ))}
      </div>
    </details>
  );
}

// The part of an action that says how its handler is called: URL, kind, roles, headers.
import type { JSX } from "preact";
import type { ConfiguredHeader, HandlerFields } from "../api/types";
import { Button, Check, Segments, TextField } from "../ui/controls";

export const NO_HANDLER: HandlerFields = {
  handler: "",
  asynchronous: false,
  roles: [],
  headers: [],
  forward_client_headers: false,
  timeout: null,
  comment: null,
};

export function HandlerFieldset({ value, onChange }: { value: HandlerFields; onChange: (value: HandlerFields) => void }): JSX.Element {
  const set = (part: Partial<HandlerFields>) => onChange({ ...value, ...part });
  return (
    <fieldset class="stack">
      <TextField
        label="Handler"
        mono
        required
        value={value.handler}
        onInput={(handler) => set({ handler })}
        placeholder="http://127.0.0.1:3000/quote"
        hint={
          <>
            The URL that gets the arguments as JSON by POST. Variables may stand in it: <code>{"{{HANDLER_URL}}/quote"}</code>.
          </>
        }
      />
      <div class="row top">
        <Segments
          label="Kind"
          value={value.asynchronous ? "asynchronous" : "synchronous"}
          options={[
            ["synchronous", "Synchronous"],
            ["asynchronous", "Asynchronous"],
          ]}
          onChange={(kind) => set({ asynchronous: kind === "asynchronous" })}
        />
        <div class="grow">
          <RolesField roles={value.roles} onChange={(roles) => set({ roles })} />
        </div>
      </div>
      <Check label="Forward the client's headers to the handler" checked={value.forward_client_headers} onChange={(on) => set({ forward_client_headers: on })} />
      <HeaderFields headers={value.headers} onChange={(headers) => set({ headers })} />
    </fieldset>
  );
}

export function RolesField({ roles, onChange }: { roles: string[]; onChange: (roles: string[]) => void }): JSX.Element {
  return (
    <TextField
      label="Roles"
      mono
      value={roles.join(" ")}
      onInput={(text) => onChange(text.split(/[\s,]+/).filter((name, index, all) => name || index === all.length - 1))}
      placeholder="user editor"
      hint="Who may call it besides admin, separated by spaces."
    />
  );
}

export function HeaderFields({ headers, onChange }: { headers: ConfiguredHeader[]; onChange: (headers: ConfiguredHeader[]) => void }): JSX.Element {
  const set = (index: number, header: ConfiguredHeader) => onChange(headers.map((other, at) => (at === index ? header : other)));
  return (
    <fieldset>
      <legend>Headers that are always sent</legend>
      <div class="vars">
        {headers.map((header, index) => (
          <div class="row" key={index}>
            <input
              class="input mono"
              aria-label={`Name of header ${index + 1}`}
              placeholder="x-api-key"
              value={header.name}
              onInput={(event) => set(index, { ...header, name: event.currentTarget.value })}
            />
            <select
              class="input short"
              aria-label={`Source of header ${index + 1}`}
              value={header.value_from_env === undefined ? "value" : "env"}
              onChange={(event) =>
                set(index, event.currentTarget.value === "env" ? { name: header.name, value_from_env: "" } : { name: header.name, value: "" })
              }
            >
              <option value="value">value</option>
              <option value="env">variable</option>
            </select>
            <input
              class="input mono"
              aria-label={header.value_from_env === undefined ? `Value of header ${index + 1}` : `Variable of header ${index + 1}`}
              placeholder={header.value_from_env === undefined ? "value" : "API_KEY"}
              value={header.value_from_env ?? header.value ?? ""}
              onInput={(event) => {
                const text = event.currentTarget.value;
                set(index, header.value_from_env === undefined ? { name: header.name, value: text } : { name: header.name, value_from_env: text });
              }}
            />
            <Button kind="quiet" label={`Remove header ${header.name || index + 1}`} onClick={() => onChange(headers.filter((_, at) => at !== index))}>
              Remove
            </Button>
          </div>
        ))}
      </div>
      <div class="row">
        <Button onClick={() => onChange([...headers, { name: "", value_from_env: "" }])}>Add header</Button>
        <span class="muted small">A secret belongs into a variable: the file then has only its name.</span>
      </div>
    </fieldset>
  );
}

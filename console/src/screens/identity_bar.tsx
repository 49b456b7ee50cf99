// Who asks: admin, a role with session variables, a pasted token, or nothing at all.
import type { JSX } from "preact";
import { decodeToken, identity, type IdentityChoice } from "../state/identity";
import { Button, Segments, TextField } from "../ui/controls";
import { Badge, Code } from "../ui/data";
import { date, duration, pretty } from "../ui/format";

export function IdentityBar({ roles }: { roles: string[] }): JSX.Element {
  const choice = identity.value;
  const set = (part: Partial<IdentityChoice>) => {
    identity.value = { ...choice, ...part };
  };
  return (
    <div class="identity top">
      <Segments
        label="Ask as"
        value={choice.kind}
        options={[
          ["admin", "Admin"],
          ["role", "Role"],
          ["token", "Token"],
          ["anonymous", "Anonymous"],
        ]}
        onChange={(kind) => set({ kind })}
      />
      {choice.kind === "role" ? <RoleFields choice={choice} roles={roles} set={set} /> : null}
      {choice.kind === "token" ? <TokenFields choice={choice} set={set} /> : null}
    </div>
  );
}

interface PartProps {
  choice: IdentityChoice;
  set: (part: Partial<IdentityChoice>) => void;
}

function RoleFields({ choice, roles, set }: PartProps & { roles: string[] }): JSX.Element {
  const variable = (index: number, pair: [string, string]) => set({ variables: choice.variables.map((other, at) => (at === index ? pair : other)) });
  return (
    <>
      <div class="field">
        <label for="identity-role">Role</label>
        <input
          id="identity-role"
          class="input mono"
          list="known-roles"
          value={choice.role}
          autocomplete="off"
          onInput={(event) => set({ role: event.currentTarget.value })}
        />
        <datalist id="known-roles">
          {roles.map((role) => (
            <option key={role} value={role} />
          ))}
        </datalist>
      </div>
      <div class="field grow">
        <span class="label">Session variables</span>
        <div class="vars">
          {choice.variables.map(([name, value], index) => (
            <div class="row" key={index}>
              <input
                class="input mono"
                aria-label={`Name of session variable ${index + 1}`}
                value={name}
                autocomplete="off"
                onInput={(event) => variable(index, [event.currentTarget.value, value])}
              />
              <input
                class="input mono"
                aria-label={`Value of session variable ${index + 1}`}
                value={value}
                autocomplete="off"
                onInput={(event) => variable(index, [name, event.currentTarget.value])}
              />
              <Button kind="quiet" label={`Remove session variable ${index + 1}`} onClick={() => set({ variables: choice.variables.filter((_, at) => at !== index) })}>
                Remove
              </Button>
            </div>
          ))}
          <div class="row">
            <Button kind="quiet" onClick={() => set({ variables: [...choice.variables, ["x-hasura-", ""]] })}>
              Add variable
            </Button>
          </div>
        </div>
      </div>
    </>
  );
}

function TokenFields({ choice, set }: PartProps): JSX.Element {
  const decoded = choice.token ? decodeToken(choice.token) : null;
  return (
    <div class="stack tight grow">
      <TextField
        label="Token"
        mono
        secret
        value={choice.token}
        onInput={(token) => set({ token })}
        placeholder="eyJ…"
        hint="Sent as Authorization: Bearer. It stays in this page's memory and is gone when the page is."
      />
      {choice.token && !decoded ? <span class="muted small">This is not a JWT; it is sent as it is.</span> : null}
      {decoded ? (
        <details class="more">
          <summary>
            Claims <Expiry at={decoded.expires} />
          </summary>
          <Code label="Claims of the token" language="json" copy={false} text={pretty(decoded.claims)} />
        </details>
      ) : null}
    </div>
  );
}

function Expiry({ at }: { at: Date | null }): JSX.Element {
  if (!at) return <Badge tone="warn">never expires</Badge>;
  const left = at.getTime() - Date.now();
  return (
    <Badge tone={left > 0 ? "ok" : "error"} title={date(at.toISOString())}>
      {left > 0 ? `expires in ${duration(left)}` : `expired ${duration(-left)} ago`}
    </Badge>
  );
}

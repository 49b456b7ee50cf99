// Who the playground speaks as. In memory only: a token, a role or a session variable is in no storage and no address.
import { signal } from "@preact/signals";
import type { Identity } from "../api/types";

export interface IdentityChoice {
  kind: Identity["kind"];
  role: string;
  variables: [name: string, value: string][];
  token: string;
}

export const identity = signal<IdentityChoice>({ kind: "admin", role: "user", variables: [["x-hasura-user-id", "1"]], token: "" });

export function chosenIdentity({ kind, role, variables, token }: IdentityChoice): Identity {
  if (kind === "role") return { kind, role, session_variables: Object.fromEntries(variables.filter(([name]) => name)) };
  return kind === "token" ? { kind, token: token.trim() } : { kind };
}

/** The claims of a token, to be looked at; whether they are true is for the server to say. */
export function decodeToken(token: string): { claims: Record<string, unknown>; expires: Date | null } | null {
  try {
    const [, body = ""] = token.trim().split(".");
    const bytes = Uint8Array.from(atob(body.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const expires = typeof claims["exp"] === "number" ? new Date(claims["exp"] * 1000) : null;
    return { claims, expires };
  } catch {
    return null;
  }
}

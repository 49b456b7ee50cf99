// Headers of a handler call with their sources, and what they override.
import type { JSX } from "preact";
import type { SentHeader } from "../api/types";
import { Badge, Table, type Tone } from "../ui/data";

const TONES: Record<string, Tone> = { client: "info", session: "ok", configured: "warn", transform: "warn" };

export function HeaderTable({ headers }: { headers: SentHeader[] }): JSX.Element {
  const head = (
    <tr>
      <th scope="col">Header</th>
      <th scope="col">Value</th>
      <th scope="col">Source</th>
    </tr>
  );
  return (
    <Table label="Headers of the handler call" head={head}>
      {headers.map(({ name, value, source, overrides }, index) => (
        <tr key={index}>
          <td>
            <code>{name}</code>
          </td>
          <td>
            <code>{value}</code>
          </td>
          <td class="nowrap">
            <Badge tone={TONES[source] ?? ""}>{source}</Badge>
            {overrides?.map((other, at) => (
              <div class="muted small" key={at}>
                overrides {other.source}: <code>{other.value}</code>
              </div>
            ))}
          </td>
        </tr>
      ))}
    </Table>
  );
}

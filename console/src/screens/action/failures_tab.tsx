// The last failed calls, redacted: kind, message, request id.
import type { JSX } from "preact";
import { get } from "../../api/client";
import type { ActionDetail, Failure } from "../../api/types";
import { Badge, Card, Empty, Table } from "../../ui/data";
import { ago, date, duration } from "../../ui/format";
import { Loaded, useLoad } from "../../ui/load";

export function FailuresTab({ action }: { action: ActionDetail }): JSX.Element {
  const failures = useLoad(
    (signal) => get<{ failures: Failure[] }>(`actions/${encodeURIComponent(action.name)}/failures`, signal),
    [action.name],
    10_000,
  );
  return (
    <Card title="Last failures" flush>
      <Loaded of={failures} what="the failures">
        {({ failures: found }) =>
          found.length ? (
            <FailureTable of={found} />
          ) : (
            <Empty title="No failed call since the start">
              <p>
                The last 50 calls that failed are listed here with their kind, message and request id. Arguments and responses are never kept. With the request id, find the line in the log.
              </p>
            </Empty>
          )
        }
      </Loaded>
    </Card>
  );
}

function FailureTable({ of }: { of: Failure[] }): JSX.Element {
  const head = (
    <tr>
      <th scope="col">When</th>
      <th scope="col">Kind</th>
      <th scope="col">Message</th>
      <th scope="col">Role</th>
      <th scope="col" class="number">Took</th>
      <th scope="col">Request id</th>
    </tr>
  );
  return (
    <Table label="Failures" head={head} flows>
      {of.map((failure, index) => (
        <tr key={index}>
          <td class="nowrap" title={date(failure.at)}>
            {ago(failure.at)}
          </td>
          <td>
            <Badge tone="error">{failure.kind.replaceAll("_", " ")}</Badge>
            {failure.status ? <div class="muted small">status {failure.status}</div> : null}
          </td>
          <td class="wrap">{failure.message}</td>
          <td>{failure.role ?? "–"}</td>
          <td class="number">
            {duration(failure.duration_ms)}
            {failure.attempts > 1 ? <div class="muted small">{failure.attempts} attempts</div> : null}
          </td>
          <td>
            <code>{failure.request_id ?? "–"}</code>
          </td>
        </tr>
      ))}
    </Table>
  );
}

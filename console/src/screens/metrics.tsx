// Metrics: the catalogue with help, current values and a query to copy.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get } from "../api/client";
import type { MetricRow } from "../api/types";
import { Check, CopyButton, TextField } from "../ui/controls";
import { Badge, Card, Empty, PageHead, Table } from "../ui/data";
import { bytes, date, duration, plural } from "../ui/format";
import { Loaded, useLoad } from "../ui/load";

const MAX_SAMPLES = 8;

export function MetricsScreen(): JSX.Element {
  const metrics = useLoad((signal) => get<{ metrics: MetricRow[] }>("metrics", signal), [], 10_000);
  const [search, setSearch] = useState("");
  const [used, setUsed] = useState(true);
  return (
    <div class="stack">
      <PageHead title="Metrics" lead="All that /metrics has, with the values of this moment and a query for Prometheus to begin with." />
      <Loaded of={metrics} what="the metrics">
        {({ metrics: all }) => {
          const found = all.filter((metric) => (!used || metric.samples.some(({ value }) => value !== 0)) && holds(metric, search));
          return (
            <Card flush>
              <div class="identity">
                <div class="grow">
                  <TextField label="Search" value={search} onInput={setSearch} placeholder="name, words of the help" />
                </div>
                <Check label="Only what is not zero" checked={used} onChange={setUsed} />
                <span class="muted">{plural(found.length, "metric")}</span>
              </div>
              {found.length ? <MetricTable of={found} used={used} /> : <Empty title="No metric is like this" />}
            </Card>
          );
        }}
      </Loaded>
    </div>
  );
}

function holds({ name, help, labels }: MetricRow, search: string): boolean {
  const all = [name, help, ...labels].join(" ").toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

function MetricTable({ of, used }: { of: MetricRow[]; used: boolean }): JSX.Element {
  const head = (
    <tr>
      <th scope="col">Metric</th>
      <th scope="col">Now</th>
      <th scope="col">PromQL</th>
    </tr>
  );
  return (
    <Table label="Metrics" head={head} flows>
      {of.map((metric) => (
        <tr key={metric.name}>
          <th scope="row">
            <code>{metric.name}</code> <Badge>{metric.type}</Badge>
            <div class="muted small">{metric.help}</div>
          </th>
          <td>
            <Samples of={metric} used={used} />
          </td>
          <td>
            <div class="row">
              <code class="grow">{metric.promql}</code>
              <CopyButton label="Copy" text={() => metric.promql} />
            </div>
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Samples({ of, used }: { of: MetricRow; used: boolean }): JSX.Element {
  const samples = used ? of.samples.filter(({ value }) => value !== 0) : of.samples;
  const shown = [...samples].sort((one, other) => other.value - one.value).slice(0, MAX_SAMPLES);
  const value = (amount: number): string => (of.type === "histogram" ? amount.toLocaleString() : inUnit(of.name, amount));
  return (
    <>
      {shown.map((sample, index) => (
        <div key={index}>
          <strong>{value(sample.value)}</strong> <span class="muted small">{Object.values(sample.labels).join(" · ")}</span>
          {sample.sum !== undefined && sample.value ? <span class="muted small"> mean {inUnit(of.name, sample.sum / sample.value)}</span> : null}
        </div>
      ))}
      {samples.length > shown.length ? <span class="muted small">and {samples.length - shown.length} more</span> : null}
    </>
  );
}

/** The unit of a metric is the end of its name. */
function inUnit(name: string, amount: number): string {
  const unit = name.replace(/_total$/, "");
  if (unit.endsWith("_bytes")) return bytes(amount);
  if (unit.endsWith("_timestamp_seconds")) return date(new Date(amount * 1000).toISOString());
  if (unit.endsWith("_seconds")) return duration(amount * 1000);
  return amount.toLocaleString(undefined, { maximumFractionDigits: 3 });
}

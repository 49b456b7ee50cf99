// Overview: is the upstream up, which configuration is served, what is wrong, what happened in the last 15 minutes.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { get, post } from "../api/client";
import type { Activity, CheckReport, DoctorReport, JobCounts, Overview } from "../api/types";
import { useConfigurationReload } from "../state/configuration_reload";
import { href } from "../state/router";
import { Button } from "../ui/controls";
import { Badge, Card, Empty, Facts, PageHead, Sparkline, Table, type Tone } from "../ui/data";
import { ago, bytes, date, duration, plural, rate, seconds } from "../ui/format";
import { Loaded, useLoad } from "../ui/load";
import { Diagnostics, Problem } from "../ui/problem";
import { useFailedCount } from "./jobs";

export function OverviewScreen(): JSX.Element {
  const overview = useLoad((signal) => get<Overview>("overview", signal), [], 10_000);
  const activity = useLoad((signal) => get<Activity>("activity", signal), [], 10_000);
  const { reload, problem } = useConfigurationReload(() => overview.reload());
  return (
    <div class="stack">
      <PageHead title="Overview">
        <Button onClick={reload}>Reload configuration</Button>
      </PageHead>
      {problem ? (
        <div class="stack tight">
          <h2>The reload was rejected; what was served before still is</h2>
          <Problem error={problem} />
        </div>
      ) : null}
      <Loaded of={overview} what="the overview">
        {(data) => (
          <>
            <Stats of={data} />
            <div class="grid">
              <Upstream of={data.upstream} />
              <Configuration of={data} />
            </div>
            <Wrong of={data} hidden={problem !== undefined} />
          </>
        )}
      </Loaded>
      <Card title="Last 15 minutes" flush>
        <Loaded of={activity} what="the activity">
          {(data) => <LastMinutes of={data} />}
        </Loaded>
      </Card>
      <Checks />
    </div>
  );
}

function Stat({ label, value, note, children }: { label: string; value: ComponentChildren; note?: ComponentChildren; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="stat">
      <div class="label">{label}</div>
      <div class="value">{value}</div>
      {children}
      {note ? <div class="note">{note}</div> : null}
    </div>
  );
}

function Stats({ of }: { of: Overview }): JSX.Element {
  const { upstream, breakers, jobs, configuration } = of;
  const open = breakers.filter(({ state }) => state !== "closed");
  return (
    <div class="stats">
      <Stat label="Upstream" value={<Badge tone={upstream.up ? "ok" : "error"}>{upstream.up ? "up" : "down"}</Badge>} note={upstream.reason ?? upstream.dialect} />
      <Stat label="Configuration" value={<ReloadBadge of={configuration.last_reload} />} note={`loaded ${ago(configuration.loaded_at)}`} />
      <Stat label="Actions" value={<a href={href("actions")}>{of.actions}</a>} note={of.actions ? `revision ${configuration.revision.slice(0, 8)}` : "none yet"} />
      <Stat
        label="Circuit breakers open"
        value={open.length}
        note={open.length ? open.map(({ action, state }) => <a href={href("actions", action)}>{`${action} (${state.replace("_", "-")}) `}</a>) : "all handlers are called"}
      />
      {jobs ? (
        <Jobs of={jobs} />
      ) : (
        <Stat label="Jobs" value="–" note="no asynchronous actions" />
      )}
    </div>
  );
}

function Jobs({ of }: { of: JobCounts }): JSX.Element {
  const failed = useFailedCount();
  if (of.unavailable) return <Stat label="Jobs" value={<Badge tone="error">store unavailable</Badge>} note={of.unavailable} />;
  const oldest = of.oldest_pending_seconds ? `, oldest ${seconds(of.oldest_pending_seconds)}` : "";
  return <Stat label="Jobs waiting" value={<a href={href("jobs")}>{of.created + of.processing}</a>} note={<a href={`${href("jobs")}?status=error`}>{`${failed} failed${oldest}`}</a>} />;
}

function ReloadBadge({ of }: { of: Overview["configuration"]["last_reload"] }): JSX.Element {
  if (of && !of.ok) return <Badge tone="error">reload rejected</Badge>;
  return <Badge tone="ok">in effect</Badge>;
}

function Upstream({ of }: { of: Overview["upstream"] }): JSX.Element {
  const { schema } = of;
  const age = schema.age_seconds === null ? "" : `, fetched ${seconds(schema.age_seconds)} ago`;
  const states = { known: `known${age}`, not_fetched: "not fetched yet: the first request that needs it fetches it", off: "introspection is switched off" };
  return (
    <Card title="Upstream" side={<Badge tone={of.up ? "ok" : "error"}>{of.up ? "up" : `down${of.kind ? `: ${of.kind.replaceAll("_", " ")}` : ""}`}</Badge>}>
      {of.reason ? <div class="notice error wrap">{of.reason}</div> : null}
      <Facts
        of={[
          ["URL", <code>{of.url}</code>],
          ["Dialect", of.dialect],
          ["Root types", <code>{[of.query_root, of.mutation_root].filter(Boolean).join(", ") || "–"}</code>],
          ["Schema", states[schema.state]],
        ]}
      />
      {schema.failures.map(({ role, reason }) => (
        <div class="notice warn" key={role}>
          <span class="wrap">
            The schema of role <code>{role}</code> could not be fetched: {reason}
          </span>
        </div>
      ))}
    </Card>
  );
}

function Configuration({ of }: { of: Overview }): JSX.Element {
  const { configuration, listeners } = of;
  const { last_reload: last } = configuration;
  return (
    <Card title="Configuration" side={<Badge tone={configuration.writable ? "ok" : ""}>{configuration.writable ? "writable here" : "read only here"}</Badge>}>
      <Facts
        of={[
          ["Settings", <code>{configuration.config_file ?? "flags and variables only"}</code>],
          ["Metadata", <code>{configuration.metadata_folder ?? "–"}</code>],
          ["Last reload", last ? `${date(last.at)}, ${last.ok ? "accepted" : "rejected"}` : "none since the start"],
          ["Started", date(configuration.started_at)],
          ["Clients", <code>{listeners.clients + listeners.graphql_path}</code>],
        ]}
      />
      {configuration.not_writable_because ? <p class="muted small">{configuration.not_writable_because}</p> : null}
    </Card>
  );
}

function Wrong({ of, hidden }: { of: Overview; hidden: boolean }): JSX.Element | null {
  const { configuration, warnings } = of;
  const message = configuration.last_reload?.ok === false ? configuration.last_reload.message : null;
  if (hidden || (!configuration.diagnostics.length && !warnings.length && !message)) return null;
  return (
    <Card title="What to look at">
      {configuration.diagnostics.length ? <Diagnostics of={configuration.diagnostics} label="Errors of the files" /> : message ? <div class="notice error wrap">{message}</div> : null}
      <Diagnostics of={warnings} label="Warnings" />
    </Card>
  );
}

const SERIES: [name: string, label: string, show: (value: number | null | undefined) => string, tone?: "error"][] = [
  ["requests_per_second", "Requests", rate],
  ["errors_per_second", "Errors", rate, "error"],
  ["handler_calls_per_second", "Handler calls", rate],
  ["handler_failures_per_second", "Handler failures", rate, "error"],
  ["p99_ms", "p99 of requests", duration],
  ["jobs_waiting", "Jobs waiting", (value) => (value ?? "–").toString()],
  ["memory_bytes", "Memory", bytes],
];

function LastMinutes({ of }: { of: Activity }): JSX.Element {
  return (
    <div class="stats">
      {SERIES.map(([name, label, show, tone]) => {
        const values = of.series[name] ?? [];
        const newest = show(values.at(-1));
        return (
          <div class="stat" key={name}>
            <div class="label">{label}</div>
            <div class="value">{newest}</div>
            <Sparkline values={values} {...(tone ? { tone } : {})} label={`${label} over the last 15 minutes, now ${newest}`} />
          </div>
        );
      })}
    </div>
  );
}

function Checks(): JSX.Element {
  const [check, setCheck] = useState<CheckReport>();
  const [doctor, setDoctor] = useState<DoctorReport>();
  const [problem, setProblem] = useState<Error>();
  const [busy, setBusy] = useState<"check" | "doctor">();
  const run = async (what: "check" | "doctor") => {
    setBusy(what);
    setProblem(undefined);
    setCheck(undefined);
    setDoctor(undefined);
    try {
      if (what === "check") setCheck(await post<CheckReport>("check", { handlers: true, dependencies: true }));
      else setDoctor(await post<DoctorReport>("doctor", {}));
    } catch (error) {
      setProblem(error as Error);
    }
    setBusy(undefined);
  };
  const side = (
    <>
      <Button onClick={() => run("check")} busy={busy === "check"}>
        Check files and handlers
      </Button>
      <Button onClick={() => run("doctor")} busy={busy === "doctor"}>
        Run the doctor
      </Button>
    </>
  );
  return (
    <Card title="Checks" side={side} flush={check !== undefined || doctor !== undefined}>
      {busy ? <div class="progress" /> : null}
      {problem ? <Problem error={problem} /> : null}
      {check ? <CheckResult of={check} /> : null}
      {doctor ? <DoctorResult of={doctor} /> : null}
      {check || doctor || busy || problem ? null : (
        <p class="muted">
          <code>pillion check</code> and <code>pillion doctor</code> of this process: files, variables, upstream, handlers, stores. They may take seconds.
        </p>
      )}
    </Card>
  );
}

const RESULTS: Record<string, Tone> = { passed: "ok", failed: "error", warning: "warn", not_checked: "warn" };

function CheckResult({ of }: { of: CheckReport }): JSX.Element {
  return (
    <div class="stack">
      {of.diagnostics.length ? <Diagnostics of={of.diagnostics} /> : null}
      {of.checks.length ? (
        <Table flows label="Checks" head={<HeadRow of={["Result", "What", "Detail"]} />}>
          {of.checks.map(({ kind, name, result, step, address, reason, steps }) => (
            <tr key={kind + name}>
              <td>
                <Badge tone={RESULTS[result] ?? ""}>{result.replaceAll("_", " ")}</Badge>
              </td>
              <td>
                {kind} <code>{name}</code>
              </td>
              <td class="wrap">{[step, address, reason].filter(Boolean).join(": ") || steps?.join(", ")}</td>
            </tr>
          ))}
        </Table>
      ) : (
        <Empty title={of.errors ? plural(of.errors, "error") : "Nothing is wrong with the files"} />
      )}
    </div>
  );
}

function DoctorResult({ of }: { of: DoctorReport }): JSX.Element {
  return (
    <Table flows label="Doctor" head={<HeadRow of={["Result", "What", "Detail"]} />}>
      {of.items.map(({ status, check, found, help }) => (
        <tr key={check}>
          <td>
            <Badge tone={RESULTS[status] ?? ""}>{status}</Badge>
          </td>
          <td>{check}</td>
          <td class="wrap">
            {found}
            {help ? <div class="muted">{help}</div> : null}
          </td>
        </tr>
      ))}
    </Table>
  );
}

function HeadRow({ of }: { of: string[] }): JSX.Element {
  return (
    <tr>
      {of.map((name) => (
        <th key={name} scope="col">
          {name}
        </th>
      ))}
    </tr>
  );
}

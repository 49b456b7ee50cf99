// Jobs of asynchronous actions: which wait, which failed; one of them with its payload; retry, cancel, purge.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, post, query } from "../api/client";
import type { JobRow, Overview } from "../api/types";
import { href, replaceQuery, route } from "../state/router";
import { toast } from "../state/toasts";
import { Button, Select, TextField } from "../ui/controls";
import { Badge, Card, Empty, PageHead, Table, type Tone } from "../ui/data";
import { Dialog } from "../ui/dialog";
import { ago, date, plural, seconds } from "../ui/format";
import { Loaded, useLoad } from "../ui/load";
import { Problem } from "../ui/problem";
import { JobScreen } from "./job";

const STATUSES: [string, string][] = [
  ["", "any"],
  ["created", "waiting"],
  ["processing", "processing"],
  ["error", "failed"],
  ["completed", "completed"],
];

/** More failed jobs are not counted. */
const MAX_COUNTED = 100;

/** How many jobs failed, as text. The store counts only those that wait, so they are listed: once, and again when what is shown of jobs has changed. */
export function useFailedCount(shown?: string): string {
  const failed = useLoad((signal) => get<{ jobs: JobRow[] }>(`jobs${query({ status: "error", limit: String(MAX_COUNTED) })}`, signal), []);
  useEffect(() => {
    if (shown !== undefined) void failed.reload();
  }, [shown]);
  const count = failed.data?.jobs.length;
  if (count === undefined) return "–";
  return count >= MAX_COUNTED ? `${MAX_COUNTED}+` : String(count);
}

export const TONES: Record<string, Tone> = { created: "info", processing: "warn", completed: "ok", error: "error" };
export const statusText = (status: string): string => STATUSES.find(([name]) => name === status)?.[1] ?? status;

export function JobsScreen({ id }: { id: string | null }): JSX.Element {
  return id ? <JobScreen id={id} /> : <JobList />;
}

function JobList(): JSX.Element {
  const parameters = route.value.query;
  const filter = { action: parameters.get("action") ?? "", status: parameters.get("status") ?? "", older_than: parameters.get("older_than") ?? "" };
  const jobs = useLoad((signal) => get<{ store: string; jobs: JobRow[] }>(`jobs${query({ ...filter, limit: "100" })}`, signal), [JSON.stringify(filter)], 5_000);
  const overview = useLoad((signal) => get<Overview>("overview", signal), [], 10_000);
  const [purging, setPurging] = useState(false);
  const counts = overview.data?.jobs;
  const failed = useFailedCount(jobs.data?.jobs.map((job) => `${job.id} ${job.status}`).join());
  return (
    <div class="stack">
      <PageHead title="Jobs" lead="Calls of asynchronous actions, in the job store until they are purged.">
        <Button kind="danger" onClick={() => setPurging(true)} disabled={!counts}>
          Purge
        </Button>
      </PageHead>
      {counts?.unavailable ? <div class="notice error wrap">The job store is unavailable: {counts.unavailable}</div> : null}
      {counts && !counts.unavailable ? (
        <div class="row">
          <Badge>{counts.store}</Badge>
          <Badge tone="info">{plural(counts.created, "waiting job")}</Badge>
          <Badge tone="warn">{counts.processing} processing</Badge>
          <Badge tone={failed === "0" || failed === "–" ? "" : "error"}>{failed} failed</Badge>
          {counts.oldest_pending_seconds ? <span class="muted small">oldest waiting {seconds(counts.oldest_pending_seconds)}</span> : null}
        </div>
      ) : null}
      <Card flush>
        <div class="identity">
          <Select label="Status" value={filter.status} options={STATUSES} onChange={(status) => replaceQuery({ status })} />
          <TextField label="Action" mono value={filter.action} onInput={(action) => replaceQuery({ action })} placeholder="any" />
          <TextField label="Older than" mono value={filter.older_than} onInput={(older_than) => replaceQuery({ older_than })} placeholder="5m" />
        </div>
        <Loaded of={jobs} what="the jobs" missing={<NoStore />}>
          {(data) => (data.jobs.length ? <JobTable of={data.jobs} onChanged={jobs.reload} /> : <NoJobs filtered={Object.values(filter).some(Boolean)} />)}
        </Loaded>
      </Card>
      {purging ? (
        <PurgeDialog
          filter={filter}
          onClose={() => setPurging(false)}
          onDone={() => {
            setPurging(false);
            void jobs.reload();
            void overview.reload();
          }}
        />
      ) : null}
    </div>
  );
}

function NoStore(): JSX.Element {
  return (
    <Empty title="There are no asynchronous actions">
      <p>
        A mutation whose handler takes long can be asynchronous: the client gets an id at once, Pillion stores the call, calls the handler with retries, and the client asks or subscribes for the
        result. Set <strong>Kind</strong> of an action to asynchronous.
      </p>
    </Empty>
  );
}

function NoJobs({ filtered }: { filtered: boolean }): JSX.Element {
  return <Empty title={filtered ? "No job is like this" : "No jobs yet"}>{filtered ? null : <p>They are here as soon as a client calls an asynchronous action.</p>}</Empty>;
}

function JobTable({ of, onChanged }: { of: JobRow[]; onChanged: () => unknown }): JSX.Element {
  const head = (
    <tr>
      <th scope="col">Id</th>
      <th scope="col">Action</th>
      <th scope="col">Status</th>
      <th scope="col">Created</th>
      <th scope="col" class="number">Attempts</th>
      <th scope="col">
        <span class="visually-hidden">Commands</span>
      </th>
    </tr>
  );
  return (
    <Table label="Jobs" head={head}>
      {of.map((job) => (
        <tr key={job.id}>
          <th scope="row">
            <a href={href("jobs", job.id)}>
              <code>{job.id}</code>
            </a>
          </th>
          <td>
            <a href={href("actions", job.action)}>{job.action}</a>
          </td>
          <td>
            <Badge tone={TONES[job.status] ?? ""}>{statusText(job.status)}</Badge>
          </td>
          <td class="nowrap" title={date(job.created_at)}>
            {ago(job.created_at)}
          </td>
          <td class="number">{job.attempts}</td>
          <td>
            <div class="row end nowrap">
              <JobCommands job={job} onChanged={onChanged} />
            </div>
          </td>
        </tr>
      ))}
    </Table>
  );
}

/** Retry asks first if the job is completed: its handler would act a second time. */
export function JobCommands({ job, onChanged }: { job: JobRow; onChanged: () => unknown }): JSX.Element {
  const [asking, setAsking] = useState(false);
  const act = async (command: "retry" | "cancel", body: object, done: string) => {
    setAsking(false);
    try {
      await post(`jobs/${encodeURIComponent(job.id)}/${command}`, body);
      toast(done);
    } catch (error) {
      toast((error as Error).message, "error");
    }
    await onChanged();
  };
  const waits = job.status === "created" || job.status === "processing";
  return (
    <>
      {waits ? (
        <Button label={`Cancel ${job.id}`} onClick={() => act("cancel", {}, "The job is cancelled.")}>
          Cancel
        </Button>
      ) : (
        <Button label={`Retry ${job.id}`} onClick={() => (job.status === "completed" ? setAsking(true) : act("retry", { force: false }, "The job is waiting again."))}>
          Retry
        </Button>
      )}
      {asking ? (
        <Dialog
          narrow
          title="Retry a completed job?"
          onClose={() => setAsking(false)}
          footer={
            <>
              <Button onClick={() => setAsking(false)}>Cancel</Button>
              <Button kind="danger" onClick={() => act("retry", { force: true }, "The job is waiting again.")}>
                Retry
              </Button>
            </>
          }
        >
          <p>
            The handler of <code>{job.action}</code> has completed this job. If it runs again, it acts a second time, and the result is replaced.
          </p>
        </Dialog>
      ) : null}
    </>
  );
}

type Filter = { action: string; status: string; older_than: string };

function PurgeDialog({ filter, onClose, onDone }: { filter: Filter; onClose: () => void; onDone: () => void }): JSX.Element {
  const [age, setAge] = useState(filter.older_than || "7d");
  const [status, setStatus] = useState(filter.status || "completed");
  const [problem, setProblem] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const purge = async () => {
    setBusy(true);
    try {
      const { deleted } = await post<{ deleted: number }>("jobs/purge", { action: filter.action || null, status: status || null, older_than: age.trim() || null, limit: null });
      toast(`${plural(deleted, "job")} deleted.`);
      onDone();
    } catch (error) {
      setProblem(error as Error);
    }
    setBusy(false);
  };
  return (
    <Dialog
      narrow
      title="Purge jobs"
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" busy={busy} onClick={purge}>
            Delete
          </Button>
        </>
      }
    >
      <p>Deletes jobs and their results for good{filter.action ? `, of the action ${filter.action}` : ""}.</p>
      <Select label="Status" value={status} options={STATUSES.filter(([name]) => name === "completed" || name === "error")} onChange={setStatus} />
      <TextField label="Older than" mono value={age} onInput={setAge} hint="Such as 1h or 7d." />
      {problem ? <Problem error={problem} /> : null}
    </Dialog>
  );
}

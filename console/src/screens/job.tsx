// One job: its input, session, attempts and result.
import type { JSX } from "preact";
import { get } from "../api/client";
import type { JobDetail } from "../api/types";
import { href } from "../state/router";
import { Badge, Card, Code, Empty, Facts, PageHead } from "../ui/data";
import { ago, date, plural, pretty } from "../ui/format";
import { Loaded, useLoad } from "../ui/load";
import { JobCommands, statusText, TONES } from "./jobs";

export function JobScreen({ id }: { id: string }): JSX.Element {
  const job = useLoad((signal) => get<JobDetail>(`jobs/${encodeURIComponent(id)}`, signal), [id], 5_000);
  const missing = (
    <Empty title="There is no such job" action={<a href={href("jobs")}>All jobs</a>}>
      <p>It may have been purged.</p>
    </Empty>
  );
  return (
    <div class="stack">
      <Loaded of={job} what="the job" missing={missing}>
        {(data) => (
          <>
            <PageHead
              title={
                <>
                  <span class="crumb">
                    <a href={href("jobs")}>Jobs</a> /{" "}
                  </span>
                  <code>{data.id}</code>
                </>
              }
            >
              <JobCommands job={data} onChanged={job.reload} />
            </PageHead>
            <Card title="Job">
              <Facts
                of={[
                  ["Action", <a href={href("actions", data.action)}>{data.action}</a>],
                  ["Status", <Badge tone={TONES[data.status] ?? ""}>{statusText(data.status)}</Badge>],
                  ["Created", `${date(data.created_at)} (${ago(data.created_at)})`],
                  ["Attempts", `${data.attempts}, of which ${plural(data.failures, "failure")}`],
                ]}
              />
            </Card>
            <div class="grid">
              <Part title="Input" of={data.payload} />
              <Part title="Session variables" of={data.session_variables} />
              <Part title="Response" of={data.response} none="No response yet" />
              <Part title="Errors of the last attempt" of={data.errors} none="No errors" />
            </div>
          </>
        )}
      </Loaded>
    </div>
  );
}

function Part({ title, of, none = "Nothing" }: { title: string; of: unknown; none?: string }): JSX.Element {
  return <Card title={title}>{of === null || of === undefined ? <Empty title={none} /> : <Code label={title} language="json" text={pretty(of)} />}</Card>;
}

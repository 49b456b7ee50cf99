// The merged schema as a role sees it, what of it comes from actions, and the difference between two roles.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get, query } from "../api/client";
import type { SchemaText } from "../api/types";
import { href, replaceQuery, route } from "../state/router";
import { Select, TextField } from "../ui/controls";
import { Badge, Card, Code, Diff, Empty, PageHead } from "../ui/data";
import { Loaded, useLoad } from "../ui/load";

export function SchemaScreen(): JSX.Element {
  const roles = useLoad((signal) => get<{ roles: string[] }>("roles", signal), []);
  const role = route.value.query.get("role") ?? "admin";
  const other = route.value.query.get("compare") ?? "";
  return (
    <div class="stack">
      <PageHead title="Schema" lead="The upstream's schema with the actions in it, as a role sees it.">
        <a class="button" href={`/console/api/schema${query({ role, format: "sdl", download: "1" })}`} download>
          Download SDL
        </a>
        <a class="button" href={`/console/api/schema${query({ role, format: "introspection", download: "1" })}`} download>
          Download introspection
        </a>
      </PageHead>
      <Loaded of={roles} what="the roles">
        {({ roles: known }) => (
          <Card flush>
            <div class="identity">
              <Select label="Role" value={role} options={[...new Set([...known, role])]} onChange={(chosen) => replaceQuery({ role: chosen })} />
              <Select
                label="Compared with"
                value={other}
                options={[["", "nothing"], ...known.filter((name) => name !== role).map((name): [string, string] => [name, name])]}
                onChange={(chosen) => replaceQuery({ compare: chosen })}
              />
            </div>
          </Card>
        )}
      </Loaded>
      {other ? <Difference from={role} to={other} /> : <OneSchema role={role} />}
    </div>
  );
}

function Difference({ from, to }: { from: string; to: string }): JSX.Element {
  const diff = useLoad((signal) => get<{ diff: string }>(`schema/diff${query({ from, to })}`, signal), [from, to]);
  return (
    <Card title={`From ${from} to ${to}`}>
      <Loaded of={diff} what="the difference">
        {(data) => (data.diff.trim() ? <Diff text={data.diff} label={`Difference from ${from} to ${to}`} /> : <Empty title={`${from} and ${to} see the same schema`} />)}
      </Loaded>
    </Card>
  );
}

/** One page of SDL: more would make the browser slow. */
const MAX_SHOWN = 400_000;

function OneSchema({ role }: { role: string }): JSX.Element {
  const schema = useLoad((signal) => get<SchemaText>(`schema${query({ role, format: "sdl" })}`, signal), [role]);
  const [search, setSearch] = useState("");
  return (
    <Loaded of={schema} what="the schema">
      {({ sdl, own }) => {
        const text = search.trim() ? definitionsWith(sdl, search.trim()) : sdl;
        return (
          <>
            <Card title="From actions">
              {own.fields.length + own.types.length ? (
                <div class="row">
                  {own.fields.map((field) => (
                    <a key={field} href={href("actions", field.split(".").at(-1) ?? field)}>
                      <Badge tone="ok">{field}</Badge>
                    </a>
                  ))}
                  {own.types.map((type) => (
                    <Badge key={type} tone="info">
                      type {type}
                    </Badge>
                  ))}
                </div>
              ) : (
                <p class="muted">This role may call no action, so it sees the upstream's schema as it is.</p>
              )}
            </Card>
            <Card title="SDL" side={<TextField label="Search" value={search} onInput={setSearch} placeholder="name of a type or field" />}>
              {text ? <Code label="Schema" language="graphql" text={text.slice(0, MAX_SHOWN)} /> : <Empty title="Nothing has this name" />}
              {text.length > MAX_SHOWN ? <p class="muted">Cut off here; the download has all of it.</p> : null}
            </Card>
          </>
        );
      }}
    </Loaded>
  );
}

/** The definitions that have this text in them. */
function definitionsWith(sdl: string, search: string): string {
  const wanted = search.toLowerCase();
  return sdl
    .split(/\n\n(?=\S)/)
    .filter((definition) => definition.toLowerCase().includes(wanted))
    .join("\n\n");
}

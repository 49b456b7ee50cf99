// Settings: effective values, where each comes from, what has changed since the start.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get } from "../api/client";
import type { SettingRow } from "../api/types";
import { useConfigurationReload } from "../state/configuration_reload";
import { Button, Check, TextField } from "../ui/controls";
import { Badge, Card, Empty, PageHead, Table, type Tone } from "../ui/data";
import { plural, text } from "../ui/format";
import { Loaded, useLoad } from "../ui/load";
import { Problem } from "../ui/problem";

const TONES: Record<string, Tone> = { flag: "warn", variable: "info", file: "ok", default: "" };

export function SettingsScreen(): JSX.Element {
  const settings = useLoad((signal) => get<{ settings: SettingRow[] }>("settings", signal), []);
  const [search, setSearch] = useState("");
  const [given, setGiven] = useState(false);
  const [changed, setChanged] = useState(false);
  const { reload, problem } = useConfigurationReload(() => settings.reload());
  return (
    <div class="stack">
      <PageHead title="Settings" lead="What is in effect, and which flag, variable or line of a file says so. Secrets are shown as ***.">
        <Button onClick={reload}>Reload configuration</Button>
      </PageHead>
      {problem ? <Problem error={problem} /> : null}
      <Loaded of={settings} what="the settings">
        {({ settings: all }) => {
          const found = all.filter((row) => (!given || row.origin !== "default") && (!changed || row.changed_since_start || row.waiting_for_start) && holds(row, search));
          const waiting = all.filter((row) => row.waiting_for_start).length;
          return (
            <>
              {waiting ? <div class="notice warn">{plural(waiting, "setting")} changed in the files and will be in effect after a restart.</div> : null}
              <Card flush>
                <div class="identity">
                  <div class="grow">
                    <TextField label="Search" value={search} onInput={setSearch} placeholder="key, words of the description" />
                  </div>
                  <Check label="Only what is set" checked={given} onChange={setGiven} />
                  <Check label="Only changed since the start" checked={changed} onChange={setChanged} />
                  <span class="muted">{plural(found.length, "setting")}</span>
                </div>
                {found.length ? <SettingTable of={found} /> : <Empty title="No setting is like this" />}
              </Card>
            </>
          );
        }}
      </Loaded>
    </div>
  );
}

function holds(row: SettingRow, search: string): boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const all = [row.key, row.doc, row.flag ?? "", ...row.env].join(" ").toLowerCase();
  return words.every((word) => all.includes(word));
}

function SettingTable({ of }: { of: SettingRow[] }): JSX.Element {
  const head = (
    <tr>
      <th scope="col">Setting</th>
      <th scope="col">Value</th>
      <th scope="col">Origin</th>
      <th scope="col">What it does</th>
    </tr>
  );
  return (
    <Table label="Settings" head={head} flows>
      {of.map((row) => (
        <tr key={row.key}>
          <th scope="row">
            <code>{row.key}</code>
            {row.changed_since_start ? (
              <div>
                <Badge tone="warn">{row.waiting_for_start ? "after a restart" : "changed since the start"}</Badge>
              </div>
            ) : null}
          </th>
          <td>
            <code>{text(row.value)}</code>
            {row.origin !== "default" && row.default !== null ? (
              <div class="muted small">
                default <code>{text(row.default)}</code>
              </div>
            ) : null}
          </td>
          <td>
            <Badge tone={TONES[row.origin] ?? ""}>{row.origin}</Badge>
            {row.place ? (
              <div>
                <code class="muted">{row.place}</code>
              </div>
            ) : null}
          </td>
          <td class="small muted">
            {row.doc}
            <details class="more">
              <summary>How to set it</summary>
              {row.flag ? (
                <div>
                  <code>{row.flag}</code>
                </div>
              ) : null}
              {row.env.map((name) => (
                <div key={name}>
                  <code>{name}</code>
                </div>
              ))}
              <div>Applies at {row.applies === "reload" ? "a reload" : "the start"}.</div>
            </details>
          </td>
        </tr>
      ))}
    </Table>
  );
}

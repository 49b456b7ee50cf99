// Generated handlers: a framework, its files, a download.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get, query } from "../../api/client";
import type { ActionDetail, CodeFiles } from "../../api/types";
import { Select } from "../../ui/controls";
import { Badge, Card, Code } from "../../ui/data";
import { Loaded, useLoad } from "../../ui/load";

export function CodeTab({ action }: { action: ActionDetail }): JSX.Element {
  const frameworks = useLoad((signal) => get<{ frameworks: { name: string; types_only: boolean }[] }>("code/frameworks", signal), []);
  const [chosen, setChosen] = useState<string>();
  return (
    <Loaded of={frameworks} what="the frameworks">
      {({ frameworks: known }) => {
        const framework = chosen ?? known[0]?.name ?? "";
        const address = query({ framework, action: action.name });
        const download = (
          <a class="button" href={`/console/api/code/download${address}`} download>
            Download
          </a>
        );
        return (
          <Card title="Code" side={download}>
            <div class="row">
              <Select
                label="Framework"
                value={framework}
                options={known.map(({ name, types_only: types }) => [name, types ? `${name} (types only)` : name])}
                onChange={setChosen}
              />
            </div>
            <Files key={framework} address={address} action={action.name} />
          </Card>
        );
      }}
    </Loaded>
  );
}

function Files({ address, action }: { address: string; action: string }): JSX.Element {
  const code = useLoad((signal) => get<CodeFiles>(`code${address}`, signal), [address]);
  const [path, setPath] = useState<string>();
  return (
    <Loaded of={code} what="the files">
      {({ files, notes }) => {
        const file = files.find((one) => one.path === path) ?? files.find((one) => isHandler(one.path, action)) ?? files[0];
        return (
          <>
            <div class="with-tree">
              <ul class="tree" aria-label="Files">
                {files.map((one) => (
                  <li key={one.path}>
                    <button type="button" aria-current={one === file} onClick={() => setPath(one.path)}>
                      {one.path}
                    </button>
                  </li>
                ))}
              </ul>
              {file ? (
                <div class="stack tight">
                  <div class="row">
                    <h3>
                      <code>{file.path}</code>
                    </h3>
                    <Badge tone={file.owner === "user" ? "ok" : ""}>{file.owner === "user" ? "yours: written once" : "generated: written again"}</Badge>
                  </div>
                  <Code label={file.path} text={file.text} />
                </div>
              ) : null}
            </div>
            {notes.map((note) => (
              <p class="muted" key={note}>
                {note}
              </p>
            ))}
          </>
        );
      }}
    </Loaded>
  );
}

/** The file in which the reader begins: the one with the action's name in a language's spelling, and not its test. */
function isHandler(path: string, action: string): boolean {
  const name = path.split("/").at(-1)?.toLowerCase().replaceAll("_", "") ?? "";
  return name.startsWith(action.toLowerCase()) && !name.includes("test");
}

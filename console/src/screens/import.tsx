// Import of an OpenAPI description: a file, a URL or pasted text; which operations become which actions; then a diff like any other change.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { post } from "../api/client";
import type { Change, OpenApiListing, OpenApiSource } from "../api/types";
import { href, navigate } from "../state/router";
import { Button, Segments, TextField } from "../ui/controls";
import { Badge, Card, Empty, PageHead, Table } from "../ui/data";
import { plural } from "../ui/format";
import { Diagnostics, Problem } from "../ui/problem";
import { RolesField } from "./handler_fields";
import { SaveDialog } from "./save_dialog";

type From = "file" | "paste" | "url";

/** As large as the server takes. */
const MAX_SIZE = 16 * 1024 * 1024;

export function ImportScreen(): JSX.Element {
  const [from, setFrom] = useState<From>("file");
  const [document, setDocument] = useState("");
  const [fileName, setFileName] = useState("");
  const [url, setUrl] = useState("");
  const [base, setBase] = useState("");
  const [prefix, setPrefix] = useState("");
  const [roles, setRoles] = useState<string[]>([]);
  const [listing, setListing] = useState<OpenApiListing>();
  const [chosen, setChosen] = useState<Set<string>>(new Set());
  const [problem, setProblem] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const [change, setChange] = useState<Change>();
  const source: OpenApiSource = {
    document: from === "url" ? null : document,
    url: from === "url" ? url.trim() : null,
    base_url: base.trim() || null,
    prefix: prefix.trim(),
    roles: roles.filter(Boolean),
  };
  const ready = from === "url" ? !!source.url : !!document.trim();
  const read = async () => {
    setBusy(true);
    setProblem(undefined);
    setListing(undefined);
    try {
      const found = await post<OpenApiListing>("openapi", source);
      setListing(found);
      setChosen(new Set(found.operations.map(({ id }) => id)));
    } catch (error) {
      setProblem(error as Error);
    }
    setBusy(false);
  };
  const takeFile = async (file: File | undefined) => {
    if (!file) return;
    if (file.size > MAX_SIZE) {
      setProblem(new Error(`${file.name} is larger than 16 MiB.`));
      return;
    }
    setDocument(await file.text());
    setFileName(file.name);
    setListing(undefined);
  };
  return (
    <div class="stack">
      <PageHead title="Import OpenAPI" lead="Operations of a REST API become actions, with their types and transforms. OpenAPI 3.0 and 3.1, JSON or YAML. Nothing is written before you have seen the diff." />
      <Card title="Description">
        <div class="row">
          <Segments
            label="From"
            value={from}
            options={[
              ["file", "File"],
              ["paste", "Text"],
              ["url", "URL"],
            ]}
            onChange={setFrom}
          />
        </div>
        {from === "file" ? (
          <div class="field">
            <label for="openapi-file">OpenAPI file</label>
            <input id="openapi-file" class="input" type="file" accept=".json,.yaml,.yml" onChange={(event) => void takeFile(event.currentTarget.files?.[0])} />
            {fileName ? <span class="hint">{fileName}</span> : null}
          </div>
        ) : null}
        {from === "paste" ? <TextField label="OpenAPI text" lines={10} value={document} onInput={setDocument} placeholder="openapi: 3.1.0" /> : null}
        {from === "url" ? <TextField label="OpenAPI URL" mono value={url} onInput={setUrl} placeholder="https://api.example.com/openapi.json" hint="Fetched by Pillion, not by your browser." /> : null}
        <div class="grid">
          <TextField label="Base URL" mono value={base} onInput={setBase} placeholder="that of the description" hint="Variables may stand in it." />
          <TextField label="Prefix of names" mono value={prefix} onInput={setPrefix} placeholder="none" />
          <RolesField roles={roles} onChange={setRoles} />
        </div>
        <div class="row">
          <Button kind="primary" disabled={!ready} busy={busy} onClick={read}>
            Read operations
          </Button>
        </div>
        {busy ? <div class="progress" /> : null}
        {problem ? <Problem error={problem} /> : null}
      </Card>
      {listing ? (
        <Listing
          of={listing}
          chosen={chosen}
          onChoose={setChosen}
          onPreview={() => setChange({ kind: "import_openapi", ...source, operations: [...chosen], tags: [] })}
        />
      ) : null}
      {change ? <SaveDialog title="Import OpenAPI" change={change} onClose={() => setChange(undefined)} onSaved={() => navigate(href("actions"))} /> : null}
    </div>
  );
}

interface ListingProps {
  of: OpenApiListing;
  chosen: Set<string>;
  onChoose: (chosen: Set<string>) => void;
  onPreview: () => void;
}

function Listing({ of, chosen, onChoose, onPreview }: ListingProps): JSX.Element {
  const all = of.operations.length > 0 && of.operations.every(({ id }) => chosen.has(id));
  const toggle = (id: string) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    onChoose(next);
  };
  const head = (
    <tr>
      <th scope="col">
        <input type="checkbox" aria-label="All operations" checked={all} onChange={() => onChoose(all ? new Set() : new Set(of.operations.map(({ id }) => id)))} />
      </th>
      <th scope="col">Operation</th>
      <th scope="col">Becomes</th>
      <th scope="col">Tags</th>
    </tr>
  );
  return (
    <>
      <Card
        title={plural(of.operations.length, "operation")}
        flush
        side={
          <>
            <span class="muted">{chosen.size} chosen</span>
            <Button kind="primary" disabled={!chosen.size} onClick={onPreview}>
              Preview
            </Button>
          </>
        }
      >
        {of.operations.length ? (
          <Table label="Operations" head={head}>
            {of.operations.map(({ id, method, path, becomes, tags }) => (
              <tr key={id}>
                <td>
                  <input type="checkbox" aria-label={`Import ${id}`} checked={chosen.has(id)} onChange={() => toggle(id)} />
                </td>
                <td>
                  <strong>{id}</strong>
                  <div class="muted">
                    <code>
                      {method} {path}
                    </code>
                  </div>
                </td>
                <td>
                  <code>{becomes}</code>
                </td>
                <td>
                  {tags.map((tag) => (
                    <Badge key={tag}>{tag}</Badge>
                  ))}
                </td>
              </tr>
            ))}
          </Table>
        ) : (
          <Empty title="No operation of this description can become an action" />
        )}
      </Card>
      {of.left_out.length ? (
        <Card title={`${plural(of.left_out.length, "operation")} or parts left out`}>
          <p class="muted small">The others are imported all the same.</p>
          <Diagnostics of={of.left_out} label="Left out" />
        </Card>
      ) : null}
      {of.variables.length ? (
        <Card title="Variables to set">
          {of.variables.map(({ name, purpose }) => (
            <p key={name}>
              <code>{name}</code> {purpose}
            </p>
          ))}
        </Card>
      ) : null}
    </>
  );
}

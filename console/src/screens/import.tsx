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

interface Draft {
  from: From;
  document: string;
  fileName: string;
  url: string;
  base: string;
  prefix: string;
  roles: string[];
}

const EMPTY: Draft = { from: "file", document: "", fileName: "", url: "", base: "", prefix: "", roles: [] };

const sourceOf = ({ from, document, url, base, prefix, roles }: Draft): OpenApiSource => ({
  document: from === "url" ? null : document,
  url: from === "url" ? url.trim() : null,
  base_url: base.trim() || null,
  prefix: prefix.trim(),
  roles: roles.filter(Boolean),
});

export function ImportScreen(): JSX.Element {
  const [draft, setDraft] = useState(EMPTY);
  const [listing, setListing] = useState<OpenApiListing>();
  const [chosen, setChosen] = useState<Set<string>>(new Set());
  const [problem, setProblem] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const [proposal, setProposal] = useState<Change>();
  const source = sourceOf(draft);
  // What was read belongs to the description that it was read from.
  const change = (part: Partial<Draft>) => {
    setDraft({ ...draft, ...part });
    setListing(undefined);
  };
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
  return (
    <div class="stack">
      <PageHead title="Import OpenAPI" lead="Operations of a REST API become actions, with their types and transforms. OpenAPI 3.0 and 3.1, JSON or YAML. Nothing is written before you have seen the diff." />
      <Card title="Description">
        <SourceFields draft={draft} onChange={change} onProblem={setProblem} />
        <div class="row">
          <Button kind="primary" disabled={!source.url && !source.document?.trim()} busy={busy} onClick={read}>
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
          onPreview={() => setProposal({ kind: "import_openapi", ...source, operations: [...chosen], tags: [] })}
        />
      ) : null}
      {proposal ? <SaveDialog title="Import OpenAPI" change={proposal} onClose={() => setProposal(undefined)} onSaved={() => navigate(href("actions"))} /> : null}
    </div>
  );
}

interface SourceFieldsProps {
  draft: Draft;
  onChange: (part: Partial<Draft>) => void;
  onProblem: (problem: Error) => void;
}

function SourceFields({ draft, onChange, onProblem }: SourceFieldsProps): JSX.Element {
  const takeFile = async (file: File | undefined) => {
    if (!file) return;
    if (file.size > MAX_SIZE) onProblem(new Error(`${file.name} is larger than 16 MiB.`));
    else onChange({ document: await file.text(), fileName: file.name });
  };
  return (
    <>
      <div class="row">
        <Segments
          label="From"
          value={draft.from}
          options={[
            ["file", "File"],
            ["paste", "Text"],
            ["url", "URL"],
          ]}
          onChange={(from) => onChange({ from })}
        />
      </div>
      {draft.from === "file" ? (
        <div class="field">
          <label for="openapi-file">OpenAPI file</label>
          <input id="openapi-file" class="input" type="file" accept=".json,.yaml,.yml" onChange={(event) => void takeFile(event.currentTarget.files?.[0])} />
          {draft.fileName ? <span class="hint">{draft.fileName}</span> : null}
        </div>
      ) : null}
      {draft.from === "paste" ? <TextField label="OpenAPI text" lines={10} value={draft.document} onInput={(document) => onChange({ document })} placeholder="openapi: 3.1.0" /> : null}
      {draft.from === "url" ? (
        <TextField label="OpenAPI URL" mono value={draft.url} onInput={(url) => onChange({ url })} placeholder="https://api.example.com/openapi.json" hint="Fetched by Pillion, not by your browser." />
      ) : null}
      <div class="grid">
        <TextField label="Base URL" mono value={draft.base} onInput={(base) => onChange({ base })} placeholder="that of the description" hint="Variables may stand in it." />
        <TextField label="Prefix of names" mono value={draft.prefix} onInput={(prefix) => onChange({ prefix })} placeholder="none" />
        <RolesField roles={draft.roles} onChange={(roles) => onChange({ roles })} />
      </div>
    </>
  );
}

interface ListingProps {
  of: OpenApiListing;
  chosen: Set<string>;
  onChoose: (chosen: Set<string>) => void;
  onPreview: () => void;
}

function Listing({ of, chosen, onChoose, onPreview }: ListingProps): JSX.Element {
  const side = (
    <>
      <span class="muted">{chosen.size} chosen</span>
      <Button kind="primary" disabled={!chosen.size} onClick={onPreview}>
        Preview
      </Button>
    </>
  );
  return (
    <>
      <Card title={plural(of.operations.length, "operation")} flush side={side}>
        {of.operations.length ? (
          <OperationTable of={of.operations} chosen={chosen} onChoose={onChoose} />
        ) : (
          <Empty title="No operation of this description can become an action" />
        )}
      </Card>
      {of.left_out.length ? (
        <Card title={`${of.left_out.length} left out`}>
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

interface OperationTableProps {
  of: OpenApiListing["operations"];
  chosen: Set<string>;
  onChoose: (chosen: Set<string>) => void;
}

function OperationTable({ of, chosen, onChoose }: OperationTableProps): JSX.Element {
  const all = of.every(({ id }) => chosen.has(id));
  const toggle = (id: string) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    onChoose(next);
  };
  const head = (
    <tr>
      <th scope="col">
        <input type="checkbox" aria-label="All operations" checked={all} onChange={() => onChoose(all ? new Set() : new Set(of.map(({ id }) => id)))} />
      </th>
      <th scope="col">Operation</th>
      <th scope="col">Becomes</th>
      <th scope="col">Tags</th>
    </tr>
  );
  return (
    <Table label="Operations" head={head}>
      {of.map(({ id, method, path, becomes, tags }) => (
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
  );
}

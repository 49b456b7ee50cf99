// Relationships from the action's types to the upstream's rows, and fields of the upstream's types that this action resolves.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { get } from "../../api/client";
import type { ActionDetail, UpstreamFields } from "../../api/types";
import { Button, Select, TextField } from "../../ui/controls";
import { Card, Empty } from "../../ui/data";
import { Loaded, useLoad } from "../../ui/load";
import type { Propose } from "./action";

interface PartProps {
  action: ActionDetail;
  propose: Propose;
}

export function RelationshipsTab({ action, propose }: PartProps): JSX.Element {
  const upstream = useLoad((signal) => get<UpstreamFields>("upstream/fields?role=admin", signal), []);
  return (
    <div class="grid">
      <Card title="Relationships">
        <p class="muted small">Rows of the upstream inside of the handler's result: a field of the result is the key with which a root field of the upstream is asked.</p>
        <List
          of={action.relationships.map(({ type, name, text }) => ({ key: `${type}.${name}`, text }))}
          none="No type of this action has a relationship"
          onRemove={(key) => {
            const [type = "", name = ""] = key.split(".");
            propose(`Remove ${key}`, { kind: "relationship", type, name, set: null });
          }}
        />
        <Loaded of={upstream} what="the upstream's schema">
          {(fields) => <NewRelationship action={action} propose={propose} upstream={fields} />}
        </Loaded>
      </Card>
      <Card title="Fields on the upstream's types">
        <p class="muted small">The other direction: this action as a field of the upstream's rows. Only synchronous query actions can be fields.</p>
        <List
          of={action.fields.map(({ coordinate }) => ({ key: coordinate, text: coordinate }))}
          none="No type of the upstream has this action as a field"
          onRemove={(coordinate) => propose(`Remove ${coordinate}`, { kind: "field", coordinate, set: null })}
        />
        {action.operation === "query" && action.kind === "synchronous" ? (
          <Loaded of={upstream} what="the upstream's schema">
            {(fields) => <NewField action={action} propose={propose} upstream={fields} />}
          </Loaded>
        ) : null}
      </Card>
    </div>
  );
}

function List({ of, none, onRemove }: { of: { key: string; text: string }[]; none: string; onRemove: (key: string) => void }): JSX.Element {
  if (!of.length) return <Empty title={none} />;
  return (
    <div class="stack tight">
      {of.map(({ key, text }) => (
        <div class="row between notice" key={key}>
          <code>{text}</code>
          <Button kind="quiet" label={`Remove ${key}`} onClick={() => onRemove(key)}>
            Remove
          </Button>
        </div>
      ))}
    </div>
  );
}

function NewRelationship({ action, propose, upstream }: PartProps & { upstream: UpstreamFields }): JSX.Element {
  const types = objectTypes(action.definition);
  const [type, setType] = useState(types[0]?.name ?? "");
  const fields = types.find(({ name }) => name === type)?.fields ?? [];
  const [key, setKey] = useState("");
  const [root, setRoot] = useState(upstream.query[0]?.name ?? "");
  const [argument, setArgument] = useState("");
  const [name, setName] = useState("");
  const from = fields.includes(key) ? key : (fields[0] ?? "");
  const target = upstream.query.find((field) => field.name === root);
  const by = target?.args.some((one) => one.name === argument) ? argument : (target?.args[0]?.name ?? "");
  const call = `${root}(${by}: $${from})`;
  if (!types.length) return <p class="muted">The action has no object type of its own.</p>;
  return (
    <fieldset class="stack">
      <legend>New relationship</legend>
      <div class="grid">
        <Select label="Type" value={type} options={types.map((one) => one.name)} onChange={setType} />
        <TextField label="Name of the field" mono value={name} onInput={setName} placeholder="product" />
        <Select label="Key: a field of the type" value={from} options={fields} onChange={setKey} />
        <Select
          label="Root field of the upstream"
          value={root}
          options={upstream.query.map((field) => [field.name, `${field.name}: ${field.type}`])}
          onChange={setRoot}
        />
        <Select label="Argument that gets the key" value={by} options={(target?.args ?? []).map((one) => [one.name, `${one.name}: ${one.type}`])} onChange={setArgument} />
      </div>
      <div class="row between">
        <code>
          {type}.{name || "…"}: {call}
        </code>
        <Button kind="primary" disabled={!name.trim() || !by || !from} onClick={() => propose(`Relationship ${type}.${name}`, { kind: "relationship", type, name: name.trim(), set: call })}>
          Preview
        </Button>
      </div>
    </fieldset>
  );
}

function NewField({ action, propose, upstream }: PartProps & { upstream: UpstreamFields }): JSX.Element {
  const [type, setType] = useState(upstream.objects[0]?.name ?? "");
  const [name, setName] = useState(action.name);
  const [keys, setKeys] = useState<Record<string, string>>({});
  const fields = upstream.objects.find((one) => one.name === type)?.fields ?? [];
  const given = Object.keys(action.sample_arguments).map((argument): [string, string] => [argument, keys[argument] ?? fields[0]?.name ?? ""]);
  const call = `${action.name}${given.length ? `(${given.map(([argument, key]) => `${argument}: $${key}`).join(", ")})` : ""}`;
  const coordinate = `${type}.${name.trim()}`;
  return (
    <fieldset class="stack">
      <legend>New field</legend>
      <div class="grid">
        <Select label="Type of the upstream" value={type} options={upstream.objects.map((one) => one.name)} onChange={setType} />
        <TextField label="Name of the field" mono value={name} onInput={setName} />
        {given.map(([argument, key]) => (
          <Select
            key={argument}
            label={`${argument} comes from`}
            value={key}
            options={fields.map((field) => [field.name, `${field.name}: ${field.type}`])}
            onChange={(chosen) => setKeys({ ...keys, [argument]: chosen })}
          />
        ))}
      </div>
      <div class="row between">
        <code>
          {coordinate}: {call}
        </code>
        <Button kind="primary" disabled={!name.trim() || !type} onClick={() => propose(`Field ${coordinate}`, { kind: "field", coordinate, set: { call } })}>
          Preview
        </Button>
      </div>
    </fieldset>
  );
}

/** Object types of a definition with their fields, roots left out. The server checks the result, so that a rough reading is enough. */
function objectTypes(definition: string): { name: string; fields: string[] }[] {
  const plain = definition.replace(/"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"|#[^\n]*/g, "");
  const types = [...plain.matchAll(/\btype\s+(\w+)[^{]*\{([^}]*)\}/g)].map(([, name = "", body = ""]) => ({
    name,
    fields: [...body.replace(/\([^)]*\)/g, "").matchAll(/(\w+)\s*:/g)].map(([, field = ""]) => field),
  }));
  return types.filter(({ name }) => !/^(Query|Mutation|Subscription|\w+_root)$/.test(name));
}

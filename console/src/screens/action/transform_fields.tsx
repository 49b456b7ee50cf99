// The fields of a transform: method, URL, query parameters, body. What has no field here stays as it is in the file.
import type { JSX } from "preact";
import type { Diagnostic, Json } from "../../api/types";
import { Editor } from "../../editor/editor";
import { Segments, Select, TextField } from "../../ui/controls";
import { parseJson } from "../../api/client";
import { pretty } from "../../ui/format";

export interface TransformText {
  on: boolean;
  method: string;
  url: string;
  query: string;
  headers: string;
  body: "keep" | "remove" | "transform" | "x_www_form_urlencoded";
  template: string;
}

type Object = { [key: string]: Json };

const isObject = (value: Json | undefined): value is Object => typeof value === "object" && value !== null && !Array.isArray(value);

export function fieldsOf(transform: Json | undefined): TransformText {
  const given = isObject(transform) ? transform : {};
  const body = given["body"];
  const action = isObject(body) ? body["action"] : undefined;
  const template = typeof body === "string" ? body : isObject(body) ? (body["template"] ?? body["form_template"]) : undefined;
  return {
    on: isObject(transform),
    method: asText(given["method"]),
    url: asText(given["url"]),
    query: given["query_params"] === undefined ? "" : asText(given["query_params"]),
    headers: isObject(given["request_headers"]) ? pretty(given["request_headers"]) : "",
    body: action === "remove" || action === "x_www_form_urlencoded" ? action : template === undefined ? "keep" : "transform",
    template: asText(template),
  };
}

const asText = (value: Json | undefined): string => (value === undefined || value === null ? "" : typeof value === "string" ? value : pretty(value));

/** The transform as in `actions.yaml`; `null` where there is none. Keys without a field here are those of the file. */
export function transformOf(text: TransformText, stored: Json | undefined): Json {
  if (!text.on) return null;
  const unchanged = JSON.stringify(fieldsOf(stored)) === JSON.stringify(text);
  if (unchanged && stored !== undefined) return stored;
  const made: Object = isObject(stored) ? { ...stored } : { version: 2, template_engine: "Kriti" };
  const before = fieldsOf(stored);
  const set = (key: string, value: Json | undefined) => {
    if (value === undefined) delete made[key];
    else made[key] = value;
  };
  if (text.method !== before.method) set("method", text.method || undefined);
  if (text.url !== before.url) set("url", text.url || undefined);
  if (text.query !== before.query) set("query_params", text.query ? (parseJson(text.query) ?? text.query) : undefined);
  if (text.headers !== before.headers) set("request_headers", text.headers ? (parseJson(text.headers) ?? text.headers) : undefined);
  if (text.body !== before.body || text.template !== before.template) set("body", bodyOf(text));
  return made;
}

function bodyOf({ body, template }: TransformText): Json | undefined {
  if (body === "keep") return undefined;
  if (body === "remove") return { action: "remove" };
  if (body === "x_www_form_urlencoded") return { action: body, form_template: parseJson(template) ?? {} };
  return { action: "transform", template };
}

interface FieldsProps {
  value: TransformText;
  onChange: (value: TransformText) => void;
  diagnostics: Diagnostic[];
}

const at = (diagnostics: Diagnostic[], file: string): Diagnostic[] => diagnostics.filter((one) => one.file?.startsWith(file));

export function RequestFields({ value, onChange, diagnostics }: FieldsProps): JSX.Element {
  const set = (part: Partial<TransformText>) => onChange({ ...value, on: true, ...part });
  return (
    <div class="stack">
      <div class="grid">
        <Select
          label="Method"
          value={value.method}
          options={[["", "POST (unchanged)"], "GET", "POST", "PUT", "PATCH", "DELETE"]}
          onChange={(method) => set({ method })}
        />
        <TextField label="URL template" mono value={value.url} onInput={(url) => set({ url })} placeholder="{{$base_url}}/v1/things/{{escapeUri($body.input.id)}}" />
        <TextField label="Query parameters, JSON" mono value={value.query} onInput={(query) => set({ query })} placeholder='{"limit": "{{$body.input.limit}}"}' />
      </div>
      <BodyFields
        part="request"
        value={value}
        onChange={onChange}
        diagnostics={diagnostics}
        options={[
          ["keep", "As it is"],
          ["transform", "Template"],
          ["x_www_form_urlencoded", "Form"],
          ["remove", "None"],
        ]}
      />
    </div>
  );
}

export function ResponseFields(props: FieldsProps): JSX.Element {
  return (
    <BodyFields
      part="response"
      {...props}
      options={[
        ["keep", "As it is"],
        ["transform", "Template"],
      ]}
    />
  );
}

interface BodyProps extends FieldsProps {
  part: "request" | "response";
  options: [TransformText["body"], string][];
}

function BodyFields({ part, value, onChange, diagnostics, options }: BodyProps): JSX.Element {
  const set = (change: Partial<TransformText>) => {
    const next = { ...value, ...change, on: true };
    const empty = next.body === "keep" && !next.method && !next.url && !next.query && !next.headers;
    onChange({ ...next, on: !empty });
  };
  return (
    <>
      <div class="row">
        <Segments label="Body" value={value.body} options={options} onChange={(body) => set({ body, template: value.template || (part === "request" ? "{{$body.input}}" : "{{$body}}") })} />
      </div>
      {value.body === "transform" || value.body === "x_www_form_urlencoded" ? (
        <Editor
          label={`Template of the ${part} body`}
          language="text"
          value={value.template}
          onChange={(template) => set({ template })}
          diagnostics={at(diagnostics, `${part}_transform.body`)}
        />
      ) : null}
    </>
  );
}

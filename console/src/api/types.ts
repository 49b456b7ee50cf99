// What the console's API sends and takes; src/console on the other side.

export interface Diagnostic {
  severity: "error" | "warning";
  message: string;
  file?: string | null;
  line?: number | null;
  column?: number | null;
  length?: number | null;
  notes?: string[];
  help?: string | null;
  /** Rendered with excerpt and caret, secrets masked. */
  text?: string | null;
}

export interface Session {
  authenticated: boolean;
  needs_token: boolean;
  version: string;
}

export interface Overview {
  version: string;
  upstream: {
    url: string;
    up: boolean;
    reason: string | null;
    kind: string | null;
    dialect: string;
    query_root: string | null;
    mutation_root: string | null;
    schema: { state: "known" | "not_fetched" | "off"; age_seconds: number | null; failures: { role: string; reason: string }[] };
  };
  configuration: {
    revision: string;
    files: string[];
    config_file: string | null;
    metadata_folder: string | null;
    writable: boolean;
    not_writable_because: string | null;
    started_at: string;
    loaded_at: string;
    last_reload: { at: string; ok: boolean; message: string | null } | null;
    diagnostics: Diagnostic[];
  };
  warnings: Diagnostic[];
  breakers: { action: string; state: string }[];
  actions: number;
  jobs: JobCounts | null;
  listeners: { clients: string; admin: string; graphql_path: string };
}

export interface JobCounts {
  store: string;
  /** Why there are no counts. */
  unavailable?: string;
  created: number;
  processing: number;
  oldest_pending_seconds: number | null;
}

export interface Activity {
  interval_seconds: number;
  at: string;
  series: Record<string, (number | null)[]>;
}

export interface CheckReport {
  complete: boolean;
  errors: number;
  warnings: number;
  diagnostics: Diagnostic[];
  checks: { kind: string; name: string; result: string; steps?: string[]; step?: string; address?: string; reason?: string }[];
}

export interface DoctorReport {
  items: { check: string; status: string; found?: string | null; help?: string | null; manual?: string | null }[];
}

export type Identity =
  | { kind: "admin" }
  | { kind: "role"; role: string; session_variables: Record<string, string> }
  | { kind: "token"; token: string }
  | { kind: "anonymous" };

export interface Operation {
  query: string;
  variables: Record<string, unknown>;
  operation_name: string | null;
  headers: Record<string, string>;
  as: Identity;
}

export interface SentHeader {
  name: string;
  value: string;
  source: string;
  overrides?: { source: string; value: string }[];
}

export interface PlannedBefore {
  document: string;
  variables?: unknown;
  not_asked_because?: string | null;
  asked_as: string;
  required: string[];
  sent: string[];
}

export interface PlanStep {
  type: "upstream" | "action" | "introspection";
  fields?: string[];
  document?: string;
  variables?: unknown;
  extension_fields?: { coordinate: string; action: string; rows: string; keys: string[]; url: string }[];
  response_name?: string;
  action?: string;
  mode?: string;
  method?: string;
  url?: string;
  timeout_seconds?: number;
  input?: unknown;
  headers?: SentHeader[];
  body?: string | null;
  not_called_because?: string | null;
  rows?: string[];
  /** What the upstream is asked before the call. */
  before?: PlannedBefore | null;
}

export interface Plan {
  concerns_us: boolean;
  kind: string;
  role: string;
  session_variables: Record<string, string>;
  order: string;
  schema_known: boolean;
  schema_reason: string | null;
  hints: string[];
  text: string;
  steps: PlanStep[];
}

export interface TimingStep {
  name: string;
  label?: string | null;
  start_ms: number;
  duration_ms: number;
  failed?: boolean;
}

export interface RunResult {
  status: number;
  headers: [string, string][];
  body: string;
  truncated: boolean;
  duration_ms: number;
  request_id: string | null;
  timing: { total_ms: number; steps: TimingStep[] } | null;
}

export interface ActionRow {
  name: string;
  operation: "query" | "mutation";
  kind: "synchronous" | "asynchronous";
  output: string;
  handler: string;
  roles: string[];
  comment: string | null;
  file: string;
  line: number;
  request_transform: boolean;
  response_transform: boolean;
  guards: string[];
  served: boolean;
  requests_per_second: number | null;
  error_share: number | null;
  p99_ms: number | null;
  calls_total: number;
  failures_total: number;
  breaker: "closed" | "half_open" | "open" | null;
}

export interface ActionList {
  revision: string;
  actions: ActionRow[];
  roles: string[];
  types: string[];
}

export interface ConfiguredHeader {
  name: string;
  value?: string;
  value_from_env?: string;
  is_set?: boolean;
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface ActionDetail extends ActionRow {
  revision: string;
  definition: string;
  method: string;
  timeout: number;
  forward_client_headers: boolean;
  headers: ConfiguredHeader[];
  entry: { name: string; definition: { [key: string]: Json }; [key: string]: Json };
  relationships: { type: string; name: string; text: string }[];
  fields: { coordinate: string }[];
  policies: { name: string; value: Json; origin: string; key: string }[];
  sample_arguments: { [key: string]: Json };
  sample_query: string;
}

export interface Failure {
  at: string;
  role: string | null;
  kind: string;
  message: string;
  status: number | null;
  request_id: string | null;
  trace_id: string | null;
  attempts: number;
  duration_ms: number;
}

export interface HeaderReport {
  headers: SentHeader[];
  not_forwarded: { name: string; reason: string }[];
}

export interface HttpMessage {
  method?: string;
  url?: string;
  headers?: [string, string][];
  status?: number;
  body?: Json;
}

export interface TransformReport {
  request: { before: HttpMessage; after: HttpMessage | null } | null;
  response: { before: HttpMessage; after: HttpMessage | null } | null;
  diagnostics: Diagnostic[];
}

export interface HandlerFields {
  handler: string;
  asynchronous: boolean;
  roles: string[];
  headers: ConfiguredHeader[];
  forward_client_headers: boolean;
  timeout: number | null;
  comment: string | null;
}

export type HeaderEdit = { name: string; value: string } | { name: string; value_from_env: string } | { name: string; keep: true };

export interface OpenApiSource {
  document: string | null;
  url: string | null;
  base_url: string | null;
  prefix: string;
  roles: string[];
}

export type Change =
  | ({ kind: "create"; definition: string } & HandlerFields)
  | ({ kind: "derive"; name: string; operation: string; as: Identity } & HandlerFields)
  | { kind: "clone"; action: string; name: string }
  | { kind: "rename"; action: string; name: string }
  | { kind: "remove"; action: string; keep_types: boolean }
  | { kind: "permissions"; grid: { action: string; roles: string[] }[] }
  | { kind: "definition"; action: string; definition: string }
  | { kind: "set"; action: string; set: { [key: string]: Json | HeaderEdit[] } }
  | { kind: "settings"; action: string; set: { [key: string]: Json } }
  | { kind: "relationship"; type: string; name: string; set: string | null }
  | { kind: "field"; coordinate: string; set: { [key: string]: Json } | null }
  | ({ kind: "import_openapi"; operations: string[]; tags: string[] } & OpenApiSource);

export interface Edit {
  path: string;
  created: boolean;
  diff: string;
}

export interface Preview {
  revision: string;
  edits: Edit[];
  diagnostics: Diagnostic[];
  ok: boolean;
  writable: boolean;
  not_writable_because: string | null;
  summary: string | null;
  notes: string[];
  variables: { name: string; purpose: string }[];
  left_out: Diagnostic[];
}

export interface Saved {
  saved: boolean;
  revision: string;
  reload: { ok: boolean; message?: string; diagnostics?: Diagnostic[] };
  edits: Edit[];
}

export interface OpenApiListing {
  operations: { id: string; method: string; path: string; becomes: string; tags: string[] }[];
  left_out: Diagnostic[];
  variables: { name: string; purpose: string }[];
}

export interface CodeFiles {
  files: { path: string; text: string; owner: "generated" | "user" }[];
  notes: string[];
}

export interface UpstreamField {
  name: string;
  args: { name: string; type: string }[];
  type: string;
  description: string | null;
}

export interface UpstreamFields {
  query: UpstreamField[];
  mutation: UpstreamField[];
  objects: { name: string; fields: { name: string; type: string }[] }[];
}

export interface SchemaText {
  role: string;
  sdl: string;
  own: { fields: string[]; types: string[] };
}

export interface JobRow {
  id: string;
  action: string;
  status: "created" | "processing" | "completed" | "error";
  created_at: string;
  attempts: number;
}

export interface JobDetail extends JobRow {
  failures: number;
  payload: Json;
  session_variables: { [key: string]: Json };
  response: Json;
  errors: Json;
}

export interface SettingRow {
  key: string;
  value: Json;
  default: Json;
  origin: "flag" | "variable" | "file" | "default";
  place: string | null;
  doc: string;
  type: string;
  applies: "reload" | "start";
  changed_since_start: boolean;
  waiting_for_start: boolean;
  secret: boolean;
  flag: string | null;
  env: string[];
}

export interface MetricRow {
  name: string;
  type: string;
  labels: string[];
  help: string;
  promql: string;
  runbook?: string | null;
  samples: { labels: Record<string, string>; value: number; sum?: number }[];
}

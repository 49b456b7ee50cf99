// One action: everything about it, a tab for each question.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { get } from "../../api/client";
import type { ActionDetail, Change } from "../../api/types";
import { href, navigate, replaceQuery, route } from "../../state/router";
import { Button, Menu, Tabs } from "../../ui/controls";
import { Badge, Empty, PageHead } from "../../ui/data";
import { duration, rate, share } from "../../ui/format";
import { Loaded, useLoad } from "../../ui/load";
import { Breaker } from "../actions";
import { NameDialog } from "../name_dialog";
import { SaveDialog } from "../save_dialog";
import { CodeTab } from "./code_tab";
import { DefinitionTab } from "./definition_tab";
import { FailuresTab } from "./failures_tab";
import { HandlerTab } from "./handler_tab";
import { PermissionsTab } from "./permissions_tab";
import { PoliciesTab } from "./policies_tab";
import { RelationshipsTab } from "./relationships_tab";
import { TransformTab } from "./transform_tab";
import { TryTab } from "./try_tab";

export type Propose = (title: string, change: Change, after?: () => void) => void;

const TABS = [
  ["definition", "Definition"],
  ["handler", "Handler & headers"],
  ["transform", "Transform"],
  ["permissions", "Permissions"],
  ["relationships", "Relationships & fields"],
  ["policies", "Policies"],
  ["try", "Try"],
  ["failures", "Failures"],
  ["code", "Code"],
] as const satisfies [string, string][];

type Tab = (typeof TABS)[number][0];

export function ActionScreen({ name }: { name: string }): JSX.Element {
  const action = useLoad((signal) => get<ActionDetail>(`actions/${encodeURIComponent(name)}`, signal), [name]);
  const [proposal, setProposal] = useState<{ title: string; change: Change; after?: (() => void) | undefined }>();
  const asked = route.value.query.get("tab");
  const tab: Tab = TABS.find(([id]) => id === asked)?.[0] ?? "definition";
  const propose: Propose = (title, change, after) => setProposal({ title, change, after });
  const missing = (
    <Empty title={`There is no action ${name}`} action={<a href={href("actions")}>All actions</a>}>
      <p>It may have been renamed or removed.</p>
    </Empty>
  );
  return (
    <div class="stack">
      <Loaded of={action} what="the action" missing={missing}>
        {(data) => (
          <>
            <Head of={data} propose={propose} />
            <Tabs label={`Action ${name}`} tabs={TABS.map(([id, text]) => [id, text])} selected={tab} onSelect={(chosen) => replaceQuery({ tab: chosen === "definition" ? null : chosen })}>
              {content(tab, data, propose, action.reload)}
            </Tabs>
          </>
        )}
      </Loaded>
      {proposal ? (
        <SaveDialog
          title={proposal.title}
          change={proposal.change}
          onClose={() => setProposal(undefined)}
          onSaved={() => {
            setProposal(undefined);
            if (proposal.after) proposal.after();
            else void action.reload();
          }}
        />
      ) : null}
    </div>
  );
}

function content(tab: Tab, action: ActionDetail, propose: Propose, reload: () => unknown): ComponentChildren {
  const props = { action, propose };
  // What was typed belongs to the text that was loaded: another revision begins afresh.
  const key = `${action.name} ${action.revision}`;
  switch (tab) {
    case "definition":
      return <DefinitionTab key={key} {...props} />;
    case "handler":
      return <HandlerTab key={key} {...props} />;
    case "transform":
      return <TransformTab key={key} {...props} />;
    case "permissions":
      return <PermissionsTab key={key} action={action} onSaved={reload} />;
    case "relationships":
      return <RelationshipsTab key={key} {...props} />;
    case "policies":
      return <PoliciesTab key={key} {...props} />;
    case "try":
      return <TryTab key={key} action={action} />;
    case "failures":
      return <FailuresTab action={action} />;
    case "code":
      return <CodeTab action={action} />;
  }
}

function Head({ of, propose }: { of: ActionDetail; propose: Propose }): JSX.Element {
  const [naming, setNaming] = useState<"clone" | "rename">();
  const name = (kind: "clone" | "rename", chosen: string) => {
    setNaming(undefined);
    propose(`${kind === "clone" ? "Clone" : "Rename"} ${of.name}`, { kind, action: of.name, name: chosen }, () => navigate(href("actions", chosen)));
  };
  const title = (
    <>
      <span class="crumb">
        <a href={href("actions")}>Actions</a> /{" "}
      </span>
      {of.name}
    </>
  );
  return (
    <>
      <PageHead title={title} lead={of.comment ?? undefined}>
        <a class="button" href={`${href("actions", of.name)}?tab=try`}>
          Try it
        </a>
        <Menu
          label="More"
          items={[
            ["Rename", () => setNaming("rename")],
            ["Clone", () => setNaming("clone")],
          ]}
        />
        <Button
          kind="danger"
          onClick={() => propose(`Remove ${of.name}`, { kind: "remove", action: of.name, keep_types: false }, () => navigate(href("actions")))}
        >
          Remove
        </Button>
      </PageHead>
      {naming ? <NameDialog kind={naming} action={of.name} onClose={() => setNaming(undefined)} onName={(chosen) => name(naming, chosen)} /> : null}
      <div class="row">
        <Badge>{of.operation}</Badge>
        <Badge tone={of.kind === "asynchronous" ? "info" : ""}>{of.kind}</Badge>
        {of.served ? null : <Badge tone="warn">not in effect</Badge>}
        {of.breaker ? <Breaker state={of.breaker} /> : null}
        <span class="muted small">
          {rate(of.requests_per_second)} · errors {share(of.error_share)} · p99 {duration(of.p99_ms)} ·{" "}
          <code>
            {of.file}:{of.line}
          </code>
        </span>
      </div>
    </>
  );
}

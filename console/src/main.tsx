// The console: a page of the admin listener where actions are made, tried and understood.
import { render, type ComponentChildren, type JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { get } from "./api/client";
import type { Session } from "./api/types";
import { ActionScreen } from "./screens/action/action";
import { ActionsScreen } from "./screens/actions";
import { ImportScreen } from "./screens/import";
import { JobsScreen } from "./screens/jobs";
import { MetricsScreen } from "./screens/metrics";
import { OverviewScreen } from "./screens/overview";
import { PlaygroundScreen } from "./screens/playground/playground";
import { SchemaScreen } from "./screens/schema";
import { SettingsScreen } from "./screens/settings";
import { href, route } from "./state/router";
import "./state/theme";
import { Empty } from "./ui/data";
import { Loaded, useLoad } from "./ui/load";
import { Shell, SCREENS } from "./ui/shell";

function Console(): JSX.Element {
  const session = useLoad((signal) => get<Session>("session", signal), []);
  return (
    <Loaded of={session} what="the console">
      {(session) => (
        <Shell session={session}>
          <Current />
        </Shell>
      )}
    </Loaded>
  );
}

function Current(): JSX.Element {
  const [name = "", item] = route.value.segments;
  const title = SCREENS.find((screen) => screen.name === name)?.title ?? "Nothing here";
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${item ?? title} · Pillion console`;
    // What had the focus may be gone with its screen; Tab goes on in the new one.
    if (!isFirst.current && document.activeElement === document.body) document.getElementById("main")?.focus({ preventScroll: true });
    isFirst.current = false;
  }, [item, title]);
  return <>{screen(name, item)}</>;
}

function screen(name: string, item: string | undefined): ComponentChildren {
  switch (name) {
    case "":
      return <OverviewScreen />;
    case "playground":
      return <PlaygroundScreen />;
    case "actions":
      return item ? <ActionScreen key={item} name={item} /> : <ActionsScreen />;
    case "import":
      return <ImportScreen />;
    case "jobs":
      return <JobsScreen id={item ?? null} />;
    case "schema":
      return <SchemaScreen />;
    case "settings":
      return <SettingsScreen />;
    case "metrics":
      return <MetricsScreen />;
    default:
      return (
        <Empty title="There is no such screen" action={<a href={href()}>Overview</a>}>
          <p>The address may be of another version of the console.</p>
        </Empty>
      );
  }
}

render(<Console />, document.getElementById("app") as HTMLElement);

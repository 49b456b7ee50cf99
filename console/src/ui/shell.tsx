// The frame around every screen: skip link, navigation, theme, palette, messages, and the keys that move between screens.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, post } from "../api/client";
import type { Overview, Session } from "../api/types";
import { followLinks, href, navigate, route } from "../state/router";
import { chooseTheme, theme } from "../state/theme";
import { dismiss, toasts } from "../state/toasts";
import { Badge } from "./data";
import { Icon, Logo, type IconName } from "./icons";
import { useLoad } from "./load";
import { Palette } from "./palette";

export interface Screen {
  name: string;
  title: string;
  icon: IconName;
  /** The letter that opens it after `g`. */
  key: string;
}

export const SCREENS: Screen[] = [
  { name: "", title: "Overview", icon: "overview", key: "o" },
  { name: "playground", title: "Playground", icon: "playground", key: "p" },
  { name: "actions", title: "Actions", icon: "actions", key: "a" },
  { name: "import", title: "Import", icon: "import", key: "i" },
  { name: "jobs", title: "Jobs", icon: "jobs", key: "j" },
  { name: "schema", title: "Schema", icon: "schema", key: "s" },
  { name: "settings", title: "Settings", icon: "settings", key: "e" },
  { name: "metrics", title: "Metrics", icon: "metrics", key: "m" },
];

const screenAddress = (screen: Screen): string => (screen.name ? href(screen.name) : href());

/** Opened by keys anywhere on the page; text fields get their letters. */
function useKeys(openPalette: () => void): void {
  useEffect(() => {
    let afterG = false;
    const listen = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        openPalette();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || isText(event.composedPath()[0])) return;
      if (document.querySelector("dialog[open]")) return;
      const screen = afterG ? SCREENS.find(({ key }) => key === event.key) : undefined;
      if (screen) {
        event.preventDefault();
        navigate(screenAddress(screen));
      }
      afterG = event.key === "g" && !afterG;
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);
}

function isText(target: EventTarget | undefined): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

export function Shell({ session, children }: { session: Session; children: ComponentChildren }): JSX.Element {
  const [open, setOpen] = useState(false);
  const [palette, setPalette] = useState(false);
  const overview = useLoad((signal) => get<Overview>("overview", signal), [], 15_000);
  const current = route.value.segments[0] ?? "";
  const address = route.value.segments.join("/");
  useKeys(() => setPalette(true));
  useEffect(() => setOpen(false), [address]);
  useEffect(() => {
    document.addEventListener("click", followLinks);
    return () => document.removeEventListener("click", followLinks);
  }, []);
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <div class="shell">
        <div class="topbar">
          <Brand />
          <button type="button" class="button quiet icon" aria-label="Search and commands" onClick={() => setPalette(true)}>
            <Icon name="search" />
          </button>
          <button type="button" class="button quiet icon" aria-label="Menu" aria-expanded={open} aria-controls="sidebar" onClick={() => setOpen(!open)}>
            <Icon name={open ? "close" : "menu"} />
          </button>
        </div>
        <div class={`sidebar ${open ? "open" : ""}`} id="sidebar">
          <Brand />
          <Navigation current={current} overview={overview.data} />
          <SideFoot session={session} openPalette={() => setPalette(true)} />
        </div>
        <main class="main" id="main" tabIndex={-1}>
          <div class="page">
            {overview.error ? <Lost message={overview.error.message} /> : null}
            {children}
          </div>
        </main>
      </div>
      {palette ? <Palette screens={SCREENS.map((screen) => ({ title: screen.title, address: screenAddress(screen), key: screen.key }))} onClose={() => setPalette(false)} /> : null}
      <Toasts />
    </>
  );
}



function Brand(): JSX.Element {
  return (
    <a class="brand" href={href()}>
      <Logo />
      Pillion
    </a>
  );
}

function Lost({ message }: { message: string }): JSX.Element {
  return (
    <p class="banner error" role="status">
      {message}
    </p>
  );
}

function Navigation({ current, overview }: { current: string; overview: Overview | undefined }): JSX.Element {
  const errors = overview?.configuration.diagnostics.filter(({ severity }) => severity === "error").length ?? 0;
  const count = (name: string): JSX.Element | null => {
    if (name === "" && (errors || overview?.upstream.up === false)) return <Badge tone="error">!</Badge>;
    if (name === "actions" && overview) return <Badge>{overview.actions}</Badge>;
    return null;
  };
  return (
    <nav class="nav" aria-label="Screens">
      {SCREENS.map((screen) => (
        <a key={screen.name} href={screenAddress(screen)} aria-current={screen.name === current ? "page" : undefined} title={`Keys: g ${screen.key}`}>
          <Icon name={screen.icon} />
          {screen.title}
          <span class="count">{count(screen.name)}</span>
        </a>
      ))}
    </nav>
  );
}

function SideFoot({ session, openPalette }: { session: Session; openPalette: () => void }): JSX.Element {
  const next = ({ system: "light", light: "dark", dark: "system" } as const)[theme.value];
  const icon = ({ system: "system", light: "sun", dark: "moon" } as const)[theme.value];
  const logout = async () => {
    await post("logout", {});
    location.assign("/console/login");
  };
  return (
    <div class="side-foot">
      <button type="button" class="button" onClick={openPalette}>
        <Icon name="search" /> Search <kbd>Ctrl K</kbd>
      </button>
      <div class="row between">
        <button type="button" class="button quiet" onClick={() => chooseTheme(next)} title={`Switch to ${next}`}>
          <Icon name={icon} /> Theme: {theme.value}
        </button>
        {session.needs_token ? (
          <button type="button" class="button quiet" onClick={() => void logout()}>
            Log out
          </button>
        ) : null}
      </div>
      <span>
        Version {session.version} · <a href="/console/NOTICE.txt">Licences</a>
      </span>
    </div>
  );
}

function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, kind, text }) => (
        <div key={id} class={`toast ${kind}`}>
          <span class="grow wrap">{text}</span>
          <button type="button" class="button quiet icon" aria-label="Dismiss" onClick={() => dismiss(id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}

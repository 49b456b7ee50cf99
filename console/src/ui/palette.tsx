// The command palette: screens, actions and commands by a few letters of their names.
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { get, post } from "../api/client";
import type { ActionList } from "../api/types";
import { href, navigate } from "../state/router";
import { chooseTheme } from "../state/theme";
import { toast } from "../state/toasts";

interface Entry {
  title: string;
  detail: string;
  run: () => unknown;
}

interface PaletteProps {
  screens: { title: string; address: string; key: string }[];
  onClose: () => void;
}

const SHOWN = 50;

export function Palette({ screens, onClose }: PaletteProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [actions, setActions] = useState<string[]>([]);
  // Before the next key, which may come at once.
  useLayoutEffect(() => dialog.current?.showModal(), []);
  useEffect(() => {
    void get<ActionList>("actions").then(({ actions }) => setActions(actions.map(({ name }) => name)), () => undefined);
  }, []);
  const entries = useMemo(() => all(screens, actions), [screens, actions]);
  const begins = ({ title }: Entry) => title.toLowerCase().startsWith(text.toLowerCase());
  const matching = entries.filter(({ title }) => matches(title, text));
  // Names that begin with the text come first.
  const found = [...matching.filter(begins), ...matching.filter((entry) => !begins(entry))].slice(0, SHOWN);
  const run = (entry: Entry | undefined) => {
    dialog.current?.close();
    void entry?.run();
  };
  const move = (event: KeyboardEvent) => {
    const step = ({ ArrowDown: 1, ArrowUp: -1 } as Record<string, number>)[event.key];
    if (step && found.length) {
      event.preventDefault();
      setAt((at + step + found.length) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(found[at]);
    }
  };
  return (
    <dialog ref={dialog} class="palette narrow" aria-label="Search and commands" onClose={onClose}>
      <input
        class="input"
        role="combobox"
        aria-label="Search screens, actions and commands"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found[at] ? `palette-${at}` : undefined}
        placeholder="Search screens, actions and commands"
        value={text}
        autocomplete="off"
        onKeyDown={move}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
      />
      <ul id="palette-list" role="listbox" aria-label="Results">
        {found.map((entry, index) => (
          <li key={entry.title} id={`palette-${index}`} role="option" aria-selected={index === at} onClick={() => run(entry)} onMouseMove={() => setAt(index)}>
            {entry.title} <span class="muted">{entry.detail}</span>
          </li>
        ))}
      </ul>
      {found.length ? null : <p class="empty">Nothing has this name.</p>}
    </dialog>
  );
}

function all(screens: PaletteProps["screens"], actions: string[]): Entry[] {
  return [
    ...screens.map(({ title, address, key }) => ({ title, detail: `g ${key}`, run: () => navigate(address) })),
    { title: "Create an action", detail: "command", run: () => navigate(`${href("actions")}?new=create`) },
    { title: "Derive an action from an operation", detail: "command", run: () => navigate(`${href("actions")}?new=derive`) },
    { title: "Reload the configuration", detail: "command", run: reload },
    { title: "Light theme", detail: "command", run: () => chooseTheme("light") },
    { title: "Dark theme", detail: "command", run: () => chooseTheme("dark") },
    { title: "Theme of the system", detail: "command", run: () => chooseTheme("system") },
    ...actions.map((name) => ({ title: name, detail: "action", run: () => navigate(href("actions", name)) })),
  ];
}

async function reload(): Promise<void> {
  try {
    await post("reload", {});
    toast("The configuration was reloaded.");
  } catch (error) {
    toast((error as Error).message, "error");
    navigate(href());
  }
}

/** Every letter of the text in this order. */
function matches(title: string, text: string): boolean {
  let from = 0;
  const name = title.toLowerCase();
  return [...text.toLowerCase().replaceAll(" ", "")].every((letter) => {
    from = name.indexOf(letter, from) + 1;
    return from > 0;
  });
}

// A form of an action's arguments, a field for each; what it makes is the JSON beside it.
import type { JSX } from "preact";
import { parseJson } from "../../api/client";
import type { Json } from "../../api/types";
import { Select, TextField } from "../../ui/controls";

export interface Argument {
  name: string;
  type: string;
}

interface ArgumentFormProps {
  definition: string;
  action: string;
  value: { [key: string]: Json };
  onChange: (value: { [key: string]: Json }) => void;
}

export function ArgumentForm({ definition, action, value, onChange }: ArgumentFormProps): JSX.Element | null {
  const list = argumentsOf(definition, action);
  if (!list.length) return null;
  const set = (name: string, member: Json | undefined) => {
    const next = { ...value };
    if (member === undefined) delete next[name];
    else next[name] = member;
    onChange(next);
  };
  return (
    <div class="grid">
      {list.map((argument) => (
        <ArgumentField key={argument.name} argument={argument} choices={choicesOf(definition, argument.type)} value={value[argument.name]} onChange={(member) => set(argument.name, member)} />
      ))}
    </div>
  );
}

interface ArgumentFieldProps {
  argument: Argument;
  choices: string[];
  value: Json | undefined;
  onChange: (value: Json | undefined) => void;
}

function ArgumentField({ argument: { name, type }, choices, value, onChange }: ArgumentFieldProps): JSX.Element {
  const label = `${name}: ${type}`;
  const shown = value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
  if (choices.length) {
    const options: [string, string][] = [["", "not given"], ...choices.map((choice): [string, string] => [choice, choice])];
    return <Select label={label} value={shown} options={options} onChange={(text) => onChange(text === "" ? undefined : (typed(text, type) ?? text))} />;
  }
  return <TextField label={label} mono value={shown} onInput={(text) => onChange(text === "" ? undefined : (typed(text, type) ?? text))} placeholder={type.endsWith("!") ? "" : "not given"} />;
}

/** Texts are texts, even if they look like numbers; anything else is JSON as soon as it is valid. */
function typed(text: string, type: string): Json | undefined {
  return /^(String|ID)!?$/.test(type) ? text : parseJson(text);
}

/** The server checks what is sent, so that a rough reading of the definition is enough. */
export function argumentsOf(definition: string, action: string): Argument[] {
  const plain = definition.replace(/"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"|#[^\n]*/g, "");
  const list = new RegExp(`\\b${action}\\s*\\(([^)]*)\\)`).exec(plain)?.[1] ?? "";
  return [...list.matchAll(/(\w+)\s*:\s*([[\]\w!]+)/g)].map(([, name = "", type = ""]) => ({ name, type }));
}

function choicesOf(definition: string, type: string): string[] {
  const name = type.replace("!", "");
  if (name === "Boolean") return ["true", "false"];
  const plain = definition.replace(/"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"|#[^\n]*/g, "");
  return new RegExp(`\\benum\\s+${name}\\b[^{]*\\{([^}]*)\\}`).exec(plain)?.[1]?.match(/[A-Za-z_]\w*/g) ?? [];
}

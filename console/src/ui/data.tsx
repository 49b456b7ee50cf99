// Data on the page: cards, badges, facts, code, diffs, sparklines, empty states.
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import { CopyButton } from "./controls";
import { highlight } from "./highlight";

export type Tone = "ok" | "warn" | "error" | "info" | "";

export function Badge({ tone = "", children, title }: { tone?: Tone; children: ComponentChildren; title?: string }): JSX.Element {
  return (
    <span class={`badge ${tone}`} title={title}>
      {children}
    </span>
  );
}

interface CardProps {
  title?: ComponentChildren;
  side?: ComponentChildren;
  flush?: boolean;
  children: ComponentChildren;
}

export function Card({ title, side, flush, children }: CardProps): JSX.Element {
  const id = useId();
  return (
    <section class="card" aria-labelledby={title ? id : undefined}>
      {title ? (
        <header>
          <h2 id={id}>{title}</h2>
          {side ? <div class="row">{side}</div> : null}
        </header>
      ) : null}
      <div class={`body ${flush ? "flush" : ""}`}>{children}</div>
    </section>
  );
}

export function PageHead({ title, lead, children }: { title: ComponentChildren; lead?: ComponentChildren; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="page-head">
      <div>
        <h1>{title}</h1>
      </div>
      {children ? <div class="row">{children}</div> : null}
      {lead ? <p class="lead">{lead}</p> : null}
    </div>
  );
}

export function Facts({ of }: { of: [string, ComponentChildren][] }): JSX.Element {
  return (
    <dl class="facts">
      {of.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}

export function Empty({ title, children, action }: { title: string; children?: ComponentChildren; action?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <h3>{title}</h3>
      {children}
      {action ? <div class="row">{action}</div> : null}
    </div>
  );
}

interface TableProps {
  label: string;
  head: ComponentChildren;
  children: ComponentChildren;
  /** Cells below one another on narrow screens, for tables whose cells are texts. */
  flows?: boolean;
}

export function Table({ label, head, children, flows }: TableProps): JSX.Element {
  return (
    <div class={`table-wrap ${flows ? "flows" : ""}`} role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>{head}</thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** Text in a fixed-width face with a button that copies it. */
export function Code({ text, label, language, copy = true }: { text: string; label: string; language?: "json" | "graphql"; copy?: boolean }): JSX.Element {
  return (
    <div class="copyable">
      {copy && text ? <CopyButton text={() => text} /> : null}
      <pre class="code" tabIndex={0} role="region" aria-label={label}>
        {language ? highlight(text, language) : text}
      </pre>
    </div>
  );
}

export function Diff({ text, label }: { text: string; label: string }): JSX.Element {
  const tone = (line: string): string => {
    if (line.startsWith("+++") || line.startsWith("---")) return "file";
    if (line.startsWith("@@")) return "hunk";
    if (line.startsWith("+")) return "add";
    return line.startsWith("-") ? "del" : "";
  };
  return (
    <div class="diff" tabIndex={0} role="region" aria-label={label}>
      <div>
        {text.trimEnd().split("\n").map((line, index) => (
          <div key={index} class={`line ${tone(line)}`}>
            {line}
          </div>
        ))}
      </div>
    </div>
  );
}

const WIDTH = 200;
const HEIGHT = 36;

/** A line over time. What is missing is a gap; the text beside it says the newest value. */
export function Sparkline({ values, tone, label }: { values: (number | null)[]; tone?: "error"; label: string }): JSX.Element {
  const known = values.filter((value): value is number => value !== null);
  const top = Math.max(...known, 0) || 1;
  const step = WIDTH / Math.max(values.length - 1, 1);
  const point = (value: number, index: number) => `${(index * step).toFixed(1)} ${(HEIGHT - 2 - (value / top) * (HEIGHT - 4)).toFixed(1)}`;
  let line = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const starts = index === 0 || values[index - 1] === null;
    line += `${starts ? "M" : "L"}${point(value, index)} `;
  });
  const whole = known.length === values.length && values.length > 1;
  return (
    <svg class={`spark ${tone ?? ""}`} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      {whole ? <path class="area" d={`${line}L${WIDTH} ${HEIGHT} L0 ${HEIGHT} Z`} /> : null}
      <path class="line" d={line || "M0 0"} />
    </svg>
  );
}

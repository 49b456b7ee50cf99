// Colours for JSON and GraphQL that is only read: tokens as elements, every text a text node.
import type { ComponentChildren } from "preact";

const JSON_TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;
const GRAPHQL_TOKENS =
  /("""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*")|(#[^\n]*)|\b(query|mutation|subscription|fragment|on|type|input|enum|union|interface|scalar|extend|schema|implements|directive)\b|(@\w+)|(\$\w+)/g;

/** Longer texts are shown without colours: elements cost more than characters. */
const MAX_LENGTH = 60_000;

export function highlight(text: string, language: "json" | "graphql"): ComponentChildren {
  if (text.length > MAX_LENGTH) return text;
  const parts: ComponentChildren[] = [];
  let from = 0;
  for (const match of text.matchAll(language === "json" ? JSON_TOKENS : GRAPHQL_TOKENS)) {
    if (match.index > from) parts.push(text.slice(from, match.index));
    parts.push(<span class={language === "json" ? jsonToken(match) : graphqlToken(match)}>{match[1] && language === "json" ? match[1] : match[0]}</span>);
    if (language === "json" && match[2]) parts.push(match[2]);
    from = match.index + match[0].length;
  }
  parts.push(text.slice(from));
  return parts;
}

function jsonToken(match: RegExpMatchArray): string {
  if (match[2]) return "k";
  if (match[1]) return "s";
  return match[3] ? "n" : "w";
}

function graphqlToken(match: RegExpMatchArray): string {
  if (match[1]) return "s";
  if (match[2]) return "c";
  if (match[3]) return "w";
  return match[4] ? "k" : "n";
}

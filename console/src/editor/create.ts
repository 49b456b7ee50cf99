// The code editor: CodeMirror in a shadow root, where it puts its styles as constructed sheets, which the content security policy allows.
// Loaded when the first editor is shown.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { lintKeymap, setDiagnostics, type Diagnostic as Mark } from "@codemirror/lint";
import { EditorState, Prec, type Extension, type Text } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { graphql, graphqlLanguageSupport, updateSchema } from "cm6-graphql";
import { buildClientSchema, type GraphQLSchema, type IntrospectionQuery } from "graphql";
import type { Diagnostic, Json } from "../api/types";

export type Language = "graphql" | "sdl" | "json" | "text";

export interface EditorOptions {
  host: HTMLElement;
  text: string;
  label: string;
  language: Language;
  readOnly: boolean;
  lineNumbers: boolean;
  hint: string;
  onChange: (text: string) => void;
  onRun: () => void;
}

export interface EditorHandle {
  setText(text: string): void;
  setDiagnostics(diagnostics: Diagnostic[]): void;
  setIntrospection(introspection: Json | null): void;
  focus(): void;
  destroy(): void;
}

export function createEditor(options: EditorOptions): EditorHandle {
  const { host } = options;
  const shadow = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const view = new EditorView({ parent: shadow, root: shadow, state: EditorState.create({ doc: options.text, extensions: extensions(options) }) });
  return {
    setText(text) {
      if (text !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    setDiagnostics(diagnostics) {
      view.dispatch(setDiagnostics(view.state, diagnostics.flatMap((one) => mark(view.state.doc, one))));
    },
    setIntrospection(introspection) {
      if (options.language === "graphql") updateSchema(view, schema(introspection));
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}

function extensions(options: EditorOptions): Extension[] {
  const run = { key: "Mod-Enter", run: () => (options.onRun(), true) };
  return [
    options.lineNumbers ? lineNumbers() : [],
    history(),
    drawSelection(),
    EditorState.allowMultipleSelections.of(false),
    indentOnInput(),
    bracketMatching(),
    closeBrackets(),
    autocompletion(),
    highlightActiveLine(),
    EditorView.lineWrapping,
    placeholder(options.hint),
    EditorState.readOnly.of(options.readOnly),
    EditorView.contentAttributes.of({ "aria-label": options.label, spellcheck: "false", autocapitalize: "off" }),
    EditorView.updateListener.of((update) => update.docChanged && options.onChange(update.state.doc.toString())),
    typedOverSelection,
    // Tab leaves the editor, so that the keyboard alone is enough for the whole page.
    Prec.highest(keymap.of([run])),
    keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
    language(options.language),
    syntaxHighlighting(colours),
    look,
  ];
}

/**
 * Text typed over a selection. Chromium would put it into an element with a style attribute that repeats the colour of the old text, which the
 * content security policy forbids; so the editor replaces the selection itself, through the same handlers.
 */
const typedOverSelection = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    if (event.inputType !== "insertText" || !event.data || empty || view.composing || view.state.readOnly) return false;
    event.preventDefault();
    const text = event.data;
    const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
    const isHandled = view.state.facet(EditorView.inputHandler).some((handle) => handle(view, from, to, text, insert));
    if (!isHandled) view.dispatch(insert());
    return true;
  },
});

function language(name: Language): Extension {
  if (name === "graphql") return graphql(undefined, { showErrorOnInvalidSchema: false });
  if (name === "sdl") return graphqlLanguageSupport();
  return name === "json" ? json() : [];
}

function schema(introspection: Json | null): GraphQLSchema | undefined {
  if (!introspection) return undefined;
  try {
    return buildClientSchema(introspection as unknown as IntrospectionQuery, { assumeValid: true });
  } catch {
    // Without a schema there are no completions; running the document says what is wrong.
    return undefined;
  }
}

function mark(text: Text, { line, column, length, message, severity }: Diagnostic): Mark[] {
  if (!line || line > text.lines) return [];
  const at = text.line(line);
  const from = Math.min(at.from + Math.max((column ?? 1) - 1, 0), at.to);
  const to = Math.min(from + Math.max(length ?? 1, 1), text.length);
  return [{ from, to, severity, message }];
}

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.definitionKeyword, tags.operatorKeyword, tags.bool, tags.null], color: "var(--syntax-keyword)" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName), tags.attributeName], color: "var(--syntax-key)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--syntax-string)" },
  { tag: [tags.number, tags.variableName, tags.special(tags.variableName), tags.atom], color: "var(--syntax-number)" },
  { tag: [tags.typeName, tags.className], color: "var(--info)" },
  { tag: [tags.comment, tags.meta], color: "var(--muted)" },
]);

const wavy = (colour: string) => ({ backgroundImage: "none", textDecoration: `underline wavy ${colour} 1px`, textUnderlineOffset: "3px" });

const look = EditorView.theme({
  "&": { fontSize: "12.5px", color: "var(--text)", backgroundColor: "transparent", height: "100%" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { padding: "8px 0", caretColor: "var(--text)" },
  ".cm-line": { padding: "0 10px" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--muted)", borderRight: "1px solid var(--border)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--hover) 55%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent" },
  ".cm-placeholder": { color: "var(--muted)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "var(--accent-soft)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--accent-soft)" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--border)", borderRadius: "6px", boxShadow: "var(--shadow)", maxWidth: "min(560px, 90vw)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "14em" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { background: "var(--accent-soft)", color: "var(--text)" },
  ".cm-completionDetail": { color: "var(--muted)" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "600", color: "var(--accent)" },
  ".cm-diagnostic": { padding: "6px 10px", whiteSpace: "pre-wrap" },
  ".cm-diagnostic-error": { borderLeft: "3px solid var(--error)" },
  ".cm-diagnostic-warning": { borderLeft: "3px solid var(--warn)" },
  // The library's own underline is an image in a data: URL.
  ".cm-lintRange-error": wavy("var(--error)"),
  ".cm-lintRange-warning": wavy("var(--warn)"),
  ".cm-lintRange-info, .cm-lintRange-hint": wavy("var(--info)"),
  ".cm-panels": { backgroundColor: "var(--sunken)", color: "var(--text)" },
});

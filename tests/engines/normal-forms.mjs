// The reference for the normal form of documents: reads documents as a JSON list, makes variants of each, some of which mean the same
// and some of which do not, and writes [{text, canonical}]: what graphql-js prints of each without the fields named __typename.
import { text } from "node:stream/consumers";
import { Kind, parse, print, stripIgnoredCharacters, visit } from "graphql";

const TYPE_NAME = { kind: Kind.FIELD, name: { kind: Kind.NAME, value: "__typename" } };

/** The document without fields named __typename, and with every string in one form. */
const canonical = (document) =>
  print(
    visit(document, {
      Field: (node) => (node.name.value === "__typename" ? null : undefined),
      StringValue: (node) => ({ ...node, block: false }),
    }),
  );

const everywhere = (change) => (document) => visit(document, { SelectionSet: (node) => ({ ...node, selections: change(node.selections) }) });

/** Changes the node of this kind whose number is given, if it can be changed. */
const one = (kind, change) => (document, number) => {
  let count = 0;
  return visit(document, { [kind]: { leave: (node) => (count++ === number ? change(node) : undefined) } });
};

const named = (name) => ({ kind: Kind.NAME, value: name });
const swapped = (key) => (node) =>
  node[key]?.length > 1 ? { ...node, [key]: [node[key][1], node[key][0], ...node[key].slice(2)] } : undefined;

const SAME = [
  (source) => stripIgnoredCharacters(source),
  (source) => print(parse(source)),
  (source) => `# before\n${print(parse(source)).replaceAll("\n", " # { mine }\n\t,,\r\n")}`,
  (source) => print(everywhere((selections) => [TYPE_NAME, ...selections])(parse(source))),
  (source) => print(everywhere((selections) => [...selections, { ...TYPE_NAME, alias: named("kind") }])(parse(source))),
];

const OTHER = [
  one("SelectionSet", swapped("selections")),
  one("Field", swapped("arguments")),
  one("Field", swapped("directives")),
  one("OperationDefinition", swapped("variableDefinitions")),
  one("Field", (node) => ({ ...node, alias: named("other") })),
  one("Field", (node) => ({ ...node, name: named(`${node.name.value}2`) })),
  one("Field", (node) => ({ ...node, directives: [] })),
  one("InlineFragment", (node) => ({ ...node, typeCondition: undefined })),
  one("IntValue", (node) => ({ ...node, value: `${node.value}0` })),
  one("IntValue", (node) => ({ ...node, kind: Kind.FLOAT, value: `${node.value}.0` })),
  one("StringValue", (node) => ({ ...node, value: `${node.value} ` })),
  one("BooleanValue", (node) => ({ ...node, value: !node.value })),
  one("VariableDefinition", (node) => ({ ...node, defaultValue: { kind: Kind.NULL } })),
  one("OperationDefinition", (node) => ({ ...node, name: named("Other") })),
  one("OperationDefinition", (node) => ({ ...node, name: undefined })),
  one("OperationDefinition", (node) => ({ ...node, operation: "mutation" })),
  one("FragmentDefinition", (node) => ({ ...node, name: named("Other") })),
  (document) => ({ ...document, definitions: [...document.definitions].reverse() }),
];

const sources = JSON.parse(await text(process.stdin));
const variants = sources.flatMap((source) => {
  const document = parse(source);
  const same = SAME.map((change) => change(source));
  const other = OTHER.flatMap((change) => [0, 1].map((number) => print(change(document, number))));
  return [source, ...same, ...other];
});
console.log(JSON.stringify(variants.map((source) => ({ text: source, canonical: canonical(parse(source)) }))));

// Random documents over a schema, from a seed: fragments, aliases, arguments, variables, conditions and odd white space.
// Only documents that graphql-js finds valid are given out.
import {
  GraphQLEnumType, GraphQLInputObjectType, GraphQLList, GraphQLNonNull, getNamedType, isAbstractType, isCompositeType, isLeafType,
  isObjectType, parse, validate,
} from "graphql";

/** Numbers from 0 to 1. */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

// Names that hide keys or look like ours among them.
const ALIASES = ["id", "code", "sku", "number", "big", "a", "b", "_k0", "k0", "_k0_1", "label", "profile"];
const GAPS = [" ", "\n", " # é😀 {profile}\n"];
const SPACES = [" ", " ", " ", "\n", "  ", ", ", "\r\n  ", " # é😀 {profile}\n"];

class Generator {
  constructor(schema, seed, { added, leftOut }) {
    Object.assign(this, { schema, seed, added, leftOut, next: random(seed), fragments: new Map(), variables: new Map() });
  }

  chance(probability) {
    return this.next() < probability;
  }

  number(below) {
    return Math.floor(this.next() * below);
  }

  pick(list) {
    return list[this.number(list.length)];
  }

  space() {
    return this.pick(SPACES);
  }

  /** Conditions, mostly none. */
  conditions() {
    if (!this.chance(0.12)) return "";
    const value = this.chance(0.3) ? String(this.chance(0.5)) : this.variable("Boolean!", this.chance(0.5));
    // Not every parser takes a comma behind `...`.
    return `${this.pick(GAPS)}@${this.chance(0.5) ? "skip" : "include"}(if: ${value})`;
  }

  variable(type, value) {
    const name = `v${this.variables.size}`;
    this.variables.set(name, { type, value });
    return `$${name}`;
  }

  /** A JSON value of an input type. */
  value(type) {
    if (type instanceof GraphQLNonNull) return this.value(type.ofType);
    if (this.chance(0.08)) return null;
    if (type instanceof GraphQLList) return Array.from({ length: this.number(3) }, () => this.item(type.ofType));
    if (type instanceof GraphQLEnumType) return this.pick(type.getValues()).name;
    if (type instanceof GraphQLInputObjectType) {
      const chosen = Object.values(type.getFields()).filter(() => this.chance(0.6));
      return Object.fromEntries(chosen.map((field) => [field.name, this.item(field.type)]));
    }
    switch (type.name) {
      case "Int": return this.number(3);
      case "ID": return `${this.number(3)}-${this.pick(["u", "p"])}-${this.number(6)}`;
      case "Boolean": return this.chance(0.5);
      default: return this.pick(["north", "", 'a "b" \\ é', "tab\tnew\nline"]);
    }
  }

  /** null only where it may be. */
  item(type) {
    const value = this.value(type);
    return value === null && type instanceof GraphQLNonNull ? this.item(type) : value;
  }

  literal(value, type) {
    if (type instanceof GraphQLNonNull) return this.literal(value, type.ofType);
    if (value === null) return "null";
    if (type instanceof GraphQLList) return `[${value.map((item) => this.literal(item, type.ofType)).join(", ")}]`;
    if (type instanceof GraphQLEnumType) return value;
    if (type instanceof GraphQLInputObjectType) {
      return `{${Object.entries(value).map(([name, item]) => `${name}: ${this.literal(item, type.getFields()[name].type)}`).join(", ")}}`;
    }
    return JSON.stringify(value);
  }

  argument({ name, type }, parent) {
    let value = this.item(type);
    // Ids of rows of the right type.
    if (name === "id" && ["user", "product", "buy"].includes(parent)) value = value.replace(/-.-/, parent === "user" ? "-u-" : "-p-");
    if (name === "seed") value = this.seed % 50;
    if (name === "first") value = 1 + this.number(6);
    return `${name}:${this.space()}${this.chance(0.3) ? this.variable(String(type), value) : this.literal(value, type)}`;
  }

  args(field) {
    const chosen = field.args.filter(({ type, defaultValue }) => (type instanceof GraphQLNonNull && defaultValue === undefined) || this.chance(0.4));
    return chosen.length === 0 ? "" : `(${chosen.map((argument) => this.argument(argument, field.name)).join(this.pick([" ", ", "]))})`;
  }

  field(field, depth) {
    // Often a name of its own, as many documents are not valid otherwise, and small ones would be chosen.
    const name = this.chance(0.4) ? this.pick(ALIASES) : `x${this.number(1000)}`;
    const alias = this.chance(0.35) ? `${name}:${this.pick(["", " "])}` : "";
    const type = getNamedType(field.type);
    const below = isLeafType(type) ? "" : this.selectionSet(type, depth - 1);
    return `${alias}${field.name}${this.args(field)}${this.conditions()}${below}`;
  }

  spread(type, depth) {
    const known = [...this.fragments].filter(([, fragment]) => fragment.text && this.overlaps(type, fragment.type));
    if (known.length > 0 && this.chance(0.6)) return `...${this.pick(known)[0]}${this.conditions()}`;
    const fragment = { type: this.condition(type), text: undefined };
    const name = `F${this.fragments.size}`;
    this.fragments.set(name, fragment);
    fragment.text = `fragment ${name} on ${fragment.type.name}${this.selectionSet(fragment.type, depth - 1)}`;
    return `...${this.pick(["", " "])}${name}${this.conditions()}`;
  }

  /** A type that may stand in a fragment within `type`. */
  condition(type) {
    const composite = Object.values(this.schema.getTypeMap()).filter((one) => isCompositeType(one) && !one.name.startsWith("__"));
    return this.pick([type, ...composite.filter((one) => this.overlaps(type, one))]);
  }

  overlaps(one, other) {
    const possible = (type) => (isAbstractType(type) ? this.schema.getPossibleTypes(type) : [type]);
    return possible(one).some((type) => possible(other).includes(type));
  }

  selection(type, depth) {
    // Actions that are extension fields are not asked for at the root as well, where their calls could not be told apart.
    const fields = Object.values(type.getFields?.() ?? {}).filter((field) => !this.leftOut.has(`${type.name}.${field.name}`));
    const shallow = fields.filter((field) => depth > 0 || isLeafType(getNamedType(field.type)));
    const chance = this.next();
    if (depth > 0 && (chance < 0.12 || (shallow.length === 0 && chance < 0.5))) {
      const inner = this.condition(type);
      const on = inner === type && this.chance(0.3) ? "" : ` on ${inner.name}`;
      return `...${on}${this.conditions()}${this.selectionSet(inner, depth - 1)}`;
    }
    if (depth > 0 && (chance < 0.25 || (shallow.length === 0 && chance < 0.8))) return this.spread(type, depth);
    if (shallow.length === 0 || chance > 0.96) return `${this.chance(0.3) ? "t: " : ""}__typename`;
    // What the test is about is chosen more often.
    const added = shallow.filter((field) => field.astNode && this.added.has(`${type.name}.${field.name}`));
    return this.field(added.length > 0 && this.chance(0.45) ? this.pick(added) : this.pick(shallow), depth);
  }

  selectionSet(type, depth) {
    const count = 1 + this.number(type === this.schema.getQueryType() ? 3 : 5);
    const selections = Array.from({ length: count }, () => this.selection(type, depth));
    let written = "";
    for (const selection of selections) {
      const isTight = written === "" || (written.endsWith("}") && this.chance(0.5));
      written += (isTight ? "" : this.space()) + selection;
    }
    return `${this.pick(["", " "])}{${this.pick(["", " ", "\n"])}${written}${this.pick(["", " "])}}`;
  }

  document(name) {
    const isMutation = this.chance(0.12);
    const type = isMutation ? this.schema.getMutationType() : this.schema.getQueryType();
    const body = this.selectionSet(type, 3 + this.number(4));
    const variables = [...this.variables].map(([variable, { type: written, value }]) => {
      const hasDefault = !written.endsWith("!") && this.chance(0.2);
      return `$${variable}: ${written}${hasDefault && typeof value === "number" ? ` = ${value}` : ""}`;
    });
    const head = `${isMutation ? "mutation" : "query"} ${name}${variables.length > 0 ? `(${variables.join(", ")})` : ""}`;
    const fragments = [...this.fragments.values()].map(({ text }) => text);
    const values = [...this.variables].map(([variable, { value }]) => [variable, value]);
    return { query: [head + body, ...fragments].join(this.space()), variables: Object.fromEntries(values) };
  }
}

/** A valid document whose operation has this name. All but every eighth name a field of `fields.added`. */
export function documentOf(schema, seed, name, fields) {
  for (let attempt = 0; ; attempt += 1) {
    const { query, variables } = new Generator(schema, Math.imul(seed, 7919) + attempt, fields).document(name);
    const isPlain = ![...fields.added].some((field) => query.includes(field.split(".")[1]));
    if (query.length > 6000 || (isPlain && seed % 8 !== 0)) continue;
    const document = parse(query);
    if (validate(schema, document, undefined, { maxErrors: 1 }).length === 0) return { query, variables, document };
  }
}

/** The fields that are not those of the upstream's types. */
export function addedFields(merged, upstream) {
  const added = new Set();
  for (const type of Object.values(merged.getTypeMap())) {
    if (!isObjectType(type) && !isAbstractType(type)) continue;
    const known = upstream.getType(type.name)?.getFields?.();
    for (const name of Object.keys(type.getFields?.() ?? {})) if (known && !known[name] && type !== merged.getQueryType()) added.add(`${type.name}.${name}`);
  }
  return added;
}

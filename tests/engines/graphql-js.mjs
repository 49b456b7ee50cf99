// The reference for introspection. The first line on standard input is an introspection result; the answer is what
// graphql-js makes of it. Each further line is a request, answered by graphql-js on the same schema.
import { createInterface } from "node:readline";
import { buildClientSchema, executeSync, getIntrospectionQuery, isInterfaceType, parse, printSchema, specifiedRules, validate, validateSchema } from "graphql";

/** `buildClientSchema` sorts types by its own walk; the order in which a server lists them is the server's. */
function inOrder(schema, introspection) {
  const names = introspection.__schema.types.map((type) => type.name);
  const types = Object.fromEntries(names.map((name) => [name, schema.getType(name)]));
  schema.getTypeMap = () => types;
  const possible = schema.getPossibleTypes.bind(schema);
  schema.getPossibleTypes = (type) => {
    const found = possible(type);
    return isInterfaceType(type) ? [...found].sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name)) : found;
  };
  return schema;
}

function open(introspection) {
  const schema = buildClientSchema(introspection);
  const errors = validateSchema(schema).map((error) => error.message);
  const sdl = printSchema(schema);
  parse(sdl);
  return [{ errors, sdl }, inOrder(schema, introspection)];
}

// How deep introspection may go is each server's own affair.
const RULES = specifiedRules.filter((rule) => rule.name !== "MaxIntrospectionDepthRule");

function answer(schema, { query, variables }) {
  const document = parse(query);
  const errors = validate(schema, document, RULES);
  return errors.length > 0 ? { errors } : executeSync({ schema, document, variableValues: variables });
}

if (process.argv[2] === "queries") {
  // The full queries of the tools that are built on graphql-js, in every form that they ask.
  const flags = [true, false];
  for (const specifiedByUrl of flags)
    for (const inputValueDeprecation of flags)
      for (const descriptions of flags) {
        const options = { descriptions, specifiedByUrl, inputValueDeprecation, directiveIsRepeatable: specifiedByUrl, schemaDescription: descriptions, oneOf: specifiedByUrl, experimentalDirectiveDeprecation: inputValueDeprecation };
        console.log(JSON.stringify(getIntrospectionQuery(options)));
      }
} else {
  let schema;
  for await (const line of createInterface({ input: process.stdin })) {
    const message = JSON.parse(line);
    let result;
    try {
      if (schema === undefined) [result, schema] = open(message.data);
      else result = answer(schema, message);
    } catch (error) {
      result = { failed: String(error) };
    }
    console.log(JSON.stringify(result));
  }
}

// Standard input: { introspection, sdl }. Do both describe the same schema? Standard output: { same } or what differs.
import { buildClientSchema, buildSchema, lexicographicSortSchema, printSchema } from "graphql";
import { text } from "node:stream/consumers";

const { introspection, sdl } = JSON.parse(await text(process.stdin));
const print = (schema) => printSchema(lexicographicSortSchema(schema)).split("\n");
const [one, other] = [print(buildClientSchema(introspection.data)), print(buildSchema(sdl))];
const at = one.findIndex((line, index) => line !== other[index]);
console.log(JSON.stringify(at < 0 && one.length === other.length ? { same: true } : { at, introspection: one[at], sdl: other[at] }));

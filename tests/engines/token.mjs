// A JSON Web Token, signed with HS256. The claims come on standard input, the key is the argument.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const part = (text) => Buffer.from(text).toString("base64url");
const signed = `${part('{"alg":"HS256","typ":"JWT"}')}.${part(readFileSync(0, "utf8"))}`;
process.stdout.write(`${signed}.${createHmac("sha256", process.argv[2]).update(signed).digest("base64url")}`);

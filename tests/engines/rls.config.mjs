// PostGraphile over a database whose row-level security decides what a caller sees: the user is the header x-hasura-user-id, as a
// gateway that has verified a token would send it.
import { makePgService } from "postgraphile/adaptors/pg";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { makeV4Preset } from "postgraphile/presets/v4";

export default {
  extends: [PostGraphileAmberPreset, makeV4Preset({ disableDefaultMutations: false })],
  pgServices: [makePgService({ connectionString: process.env.DATABASE_URL, schemas: ["public"] })],
  grafserv: { host: "127.0.0.1", port: Number(process.env.PORT), graphqlPath: "/graphql", watch: false },
  grafast: {
    context: (request) => ({
      pgSettings: { role: "rls_visitor", "app.user_id": request.node?.req.headers["x-hasura-user-id"] ?? "" },
    }),
  },
};

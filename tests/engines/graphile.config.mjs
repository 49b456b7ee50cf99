// PostGraphile 5 with the field names that its version 4 gave, which most people know.
import { makePgService } from "postgraphile/adaptors/pg";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { makeV4Preset } from "postgraphile/presets/v4";

export default {
  extends: [PostGraphileAmberPreset, makeV4Preset({ disableDefaultMutations: false, subscriptions: true, simpleSubscriptions: true })],
  pgServices: [makePgService({ connectionString: process.env.DATABASE_URL, schemas: ["public"], pubsub: true })],
  grafserv: {
    host: "127.0.0.1",
    port: Number(process.env.PORT),
    graphqlPath: "/graphql",
    // It refuses GET by itself.
    graphqlOverGET: process.env.GRAPHQL_OVER_GET !== "false",
    watch: false,
    websockets: true,
  },
};

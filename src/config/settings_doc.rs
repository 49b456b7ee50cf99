//! Generates the example file and the JSON Schema from the table of settings.

use std::fmt::Write as _;

use crate::config::json_schema;
use crate::config::json_schema::{ACTIONS_DOC, FIELDS_DOC, RELATIONSHIPS_DOC};
use crate::config::settings_table::{ACTION_KEYS, ActionKey, Applies, FIELD_KEYS, FieldKey, Kind, SETTINGS, Setting};

/// `config/pillion.example.yaml`: every setting with its default and its reason.
#[must_use]
pub fn example_yaml() -> String {
    let mut yaml = String::from(
        "# yaml-language-server: $schema=./pillion.schema.json\n\
         # Every setting of Pillion, with its default. A setting without a default is commented out.\n\
         # A flag wins over an environment variable, that over this file, and this file over the default.\n\
         # A changed setting takes effect on reload, unless it says otherwise.\n",
    );
    let mut open_groups: Vec<&str> = Vec::new();
    for setting in SETTINGS {
        let mut groups: Vec<&str> = setting.key.split('.').collect();
        let name = groups.pop().unwrap_or_default();
        let common = groups.iter().zip(&open_groups).take_while(|(one, other)| one == other).count();
        for (depth, group) in groups.iter().enumerate().skip(common) {
            let _ = write!(yaml, "\n{}{group}:", "  ".repeat(depth));
        }
        let indent = "  ".repeat(groups.len());
        open_groups = groups;
        yaml.push('\n');
        for line in setting.doc.lines() {
            let _ = writeln!(yaml, "{indent}# {line}");
        }
        let _ = writeln!(yaml, "{indent}# {}", origins(setting));
        if setting.applies == Applies::AtStart {
            let _ = writeln!(yaml, "{indent}# Takes effect at the next start.");
        }
        let _ = match (setting.default, setting.kind) {
            (None, _) => writeln!(yaml, "{indent}# {name}:"),
            // A star of its own means something else in YAML.
            (Some("*"), Kind::Texts) => writeln!(yaml, "{indent}{name}: [\"*\"]"),
            (Some(default), Kind::Texts) => writeln!(yaml, "{indent}{name}: [{default}]"),
            (Some(default), _) => writeln!(yaml, "{indent}{name}: {default}"),
        };
    }
    let _ = write!(yaml, "\n# {ACTIONS_DOC}\nactions: {{}}\n#  NAME:\n");
    for ActionKey { key, sample, doc, .. } in ACTION_KEYS {
        let _ = writeln!(yaml, "#    # {doc}\n#    {key}: {sample}");
    }
    let doc = RELATIONSHIPS_DOC.replace('\n', "\n# ");
    let _ = write!(yaml, "\n# {doc}\nrelationships: {{}}\n#  Order.customer: \"customerById(id: $customer_id)\"\n");
    let doc = FIELDS_DOC.replace('\n', "\n# ");
    let _ =
        write!(yaml, "\n# {doc}\nfields: {{}}\n#  Product.stock: \"stocks(skus: [$sku]) by sku\"\n#  User.profile:\n");
    let _ = writeln!(yaml, "#    call: \"getProfile(id: $id)\"");
    for FieldKey { key, sample, doc, .. } in FIELD_KEYS {
        let _ = writeln!(yaml, "#    # {doc}\n#    {key}: {sample}");
    }
    yaml
}

fn origins(setting: &Setting) -> String {
    let flag = setting.flag.map(|flag| format!("--{flag}"));
    let names: Vec<String> = flag.into_iter().chain(setting.env.iter().map(|name| (*name).to_owned())).collect();
    format!("Also: {}", names.join(", "))
}

/// `config/pillion.schema.json`.
#[must_use]
pub fn json_schema() -> String {
    format!("{:#}\n", json_schema::pillion_yaml())
}

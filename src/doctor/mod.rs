//! The check list of `pillion doctor`: an item for each thing that Pillion needs, made of what `pillion check` finds and of facts of
//! this machine.

pub(crate) mod check_list;
pub(crate) mod facts;
pub(crate) mod item;
pub(crate) mod machine;

use crate::check::{Findings, Wanted, check};
use crate::config::configuration_source::ConfigurationSource;
use crate::config::load::Loaded;
use crate::config::settings_table::SETTINGS;
use crate::config::values::Origin;
use crate::doctor::check_list::check_list;
use crate::doctor::facts::Facts;
use crate::doctor::item::Item;
use crate::model::source::Diagnostic;

/// Goes through the list; `loaded` is what the source gives.
pub(crate) async fn items(
    source: &ConfigurationSource,
    loaded: Result<Loaded, Vec<Diagnostic>>,
    has_upstream: bool,
) -> Vec<Item> {
    match loaded {
        Err(files) => check_list(&Findings { files, ..Findings::default() }, None),
        Ok(loaded) => {
            let facts = facts(source, &loaded, has_upstream).await;
            check_list(&check(loaded, Wanted::ALL, has_upstream).await, Some(&facts))
        }
    }
}

async fn facts(source: &ConfigurationSource, loaded: &Loaded, has_upstream: bool) -> Facts {
    let changed = source.values().map_or(0, |values| {
        SETTINGS.iter().filter(|setting| !matches!(values.effective(setting.key).1, Origin::Default)).count()
    });
    Facts {
        config_file: source.file.as_ref().map(|path| path.display().to_string()),
        metadata_folder: source.text("metadata.folder"),
        changed_settings: changed,
        ..machine::facts(&loaded.settings, &loaded.schema, has_upstream).await
    }
}

//! Where a configuration comes from: the flags of the command line and the path of `pillion.yaml`. By it the same configuration
//! is loaded again, as it is or with other texts of its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::load::{Assumed, Loaded, load_assuming, text_of, values_of};
use crate::config::settings_table::Setting;
use crate::config::values::Values;
use crate::model::source::Diagnostic;

/// The flags and the file. Variables are read when it is loaded.
#[derive(Clone, Debug, Default)]
pub struct ConfigurationSource {
    /// The path of `pillion.yaml`, if there is one.
    pub file: Option<PathBuf>,
    /// The values of flags by the keys of their settings.
    pub flags: BTreeMap<&'static str, Vec<String>>,
}

impl ConfigurationSource {
    /// The values of a setting's flag, if it is given.
    #[must_use]
    pub fn flag(&self, setting: &Setting) -> Option<Vec<String>> {
        self.flags.get(setting.key).cloned()
    }

    /// Loads it.
    ///
    /// # Errors
    /// Every error that was found, warnings among them.
    pub fn load(&self, assumed: &Assumed<'_>) -> Result<Loaded, Vec<Diagnostic>> {
        load_assuming(self.file.as_deref(), &|setting| self.flag(setting), assumed)
    }

    /// The value of each setting.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn values(&self) -> Result<Values, Vec<Diagnostic>> {
        values_of(self.file.as_deref(), &|setting| self.flag(setting))
    }

    /// The text of one setting, whatever else is wrong.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        text_of(key, self.file.as_deref(), &|setting| self.flag(setting))
    }

    /// The metadata folder, if one is named.
    #[must_use]
    pub fn metadata_folder(&self) -> Option<PathBuf> {
        self.text("metadata.folder").filter(|folder| !folder.is_empty()).map(PathBuf::from)
    }

    /// The same without `pillion.yaml`, but with the metadata folder that it names.
    #[must_use]
    pub fn without_file(&self) -> Self {
        let folder = self.metadata_folder().map(|folder| ("metadata.folder", vec![folder.display().to_string()]));
        Self { file: None, flags: self.flags.clone().into_iter().chain(folder).collect() }
    }

    /// Is this the path of `pillion.yaml`?
    #[must_use]
    pub fn is_file(&self, path: &Path) -> bool {
        self.file.as_deref() == Some(path)
    }
}

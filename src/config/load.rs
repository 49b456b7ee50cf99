//! Loads the configuration. Configuration files are opened and the environment is read here only.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::env::VarError;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::metadata::Metadata;
use crate::config::resolve::{Usable, resolve_usable};
use crate::config::resolver::ResolveOptions;
use crate::config::sdl::Signatures;
use crate::config::settings::{Jobs, MetadataApi, OnInconsistency, Settings, read_jobs};
use crate::config::settings_table::{SETTINGS, Setting};
use crate::config::stored_documents::{DocumentFiles, StoredDocuments};
use crate::config::stored_lists::StoredLists;
use crate::config::values::Values;
use crate::config::yaml::{Data, Node};
use crate::config::{allow_list, metadata, sdl, stored_documents, unknown_variables, yaml};
use crate::documents::enforcement::Enforcement;
use crate::documents::manifest;
use crate::documents::trusted::TrustedDocuments;
use crate::model::action::{ActionSchema, Tolerated};
use crate::model::secret::Secret;
use crate::model::source::{Diagnostic, Severity, Source};

/// The contents of configuration files, flags and variables.
#[derive(Debug)]
pub struct Loaded {
    /// Our own settings.
    pub settings: Settings,
    /// The actions.
    pub schema: ActionSchema,
    /// The stored documents.
    pub documents: StoredDocuments,
    /// The trusted documents.
    pub trusted: TrustedDocuments,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
    /// A fingerprint of each setting by its key, to see whether it has changed.
    pub fingerprints: HashMap<&'static str, u64>,
}

/// What counts in the place of what is there.
#[derive(Debug, Default)]
pub struct Assumed<'a> {
    /// Values of required settings that the purpose at hand does not need.
    pub settings: &'a [(&'a str, &'a str)],
    /// The texts of files of the metadata folder that are about to be written.
    pub files: BTreeMap<PathBuf, String>,
    /// The text of the configuration file that is about to be written.
    pub config: Option<String>,
    /// The values of environment variables that are not set, by their names.
    pub variables: HashMap<String, String>,
    /// The value of every other one that is not set; without it a handler that needs one is an error.
    pub unset_variable: Option<&'a str>,
    /// Do `variables` count before those of the process? Actions then see no other ones.
    pub is_isolated: bool,
}

/// Reads everything. `assumed` are values of required settings that the purpose at hand does not need.
///
/// # Errors
/// Every error that was found, warnings among them.
pub fn load(
    config_file: Option<&Path>,
    flag: &dyn Fn(&Setting) -> Option<Vec<String>>,
    assumed: &[(&str, &str)],
) -> Result<Loaded, Vec<Diagnostic>> {
    load_assuming(config_file, flag, &Assumed { settings: assumed, ..Assumed::default() })
}

/// The same with more that is assumed, to check files before they are written.
///
/// # Errors
/// Every error that was found, warnings among them.
pub fn load_assuming(
    config_file: Option<&Path>,
    flag: &dyn Fn(&Setting) -> Option<Vec<String>>,
    assumed: &Assumed<'_>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let isolated = assumed.is_isolated.then_some(&assumed.variables);
    let config = ConfigFile { path: config_file, assumed: assumed.config.as_deref() };
    let (file, values) = read_values(config, flag, assumed.settings, isolated, &mut diagnostics);
    if config_file.is_some() && file.is_none() {
        // Everything else would follow from settings that are missing.
        return Err(each_once(diagnostics));
    }
    let settings = Settings::read(&values, file.as_ref(), &mut diagnostics);
    let Some(settings) = settings else {
        diagnostics.extend(unknown_variables::warnings(&variable_names(), &HashSet::new()));
        return Err(each_once(diagnostics));
    };
    let looked_up = RefCell::new(HashSet::new());
    let look_up = |name: &str| {
        looked_up.borrow_mut().insert(name.to_owned());
        Some(name)
            .filter(|_| !assumed.is_isolated)
            .and_then(environment)
            .or_else(|| assumed.variables.get(name).cloned())
            .or_else(|| assumed.unset_variable.map(str::to_owned))
    };
    let schema = load_actions(&settings, &look_up, &assumed.files, &mut diagnostics);
    let documents = load_documents(&settings, &assumed.files, &mut diagnostics);
    let counts_allow_list = settings.documents.only != Enforcement::Off;
    let trusted = read_trusted(&settings, &documents, counts_allow_list, &mut diagnostics);
    diagnostics.extend(unknown_variables::warnings(&variable_names(), &looked_up.borrow()));
    let diagnostics = each_once(diagnostics);
    match schema {
        Some(schema) if diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Warning) => {
            let fingerprints = values.fingerprints();
            Ok(Loaded { settings, schema, documents, trusted, warnings: diagnostics, fingerprints })
        }
        _ => Err(diagnostics),
    }
}

/// The text of one setting, whatever else is wrong.
#[must_use]
pub fn text_of(
    key: &str,
    config_file: Option<&Path>,
    flag: &dyn Fn(&Setting) -> Option<Vec<String>>,
) -> Option<String> {
    read_values(ConfigFile::at(config_file), flag, &[], None, &mut Vec::new()).1.text(key)
}

/// The value of each setting, whether the settings make sense together or not.
///
/// # Errors
/// What cannot be read, warnings left out.
pub fn values_of(
    config_file: Option<&Path>,
    flag: &dyn Fn(&Setting) -> Option<Vec<String>>,
) -> Result<Values, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let (_, values) = read_values(ConfigFile::at(config_file), flag, &[], None, &mut diagnostics);
    diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    if diagnostics.is_empty() { Ok(values) } else { Err(each_once(diagnostics)) }
}

/// The settings of the job store, whatever else is wrong: neither the metadata nor any secret of others is needed to
/// read it.
///
/// # Errors
/// What is wrong with that.
pub fn jobs_of(
    config_file: Option<&Path>,
    flag: &dyn Fn(&Setting) -> Option<Vec<String>>,
) -> Result<Jobs, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let mut file = read_config_file(ConfigFile::at(config_file), &mut diagnostics);
    if let Some(Node { data: Data::Map(groups), .. }) = &mut file {
        groups.retain(|(key, ..)| matches!(key.as_str(), "jobs" | "database"));
    }
    let is_needed = |setting: &Setting| setting.key.starts_with("jobs.") || setting.key.starts_with("database.");
    let variables = setting_variables(is_needed, &mut diagnostics);
    let values = Values::collect(flag, &|name| variables.get(name).cloned(), file.as_ref(), &[], &mut diagnostics);
    let jobs = read_jobs(&values, &mut diagnostics);
    diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    if diagnostics.is_empty() { Ok(jobs) } else { Err(each_once(diagnostics)) }
}

/// The configuration file, and the text that counts in the place of its own.
#[derive(Clone, Copy)]
struct ConfigFile<'c> {
    path: Option<&'c Path>,
    assumed: Option<&'c str>,
}

impl<'c> ConfigFile<'c> {
    fn at(path: Option<&'c Path>) -> Self {
        Self { path, assumed: None }
    }
}

fn read_config_file(config: ConfigFile<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    let path = config.path?;
    let source = match config.assumed {
        Some(text) => Arc::new(Source::new(path.display().to_string(), text)),
        None => open(path, diagnostics)?,
    };
    if source.text.trim().is_empty() {
        // A file that is truncated before it is written must not open what it closes.
        let message = format!("{}: the file is empty", source.name);
        diagnostics.push(Diagnostic::error(None, message, "write {} into it if no setting is meant"));
        return None;
    }
    yaml::parse(&source).map_err(|diagnostic| diagnostics.push(diagnostic)).ok()
}

fn read_values(
    config: ConfigFile<'_>,
    flag: &dyn Fn(&Setting) -> Option<Vec<String>>,
    assumed: &[(&str, &str)],
    isolated: Option<&HashMap<String, String>>,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Option<Node>, Values) {
    let file = read_config_file(config, diagnostics);
    let variables = setting_variables(|_| true, diagnostics);
    let variable = |name: &str| isolated.and_then(|own| own.get(name)).or_else(|| variables.get(name)).cloned();
    let container = container_memory_bytes().map(|bytes| bytes.to_string());
    let mut assumed = assumed.to_vec();
    assumed.extend(container.as_deref().map(|bytes| ("limits.max_memory_bytes", bytes)));
    let values = Values::collect(flag, &variable, file.as_ref(), &assumed, diagnostics);
    (file, values)
}

/// What the container may use, if it has a limit: <https://docs.kernel.org/admin-guide/cgroup-v2.html>
fn container_memory_bytes() -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = files.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    // Without a limit the older form has a very large number.
    limit.filter(|limit| (1..1 << 50).contains(limit))
}

/// Readers of a part of a file find the errors of the whole file again.
fn each_once(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = HashSet::new();
    diagnostics.retain(|diagnostic| seen.insert(diagnostic.to_string()));
    diagnostics
}

/// The variables of the required settings. Each is read once, so that the checked value is the used one; one that is
/// present and unreadable is an error, because without its lock every caller might be let in.
fn setting_variables(
    is_needed: impl Fn(&Setting) -> bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> HashMap<&'static str, String> {
    let mut variables = HashMap::new();
    for name in SETTINGS.iter().filter(|setting| is_needed(setting)).flat_map(|setting| setting.env) {
        match variable(name) {
            Ok(text) => variables.extend(text.map(|text| (*name, text))),
            Err(message) => {
                let help = format!("correct it, or set {name} itself");
                diagnostics.push(Diagnostic::error(None, message, help));
            }
        }
    }
    variables
}

fn load_actions(
    settings: &Settings,
    environment: &dyn Fn(&str) -> Option<String>,
    assumed: &BTreeMap<PathBuf, String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<ActionSchema> {
    let mut of_files = Vec::new();
    let folder = settings.metadata.as_deref();
    let files = folder.map(|folder| read_files_assuming(folder, assumed, &mut of_files)).unwrap_or_default();
    if files.is_broken {
        diagnostics.extend(of_files);
        return None;
    }
    let read = |diagnostics: &mut Vec<Diagnostic>| {
        diagnostics.extend(of_files.iter().cloned());
        let mut metadata = Metadata::default();
        for node in &files.actions {
            metadata::read(node, &files.signatures, &mut metadata, diagnostics);
        }
        if let Some(node) = &files.inherited_roles {
            metadata::read_inherited_roles(node, &mut metadata, diagnostics);
        }
        (metadata, files.signatures.clone())
    };
    if diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Warning) {
        diagnostics.extend(warn_of_nothing(settings, &files));
    }
    let surroundings = surroundings(settings, settings.auth.admin_secrets.first(), environment);
    match resolve_usable(&read, &surroundings, None, &tolerated(settings)) {
        Ok(Usable { schema, warnings }) => {
            diagnostics.extend(warnings);
            Some(schema)
        }
        Err(found) => {
            diagnostics.extend(found);
            None
        }
    }
}

/// Reads the files of the metadata folder that hold documents or refer to them.
fn load_documents(
    settings: &Settings,
    assumed: &BTreeMap<PathBuf, String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> StoredDocuments {
    let folder = settings.metadata.as_deref();
    let files = folder.map(|folder| read_document_files(folder, assumed, diagnostics)).unwrap_or_default();
    stored_documents::resolve(files, &settings.limits, diagnostics)
}

/// The contents of the files of a metadata folder that hold documents or refer to them.
#[must_use]
pub fn read_document_files(
    folder: &Path,
    assumed: &BTreeMap<PathBuf, String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> DocumentFiles {
    let mut files = DocumentFiles::default();
    for path in document_files(folder, assumed) {
        let source = match assumed.get(&path) {
            Some(text) => Some(Arc::new(Source::new(path.display().to_string(), text.clone()))),
            None => open(&path, diagnostics),
        };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (Some(source), Some(file)) = (source, files.file(name)) else { continue };
        *file = yaml::parse(&source).map_err(|diagnostic| diagnostics.push(diagnostic)).ok();
    }
    files
}

/// The stored and trusted documents where the metadata has these lists, whatever the folder's files hold.
///
/// # Errors
/// What is wrong with them.
pub fn documents_of(
    settings: &Settings,
    lists: &StoredLists,
) -> Result<(StoredDocuments, TrustedDocuments), Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let documents = stored_documents::resolve(lists.to_files(), &settings.limits, &mut diagnostics);
    let counts_allow_list = settings.documents.only != Enforcement::Off;
    let trusted = read_trusted(settings, &documents, counts_allow_list, &mut diagnostics);
    diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    if diagnostics.is_empty() { Ok((documents, trusted)) } else { Err(diagnostics) }
}

/// The files of a metadata folder that hold documents or refer to them, and those that are about to be written.
#[must_use]
pub fn document_files(folder: &Path, assumed: &BTreeMap<PathBuf, String>) -> Vec<PathBuf> {
    let found = stored_documents::FILES.iter().filter_map(|name| {
        let mut paths = [folder.join(name), folder.join("metadata").join(name)].into_iter();
        paths.find(|path| path.is_file() || assumed.contains_key(path))
    });
    found.collect()
}

/// Reads the trusted documents: those of their folder, and those that the metadata folder's allow list has, if it counts.
pub fn read_trusted(
    settings: &Settings,
    documents: &StoredDocuments,
    counts_allow_list: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> TrustedDocuments {
    let mut listed = Vec::new();
    for file in documents.allow_list.iter().filter(|_| counts_allow_list) {
        listed.extend(allow_list::read(file, &documents.collections, diagnostics));
    }
    let folder = settings.documents.folder.as_deref();
    for path in folder.map(|folder| trusted_files(folder, diagnostics)).unwrap_or_default() {
        let Some(source) = open(&path, diagnostics) else { continue };
        listed.extend(manifest::read(&source, &settings.limits, diagnostics));
    }
    TrustedDocuments::new(listed, &settings.limits, diagnostics)
}

/// Folders within one another below the folder of trusted documents.
const FOLDER_DEPTH_MAX: usize = 16;

/// The files of a folder of trusted documents, in those within it as well. Names that begin with a dot are left out: Kubernetes
/// has the files of a volume a second time under such a name.
pub fn trusted_files(folder: &Path, diagnostics: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    if !folder.is_dir() {
        let message = format!("the folder of trusted documents {} does not exist", folder.display());
        diagnostics.push(Diagnostic::error(None, message, "correct documents.folder"));
        return Vec::new();
    }
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let is_hidden = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
            let ending = path.extension().and_then(|ending| ending.to_str());
            match () {
                () if is_hidden => {}
                () if path.is_dir() => folders.extend((depth < FOLDER_DEPTH_MAX).then_some((path, depth + 1))),
                () if ending.is_some_and(|ending| manifest::ENDINGS.contains(&ending)) => files.push(path),
                () => {}
            }
        }
    }
    files.sort();
    files
}

/// Metadata without actions is probably an oversight: no folder, another one than was meant, a file of another name.
fn warn_of_nothing(settings: &Settings, files: &Files) -> Option<Diagnostic> {
    // The metadata API may start with nothing.
    if !matches!(settings.metadata_api, MetadataApi::Off) {
        return None;
    }
    let Some(folder) = &settings.metadata else {
        let help = "give the folder of actions.yaml and actions.graphql: --metadata FOLDER, or PILLION_METADATA";
        return Some(Diagnostic::warning(None, "no metadata folder is given: there are no actions", help));
    };
    if let Some(other) = &files.unread {
        let message = format!("{} is not read: the signatures of actions stand in actions.graphql", other.display());
        return Some(Diagnostic::warning(None, message, "rename it to actions.graphql"));
    }
    (files.is_empty && folder.is_dir()).then(|| {
        let message = format!(
            "the metadata folder {} holds neither actions.yaml nor actions.graphql: there are no actions",
            folder.display()
        );
        Diagnostic::warning(None, message, "correct --metadata, or create the files")
    })
}

/// Where the metadata API notes beside its files what an administrator has accepted as inconsistent: a line each.
pub const INCONSISTENT: &str = ".pillion-inconsistent";

/// Which parts of the files may be left out: any if the settings allow it, otherwise those that the metadata API has
/// accepted as inconsistent, if it writes into the folder.
#[must_use]
pub fn tolerated(settings: &Settings) -> Tolerated {
    match (settings.on_inconsistency, &settings.metadata_api) {
        (OnInconsistency::Serve, _) => Tolerated::Everything,
        (OnInconsistency::Reject, MetadataApi::Folder(folder)) => {
            let folders = [folder.clone(), folder.join("metadata")];
            let texts = folders.map(|folder| fs::read_to_string(folder.join(INCONSISTENT)).unwrap_or_default());
            Tolerated::These(texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect())
        }
        (OnInconsistency::Reject, _) => Tolerated::Nothing,
    }
}

/// The value of an environment variable, or of the file that `NAME_FILE` names: so are secrets mounted.
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    variable(name).ok().flatten()
}

/// The same; `Err` is the reason why a variable that is set has no value.
fn variable(name: &str) -> Result<Option<String>, String> {
    match std::env::var(name) {
        Ok(text) => return Ok(Some(text)),
        Err(VarError::NotUnicode(_)) => return Err(format!("{name}: it is not UTF-8 text")),
        Err(VarError::NotPresent) => {}
    }
    let Some(path) = std::env::var_os(format!("{name}_FILE")).map(PathBuf::from) else { return Ok(None) };
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(error) => Err(format!("{name}_FILE: {}: {error}", path.display())),
    }
}

fn variable_names() -> Vec<String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
}

/// The files that variables name; see [`environment`].
#[must_use]
pub fn named_files() -> Vec<PathBuf> {
    let is_name = |name: &str| name.len() > "_FILE".len() && name.ends_with("_FILE");
    // Not every variable of this kind is ours, but looking at an unneeded file does no harm.
    let named = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_name));
    named.map(|(_, path)| PathBuf::from(path)).collect()
}

/// What resolving needs of the settings.
#[must_use]
pub fn surroundings<'s>(
    settings: &'s Settings,
    admin_secret: Option<&'s Secret>,
    environment: &'s dyn Fn(&str) -> Option<String>,
) -> ResolveOptions<'s> {
    ResolveOptions {
        environment,
        actions: &settings.actions,
        relationships: &settings.relationships,
        extension_fields: &settings.extension_fields,
        precedence: settings.precedence,
        max_calls_per_action: settings.limits.max_calls_per_action,
        jobs: (settings.jobs.attempts, settings.jobs.concurrency_per_action),
        prefixes: &settings.prefixes,
        policies: &settings.policies,
        allows_private: settings.handlers.allow_private,
        allowed_hosts: &settings.handlers.allowed_hosts,
        allows_link_local: settings.handlers.allow_link_local,
        admin_secret,
        // The metadata API adds actions and removes them, and their settings may stay.
        knows_all_actions: settings.metadata.is_some() && matches!(settings.metadata_api, MetadataApi::Off),
    }
}

/// What the files of a metadata folder hold.
#[derive(Debug, Default)]
pub struct Files {
    /// Every YAML file with actions.
    pub actions: Vec<Node>,
    /// `inherited_roles.yaml`.
    pub inherited_roles: Option<Node>,
    /// All GraphQL files.
    pub signatures: Signatures,
    /// Is there no file for actions?
    pub is_empty: bool,
    /// Is a file neither YAML nor SDL? Then nothing can be said of what it defines.
    pub is_broken: bool,
    /// A GraphQL file beside `actions.yaml` that is not read, where no other one is.
    pub unread: Option<PathBuf>,
}

/// Reads the files of a metadata folder.
pub fn read_files(folder: &Path, diagnostics: &mut Vec<Diagnostic>) -> Files {
    read_files_assuming(folder, &BTreeMap::new(), diagnostics)
}

/// The same with other texts of some files, which need not be there yet.
fn read_files_assuming(folder: &Path, assumed: &BTreeMap<PathBuf, String>, diagnostics: &mut Vec<Diagnostic>) -> Files {
    let mut files = Files { is_empty: true, ..Files::default() };
    let mut paths = metadata_files(folder, diagnostics);
    let new: Vec<&PathBuf> = assumed.keys().filter(|path| !paths.contains(path)).collect();
    paths.extend(new.into_iter().cloned());
    files.unread = unread_graphql(folder, &paths);
    for path in paths {
        files.is_empty &= path.ends_with(INHERITED_ROLES);
        let source = match assumed.get(&path) {
            Some(text) => Some(Arc::new(Source::new(path.display().to_string(), text.clone()))),
            None => open(&path, diagnostics),
        };
        let Some(source) = source else { continue };
        if is_graphql(&path) {
            files.is_broken |= !sdl::read(&source, &mut files.signatures, diagnostics);
            continue;
        }
        match yaml::parse(&source) {
            Ok(node) if path.ends_with(INHERITED_ROLES) => files.inherited_roles = Some(node),
            Ok(node) => files.actions.push(node),
            Err(diagnostic) => {
                files.is_broken = true;
                diagnostics.push(diagnostic);
            }
        }
    }
    files
}

fn is_graphql(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "graphql")
}

fn unread_graphql(folder: &Path, read: &[PathBuf]) -> Option<PathBuf> {
    if read.iter().any(|path| is_graphql(path)) {
        return None;
    }
    let entries =
        [folder.to_path_buf(), folder.join("metadata")].into_iter().filter_map(|folder| fs::read_dir(folder).ok());
    let mut found: Vec<PathBuf> =
        entries.flatten().filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_graphql(path)).collect();
    found.sort();
    found.into_iter().next()
}

/// The file of an exported folder that defines inherited roles.
pub const INHERITED_ROLES: &str = "inherited_roles.yaml";

/// `actions.yaml`, `actions.graphql`, `inherited_roles.yaml` and all files of `actions/`, in the folder itself or in
/// its `metadata_api/`.
pub fn metadata_files(folder: &Path, diagnostics: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    if folder.is_file() {
        let message = format!("the metadata folder {} is a file", folder.display());
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let help = format!("give the folder that it is in: --metadata {}", parent.display());
        diagnostics.push(Diagnostic::error(None, message, help));
        return Vec::new();
    }
    if !folder.is_dir() {
        let message = format!("the metadata folder {} does not exist", folder.display());
        let help = "correct it where it is set: --metadata, PILLION_METADATA, or metadata in pillion.yaml";
        diagnostics.push(Diagnostic::error(None, message, help));
        return Vec::new();
    }
    let mut files = Vec::new();
    for folder in [folder.to_path_buf(), folder.join("metadata")] {
        let single = ["actions.yaml", "actions.yml", "actions.graphql", INHERITED_ROLES].map(|name| folder.join(name));
        files.extend(single.into_iter().filter(|path| path.is_file()));
        let Ok(entries) = fs::read_dir(folder.join("actions")) else { continue };
        let mut split: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                let extension = path.extension().and_then(|extension| extension.to_str());
                matches!(extension, Some("yaml" | "yml" | "graphql")) && path.is_file()
            })
            .collect();
        split.sort();
        files.extend(split);
    }
    files
}

/// Bytes of one configuration file. Ten thousand actions take less.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads a file that a command was given.
///
/// # Errors
/// Why it cannot be read.
pub fn read_file(path: &Path) -> Result<Arc<Source>, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    open(path, &mut diagnostics).ok_or(diagnostics)
}

fn open(path: &Path, diagnostics: &mut Vec<Diagnostic>) -> Option<Arc<Source>> {
    let name = path.display().to_string();
    let mut reject = |reason: String, help: &str| {
        diagnostics.push(Diagnostic::error(None, format!("{name}: {reason}"), help));
        None
    };
    match fs::metadata(path) {
        Ok(found) if found.len() > FILE_BYTES_MAX => {
            return reject("the file is larger than 16 MiB".into(), "split it");
        }
        Ok(_) => {}
        Err(error) => return reject(format!("the file cannot be read: {error}"), "correct its path or its rights"),
    }
    match fs::read_to_string(path) {
        Ok(text) => Some(Arc::new(Source::new(name, text))),
        Err(error) => reject(format!("the file cannot be read: {error}"), "it must be UTF-8 text"),
    }
}

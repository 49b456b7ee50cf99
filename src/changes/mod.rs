//! Changes of the configuration files, as `pillion actions`, `pillion import` and the console make them: an edit ([`crate::edits`]) is
//! checked with the files as they would be ([`check`]), and then written.

pub(crate) mod check;
pub(crate) mod effective_settings;
pub(crate) mod fetch;
pub(crate) mod handlers;
pub(crate) mod openapi;

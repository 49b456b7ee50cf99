//! `pillion init`: the files of a new project, made of templates and of what its upstream shows of itself.

pub(crate) mod files;
pub(crate) mod sample_query;
pub(crate) mod upstream_kind;
pub(crate) mod write;

//! Which framework is written in which language.

use crate::codegen::go::Go;
use crate::codegen::language::Language;
use crate::codegen::options::Framework;
use crate::codegen::python::Python;
use crate::codegen::rust::Rust;
use crate::codegen::typescript::TypeScript;

/// The language of a framework.
pub(crate) fn of(framework: Framework) -> &'static dyn Language {
    match framework {
        Framework::Express | Framework::Nest | Framework::TypeScriptTypes => &TypeScript,
        Framework::FastApi | Framework::Flask | Framework::PythonTypes => &Python,
        Framework::Go | Framework::GoTypes => &Go,
        Framework::Axum | Framework::RustTypes => &Rust,
    }
}

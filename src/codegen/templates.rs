//! The templates of each framework, which are files of a project with [MiniJinja](https://docs.rs/minijinja) in them.

use crate::codegen::options::Framework;
use crate::codegen::project::Owner;

/// A file of a project as a template.
pub(crate) struct Template {
    /// In the project; a path with `NAME` is there once for each action.
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    pub(crate) owner: Owner,
}

impl Template {
    /// Is there a file of it for each action?
    pub(crate) fn is_for_each_action(&self) -> bool {
        self.path.contains("NAME")
    }
}

macro_rules! generated {
    ($path:literal, $file:literal) => {
        Template { path: $path, text: include_str!(concat!("templates/", $file)), owner: Owner::Generator }
    };
}

macro_rules! once {
    ($path:literal, $file:literal) => {
        Template { path: $path, text: include_str!(concat!("templates/", $file)), owner: Owner::Author }
    };
}

/// The templates of a framework.
pub(crate) fn templates_of(framework: Framework) -> &'static [Template] {
    match framework {
        Framework::Express => EXPRESS,
        Framework::Nest => NEST,
        Framework::FastApi => FASTAPI,
        Framework::Flask => FLASK,
        Framework::Go => GO,
        Framework::Axum => AXUM,
        Framework::TypeScriptTypes => &[generated!("types.ts", "typescript/types.ts.j2")],
        Framework::PythonTypes => &[generated!("types.py", "python/types.py.j2")],
        Framework::GoTypes => &[generated!("types.go", "go/types.go.j2")],
        Framework::RustTypes => &[generated!("types.rs", "axum/types.rs.j2")],
    }
}

const EXPRESS: &[Template] = &[
    generated!("src/pillion/actions.ts", "express/actions.ts.j2"),
    generated!("src/pillion/protocol.ts", "typescript/protocol.ts.j2"),
    generated!("src/pillion/testing.ts", "typescript/testing.ts.j2"),
    generated!("src/pillion/types.ts", "typescript/types.ts.j2"),
    once!("src/handlers/NAME.ts", "express/handler.ts.j2"),
    once!("src/handlers/NAME.test.ts", "typescript/handler.test.ts.j2"),
    once!("src/main.ts", "express/main.ts.j2"),
    once!("README.md", "express/README.md.j2"),
    once!("package.json", "express/package.json.j2"),
    once!("tsconfig.json", "typescript/tsconfig.json.j2"),
    once!(".gitignore", "typescript/gitignore.j2"),
];

const NEST: &[Template] = &[
    generated!("src/pillion/actions.ts", "nest/actions.ts.j2"),
    generated!("src/pillion/actions.module.ts", "nest/actions.module.ts.j2"),
    generated!("src/pillion/protocol.ts", "typescript/protocol.ts.j2"),
    generated!("src/pillion/testing.ts", "typescript/testing.ts.j2"),
    generated!("src/pillion/types.ts", "typescript/types.ts.j2"),
    once!("src/handlers/NAME.ts", "nest/handler.ts.j2"),
    once!("src/handlers/NAME.test.ts", "typescript/handler.test.ts.j2"),
    once!("src/main.ts", "nest/main.ts.j2"),
    once!("README.md", "express/README.md.j2"),
    once!("package.json", "nest/package.json.j2"),
    once!("tsconfig.json", "typescript/tsconfig.json.j2"),
    once!(".gitignore", "typescript/gitignore.j2"),
];

const FASTAPI: &[Template] = &[
    generated!("pillion_actions/__init__.py", "python/init.py.j2"),
    generated!("pillion_actions/actions.py", "python/actions.py.j2"),
    generated!("pillion_actions/protocol.py", "python/protocol.py.j2"),
    generated!("pillion_actions/testing.py", "python/testing.py.j2"),
    generated!("pillion_actions/types.py", "python/types.py.j2"),
    once!("handlers/NAME.py", "python/handler.py.j2"),
    once!("tests/test_NAME.py", "python/test.py.j2"),
    once!("main.py", "fastapi/main.py.j2"),
    once!("README.md", "python/README.md.j2"),
    once!("requirements.txt", "fastapi/requirements.txt.j2"),
    once!(".gitignore", "python/gitignore.j2"),
];

const FLASK: &[Template] = &[
    generated!("pillion_actions/__init__.py", "python/init.py.j2"),
    generated!("pillion_actions/actions.py", "python/actions.py.j2"),
    generated!("pillion_actions/protocol.py", "python/protocol.py.j2"),
    generated!("pillion_actions/testing.py", "python/testing.py.j2"),
    generated!("pillion_actions/types.py", "python/types.py.j2"),
    once!("handlers/NAME.py", "python/handler.py.j2"),
    once!("tests/test_NAME.py", "python/test.py.j2"),
    once!("main.py", "flask/main.py.j2"),
    once!("README.md", "python/README.md.j2"),
    once!("requirements.txt", "flask/requirements.txt.j2"),
    once!(".gitignore", "python/gitignore.j2"),
];

const GO: &[Template] = &[
    generated!("pillion_actions.go", "go/actions.go.j2"),
    generated!("pillion_protocol.go", "go/protocol.go.j2"),
    generated!("pillion_testing_test.go", "go/testing_test.go.j2"),
    generated!("pillion_types.go", "go/types.go.j2"),
    once!("NAME_handler.go", "go/handler.go.j2"),
    once!("NAME_handler_test.go", "go/handler_test.go.j2"),
    once!("main.go", "go/main.go.j2"),
    once!("README.md", "go/README.md.j2"),
    once!("go.mod", "go/go.mod.j2"),
];

const AXUM: &[Template] = &[
    generated!("src/handlers/mod.rs", "axum/handlers.rs.j2"),
    generated!("src/pillion/actions.rs", "axum/actions.rs.j2"),
    generated!("src/pillion/mod.rs", "axum/mod.rs.j2"),
    generated!("src/pillion/protocol.rs", "axum/protocol.rs.j2"),
    generated!("src/pillion/testing.rs", "axum/testing.rs.j2"),
    generated!("src/pillion/types.rs", "axum/types.rs.j2"),
    once!("src/handlers/NAME.rs", "axum/handler.rs.j2"),
    once!("src/main.rs", "axum/main.rs.j2"),
    once!("README.md", "axum/README.md.j2"),
    once!("Cargo.toml", "axum/Cargo.toml.j2"),
    once!(".gitignore", "axum/gitignore.j2"),
];

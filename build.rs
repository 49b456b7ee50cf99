//! Says when the console's front end has not been built, and builds the crate again when it has.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CONSOLE").is_none() {
        return;
    }
    // A path that does not exist would make every build begin from the start.
    let is_built = Path::new("console/dist/index.html").exists();
    if is_built {
        println!("cargo:rerun-if-changed=console/dist");
        return;
    }
    if Path::new("console").exists() {
        println!("cargo:rerun-if-changed=console");
    }
    println!(
        "cargo:warning=console/dist is missing: this build has no console page. `make console` builds it (Node.js); everything else \
         works without it"
    );
}

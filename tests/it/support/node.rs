//! Node, for the client written in TypeScript.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Whether that client can be run. `tests/run` installs what it needs; where CI says that it is
/// CI, it must be there.
pub fn is_here() -> bool {
    let compiler = directory().join("node_modules/typescript");
    let node = Command::new("node").arg("--version").output();
    let here = compiler.exists() && node.is_ok_and(|node| node.status.success());
    let missing = "node 18 or newer is needed, and `npm ci --ignore-scripts` in tests/client";
    assert!(here || std::env::var_os("CI").is_none(), "{missing}");
    if !here {
        eprintln!("not tested: {missing}");
    }
    here
}

/// Its tests, translated.
pub fn tests() -> Command {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = npm(&["run", "--silent", "build"]).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stdout));
    });
    npm(&["run", "--silent", "test"])
}

fn npm(arguments: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.args(arguments).current_dir(directory());
    npm
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/client")
}

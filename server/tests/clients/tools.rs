//! What `.ci/clients` has installed, and the programs that are run with it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the tools lie.
pub(super) struct Tools(PathBuf);

impl Tools {
    /// The tools; none, and a word about it, where they are not installed.
    pub(super) fn find() -> Option<Tools> {
        match std::env::var_os("ANNALS_CLIENTS") {
            Some(dir) => Some(Tools(dir.into())),
            None => {
                say("skipped: .ci/clients installs what this needs");
                None
            }
        }
    }

    /// A program of the Python environment, to be run beside these tests.
    pub(super) fn python(&self, program: &str) -> Command {
        let mut command = Command::new(self.0.join("python/bin").join(program));
        command.current_dir(here()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// A program of the npm packages, to be run beside these tests.
    pub(super) fn node(&self, program: &str) -> Command {
        let mut command = Command::new(self.node_modules().join(".bin").join(program));
        command.current_dir(here());
        command
    }

    /// Where the npm packages lie.
    pub(super) fn node_modules(&self) -> PathBuf {
        self.0.join("node/node_modules")
    }

    /// A script that uses the npm packages, which node looks for beside it.
    pub(super) fn script(&self, path: &Path) -> PathBuf {
        let name = path.file_name().expect("a script has a name");
        let copy = self.0.join("node").join(name);
        std::fs::copy(path, &copy).expect("a script can be copied");
        copy
    }

    /// Where pictures of pages are kept for whoever wants to look at them.
    pub(super) fn screenshots(&self) -> PathBuf {
        let dir = self.0.join("screenshots");
        std::fs::create_dir_all(&dir).expect("a directory can be made");
        dir
    }
}

/// The directory of these tests.
pub(super) fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Runs a program to its end, which must be a good one, and tells what it printed.
pub(super) fn run(command: &mut Command) -> String {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, err] = [ran.stdout, ran.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(ran.status.success(), "{command:?}\n{out}\n{err}");
    out
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests should know what was tried")]
pub(super) fn say(what: &str) {
    println!("{what}");
}

//! A copy of the source tree that can be changed, built and tested without touching the one it was made of.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often a running test is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The copy.
pub(super) struct Tree {
    root: PathBuf,
    target: PathBuf,
    test_time_max: Duration,
}

/// The tests of the copy, built.
pub(super) struct Tests<'a> {
    tree: &'a Tree,
    binary: PathBuf,
}

impl Tree {
    /// Copies every file that git knows, or would if it were told, below `dir`.
    pub(super) fn copy(dir: &Path, test_time_max: Duration) -> Result<Tree, String> {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let dir = std::path::absolute(dir).map_err(|error| error.to_string())?;
        let (root, target) = (dir.join("tree"), dir.join("target"));
        if root.exists() {
            fs::remove_dir_all(&root).map_err(|error| told("remove", &root, &error))?;
        }
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&from);
        let listed = git.output().map_err(|error| format!("cannot run git: {error}"))?;
        if !listed.status.success() {
            return Err(String::from_utf8_lossy(&listed.stderr).into_owned());
        }
        let names = String::from_utf8_lossy(&listed.stdout).into_owned();
        // A file that was removed is still listed until its removal is committed.
        for name in names.split('\0').filter(|name| !name.is_empty() && from.join(name).is_file()) {
            let to = root.join(name);
            let copied = fs::create_dir_all(to.parent().unwrap_or(&root));
            copied
                .and_then(|()| fs::copy(from.join(name), &to))
                .map_err(|error| told("copy", &to, &error))?;
        }
        Ok(Tree { root, target, test_time_max })
    }

    /// Replaces a text that stands in a file once, and tells what the file was.
    pub(super) fn replace(&self, file: &str, text: &str, by: &str) -> Result<String, String> {
        let path = self.root.join(file);
        let whole = fs::read_to_string(&path).map_err(|error| told("read", &path, &error))?;
        match whole.matches(text).count() {
            1 => self.write(file, &whole.replace(text, by)).map(|()| whole),
            count => Err(format!("{file} has this text {count} times, wanted once: {text}")),
        }
    }

    pub(super) fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.root.join(file);
        fs::write(&path, text).map_err(|error| told("write", &path, &error))
    }

    /// Builds the tests.
    pub(super) fn build(&self) -> Result<Tests<'_>, String> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "--locked", "--package", "annals", "--test", "annals", "--no-run"]);
        cargo.args(["--message-format", "json-render-diagnostics"]).current_dir(&self.root);
        cargo.env("CARGO_TARGET_DIR", &self.target).env("CARGO_PROFILE_DEV_DEBUG", "0");
        let built = cargo.output().map_err(|error| format!("cannot run cargo: {error}"))?;
        let messages = String::from_utf8_lossy(&built.stdout).into_owned();
        // The one test binary that was asked for is the last thing with an executable.
        let binary = messages.lines().rev().find_map(executable);
        match binary.filter(|_| built.status.success()) {
            Some(binary) => Ok(Tests { tree: self, binary }),
            None => Err(String::from_utf8_lossy(&built.stderr).into_owned()),
        }
    }
}

/// The path of the executable that a message of cargo names.
fn executable(message: &str) -> Option<PathBuf> {
    let (_, path) = message.split_once("\"executable\":\"")?;
    path.split_once('"').map(|(path, _)| PathBuf::from(path.replace("\\\\", "\\")))
}

impl Tests<'_> {
    /// Runs one test by its full name. A test that is not there, or does not end, is an error.
    pub(super) fn passes(&self, test: &str) -> Result<bool, String> {
        let log = self.tree.target.join("test.log");
        let out = File::create(&log).map_err(|error| told("create", &log, &error))?;
        let mut command = Command::new(&self.binary);
        command.args(["--exact", test]).current_dir(&self.tree.root);
        command.stdout(out).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| told("run", &self.binary, &error))?;
        let begun = Instant::now();
        let status = loop {
            match child.try_wait().map_err(|error| told("wait for", &self.binary, &error))? {
                Some(status) => break status,
                None if begun.elapsed() < self.tree.test_time_max => std::thread::sleep(LOOK),
                None => {
                    // It may end between the look and the call; then there is nothing left to end.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("{test} does not end"));
                }
            }
        };
        let mut said = String::new();
        let read = File::open(&log).and_then(|mut log| log.read_to_string(&mut said));
        read.map_err(|error| told("read", &log, &error))?;
        match said.contains("running 1 test") {
            true => Ok(status.success()),
            false => Err(format!("there is no test {test}")),
        }
    }
}

fn told(action: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {action} {}: {error}", path.display())
}

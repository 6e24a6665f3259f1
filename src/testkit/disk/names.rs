//! The names on the simulated disk: what the process sees, what is durable, and the changes between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::image::Keep;

/// Which file a name stands for. Renaming does not change it, and it is never given again.
pub(super) type FileId = u64;

type Table = BTreeMap<PathBuf, FileId>;

#[derive(Debug, Clone)]
struct Change {
    kind: ChangeKind,
    /// The directories that have to be synced before the change is durable.
    unsynced: BTreeSet<PathBuf>,
    /// A failed sync forgot it: seen by the process, never on the disk.
    lost: bool,
}

#[derive(Debug, Clone)]
enum ChangeKind {
    Named(PathBuf, FileId),
    Renamed { from: PathBuf, to: PathBuf, file: FileId },
    Removed(PathBuf),
}

impl ChangeKind {
    fn apply(&self, table: &mut Table) {
        match self {
            ChangeKind::Named(path, file) => {
                table.insert(path.clone(), *file);
            }
            ChangeKind::Renamed { from, to, file } => {
                table.remove(from);
                table.insert(to.clone(), *file);
            }
            ChangeKind::Removed(path) => {
                table.remove(path);
            }
        }
    }

    fn paths(&self) -> Vec<&Path> {
        match self {
            ChangeKind::Named(path, _) | ChangeKind::Removed(path) => vec![path],
            ChangeKind::Renamed { from, to, .. } => vec![from, to],
        }
    }
}

/// The names of all files. Directories are durable as soon as they are made.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    current: Table,
    durable: Table,
    /// What happened since `durable`, oldest first. It begins with a change that is not durable.
    changes: Vec<Change>,
}

impl Names {
    pub(super) fn get(&self, path: &Path) -> Option<FileId> {
        self.current.get(path).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PathBuf, FileId)> {
        self.current.iter().map(|(path, file)| (path, *file))
    }

    pub(super) fn name(&mut self, path: &Path, file: FileId) {
        self.change(ChangeKind::Named(path.to_owned(), file));
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.change(ChangeKind::Removed(path.to_owned()));
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path, file: FileId) {
        if from != to {
            self.change(ChangeKind::Renamed { from: from.to_owned(), to: to.to_owned(), file });
        }
    }

    fn change(&mut self, kind: ChangeKind) {
        kind.apply(&mut self.current);
        let unsynced = kind.paths().into_iter().map(dir_of).map(Path::to_owned).collect();
        self.changes.push(Change { kind, unsynced, lost: false });
    }

    /// Makes the changes in one directory durable.
    pub(super) fn sync(&mut self, dir: &Path) {
        for change in &mut self.changes {
            change.unsynced.remove(dir);
        }
        // A durable change behind one that is not stays in the list, so that both are applied in order.
        let durable = self.changes.iter().take_while(|change| change.unsynced.is_empty()).count();
        for change in self.changes.drain(..durable).filter(|change| !change.lost) {
            change.kind.apply(&mut self.durable);
        }
    }

    /// Takes the changes in one directory for synced, though they never will be.
    pub(super) fn forget_unsynced(&mut self, dir: &Path) {
        for change in self.changes.iter_mut().filter(|change| change.unsynced.contains(dir)) {
            change.lost = true;
        }
        self.sync(dir);
    }

    /// The names that a power cut leaves behind.
    pub(super) fn after_crash(&self, keep: &mut Keep<'_>) -> Names {
        let mut table = self.durable.clone();
        for change in &self.changes {
            if !change.lost && (change.unsynced.is_empty() || keep.keeps()) {
                change.kind.apply(&mut table);
            }
        }
        Names { current: table.clone(), durable: table, changes: Vec::new() }
    }

    /// Gives a durable name, or takes it away for good, whatever is on its way.
    pub(super) fn settle(&mut self, path: &Path, file: Option<FileId>) {
        self.changes.retain(|change| !change.kind.paths().contains(&path));
        for table in [&mut self.current, &mut self.durable] {
            match file {
                Some(file) => table.insert(path.to_owned(), file),
                None => table.remove(path),
            };
        }
    }
}

/// The directory that a path lies in; the empty path is where all relative ones begin.
pub(super) fn dir_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

//! `meta` in memory: for a simulated disk, and for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Change, Meta, MetaError};

/// A sorted map. It forgets everything when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct MemoryMeta(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl MemoryMeta {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        // What changes the map does not panic, so a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meta for MemoryMeta {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MetaError> {
        Ok(self.lock().get(key).cloned())
    }

    fn write(&self, changes: &[Change]) -> Result<(), MetaError> {
        let mut map = self.lock();
        for Change { key, value } in changes {
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
        }
        Ok(())
    }

    fn scan_after(&self, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Result<Vec<Vec<u8>>, MetaError> {
        let map = self.lock();
        let first = after.unwrap_or(prefix).max(prefix);
        let from = map.range(first.to_owned()..).map(|(key, _)| key).filter(|key| after != Some(key));
        Ok(from.take_while(|key| key.starts_with(prefix)).take(max).cloned().collect())
    }

    fn delete_prefix(&self, prefix: &[u8]) -> Result<(), MetaError> {
        self.lock().retain(|key, _| !key.starts_with(prefix));
        Ok(())
    }

    fn close(&self) {}
}

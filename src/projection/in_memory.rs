//! A model in memory: any value. It begins empty whenever it is started, and is made from position 0.

use std::ops::{Deref, DerefMut};

use super::checkpoint::Checkpoint;
use super::{Failure, ReadModel};

/// A model in memory.
///
/// It cannot undo the changes of half a batch: an event that cannot be projected has it made again from position 0, without
/// that event.
#[derive(Debug, Clone, Default)]
pub struct InMemory<T> {
    value: T,
    checkpoint: Option<Checkpoint>,
}

impl<T> Deref for InMemory<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for InMemory<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Default + Send + Sync + 'static> ReadModel for InMemory<T> {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, Failure> {
        Ok(self.checkpoint.clone())
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        self.checkpoint = Some(checkpoint.clone());
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), Failure> {
        self.clear()
    }

    fn clear(&mut self) -> Result<(), Failure> {
        *self = InMemory::default();
        Ok(())
    }

    fn is_disposable(&self) -> bool {
        true
    }
}

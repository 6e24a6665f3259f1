//! The rows of a table in order: those of the database, with what has changed since the last commit.

use std::marker::PhantomData;
use std::vec;

use serde::de::DeserializeOwned;

use super::{Table, value};
use crate::error::Error;

/// Rows of a table with their keys, in the order of the keys' bytes. After an error it ends.
#[derive(Debug)]
pub struct Rows<'a, T> {
    table: &'a Table,
    prefix: String,
    /// Keys of the database that are still to come, and the last one that was read from it.
    page: vec::IntoIter<String>,
    next_stored: Option<String>,
    last_stored: Option<String>,
    ended: bool,
    /// Keys that have changed and are still to come.
    changed: vec::IntoIter<String>,
    next_changed: Option<String>,
    rows: PhantomData<fn() -> T>,
}

impl<'a, T: DeserializeOwned> Rows<'a, T> {
    pub(super) fn new(table: &'a Table, prefix: &str) -> Rows<'a, T> {
        let changed = table.changes.range(prefix.to_owned()..).map(|(key, _)| key);
        let changed: Vec<String> = changed.take_while(|key| key.starts_with(prefix)).cloned().collect();
        let mut changed = changed.into_iter();
        Rows {
            table,
            prefix: prefix.to_owned(),
            page: Vec::new().into_iter(),
            next_stored: None,
            last_stored: None,
            ended: false,
            next_changed: changed.next(),
            changed,
            rows: PhantomData,
        }
    }

    /// Sees to it that the next key of the database is known.
    fn fill(&mut self) -> Result<(), Error> {
        if self.next_stored.is_some() || self.ended {
            return Ok(());
        }
        self.next_stored = self.page.next();
        if self.next_stored.is_none() {
            self.page = self.table.page(&self.prefix, self.last_stored.as_deref())?.into_iter();
            self.next_stored = self.page.next();
            self.ended = self.next_stored.is_none();
        }
        if let Some(key) = &self.next_stored {
            self.last_stored = Some(key.clone());
        }
        Ok(())
    }

    /// The next key that has a row, or had one before it was changed.
    fn next_key(&mut self) -> Result<Option<String>, Error> {
        self.fill()?;
        let key = match (&self.next_stored, &self.next_changed) {
            (Some(stored), Some(changed)) => stored.min(changed).clone(),
            (Some(key), None) | (None, Some(key)) => key.clone(),
            (None, None) => return Ok(None),
        };
        if self.next_stored.as_ref() == Some(&key) {
            self.next_stored = None;
        }
        if self.next_changed.as_ref() == Some(&key) {
            self.next_changed = self.changed.next();
        }
        Ok(Some(key))
    }

    fn step(&mut self) -> Result<Option<(String, T)>, Error> {
        while let Some(key) = self.next_key()? {
            let row = match self.table.changes.get(&key) {
                Some(changed) => changed.clone(),
                None => self.table.stored(&key)?,
            };
            if let Some(row) = row {
                let row = value(&key, &row)?;
                return Ok(Some((key, row)));
            }
        }
        Ok(None)
    }
}

impl<T: DeserializeOwned> Iterator for Rows<'_, T> {
    type Item = Result<(String, T), Error>;

    fn next(&mut self) -> Option<Result<(String, T), Error>> {
        let step = self.step();
        if step.is_err() {
            (self.ended, self.next_stored, self.next_changed) = (true, None, None);
        }
        step.transpose()
    }
}

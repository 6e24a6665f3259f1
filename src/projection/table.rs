//! A table: a read model in the directory of the store, in a database of its own beside that of the snapshots.
//!
//! What lies there can be lost, and the database below may lose a part of it without a word. So each commit is one batch with
//! its checkpoint, and the checkpoint also holds the count and the sum of the hashes of all rows. A table whose rows do not
//! give that count and that sum when it is opened, is emptied and made again.
//!
//! Promise: a table that was opened holds what its checkpoint says, or nothing.

mod rows;
mod stored;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use rows::Rows;

use super::checkpoint::Checkpoint;
use super::{Failure, ReadModel};
use crate::error::Error;
use crate::meta::{Change, Meta};
use crate::model::check_name;
use crate::store::EventStore;

#[cfg(feature = "testkit")]
pub(crate) use stored::TABLE_SCHEMA_V1;
pub(crate) use stored::TableV1;
use stored::{Head, Keys, Sum};

/// How many keys are looked up at one time.
const PAGE_KEYS: usize = 1_024;

/// Rows by key, saved together with how far they reach. A key is a text; a row is any value that serde writes as JSON.
///
/// ```
/// use annals::{EventStore, Failure, Options, Projection, Projector, RecordedEvent, Table};
///
/// /// The last event of each stream.
/// struct Newest;
///
/// impl Projection for Newest {
///     type Model = Table;
///     const NAME: &'static str = "newest";
///
///     fn project(&self, table: &mut Table, event: &RecordedEvent) -> Result<(), Failure> {
///         Ok(table.put(event.stream(), &event.event_type())?)
///     }
/// }
///
/// # let dir = tempfile::tempdir()?;
/// let store = EventStore::open(Options::new(dir.path()))?;
/// let newest = Projector::start(&store, Newest, Table::open(&store, "newest")?)?;
/// let row: Option<String> = newest.read(|table| table.get("order-1"))?;
///
/// // Again from the beginning, while the other one is read and goes on.
/// newest.rebuild(Table::beside(&store, "newest")?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Table {
    meta: Arc<dyn Meta>,
    keys: Keys,
    /// What the database is known to hold.
    saved: Option<TableV1>,
    /// What has changed since: rows, or that there is none.
    changes: BTreeMap<String, Option<Vec<u8>>>,
    lost: Option<String>,
}

impl Table {
    /// The table of this name, which is made when it is not there. Every row is looked at, to know that none is missing.
    ///
    /// # Errors
    ///
    /// When the name is empty, longer than 255 bytes or has control characters, and when the database refuses.
    pub fn open(store: &EventStore, name: &str) -> Result<Table, Error> {
        let (meta, name) = (store.tables()?.clone(), checked(name)?);
        let generations = stored::generations(meta.as_ref(), name)?;
        let live = generations.iter().find(|(_, head)| *head == Some(Head::Live)).map(|(number, _)| *number);
        for (number, _) in generations.iter().filter(|(number, _)| Some(*number) != live) {
            // What a rebuild has left that did not come to its end.
            meta.delete_prefix(&Keys::new(name, *number).prefix())?;
        }
        let mut table = Table::new(meta, Keys::new(name, live.unwrap_or(1)));
        if live.is_none() {
            table.empty(Head::Live)?;
        } else if let Err(reason) = table.prove()? {
            table.empty(Head::Live)?;
            table.lost = Some(reason.to_owned());
        }
        Ok(table)
    }

    /// An empty table that is to take the place of the one of this name. See [`Projector::rebuild`](super::Projector::rebuild).
    ///
    /// # Errors
    ///
    /// As [`Table::open`].
    pub fn beside(store: &EventStore, name: &str) -> Result<Table, Error> {
        let (meta, name) = (store.tables()?.clone(), checked(name)?);
        let last = stored::generations(meta.as_ref(), name)?.last().map_or(0, |(number, _)| *number);
        let mut table = Table::new(meta, Keys::new(name, last + 1));
        table.empty(Head::Beside)?;
        Ok(table)
    }

    fn new(meta: Arc<dyn Meta>, keys: Keys) -> Table {
        Table { meta, keys, saved: None, changes: BTreeMap::new(), lost: None }
    }

    /// The row of a key.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the row is no `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        let row = match self.changes.get(key) {
            Some(changed) => changed.clone(),
            None => self.stored(key)?,
        };
        row.map(|row| value(key, &row)).transpose()
    }

    /// Sets the row of a key.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when serde cannot write it as JSON.
    pub fn put<T: Serialize + ?Sized>(&mut self, key: &str, row: &T) -> Result<(), Error> {
        let row = serde_json::to_vec(row).map_err(|error| Error::invalid(format!("row {key}: {error}")))?;
        self.changes.insert(key.to_owned(), Some(row));
        Ok(())
    }

    /// Forgets the row of a key.
    pub fn delete(&mut self, key: &str) {
        self.changes.insert(key.to_owned(), None);
    }

    /// The rows whose keys begin with `prefix`, in the order of the keys' bytes.
    pub fn rows<T: DeserializeOwned>(&self, prefix: &str) -> Rows<'_, T> {
        Rows::new(self, prefix)
    }

    /// How many rows were there at the last commit.
    pub fn len(&self) -> u64 {
        self.saved.as_ref().map_or(0, |saved| saved.rows)
    }

    /// Whether no row was there at the last commit.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of a key in the database.
    fn stored(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let sealed = self.meta.get(&self.keys.row(key))?;
        Ok(sealed.and_then(|sealed| stored::open_row(&sealed)))
    }

    /// Keys of rows in the database, after one, a page of them.
    fn page(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        let after = after.map(|key| self.keys.row(key));
        let keys = self.meta.scan_after(&self.keys.row(prefix), after.as_deref(), PAGE_KEYS)?;
        Ok(keys.iter().filter_map(|key| self.keys.key_of(key)).collect())
    }

    /// Looks at every row. The outer error is the database's, the inner one says what is not as it was saved.
    fn prove(&mut self) -> Result<Result<(), &'static str>, Error> {
        let saved = self.meta.get(&self.keys.checkpoint())?;
        let Some(saved) = saved.and_then(|sealed| TableV1::open(&sealed)) else {
            return Ok(Err("its checkpoint cannot be read"));
        };
        let (mut rows, mut sum) = (0, Sum::default());
        let mut after: Option<String> = None;
        loop {
            let page = self.page("", after.as_deref())?;
            for key in &page {
                let Some(row) = self.stored(key)? else { return Ok(Err("a row of it cannot be read")) };
                rows += 1;
                sum.add(key, &row);
            }
            match page.last() {
                Some(last) => after = Some(last.clone()),
                None => break,
            }
        }
        if rows != saved.rows || sum != saved.sum {
            return Ok(Err("its rows are not those that were saved"));
        }
        self.saved = Some(saved);
        Ok(Ok(()))
    }

    /// Begins without a row.
    fn empty(&mut self, head: Head) -> Result<(), Error> {
        self.changes.clear();
        self.meta.delete_prefix(&self.keys.prefix())?;
        self.meta.put(&self.keys.head(), &head.seal()?)?;
        let begun = TableV1::default();
        self.meta.put(&self.keys.checkpoint(), &begun.seal()?)?;
        self.saved = Some(begun);
        Ok(())
    }

    fn head(&self) -> Result<Option<Head>, Error> {
        Ok(self.meta.get(&self.keys.head())?.and_then(|sealed| Head::open(&sealed)))
    }

    fn write(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let Some(saved) = &self.saved else { return Err(Error::invalid("the table was not opened")) };
        let (mut rows, mut sum) = (saved.rows, saved.sum);
        let mut batch = Vec::with_capacity(self.changes.len() + 1);
        for (key, row) in &self.changes {
            if let Some(old) = self.stored(key)? {
                rows = rows.saturating_sub(1);
                sum.remove(key, &old);
            }
            if let Some(new) = row {
                rows += 1;
                sum.add(key, new);
            }
            let value = row.as_ref().map(|row| stored::seal_row(row)).transpose()?;
            batch.push(Change { key: self.keys.row(key), value });
        }
        let saved = TableV1::new(rows, sum, checkpoint);
        batch.push(Change { key: self.keys.checkpoint(), value: Some(saved.seal()?) });
        self.meta.write(&batch)?;
        self.saved = Some(saved);
        self.changes.clear();
        Ok(())
    }
}

/// A name that can stand in a key: control characters end it there.
fn checked(name: &str) -> Result<&str, Error> {
    check_name("the name of a table", name).map_err(|error| Error::invalid(error.to_string()))?;
    Ok(name)
}

fn value<T: DeserializeOwned>(key: &str, row: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(row).map_err(|error| Error::invalid(format!("row {key}: {error}")))
}

impl ReadModel for Table {
    fn checkpoint(&self) -> Result<Option<Checkpoint>, Failure> {
        Ok(self.saved.as_ref().and_then(TableV1::checkpoint))
    }

    fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        self.write(checkpoint)?;
        // A database that finds itself damaged begins empty, with this batch as all that it holds.
        match self.head()? {
            Some(_) => Ok(()),
            None => Err("the database was damaged and began anew; start the projection again".into()),
        }
    }

    fn rollback(&mut self) -> Result<(), Failure> {
        self.changes.clear();
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Failure> {
        let head = self.head()?.unwrap_or(Head::Live);
        Ok(self.empty(head)?)
    }

    fn promote(&mut self) -> Result<(), Failure> {
        let mut batch = vec![Change { key: self.keys.head(), value: Some(Head::Live.seal()?) }];
        for (number, _) in stored::generations(self.meta.as_ref(), self.keys.name())? {
            if number != self.keys.generation() {
                let key = Keys::new(self.keys.name(), number).head();
                batch.push(Change { key, value: Some(Head::Beside.seal()?) });
            }
        }
        Ok(self.meta.write(&batch).map_err(Error::from)?)
    }

    fn is_disposable(&self) -> bool {
        true
    }

    fn lost(&self) -> Option<String> {
        self.lost.clone()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Table").field("name", &self.keys.name()).field("rows", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests;

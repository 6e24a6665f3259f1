//! SQLite: one table in the order of positions, and a unique index by stream and version.
//!
//! One connection writes; each reader has its own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::CACHE_BYTES;
use super::grouped::{Engine, Grouped, Put};
use crate::event::TYPE;
use crate::store::{Contender, Result};

pub const CONTENDER: Contender = Contender {
    name: "sqlite",
    about: "SQLite by rusqlite 0.41: WAL, synchronous=FULL, cache 256 MiB, prepared statements; group commit added; \
            nothing is checked when it is read",
    open: |dir, _| Ok(Box::new(Grouped::new(Sqlite::open(dir)?)?)),
};

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS events (
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        type TEXT NOT NULL,
        data BLOB NOT NULL,
        metadata BLOB NOT NULL
    );
    CREATE UNIQUE INDEX IF NOT EXISTS streams ON events (stream, version);
";

struct Sqlite {
    file: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(file: &Path) -> Result<Connection> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Negative: in KiB.
    connection.pragma_update(None, "cache_size", -((CACHE_BYTES >> 10) as i64))?;
    connection.pragma_update(None, "mmap_size", 8_i64 << 30)?;
    Ok(connection)
}

impl Sqlite {
    fn open(dir: &Path) -> Result<Sqlite> {
        let file = dir.join("events.db");
        let writer = connect(&file)?;
        writer.execute_batch(TABLE)?;
        Ok(Sqlite { file, writer: Mutex::new(writer), readers: Mutex::default() })
    }

    fn select(&self, sql: &str, stream: Option<&str>, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let idle = lock(&self.readers).pop();
        let reader = match idle {
            Some(reader) => reader,
            None => connect(&self.file)?,
        };
        let mut count = 0;
        let mut statement = reader.prepare_cached(sql)?;
        let mut rows = match stream {
            Some(stream) => statement.query([stream])?,
            None => statement.query([])?,
        };
        let mut look = |row: &Row| -> Result<()> {
            for column in ["data", "metadata"] {
                on_bytes(row.get_ref(column)?.as_blob()?);
            }
            Ok(())
        };
        while let Some(row) = rows.next()? {
            look(row)?;
            count += 1;
        }
        drop(rows);
        drop(statement);
        lock(&self.readers).push(reader);
        Ok(count)
    }
}

impl Engine for Sqlite {
    fn last_position(&self) -> Result<u64> {
        let last: Option<i64> =
            lock(&self.writer).query_row("SELECT max(position) FROM events", [], |row| row.get(0))?;
        Ok(last.unwrap_or(0) as u64)
    }

    fn versions<'a>(&self, streams: &[&'a str]) -> Result<HashMap<&'a str, u64>> {
        let writer = lock(&self.writer);
        let mut select = writer
            .prepare_cached("SELECT version FROM events WHERE stream = ? ORDER BY version DESC LIMIT 1")?;
        let version = |stream: &&'a str| {
            let version: Option<i64> = select.query_row([stream], |row| row.get(0)).optional()?;
            Ok((*stream, version.unwrap_or(0) as u64))
        };
        streams.iter().map(version).collect()
    }

    fn write(&self, puts: &[Put]) -> Result<()> {
        let mut writer = lock(&self.writer);
        let transaction = writer.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)")?;
            for Put { position, stream, version, event } in puts {
                let (position, version) = (*position as i64, *version as i64);
                insert.execute(params![position, stream, version, TYPE, event.data, event.metadata])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn replay(&self, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64> {
        self.select("SELECT * FROM events ORDER BY position", None, on_bytes)
    }

    fn read(&self, stream: &str, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64> {
        self.select("SELECT * FROM events WHERE stream = ? ORDER BY version", Some(stream), on_bytes)
    }

    fn close(self) -> Result<()> {
        drop(self.readers);
        let writer = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        writer.close().map_err(|(_, error)| error.into())
    }
}

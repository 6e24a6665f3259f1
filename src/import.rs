//! Import: many events in order, in atomic batches, that can be repeated without harm.
//!
//! Every event has an id, given or derived, and what the store already holds under that id is not appended again. Each
//! batch expects the streams as they were when it was compared, so that no other writer can come between.

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::commit::{Committer, check_event};
use crate::error::{AppendError, Error, ImportError};
use crate::format::event::{self, Given};
use crate::model::{
    Append, EventId, EventOfStream, ExpectedVersion, NewEvent, Position, StreamName, StreamVersion,
};
use crate::options::Limits;
use crate::read::Reader;

/// Events of one batch, at most.
const BATCH_EVENTS_MAX: usize = 1000;

/// Bytes of one batch, unless a single event has more.
const BATCH_BYTES_MAX: u64 = 1 << 20;

/// How often a batch is compared again after another writer came between.
const TRIES_MAX: usize = 100;

/// An import under way. Memory stays constant, but for the count of events without ids in each stream that has them.
///
/// ```
/// # use annals::{Data, EventId, EventType, NewEvent, StreamName};
/// # let dir = tempfile::tempdir()?;
/// # let store = annals::EventStore::open(annals::Options::new(dir.path()))?;
/// let event = NewEvent::new(EventType::parse("order.created")?, Data::json(&())?).id(EventId::parse("evt-1")?);
/// for appended in [1, 0] {
///     let mut import = store.import();
///     import.push(StreamName::parse("order-1")?, event.clone())?;
///     let (_, report) = import.finish()?;
///     assert_eq!(report.appended, appended);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Importer {
    committer: Result<Arc<Committer>, Error>,
    reader: Reader,
    limits: Limits,
    batch: Vec<Line>,
    batch_bytes: u64,
    /// How many events without an id each stream has had, by a hash of its name.
    places: HashMap<u64, u64>,
    report: ImportReport,
    /// Why a batch could not be committed.
    failure: Option<ImportError>,
}

/// An event to be imported, with its id.
struct Line {
    number: u64,
    stream: StreamName,
    id: EventId,
    event: NewEvent,
}

/// One committed batch of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchReport {
    /// How many events were pushed since the start.
    pub lines: u64,
    /// How many events this batch appended.
    pub appended: u64,
    /// How many events of this batch were there already.
    pub repeated: u64,
    /// The last position after this batch.
    pub position: Position,
}

/// The whole of an import, as far as it is committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ImportReport {
    /// How many events were committed or found.
    pub lines: u64,
    /// How many were appended.
    pub appended: u64,
    /// How many were there already.
    pub repeated: u64,
    /// The last position after the import.
    pub position: Position,
}

impl Importer {
    pub(crate) fn new(committer: Result<Arc<Committer>, Error>, reader: Reader, limits: Limits) -> Importer {
        let report = ImportReport { position: reader.visible().get(), ..ImportReport::default() };
        Importer {
            committer,
            reader,
            limits,
            batch: Vec::new(),
            batch_bytes: 0,
            places: HashMap::new(),
            report,
            failure: None,
        }
    }

    /// Adds the next event; commits the batch before it, and tells of it, when that is full. An event that can never be
    /// appended is refused at once, before it spoils a batch.
    ///
    /// When a batch could not be committed, the import has ended: every later call answers with the same error, so that
    /// no event is passed over unnoticed. Begin a new one, and push everything again.
    pub fn push(&mut self, stream: StreamName, event: NewEvent) -> Result<Option<BatchReport>, ImportError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let (hash, place) = self.next_place(&stream);
        let id = event.id.clone().unwrap_or_else(|| derived_id(&stream, place, &event));
        check_event(&stream, &event, &id, &self.limits)?;
        let bytes = event::encoded_len(&event, Given { stream: &stream, id: &id, labels: &[] }) as u64;
        let full = self.batch.len() as u64 >= self.limits.append_events_max.min(BATCH_EVENTS_MAX as u64)
            || self.batch_bytes + bytes > BATCH_BYTES_MAX.min(self.limits.append_bytes_max / 2);
        let committed = if full && !self.batch.is_empty() { Some(self.commit()?) } else { None };

        if event.id.is_none() {
            self.places.insert(hash, place);
        }
        let number = self.report.lines + self.batch.len() as u64 + 1;
        self.batch_bytes += bytes;
        self.batch.push(Line { number, stream, id, event });
        Ok(committed)
    }

    /// Commits the last batch, and tells of it and of the whole.
    pub fn finish(mut self) -> Result<(Option<BatchReport>, ImportReport), ImportError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let last = if self.batch.is_empty() { None } else { Some(self.commit()?) };
        Ok((last, self.report))
    }

    /// What is committed so far; right also after an error.
    pub fn report(&self) -> &ImportReport {
        &self.report
    }

    /// A hash of a stream's name, and which of its events without an id would come next.
    fn next_place(&self, stream: &StreamName) -> (u64, u64) {
        let mut hasher = SipHasher24::new();
        hasher.write(stream.as_str().as_bytes());
        // Two streams that share a hash share a count: their places differ, but they differ the same way each time.
        let hash = hasher.finish();
        (hash, self.places.get(&hash).copied().unwrap_or(0) + 1)
    }

    fn commit(&mut self) -> Result<BatchReport, ImportError> {
        let committed = self.try_commit();
        self.failure = committed.as_ref().err().cloned();
        committed
    }

    fn try_commit(&mut self) -> Result<BatchReport, ImportError> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let committer = self.committer.clone()?;
        for _ in 0..TRIES_MAX {
            let append = self.compare(&batch)?;
            let appended = append.len() as u64;
            if appended > 0 {
                match committer.append(append) {
                    // Another writer was faster, with other events or the same.
                    Ok(receipt) if receipt.repeated => continue,
                    Err(AppendError::Conflict { .. } | AppendError::IdTaken { .. }) => continue,
                    Ok(receipt) => self.report.position = receipt.position,
                    Err(error) => return Err(error.into()),
                }
            }
            let repeated = batch.len() as u64 - appended;
            self.report.lines += batch.len() as u64;
            self.report.appended += appended;
            self.report.repeated += repeated;
            let (lines, position) = (self.report.lines, self.report.position);
            return Ok(BatchReport { lines, appended, repeated, position });
        }
        Err(Error::invalid("other writers kept changing the imported streams; import when they are quieter")
            .into())
    }

    /// The append of what the store does not hold yet.
    fn compare(&self, batch: &[Line]) -> Result<Append, ImportError> {
        let mut append = Append::default();
        let mut versions: HashMap<&StreamName, StreamVersion> = HashMap::new();
        for line in batch {
            if !versions.contains_key(&line.stream) {
                // Before the ids are looked up: what another writer adds after this makes the append conflict.
                let hash = self.reader.stream_hash(line.stream.as_str());
                versions.insert(&line.stream, self.reader.stream_version(hash)?);
            }
        }
        let mut streams: HashMap<&StreamName, usize> = HashMap::new();
        let mut added: HashMap<(&StreamName, &EventId), &NewEvent> = HashMap::new();
        for line in batch {
            let (stream, event) = (&line.stream, line.event.clone().id(line.id.clone()));
            let differs = |version| ImportError::Differs {
                number: line.number,
                stream: stream.clone(),
                id: line.id.clone(),
                version,
            };
            if let Some(held) = self.reader.event_with_id(stream.as_str(), &line.id)? {
                if !held.says_the_same_as(&event) {
                    return Err(differs(held.stream_version()));
                }
                continue;
            }
            match added.get(&(stream, &line.id)) {
                Some(earlier) if repeats(&line.event, earlier) => continue,
                Some(_) => return Err(differs(versions[stream].next())),
                None => {}
            }
            added.insert((stream, &line.id), &line.event);
            let number = *streams.entry(stream).or_insert_with(|| {
                append.add_stream(stream.clone(), ExpectedVersion::Exactly(versions[stream]))
            });
            append.events.push(EventOfStream { stream: number, event });
        }
        Ok(append)
    }
}

/// Whether an event says again what an earlier one of the same id says, as one that is stored would have to.
fn repeats(event: &NewEvent, earlier: &NewEvent) -> bool {
    let without = |event: &NewEvent| NewEvent { id: None, timestamp: None, ..event.clone() };
    let same_time = event.timestamp.is_none() || event.timestamp == earlier.timestamp;
    same_time && without(event) == without(earlier)
}

/// The id of an event that has none: the same each time the same event stands at the same place of its stream.
fn derived_id(stream: &StreamName, place: u64, event: &NewEvent) -> EventId {
    let mut hasher = SipHasher24::new();
    let mut part = |bytes: &[u8]| {
        hasher.write(&(bytes.len() as u64).to_le_bytes());
        hasher.write(bytes);
    };
    part(stream.as_str().as_bytes());
    part(&place.to_le_bytes());
    part(event.event_type.as_str().as_bytes());
    part(event.data.bytes());
    part(event.data.content_type().map_or(b"", |text| text.as_str().as_bytes()));
    part(event.metadata.as_ref().map_or(b"", |metadata| metadata.bytes()));
    part(event.source.as_ref().map_or(b"", |source| source.as_str().as_bytes()));
    part(&event.timestamp.map_or([0; 8], |timestamp| timestamp.as_nanos().to_le_bytes()));
    let bytes = hasher.finish128().as_u128().to_be_bytes();
    EventId::from_uuid(*uuid::Builder::from_custom_bytes(bytes).into_uuid().as_bytes())
}

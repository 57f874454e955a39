//! A journal whose contents are sealed before another journal gets them.

use super::keys::{Keys, NoRandom, NotOpened};
use std::ops::ControlFlow;
use std::sync::Arc;
use swarm_actors::journal::record::{Batch, Bytes, Event};
use swarm_actors::journal::{
    Append, AppendError, Appended, Criteria, Damage, EventData, Head, InvalidAppend, Journal,
    JournalError, Position, Receipt, Recorded, SEALED_VERSION, SNAPSHOT_BYTES_MAX, Seq, Snapshot,
    SnapshotMeta, Start, StreamName, Tag,
};

/// Facts that are sealed begin with this byte, which facts in the clear may not.
const SEALED_FACTS: u8 = 0xff;

/// A journal over another one, which seals what categories with keys say. What was written in the clear stays so and is read;
/// what is sealed and has no key is an error that names stream, event and key.
#[derive(Clone)]
pub struct SealedJournal {
    inner: Arc<dyn Journal>,
    keys: Arc<Keys>,
}

/// What a sealed text is bound to besides its stream.
enum Part {
    Payload(u32, u16),
    Meta(u32, u16),
    Facts,
    Snapshot(SnapshotMeta),
}

impl SealedJournal {
    /// Over that journal, with those keys.
    #[must_use]
    pub fn new(inner: Arc<dyn Journal>, keys: Arc<Keys>) -> Self {
        Self { inner, keys }
    }

    fn seal(&self, stream: &StreamName, part: &Part, bytes: &[u8]) -> Result<Vec<u8>, AppendError> {
        let sealed = self
            .keys
            .seal(stream.category(), &bound_to(stream, part), bytes);
        sealed.map_err(|NoRandom| {
            AppendError::Journal(JournalError::Io {
                operation: "get random numbers for",
                path: stream.as_str().into(),
                message: "the system gave none".to_owned(),
            })
        })
    }

    fn open(&self, stream: &StreamName, part: &Part, bytes: &[u8]) -> Result<Vec<u8>, NotOpened> {
        self.keys
            .open(stream.category(), &bound_to(stream, part), bytes)
    }

    fn sealed(&self, mut append: Append) -> Result<Append, AppendError> {
        append.check()?;
        let reserved = append.events.iter().find(|e| e.version >= SEALED_VERSION);
        if let Some(event) = reserved {
            let version = event.version;
            return Err(InvalidAppend::Reserved { version }.into());
        }
        if append.facts.first() == Some(&SEALED_FACTS) {
            let version = SEALED_VERSION;
            return Err(InvalidAppend::Reserved { version }.into());
        }
        if !self.keys.seals(append.stream.category()) {
            return Ok(append);
        }
        let stream = append.stream.clone();
        for event in &mut append.events {
            let form = (event.type_id, event.version);
            event.payload = self.seal(&stream, &Part::Payload(form.0, form.1), &event.payload)?;
            if !event.meta.is_empty() {
                event.meta = self.seal(&stream, &Part::Meta(form.0, form.1), &event.meta)?;
            }
            event.version |= SEALED_VERSION;
        }
        if !append.facts.is_empty() {
            let mut facts = vec![SEALED_FACTS];
            facts.append(&mut self.seal(&stream, &Part::Facts, &append.facts)?);
            append.facts = facts;
        }
        Ok(append)
    }

    /// An event as it was before it was sealed.
    fn opened(&self, stream: &StreamName, data: &mut EventData) -> Result<(), NotOpened> {
        if data.version < SEALED_VERSION {
            return Ok(());
        }
        data.version &= !SEALED_VERSION;
        let form = (data.type_id, data.version);
        data.payload = self.open(stream, &Part::Payload(form.0, form.1), &data.payload)?;
        if !data.meta.is_empty() {
            data.meta = self.open(stream, &Part::Meta(form.0, form.1), &data.meta)?;
        }
        Ok(())
    }

    /// Hands on a batch as it was before it was sealed.
    fn pass(
        &self,
        stream: &StreamName,
        batch: &Batch<'_>,
        each: &mut dyn FnMut(&Batch<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, (u64, NotOpened)> {
        let is_sealed = batch.events.iter().any(|e| e.version >= SEALED_VERSION)
            || batch.facts.0.first() == Some(&SEALED_FACTS);
        if !is_sealed {
            return Ok(each(batch));
        }
        let mut opened = Vec::with_capacity(batch.events.len());
        for (event, seq) in batch.events.iter().zip(batch.first_seq..) {
            let mut data = EventData {
                type_id: event.type_id,
                version: event.version,
                tags: Vec::new(),
                meta: event.meta.0.to_vec(),
                payload: event.payload.0.to_vec(),
            };
            self.opened(stream, &mut data).map_err(|why| (seq, why))?;
            opened.push(data);
        }
        let facts = match batch.facts.0.split_first() {
            Some((&SEALED_FACTS, sealed)) => self
                .open(stream, &Part::Facts, sealed)
                .map_err(|why| (batch.first_seq, why))?,
            _ => batch.facts.0.to_vec(),
        };
        let events = batch.events.iter().zip(&opened).map(|(event, data)| Event {
            type_id: data.type_id,
            version: data.version,
            tags: event.tags.clone(),
            meta: Bytes(&data.meta),
            payload: Bytes(&data.payload),
        });
        Ok(each(&Batch {
            events: events.collect(),
            facts: Bytes(&facts),
            ..batch.clone()
        }))
    }
}

fn bound_to(stream: &StreamName, part: &Part) -> Vec<u8> {
    let mut what = stream.as_str().as_bytes().to_vec();
    what.push(0);
    match part {
        Part::Payload(type_id, version) => {
            what.push(1);
            what.extend(type_id.to_le_bytes());
            what.extend(version.to_le_bytes());
        }
        Part::Meta(type_id, version) => {
            what.push(2);
            what.extend(type_id.to_le_bytes());
            what.extend(version.to_le_bytes());
        }
        Part::Facts => what.push(3),
        Part::Snapshot(meta) => {
            what.push(4);
            what.extend(meta.type_id.to_le_bytes());
            what.extend(meta.version.to_le_bytes());
            what.extend(meta.seq.0.to_le_bytes());
            what.extend(meta.batch.to_le_bytes());
        }
    }
    what
}

fn damage(stream: &StreamName, seq: u64, why: &NotOpened) -> JournalError {
    Damage {
        stream: Some(stream.clone()),
        seq: Some(Seq(seq)),
        place: "its contents".to_owned(),
        what: why.to_string(),
    }
    .into()
}

impl Journal for SealedJournal {
    fn append(&self, append: Append) -> Receipt<Appended, AppendError> {
        match self.sealed(append) {
            Ok(append) => self.inner.append(append),
            Err(error) => error.into(),
        }
    }

    fn truncate(&self, stream: &StreamName, up_to: Seq) -> Receipt<Head, AppendError> {
        self.inner.truncate(stream, up_to)
    }

    fn head(&self, stream: &StreamName) -> Result<Option<Head>, JournalError> {
        self.inner.head(stream)
    }

    fn heads(&self, after: Option<&StreamName>, limit: usize) -> Result<Vec<Head>, JournalError> {
        self.inner.heads(after, limit)
    }

    fn replay(
        &self,
        stream: &StreamName,
        start: Start,
        each: &mut dyn FnMut(&Batch<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Head>, JournalError> {
        let mut failed = None;
        let head = self.inner.replay(stream, start, &mut |batch| match self
            .pass(stream, batch, each)
        {
            Ok(flow) => flow,
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        match failed {
            None => Ok(head),
            Some((seq, why)) => Err(damage(stream, seq, &why)),
        }
    }

    fn read_positions(
        &self,
        after: Position,
        tag: Option<&Tag>,
        limit: usize,
    ) -> Result<Vec<Recorded>, JournalError> {
        let mut events = self.inner.read_positions(after, tag, limit)?;
        for event in &mut events {
            let opened = self.opened(&event.stream, &mut event.data);
            opened.map_err(|why| damage(&event.stream, event.seq.0, &why))?;
        }
        Ok(events)
    }

    fn last_position(&self) -> Position {
        self.inner.last_position()
    }

    fn save_snapshot(&self, mut snapshot: Snapshot) -> Receipt<(), AppendError> {
        let version = snapshot.meta.version;
        if version >= SEALED_VERSION {
            return AppendError::from(InvalidAppend::Reserved { version }).into();
        }
        let bytes = snapshot.payload.len() + snapshot.note.len();
        if bytes > SNAPSHOT_BYTES_MAX {
            return AppendError::from(InvalidAppend::TooManyBytes { bytes }).into();
        }
        if self.keys.seals(snapshot.stream.category()) {
            let part = Part::Snapshot(snapshot.meta);
            match self.seal(&snapshot.stream, &part, &snapshot.payload) {
                Ok(payload) => snapshot.payload = payload,
                Err(error) => return error.into(),
            }
            snapshot.meta.version |= SEALED_VERSION;
        }
        self.inner.save_snapshot(snapshot)
    }

    fn snapshots(&self, stream: &StreamName) -> Result<Vec<SnapshotMeta>, JournalError> {
        let mut metas = self.inner.snapshots(stream)?;
        for meta in &mut metas {
            meta.version &= !SEALED_VERSION;
        }
        Ok(metas)
    }

    fn snapshot(&self, stream: &StreamName, seq: Seq) -> Result<Option<Snapshot>, JournalError> {
        let Some(mut snapshot) = self.inner.snapshot(stream, seq)? else {
            return Ok(None);
        };
        if snapshot.meta.version >= SEALED_VERSION {
            snapshot.meta.version &= !SEALED_VERSION;
            let part = Part::Snapshot(snapshot.meta);
            snapshot.payload = self
                .open(stream, &part, &snapshot.payload)
                .map_err(|why| damage(stream, seq.0, &why))?;
        }
        Ok(Some(snapshot))
    }

    fn delete_snapshots(
        &self,
        stream: &StreamName,
        criteria: Criteria,
    ) -> Receipt<usize, AppendError> {
        self.inner.delete_snapshots(stream, criteria)
    }

    fn reads_block(&self) -> bool {
        self.inner.reads_block()
    }
}

//! The context of a command: what caused it, and what its events carry beside their data.

use serde_json::{Map, Value};

use crate::model::{EventId, Label, Metadata, MetadataError, NameError, RecordedEvent, Timestamp};

/// What caused a command, and what surrounds its events.
///
/// A context that comes from an event continues its conversation: the new events carry its correlation id, or its id if it has
/// none, its tenant, and its id as what caused them.
///
/// ```
/// use annals::Context;
///
/// let context = Context::default().correlation_id("conversation-1").command_id("cmd-7").with("user", "ann");
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Context {
    correlation_id: Option<String>,
    causation_id: Option<String>,
    tenant_id: Option<String>,
    command_id: Option<String>,
    timestamp: Option<Timestamp>,
    fields: Map<String, Value>,
}

impl Context {
    /// The context of what an event causes.
    pub fn caused_by(event: &RecordedEvent) -> Context {
        let label = |label| event.label(label).map(str::to_owned);
        let id = event.id().to_string();
        Context {
            correlation_id: label(Label::CorrelationId).or_else(|| Some(id.clone())),
            causation_id: Some(id),
            tenant_id: label(Label::TenantId),
            ..Context::default()
        }
    }

    /// Sets the id of the conversation.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Context {
        self.correlation_id = Some(id.into());
        self
    }

    /// Sets the id of what caused the command. Default: the id of the command, if it has one.
    #[must_use]
    pub fn causation_id(mut self, id: impl Into<String>) -> Context {
        self.causation_id = Some(id.into());
        self
    }

    /// Sets whose events they are.
    #[must_use]
    pub fn tenant_id(mut self, id: impl Into<String>) -> Context {
        self.tenant_id = Some(id.into());
        self
    }

    /// Names the command. A command of the same id that has added events to the stream is not executed again: it is answered
    /// as the first time, also after a crash.
    #[must_use]
    pub fn command_id(mut self, id: impl Into<String>) -> Context {
        self.command_id = Some(id.into());
        self
    }

    /// Sets when the events occurred. Default: when they are appended.
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Context {
        self.timestamp = Some(timestamp);
        self
    }

    /// Adds a field to the metadata. What the context has a method for is set by that.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Context {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    pub(super) fn occurred_at(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// The id of the event of this number, from 1, where the command has an id.
    pub(super) fn event_id(&self, number: usize) -> Option<Result<EventId, NameError>> {
        self.command_id.as_ref().map(|command| EventId::parse(&format!("{command}-{number}")))
    }

    /// The metadata of an event of this version and with these tags.
    pub(super) fn metadata(&self, version: String, tags: Vec<String>) -> Result<Metadata, MetadataError> {
        let mut fields = self.fields.clone();
        let caused_by = self.causation_id.as_ref().or(self.command_id.as_ref());
        let texts = [
            ("correlationId", self.correlation_id.as_ref()),
            ("causationId", caused_by),
            ("tenantId", self.tenant_id.as_ref()),
            ("version", Some(&version)),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                fields.insert(name.to_owned(), text.clone().into());
            }
        }
        if !tags.is_empty() {
            fields.insert("tags".to_owned(), tags.into());
        }
        Metadata::parse(Value::Object(fields).to_string())
    }
}

impl From<&RecordedEvent> for Context {
    fn from(event: &RecordedEvent) -> Context {
        Context::caused_by(event)
    }
}

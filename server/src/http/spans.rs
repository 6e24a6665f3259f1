//! Requests as spans of traces, sent to a collector of OpenTelemetry: OTLP over HTTP, with protobuf.
//!
//! Spans wait in a queue that is bounded, and are sent by a thread of their own. A collector that does not answer costs spans, and
//! no request waits for it.

use std::time::{Duration, SystemTime};

use annals::Traceparent;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

/// How long a collector may take for one batch.
const SEND_WAIT_MAX: Duration = Duration::from_secs(10);

/// The most that is read of what a collector says.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Where spans go.
#[derive(Debug)]
pub(crate) struct Spans {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A request that has been answered.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) method: &'a str,
    pub(super) route: &'a str,
    pub(super) status: u16,
    pub(super) id: &'a str,
    pub(super) took: Duration,
}

impl Spans {
    /// Sends spans to the collector at this address, such as `http://127.0.0.1:4318`.
    pub(crate) fn to(collector: &str) -> Result<Spans, String> {
        let cannot = |error: &dyn std::fmt::Display| format!("spans cannot be sent to {collector}: {error}");
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
            .with_timeout(SEND_WAIT_MAX)
            .build()
            .map_err(|error| cannot(&error))?;
        let resource = Resource::builder().with_service_name("annals").build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let tracer = provider.tracer("annals");
        Ok(Spans { provider, tracer })
    }

    /// Tells a request that has just been answered, as a part of the trace that it names, or as a trace of its own.
    pub(super) fn tell(&self, told: &Told<'_>, trace: Option<&Traceparent>) {
        let &Told { method, route, status, id, took } = told;
        let end = SystemTime::now();
        let builder = self
            .tracer
            .span_builder(format!("{method} {route}"))
            .with_kind(SpanKind::Server)
            .with_start_time(end - took)
            .with_attributes([
                KeyValue::new("http.request.method", method.to_owned()),
                KeyValue::new("http.route", route.to_owned()),
                KeyValue::new("http.response.status_code", i64::from(status)),
                KeyValue::new("annals.request_id", id.to_owned()),
            ]);
        let parent = trace.and_then(parent_of).unwrap_or_default();
        let mut span = self.tracer.build_with_context(builder, &parent);
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(end);
    }

    /// Sends what waits.
    pub(crate) fn end(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!("the last spans were not sent: {error}");
        }
    }
}

/// The span that asked, in another process.
fn parent_of(trace: &Traceparent) -> Option<Context> {
    let trace_id = TraceId::from_hex(trace.trace_id()).ok()?;
    let span_id = SpanId::from_hex(trace.span_id()).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(trace.as_str().get(53..55)?, 16).ok()?);
    let parent = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
    Some(Context::new().with_remote_span_context(parent))
}

/// Sends a batch; it may block, and is asked by the thread for spans alone.
#[derive(Debug)]
struct Sender(ureq::Agent);

impl Sender {
    fn new() -> Sender {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(SEND_WAIT_MAX))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None);
        Sender(config.build().into())
    }
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(head, body.to_vec()))?;
        let (head, body) = answer.into_parts();
        let body = body.into_with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(head, body.into()))
    }
}

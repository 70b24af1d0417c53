//! What monitoring asks of a manager: `GET /metrics`, in the text format of OpenMetrics 1.0.
//!
//! Each manager answers for itself. No label holds what a client sent or an engine is called: their number stays small,
//! whatever anybody does.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method, Response, StatusCode, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeMetric, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use swarm_core::cluster::EngineState;

use super::report::Reporter;
use crate::http::error::error;
use crate::http::{Body, body};

/// Bounds of durations, in seconds: what is answered from the view, what engines take, what waits for a primary.
const BOUNDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", OTHER];
const OTHER: &str = "other";
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is told, and what is counted for it.
pub(super) struct Metrics {
    reporter: Arc<Reporter>,
    /// Whether anybody who can connect has power over the engines.
    exposed: bool,
    answers: Mutex<BTreeMap<(&'static str, StatusCode), u64>>,
    /// How long answers took to begin, by method.
    durations: BTreeMap<&'static str, Histogram>,
}

impl Metrics {
    pub(super) fn new(reporter: Arc<Reporter>, exposed: bool) -> Arc<Self> {
        Arc::new(Self {
            reporter,
            exposed,
            answers: Mutex::default(),
            durations: METHODS
                .map(|method| (method, Histogram::new(BOUNDS)))
                .into(),
        })
    }

    pub(super) fn count(&self, method: &'static str, status: StatusCode, took: Duration) {
        if let Some(durations) = self.durations.get(method) {
            durations.observe(took.as_secs_f64());
        }
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((method, status)).or_default() += 1;
    }

    pub(super) fn answer(self: &Arc<Self>) -> Response<Body> {
        let mut registry = Registry::with_prefix("swarm");
        registry.register_collector(Box::new(Arc::clone(self)));
        let mut page = String::new();
        if let Err(problem) = text::encode(&mut page, &registry) {
            return error(StatusCode::INTERNAL_SERVER_ERROR, problem.to_string());
        }
        let mut response = Response::new(body::full(page));
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        response
    }
}

/// The method as a label: clients may send any word.
pub(super) fn method_label(method: &Method) -> &'static str {
    let known = METHODS.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or(OTHER)
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.manager(&mut page)?;
        self.engines(&mut page)?;
        self.security(&mut page)?;
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        page.answers(&answers)?;
        page.durations(&self.durations)
    }
}

impl Metrics {
    fn manager(&self, page: &mut Page<'_>) -> fmt::Result {
        let status = self.reporter.status();
        page.info("build", "The release.", &[("version", &status.version)])?;
        page.gauge(
            "manager_leader",
            "Whether this manager is the primary.",
            i64::from(status.is_primary()),
        )?;
        page.gauge(
            "primary_known",
            "Whether this manager knows a primary; without one, requests wait.",
            i64::from(status.is_primary() || status.primary.is_some()),
        )?;
        page.gauge(
            "election_epoch",
            "The highest epoch seen; it grows with each change of primary.",
            status.epoch,
        )?;
        let left = status.lease_left_ms.unwrap_or_default();
        page.gauge(
            "lease_remaining_seconds",
            "How long the lease of this manager still runs; 0 when it holds none.",
            Duration::from_millis(left).as_secs_f64(),
        )?;
        page.gauge(
            "failsafe_active",
            "Whether this manager acts by promises of the others, without the store.",
            i64::from(status.failsafe.as_deref() == Some("active")),
        )?;
        page.gauge(
            "members",
            "Managers of the cluster, as the primary lists them.",
            status.members.len(),
        )?;
        page.gauge(
            "members_unreachable",
            "Managers that this one cannot reach.",
            status.unreachable.len(),
        )
    }

    fn engines(&self, page: &mut Page<'_>) -> fmt::Result {
        let (totals, engines, drained) = self.reporter.with_cluster(|cluster| {
            let state = |state| cluster.engines().filter(|one| one.state == state).count();
            let engines = [
                ("pending", state(EngineState::Pending)),
                ("healthy", state(EngineState::Healthy)),
                ("unhealthy", state(EngineState::Unhealthy)),
            ];
            let drained = cluster.engines().filter(|one| cluster.is_drained(one));
            (cluster.totals(), engines, drained.count())
        });
        page.gauges("engines", "Engines by state.", "state", &engines)?;
        page.gauge(
            "engines_drained",
            "Engines that get no new containers.",
            drained,
        )?;
        let containers = [
            ("running", totals.running),
            ("paused", totals.paused),
            ("stopped", totals.stopped),
        ];
        page.gauges("containers", "Containers by state.", "state", &containers)
    }

    fn security(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "insecure_listener",
            "Whether other machines can connect without TLS.",
            i64::from(self.exposed),
        )?;
        let certificates = self.reporter.certificates();
        let ends: Vec<(&str, u64)> = certificates
            .iter()
            .map(|certificate| (certificate.file.flag, certificate.ends.seconds()))
            .collect();
        page.gauges(
            "tls_cert_expiry_timestamp_seconds",
            "When each certificate ends, in seconds since 1970.",
            "flag",
            &ends,
        )
    }
}

struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str); 1]) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        metric.encode_info(labels)
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    fn gauges<V: EncodeGaugeValue + Copy>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, V)],
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (of, value) in values {
            family.encode_family(&[(label, *of)])?.encode_gauge(value)?;
        }
        Ok(())
    }

    fn answers(&mut self, counted: &BTreeMap<(&str, StatusCode), u64>) -> fmt::Result {
        let help = "Answers to clients and other managers.";
        let mut family =
            self.0
                .encode_descriptor("http_requests", help, None, MetricType::Counter)?;
        for ((method, status), count) in counted {
            let labels = [("method", *method), ("code", status.as_str())];
            let mut one = family.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
        Ok(())
    }

    fn durations(&mut self, observed: &BTreeMap<&str, Histogram>) -> fmt::Result {
        let (name, unit) = ("http_request_duration", Unit::Seconds);
        let help = "Time until an answer began.";
        let kind = MetricType::Histogram;
        let mut family = self.0.encode_descriptor(name, help, Some(&unit), kind)?;
        for (method, histogram) in observed {
            histogram.encode(family.encode_family(&[("method", *method)])?)?;
        }
        Ok(())
    }
}

//! The page of metrics, in the text form of OpenMetrics, which Prometheus reads.
//!
//! There are as many series as functions: those that are deployed, and those of old deployments as
//! long as a request of theirs is under way.

use super::answer::Problem;
use super::body::{Answer, BoxResponse};
use crate::parking::Parked;
use crate::scheduler::{Counts, Payer, Usage};
use crate::server::Shared;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use wfaas_function::TenantName;

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFunction {
    tenant: String,
    function: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfGuests {
    tenant: String,
    function: String,
    state: &'static str,
}

type Seconds = Counter<f64, AtomicU64>;

/// Metrics by function.
#[derive(Default)]
struct Functions {
    guests: Family<OfGuests, Gauge>,
    requests: Family<OfFunction, Counter>,
    queued: Family<OfFunction, Seconds>,
    processor: Family<OfFunction, Seconds>,
    parked: Family<OfFunction, Gauge>,
    parked_bytes: Family<OfFunction, Gauge>,
    parkings: Family<OfFunction, Counter>,
}

/// The page, with the functions of one tenant or of all.
pub(super) fn page(
    shared: &Shared,
    method: &Method,
    only: Option<&TenantName>,
) -> Result<BoxResponse, Problem> {
    if method != Method::GET {
        return Err(Problem::method("GET"));
    }
    let mut registry = Registry::with_prefix("wfaas");
    functions(shared, only).register(&mut registry);
    if only.is_none() {
        server(shared, &mut registry);
    }
    let mut page = String::new();
    text::encode(&mut page, &registry).expect("text takes everything that is written to it");
    let mut response = Box::new(Response::new(Answer::from(page.into_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    Ok(response)
}

fn functions(shared: &Shared, only: Option<&TenantName>) -> Functions {
    let (functions, counts) = (Functions::default(), shared.scheduler.counts());
    for payer in shared.deployer.tenants.payers() {
        if only.is_none_or(|only| payer.tenant.name == *only) {
            let counts = counts.get(&std::ptr::from_ref(&*payer)).copied().unwrap_or_default();
            functions.add(&payer, counts);
        }
    }
    functions
}

impl Functions {
    fn add(&self, payer: &Payer, counts: Counts) {
        let Usage { running, processor, queued, requests } = payer.usage();
        let [tenant, function] =
            [payer.tenant.name.as_str(), payer.name.as_str()].map(str::to_owned);
        let Counts { runnable, waiting } = counts;
        for (state, count) in [("running", running), ("runnable", runnable), ("waiting", waiting)] {
            let (tenant, function) = (tenant.clone(), function.clone());
            let labels = OfGuests { tenant, function, state };
            self.guests.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let labels = OfFunction { tenant, function };
        let Parked { guests, bytes, times } = payer.parked.count();
        for (gauge, value) in [(&self.parked, guests), (&self.parked_bytes, bytes)] {
            gauge.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.parkings.get_or_create(&labels).inc_by(times);
        let seconds = |nanos| Duration::from_nanos(nanos).as_secs_f64();
        self.requests.get_or_create(&labels).inc_by(requests);
        self.queued.get_or_create(&labels).inc_by(seconds(queued));
        self.processor.get_or_create(&labels).inc_by(seconds(processor));
    }

    fn register(self, registry: &mut Registry) {
        let Functions { guests, requests, queued, processor, parked, parked_bytes, parkings } =
            self;
        let help = "Guests that run, are in line for a thread, or wait for the host";
        registry.register("guests", help, guests);
        registry.register("requests", "Requests that a guest has begun to answer", requests);
        let help = "Time that guests were in line for a thread";
        registry.register_with_unit("queue", help, Unit::Seconds, queued);
        let help = "Processor time of guests";
        registry.register_with_unit("processor", help, Unit::Seconds, processor);
        let help = "Guests among those that wait that have no slot meanwhile";
        registry.register("parked_guests", help, parked);
        let help = "Bytes that are kept of guests without a slot";
        registry.register_with_unit("parked", help, Unit::Bytes, parked_bytes);
        registry.register("parkings", "How often a guest has given its slot back", parkings);
    }
}

/// Metrics of the whole server.
fn server(shared: &Shared, registry: &mut Registry) {
    let (ready, failed) = shared.deployer.registry.count();
    let engine = &shared.deployer.engine;
    let gauges = [
        ("functions", "Functions that can be reached", ready as u64),
        ("failed_functions", "Stored functions that could not be loaded", failed as u64),
        ("requests_under_way", "Requests to functions", shared.places.taken_units()),
        ("buffered_bytes", "Bytes of requests and answers", shared.buffered.taken_units()),
        ("image_bytes", "Bytes of the images of functions", engine.image_bytes()),
    ];
    for (name, help, value) in gauges {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    let dropped = Counter::<u64>::default();
    dropped.inc_by(shared.config.dropped_records.load(Ordering::Relaxed));
    registry.register("dropped_log_records", "Records that the log had no room for", dropped);
}

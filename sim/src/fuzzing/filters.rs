//! The filters of list queries, and expressions that ask for a place.

use std::collections::BTreeMap;

use bytes::Bytes;
use swarm_core::api::Query;
use swarm_core::cluster::{ContainerQuery, EventQuery, Filters, Listing, QueryError, Texts};
use swarm_core::engine::Event;
use swarm_core::scheduler::Carried;

use super::fixture::{NOW, cluster};

/// Filters are read or refused with 400 or 404, and lists under any filter are JSON.
///
/// # Panics
/// When that is not so.
pub fn filters(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    expression(text);
    if let Ok(filters) = Filters::parse(text) {
        for key in ["label", "name", "dangling", ""] {
            assert_eq!(filters.has(key), filters.values(key).next().is_some());
            for value in filters.values(key) {
                assert!(filters.exact(key, value) && filters.contains(key, value));
                let pass = filters.patterns(key).map(|patterns| patterns.pass([value]));
                assert!(pass.unwrap_or(true), "{key}={value} does not pass itself");
            }
            let _ = filters.flag(key);
        }
    }
    let wrapped = Query::default().with("filters", text).with("all", "1");
    assert_eq!(wrapped.value("filters").as_deref(), Some(text));
    for query in [wrapped, Query::new(text)] {
        lists(&query);
    }
}

fn lists(query: &Query) {
    let cluster = cluster();
    let containers = ContainerQuery::parse(query)
        .and_then(|wanted| cluster.listing(&wanted, NOW, BTreeMap::new(), &Texts::new(0)))
        .map(Listing::whole);
    for list in [
        containers,
        cluster.list_images(query, None).map(Bytes::from),
        cluster.list_networks(query).map(Bytes::from),
        cluster.list_volumes(query).map(Bytes::from),
    ] {
        match list {
            Ok(json) => {
                let json = serde_json::from_slice::<serde_json::Value>(&json);
                assert!(json.is_ok(), "{query}: {json:?}");
            }
            Err(error) => refused(query, &error),
        }
    }
    match EventQuery::parse(query) {
        Ok(wanted) => {
            let _ = wanted.wants(&Event::of_manager("engine_connect", NOW), i64::MIN);
        }
        Err(error) => refused(query, &error),
    }
}

fn refused(query: &Query, error: &QueryError) {
    assert!([400, 404].contains(&error.status()), "{query}: {error}");
}

/// Lines as environment entries, and the text as the label of constraints.
fn expression(text: &str) {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let label = "com.docker.swarm.constraints";
    let labels = BTreeMap::from([(label.to_owned(), text.to_owned())]);
    let _ = Carried::read(lines.clone(), &labels);
    let Ok(carried) = Carried::read(lines.clone(), &BTreeMap::new()) else {
        return;
    };
    let prefixes = ["constraint:", "affinity:", "whitelist:", "reschedule:"];
    let is_expression = |line: &&String| prefixes.iter().any(|prefix| line.starts_with(prefix));
    let rest: Vec<&String> = lines.iter().filter(|line| !is_expression(line)).collect();
    assert!(carried.environment.iter().eq(rest), "{text:?}");
    let moved = carried.labels.into_iter();
    let labels = moved
        .map(|(label, text)| (label.to_owned(), text))
        .collect();
    let again = Carried::read(Vec::new(), &labels).map(|again| again.expressions);
    assert_eq!(again, Ok(carried.expressions), "{text:?}");
}

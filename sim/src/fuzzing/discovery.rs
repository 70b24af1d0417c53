//! Discovery URLs, listings of engines and discovery options.

use swarm_core::address::HostPort;
use swarm_core::discovery::{
    Discovery, DiscoveryOptions, KV_PATH_DEFAULT, KeyLayout, LISTING_MAX, Listing,
};

/// Most errors a listing keeps.
const ERRORS_MAX: usize = 100;

/// What is read names only engines that can be written and read again, stays bounded, and errors fit on one line.
///
/// # Panics
/// When that is not so.
pub fn discovery(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match text.parse::<Discovery>() {
        Ok(discovery) => url(text, &discovery),
        Err(error) => one_line(&error.to_string()),
    }
    listing(&Listing::of(text.split(',')));
    listing(&Listing::of_file(text));
    match DiscoveryOptions::parse(text.lines()) {
        Ok(options) => {
            assert!(KeyLayout::new("", &options.kv_path).is_ok(), "{options:?}");
        }
        Err(error) => one_line(&error.to_string()),
    }
}

fn url(text: &str, discovery: &Discovery) {
    match discovery {
        Discovery::Consul { servers, prefix }
        | Discovery::Etcd { servers, prefix }
        | Discovery::ZooKeeper { servers, prefix } => {
            assert!(!servers.is_empty(), "{text:?}");
            let again = format!("{}://{}/{prefix}", discovery.scheme(), joined(servers));
            assert_eq!(again.parse().as_ref(), Ok(discovery), "{text:?}");
            let keys = KeyLayout::new(prefix, KV_PATH_DEFAULT);
            let keys = keys
                .ok()
                .map(|keys| (keys.lease().to_owned(), keys.nodes_prefix()));
            assert!(
                keys.is_some_and(
                    |(lease, nodes)| !lease.starts_with('/') && !lease.starts_with(&nodes)
                ),
                "{text:?}"
            );
        }
        Discovery::Nodes(nodes) => {
            assert!(!nodes.is_empty() && nodes.len() <= LISTING_MAX, "{text:?}");
            assert!(nodes.is_sorted(), "{text:?}");
            engines(nodes);
        }
        Discovery::File(path) => assert!(!path.as_os_str().is_empty(), "{text:?}"),
        Discovery::Token => {}
    }
    let _ = (discovery.check_supported(), discovery.check_registration());
}

fn joined(servers: &[HostPort]) -> String {
    let texts: Vec<String> = servers.iter().map(HostPort::to_string).collect();
    texts.join(",")
}

fn listing(listing: &Listing) {
    assert!(listing.entries.len() <= LISTING_MAX);
    assert!(listing.errors.len() <= ERRORS_MAX);
    engines(&listing.entries);
    for error in &listing.errors {
        one_line(&error.to_string());
    }
}

/// The first ones stand for all: a range may give tens of thousands.
fn engines<'a>(engines: impl IntoIterator<Item = &'a HostPort>) {
    for engine in engines.into_iter().take(100) {
        assert_eq!(engine.to_string().parse().as_ref(), Ok(engine));
    }
}

/// Errors are logged: what a stranger wrote must not be able to write lines of its own.
fn one_line(error: &str) {
    assert!(!error.contains(char::is_control), "{error:?}");
}

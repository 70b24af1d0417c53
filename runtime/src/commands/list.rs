//! `swarm list`

use std::io::Write;

use anyhow::{Context, anyhow};
use swarm_core::config::{DiscoveryConfig, List};
use swarm_core::discovery::Listing;

use super::store;
use crate::cli::write_or_ignore;
use crate::discovery::Source;
use crate::platform::{SharedPlatform, timeout};
use crate::store::Cursor;

/// Prints the engines of a cluster, one a line, and what is wrong with the listing to standard error.
///
/// Unlike classic Swarm it writes nothing to the store and nothing but engines to standard output
/// (spec/classic.md D12, C4).
///
/// # Errors
/// When no listing comes in time.
pub async fn list(platform: SharedPlatform, config: List) -> anyhow::Result<()> {
    let listing = timeout(
        platform.as_ref(),
        config.timeout,
        read(&platform, &config.discovery),
    )
    .await
    .map_err(|_| anyhow!("Timed out"))??;
    print(&listing, &mut std::io::stdout(), &mut std::io::stderr());
    Ok(())
}

async fn read(platform: &SharedPlatform, config: &DiscoveryConfig) -> anyhow::Result<Listing> {
    let store = match &config.keys {
        Some(_) => Some(store::open(platform, config)?.store),
        None => None,
    };
    let source = Source::new(&config.discovery, store)
        .with_context(|| format!("{} cannot be read by this build", config.text))?;
    Ok(source.list(&mut Cursor::default()).await?)
}

fn print(listing: &Listing, out: &mut dyn Write, problems: &mut dyn Write) {
    let mut engines = String::new();
    for engine in &listing.entries {
        engines.push_str(&format!("{engine}\n"));
    }
    let mut ignored = String::new();
    for error in &listing.errors {
        ignored.push_str(&format!("ignored: {error}\n"));
    }
    if listing.errors_omitted > 0 {
        ignored.push_str(&format!(
            "ignored: {} more malformed entries\n",
            listing.errors_omitted
        ));
    }
    write_or_ignore(problems, &ignored);
    write_or_ignore(out, &engines);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use swarm_core::config::{RawDiscovery, RawList};
    use swarm_models::consul::{Cluster, Options};
    use swarm_models::tokio_host::{TokioHost, serve_tcp};

    use super::*;
    use crate::platform::TokioPlatform;

    fn config(url: &str) -> List {
        List::try_from(RawList {
            discovery: RawDiscovery {
                arguments: vec![url.to_owned()],
                ..RawDiscovery::default()
            },
            ..RawList::default()
        })
        .unwrap()
    }

    fn platform() -> SharedPlatform {
        Arc::new(TokioPlatform::new().unwrap())
    }

    #[test]
    fn engines_go_to_one_output_and_problems_to_the_other() {
        let listing = Listing::of(["b:1", "a\x1b[31m", "a:1"]);
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        print(&listing, &mut out, &mut problems);
        assert_eq!(out, b"a:1\nb:1\n");
        assert_eq!(
            String::from_utf8(problems).unwrap(),
            "ignored: missing port in address \"a\\u{1b}[31m\"\n"
        );
    }

    #[tokio::test]
    async fn a_fixed_list_lists_itself() {
        let config = config("nodes://h[2:3]:1,g:1");
        let listing = read(&platform(), &config.discovery).await.unwrap();
        let engines: Vec<String> = listing.entries.iter().map(ToString::to_string).collect();
        assert_eq!(engines, ["g:1", "h2:1", "h3:1"]);
    }

    #[tokio::test]
    async fn what_an_agent_registers_is_listed() {
        let cluster = Cluster::new(Arc::new(TokioHost::new()), Options::default());
        let (address, _stop) = serve_tcp("127.0.0.1:0", Arc::new(cluster.server(0)))
            .await
            .unwrap();
        let config = config(&format!("consul://{address}/nodes"));
        let platform = platform();
        let empty = read(&platform, &config.discovery).await.unwrap();
        assert_eq!(empty, Listing::default());
        let store = store::open(&platform, &config.discovery).unwrap().store;
        let engine = "10.0.0.1:2375".parse().unwrap();
        store
            .register(&engine, std::time::Duration::from_secs(180))
            .await
            .unwrap();
        let listing = read(&platform, &config.discovery).await.unwrap();
        assert_eq!(listing.entries.into_iter().collect::<Vec<_>>(), [engine]);
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_an_error_that_names_it() {
        let config = config("consul://127.0.0.1:1/nodes");
        let error = read(&platform(), &config.discovery).await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }
}

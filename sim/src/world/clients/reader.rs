//! A client that lists containers through one manager again and again, and now and then asks the manager for itself.

use super::ClientHost;
use super::asker::{AT_ONCE, Ask, Asker};
use crate::history::Told;
use crate::property::Property;

pub(super) async fn work(host: ClientHost) {
    let mut random = host.random.fork("reader");
    let asker = Asker::new(host);
    loop {
        match random.below(8) {
            0 => of_itself(&asker, "/_ping").await,
            1 => of_itself(&asker, "/v1.41/info").await,
            _ => {
                asker.ask(Ask::get("/v1.41/containers/json?all=1")).await;
            }
        }
        asker.pause().await;
    }
}

/// What every manager answers by itself, whoever is the primary.
async fn of_itself(asker: &Asker, path: &str) {
    let mut ask = Ask::get(path);
    ask.limit = AT_ONCE;
    let heard = asker.ask(ask).await;
    if !heard.body.is_empty() && heard.told != Told::Done {
        let what = format!(
            "request {} for {path} was refused: {}",
            heard.id,
            String::from_utf8_lossy(&heard.body)
        );
        asker.ledger().fail(Property::OneAnswer, "own", what);
    }
}

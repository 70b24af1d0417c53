//! `POST /images/load`, and `POST /images/create` with a source: what the client sends goes to every engine
//! (spec/classic.md section 7.4).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use swarm_core::address::HostPort;
use swarm_core::api::{Query, Route};

use super::answer::{Answer, ApiError};
use super::engine::{Target, clean_request, uri};
use super::join::join_all;
use super::progress::Work;
use super::{Api, Call};
use crate::http::body::{Sender, channel};
use crate::http::client::SendOptions;
use crate::http::{Body, body};
use crate::platform::{BoxFuture, SharedPlatform, timeout};

/// Pieces that wait for one engine while others are ahead.
const QUEUE: usize = 16;

/// An engine that takes nothing for so long is left behind: the slowest sets the pace for all.
const STALLED: Duration = Duration::from_secs(60);

/// Something that every engine gets from the client.
struct Upload {
    route: Route,
    query: Query,
    headers: HeaderMap,
    epoch: Option<u64>,
    title: String,
    /// What one that was meant for another platform is called.
    skipped: &'static str,
    /// Each engine's copy of the body, until it is taken.
    copies: Mutex<BTreeMap<HostPort, Body>>,
}

impl Upload {
    fn take_copy(&self, target: &Target) -> Body {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        copies.remove(&target.address).unwrap_or_else(body::empty)
    }
}

impl Work for Upload {
    fn title(&self) -> &str {
        &self.title
    }

    fn in_step(&self) -> bool {
        true
    }

    fn begin<'a>(
        &'a self,
        api: &'a Api,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<Response<Body>, ApiError>> {
        Box::pin(async move {
            let mut request = Request::new(self.take_copy(target));
            *request.method_mut() = Method::POST;
            *request.headers_mut() = self.headers.clone();
            *request.uri_mut() = uri(&self.route.path(Some(target.version)), self.query.as_str())?;
            api.dispatch(target, request, SendOptions::endless(), Some(self.epoch))
                .await
        })
    }

    /// In a cluster of several platforms an image is for some engines only.
    fn excuse(&self, failure: &str) -> Option<String> {
        let (_, rest) = failure.split_once("cannot load ")?;
        let (image, engine) = rest.split_once(" image on ")?;
        Some(format!(
            "{} skipped because image is for {image} and engine is running {engine}",
            self.skipped
        ))
    }
}

impl Api {
    pub(super) async fn load_images(self: Arc<Self>, call: Call) -> Answer {
        self.upload("Loading Image...".to_owned(), "Load", call)
            .await
    }

    pub(super) async fn import_image(self: Arc<Self>, call: Call) -> Answer {
        let query = &call.request.query;
        let repository = query.value("repo").unwrap_or_default();
        let title = match query.value("tag").filter(|tag| !tag.is_empty()) {
            Some(tag) => format!("Importing {repository}:{tag}..."),
            None => format!("Importing {repository}..."),
        };
        self.upload(title, "Import", call).await
    }

    async fn upload(self: Arc<Self>, title: String, skipped: &'static str, call: Call) -> Answer {
        let (targets, silent) = self.all_targets(call.request.version);
        let (parts, body) = call.http.into_parts();
        let mut headers = parts.headers;
        clean_request(&mut headers);
        let copies = copies(&self.platform, body, targets.len());
        let addresses = targets.iter().map(|target| target.address.clone());
        let work = Upload {
            route: call.request.route,
            query: call.request.query,
            headers,
            epoch: call.epoch,
            title,
            skipped,
            copies: Mutex::new(addresses.zip(copies).collect()),
        };
        self.everywhere(targets, silent, Arc::new(work)).await
    }
}

/// As many copies of `body`. One that is dropped does not stop the others, nor does one that is not read for long.
fn copies(platform: &SharedPlatform, body: Body, count: usize) -> Vec<Body> {
    let (senders, copies): (Vec<Sender>, Vec<Body>) = (0..count).map(|_| channel(QUEUE)).unzip();
    let copying = copy(platform.clone(), body, senders);
    platform.spawn("copy upload", Box::pin(copying));
    copies
}

async fn copy(platform: SharedPlatform, mut body: Body, mut senders: Vec<Sender>) {
    while !senders.is_empty() {
        let data = match body.frame().await {
            None => {
                senders.into_iter().for_each(Sender::finish);
                return;
            }
            // Copies that are not finished break off, too.
            Some(Err(_)) => return,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(_) => continue,
            },
        };
        let sent = senders.into_iter().map(|sender| {
            Box::pin(pass_on(&platform, sender, data.clone())) as BoxFuture<'_, Option<Sender>>
        });
        senders = join_all(sent.collect())
            .await
            .into_iter()
            .flatten()
            .collect();
    }
}

/// The sender, unless nobody reads what it sends.
async fn pass_on(platform: &SharedPlatform, sender: Sender, data: Bytes) -> Option<Sender> {
    let sent = timeout(&**platform, STALLED, sender.send(data)).await;
    matches!(sent, Ok(Ok(()))).then_some(sender)
}

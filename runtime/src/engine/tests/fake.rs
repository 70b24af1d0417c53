//! A small engine that can be told to misbehave.

use std::collections::BTreeMap;

use http::{Response, StatusCode};
use swarm_core::address::ListenAddress;

use super::*;
use crate::http::body;
use crate::http::server::{Handler, Peer, Server, ServerConfig};

/// How the fake answers one path.
#[derive(Clone, Debug)]
pub(super) enum Manner {
    /// With this text instead of the right one.
    Say(&'static str),
    /// With this status.
    Status(u16),
    /// Never.
    Hang,
    /// With a body without end.
    Endless,
}

pub(super) struct Fake {
    platform: Arc<TestPlatform>,
    pub(super) address: HostPort,
    state: Mutex<State>,
    server: Mutex<Option<Server>>,
}

struct State {
    id: String,
    containers: BTreeMap<String, &'static str>,
    manners: BTreeMap<&'static str, Manner>,
    asked: Vec<String>,
    /// Every event so far, with its time.
    history: Vec<(u64, String)>,
    streams: Vec<body::Sender>,
    clock: u64,
}

impl Fake {
    pub(super) fn new(platform: &Arc<TestPlatform>, host: &str, id: &str) -> Arc<Self> {
        Arc::new(Self {
            platform: Arc::clone(platform),
            address: HostPort::new(host, 2375).unwrap(),
            state: Mutex::new(State {
                id: id.to_owned(),
                containers: BTreeMap::new(),
                manners: BTreeMap::new(),
                asked: Vec::new(),
                history: Vec::new(),
                streams: Vec::new(),
                clock: 1_700_000_000_000_000_000,
            }),
            server: Mutex::default(),
        })
    }

    pub(super) async fn start(self: &Arc<Self>) {
        let server = Server::new(
            Arc::clone(&self.platform) as SharedPlatform,
            ServerConfig::default(),
            Arc::clone(self) as Arc<dyn Handler>,
        );
        let on = ListenAddress::Tcp {
            host: self.address.host().to_owned(),
            port: self.address.port(),
        };
        server.serve(self.platform.listen(&on).await.unwrap());
        *self.server.lock().unwrap() = Some(server);
    }

    pub(super) async fn stop(&self) {
        let server = self.server.lock().unwrap().take().unwrap();
        self.close_streams();
        server.shutdown(Duration::ZERO).await;
    }

    pub(super) fn close_streams(&self) {
        self.state.lock().unwrap().streams.clear();
    }

    pub(super) fn become_another(&self, id: &str) {
        self.state.lock().unwrap().id = id.to_owned();
    }

    pub(super) fn manner(&self, path: &'static str, manner: Manner) {
        self.state.lock().unwrap().manners.insert(path, manner);
    }

    pub(super) fn behave(&self) {
        self.state.lock().unwrap().manners.clear();
    }

    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// Sets a container's state, or takes it away, and tells nobody.
    pub(super) fn set(&self, id: &str, state: Option<&'static str>) {
        let mut own = self.state.lock().unwrap();
        match state {
            Some(state) => own.containers.insert(id.to_owned(), state),
            None => own.containers.remove(id),
        };
    }

    /// Tells an event of a container on all streams.
    pub(super) async fn tell(&self, action: &str, id: &str) {
        let text = {
            let mut own = self.state.lock().unwrap();
            own.clock += 1_000;
            let time = own.clock;
            let text = format!(
                r#"{{"status":"{action}","id":"{id}","from":"alpine","Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{}}}},"scope":"local","time":{},"timeNano":{time}}}"#,
                time / 1_000_000_000
            );
            own.history.push((time, text.clone()));
            text + "\n"
        };
        self.write(&text).await;
    }

    /// Writes on all streams.
    pub(super) async fn write(&self, text: &str) {
        let streams = std::mem::take(&mut self.state.lock().unwrap().streams);
        for stream in streams {
            if stream.send(text.to_owned()).await.is_ok() {
                self.state.lock().unwrap().streams.push(stream);
            }
        }
    }

    fn answer(&self, path: &str, query: &str) -> Response<Body> {
        let own = self.state.lock().unwrap();
        let entry = |id: &String, state: &str| {
            format!(
                r#"{{"Id":"{id}","Names":["/{id}"],"Image":"alpine","Created":5,"State":"{state}","Status":"Up"}}"#
            )
        };
        let json = match path {
            "/_ping" => "OK".to_owned(),
            "/version" => {
                r#"{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12"}"#.to_owned()
            }
            "/info" => format!(
                r#"{{"ID":"{}","Name":"node-{}","NCPU":2,"MemTotal":1024,"SystemTime":"{}"}}"#,
                own.id,
                own.id,
                Wall(own.clock).rfc3339_nanos()
            ),
            "/containers/json" => {
                let wanted =
                    |id: &String| !query.contains("filters") || query.contains(id.as_str());
                let entries: Vec<_> = own
                    .containers
                    .iter()
                    .filter(|(id, _)| wanted(id))
                    .map(|(id, state)| entry(id, state))
                    .collect();
                format!("[{}]", entries.join(","))
            }
            "/images/json" => r#"[{"Id":"sha256:1","RepoTags":["alpine:3"]}]"#.to_owned(),
            "/networks" => r#"[{"Id":"n1","Name":"bridge","Scope":"local"}]"#.to_owned(),
            "/volumes" => r#"{"Volumes":[{"Name":"v1","Driver":"local"}]}"#.to_owned(),
            _ => {
                let id = path.strip_prefix("/containers/");
                let id = id.and_then(|rest| rest.strip_suffix("/json")).unwrap_or("");
                match own.containers.get(id) {
                    Some(state) => format!(
                        r#"{{"Id":"{id}","State":{{"Running":{},"StartedAt":"2023-01-01T00:00:00Z"}}}}"#,
                        *state == "running"
                    ),
                    None => {
                        return crate::http::error::error(StatusCode::NOT_FOUND, "no such thing");
                    }
                }
            }
        };
        Response::new(body::full(json))
    }

    fn stream(&self, query: &str) -> (Response<Body>, Vec<String>) {
        let (sender, body) = body::channel(1_000);
        let since = query.strip_prefix("since=").and_then(|text| {
            let (seconds, nanos) = text.split_once('.')?;
            Some(seconds.parse::<u64>().ok()? * 1_000_000_000 + nanos.parse::<u64>().ok()?)
        });
        let mut own = self.state.lock().unwrap();
        let replay = own
            .history
            .iter()
            .filter(|(time, _)| since.is_some_and(|since| *time >= since))
            .map(|(_, text)| text.clone() + "\n")
            .collect();
        own.streams.push(sender);
        (Response::new(body), replay)
    }
}

impl Handler for Fake {
    fn handle(
        self: Arc<Self>,
        request: Request<Body>,
        _peer: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let path = request.uri().path();
            let path = path.strip_prefix("/v1.41").unwrap_or(path);
            let query = request.uri().query().unwrap_or_default();
            let manner = {
                let mut own = self.state.lock().unwrap();
                own.asked.push(path.to_owned());
                own.manners.get(path).cloned()
            };
            match manner {
                None if path == "/events" => {
                    let (response, replay) = self.stream(query);
                    for text in replay {
                        self.write(&text).await;
                    }
                    response
                }
                None => self.answer(path, query),
                Some(Manner::Say(text)) => Response::new(body::full(text)),
                Some(Manner::Status(code)) => {
                    let mut response = Response::new(body::full(r#"{"message":"not\nwell"}"#));
                    *response.status_mut() = StatusCode::from_u16(code).unwrap();
                    let elsewhere = http::HeaderValue::from_static("http://metadata/secret");
                    response
                        .headers_mut()
                        .insert(http::header::LOCATION, elsewhere);
                    response
                }
                Some(Manner::Hang) => std::future::pending().await,
                Some(Manner::Endless) => {
                    let (sender, body) = body::channel(2);
                    let chunk = bytes::Bytes::from(vec![b' '; 64 << 10]);
                    let flood = async move { while sender.send(chunk.clone()).await.is_ok() {} };
                    self.platform.spawn("flood", Box::pin(flood));
                    Response::new(body)
                }
            }
        })
    }
}

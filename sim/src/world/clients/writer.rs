//! A client that leads containers through their lives: create, start, look, signal, stop, remove.

use http::Method;
use serde_json::{Value, json};
use swarm_core::rng::Random;
use swarm_models::engine::Change;

use super::ClientHost;
use super::asker::{Ask, Asker, Heard};
use crate::history::Nature;

/// SIGUSR1, which ends nothing in a modelled container.
const SIGNAL: &str = "10";

pub(super) async fn work(host: ClientHost) {
    let mut random = host.random.fork("writer");
    let asker = Asker::new(host);
    loop {
        life(&asker, &mut random).await;
        asker.pause().await;
    }
}

/// One container's life, as far as its client knows of it.
async fn life(asker: &Asker, random: &mut Random) {
    let Some(container) = Container::create(asker, random).await else {
        return;
    };
    if random.chance(900) {
        asker.pause().await;
        container.start(asker).await;
        for _ in 0..random.below(3) {
            asker.pause().await;
            container.once(asker, random).await;
        }
    }
    asker.pause().await;
    container.inspect(asker).await;
    if container.brief {
        return;
    }
    asker.pause().await;
    if random.chance(500) {
        container.stop(asker).await;
        asker.pause().await;
    }
    if random.chance(800) {
        container.remove(asker).await;
    }
}

/// A container that was acknowledged.
struct Container {
    /// The request that made it.
    key: u64,
    /// Its full ID.
    id: String,
    /// It ends by itself a while after its start, whoever is the primary by then, and is left alone.
    brief: bool,
}

impl Container {
    /// Makes one; `None` if it is not known whether there is one, or certainly there is none.
    async fn create(asker: &Asker, random: &mut Random) -> Option<Self> {
        let name = format!("{}.{}", asker.host.name, asker.host.life);
        // An image that no engine has is pulled between the two steps of a create.
        let missing = random.chance(125);
        let fresh = format!("registry.sim/{name}-{}:1", random.hex(6));
        let image = if missing { fresh.as_str() } else { "busybox" };
        let brief = random.chance(200);
        let brief_seconds = format!("{}.5", random.below(3));
        let seconds = if brief { brief_seconds.as_str() } else { "inf" };
        let config = json!({"Image": image, "Cmd": ["sleep", seconds]});
        let named = random.chance(500);
        let heard = asker
            .create(config, |id| named.then(|| format!("{name}-{id}")))
            .await;
        Self::of(&heard, brief)
    }

    fn of(heard: &Heard, brief: bool) -> Option<Self> {
        if !heard.is_done() {
            return None;
        }
        let answer: Value = serde_json::from_slice(&heard.body).ok()?;
        let id = answer.get("Id")?.as_str()?.to_owned();
        Some(Self {
            key: heard.id,
            id,
            brief,
        })
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1.41/containers/{}{rest}", self.id)
    }

    async fn start(&self, asker: &Asker) {
        let nature = match self.brief {
            true => asker.ledger().start(),
            false => Nature::Repeatable,
        };
        let ask = Ask::new(Method::POST, self.path("/start"), nature);
        asker.change(self.key, Change::Start, "", ask).await;
    }

    async fn stop(&self, asker: &Asker) {
        let ask = Ask::new(Method::POST, self.path("/stop?t=1"), Nature::Settled);
        asker.change(self.key, Change::Stop, "", ask).await;
    }

    async fn remove(&self, asker: &Asker) {
        let path = self.path("?force=1&v=1");
        let ask = Ask::new(Method::DELETE, path, Nature::Repeatable);
        asker.change(self.key, Change::Remove, "", ask).await;
    }

    /// Something that is done once for each time it is asked for.
    async fn once(&self, asker: &Asker, random: &mut Random) {
        match random.below(3) {
            0 => {
                let path = self.path(&format!("/kill?signal={SIGNAL}"));
                let ask = Ask::new(Method::POST, path, Nature::Once);
                asker.change(self.key, Change::Kill, SIGNAL, ask).await;
            }
            1 => {
                let command = format!("echo {}", random.hex(6));
                let words: Vec<&str> = command.split(' ').collect();
                let mut ask = Ask::new(Method::POST, self.path("/exec"), Nature::Once);
                ask.body = json!({"Cmd": words}).to_string().into();
                asker.change(self.key, Change::Exec, &command, ask).await;
            }
            _ => {
                let name = format!("{}-new-{}", asker.host.name, random.hex(6));
                let path = self.path(&format!("/rename?name={name}"));
                let ask = Ask::new(Method::POST, path, Nature::Repeatable);
                asker.change(self.key, Change::Rename, &name, ask).await;
            }
        }
    }

    /// An acknowledged container is there until its client removes it.
    async fn inspect(&self, asker: &Asker) {
        let what = format!("the container of request {}", self.key);
        asker.look(&what, self.path("/json"), |_| false).await;
    }
}

//! Starts everything, tells what happens, ends everything.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, bail};
use swarm_core::address::HostPort;
use swarm_core::config::{Dev, Endpoint};
use swarm_core::time::Mono;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::ground::Ground;
use super::logs::Logs;
use super::managers::{self, Managers, News, Teller};
use super::readers::Readers;
use super::screen::{self, Screen, Shown, Welcome};
use crate::commands::ask::Asker;
use crate::manager::status::ManagerStatus;
use crate::platform::{SharedPlatform, sleep, timeout};

/// Between two looks at the status of a manager.
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// How long a manager may take to answer.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
/// A running manager that fails to answer for so long is worth a line.
const SILENCE_MIN: Duration = Duration::from_millis(500);
/// How long the managers may take to start.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long the engines may take to be seen.
const ENGINES_LIMIT: Duration = Duration::from_secs(5);
/// How long a takeover may have gone unseen on a busy machine. Waits that ended before are not its doing.
const UNSEEN_MAX: Duration = Duration::from_millis(250);
/// News that wait to be told.
const NEWS_MAX: usize = 64;

pub(super) async fn play(platform: SharedPlatform, config: Dev) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let logs = Logs::create()?;
    let ground = Ground::prepare(&platform, &config).await?;
    let addresses = managers::addresses(&platform, config.managers).await?;
    let (teller, inbox) = mpsc::channel(NEWS_MAX);
    let mut managers = Managers::new(&platform, &ground.discovery, teller.clone());
    let mut show = Show {
        platform: &platform,
        ground: &ground,
        logs: &logs,
        screen: Screen::new(platform.mono()),
        inbox,
        cast: addresses.iter().map(Actor::new).collect(),
        primary: None,
        lost: None,
    };
    let outcome = tokio::select! {
        biased;
        () = signals.next() => Ok(()),
        ended = show.run(&mut managers, &teller) => ended.map(|never| match never {}),
    };
    show.screen.print("\nStopping all managers.\n");
    let last = show.primary.map(|primary| primary.number);
    // Nothing is told any more, so whoever still has news must not wait for a reader of them.
    drop(show);
    tokio::select! {
        biased;
        () = signals.next() => {}
        () = managers.stop(last) => {}
    }
    outcome
}

/// What is shown, and what is known for it.
struct Show<'a> {
    platform: &'a SharedPlatform,
    ground: &'a Ground,
    logs: &'a Logs,
    screen: Screen,
    inbox: mpsc::Receiver<(usize, News)>,
    cast: Vec<Actor>,
    primary: Option<Primary>,
    /// When the primary died, and which manager it was.
    lost: Option<(Mono, usize)>,
}

/// One manager.
struct Actor {
    shown: Shown,
    alive: bool,
    /// Whether this process of it has answered.
    answered: bool,
    silent_since: Option<Mono>,
    silence_told: bool,
}

#[derive(Clone, Copy)]
struct Primary {
    number: usize,
    epoch: u64,
}

impl Actor {
    fn new(address: &HostPort) -> Self {
        Self {
            shown: Shown {
                address: address.clone(),
                pid: 0,
                primary: false,
            },
            alive: false,
            answered: false,
            silent_since: None,
            silence_told: false,
        }
    }
}

impl Show<'_> {
    async fn run(
        &mut self,
        managers: &mut Managers,
        teller: &Teller,
    ) -> anyhow::Result<Infallible> {
        let addresses: Vec<HostPort> = self
            .cast
            .iter()
            .map(|actor| actor.shown.address.clone())
            .collect();
        for (number, address) in addresses.iter().enumerate() {
            let look = look(
                self.platform.clone(),
                address.clone(),
                number,
                teller.clone(),
            );
            self.platform.spawn("look at a manager", Box::pin(look));
        }
        let platform = self.platform;
        let start = self.start(managers, &addresses);
        let Ok(started) = timeout(platform.as_ref(), START_LIMIT, start).await else {
            bail!("the managers did not all start within {START_LIMIT:?}");
        };
        started?;
        let engines = self.see_engines();
        let engines_healthy = timeout(platform.as_ref(), ENGINES_LIMIT, engines)
            .await
            .unwrap_or(0);
        let readers = Readers::start(platform, &addresses);
        self.welcome(engines_healthy);
        loop {
            let (number, news) = self.next().await?;
            self.tell(number, news, &readers).await;
        }
    }

    async fn next(&mut self) -> anyhow::Result<(usize, News)> {
        self.inbox.recv().await.context("nobody has news any more")
    }

    /// Starts the first manager alone, so that it is the first primary, then the others.
    async fn start(
        &mut self,
        managers: &mut Managers,
        addresses: &[HostPort],
    ) -> anyhow::Result<()> {
        for (number, address) in addresses.iter().enumerate() {
            managers.start(address, self.logs);
            while number == 0 && self.primary.is_none() {
                self.prepare().await?;
            }
        }
        while self.primary.is_none() || self.cast.iter().any(|actor| !actor.answered) {
            self.prepare().await?;
        }
        Ok(())
    }

    /// Takes note of one piece of news before the curtain rises.
    async fn prepare(&mut self) -> anyhow::Result<Option<Box<ManagerStatus>>> {
        let (number, news) = self.next().await?;
        match news {
            News::Died { how, .. } => {
                let actor = self.cast.get(number);
                let address =
                    actor.map_or_else(String::new, |actor| actor.shown.address.to_string());
                bail!("the manager at {address} {how}");
            }
            News::Started { pid } => {
                self.started(number, pid);
                Ok(None)
            }
            News::Seen { status, .. } => {
                if let Some(status) = &status {
                    self.first_answer(number);
                    self.is_takeover(number, status);
                }
                Ok(status)
            }
        }
    }

    /// How many engines the primary sees healthy, once these are all.
    async fn see_engines(&mut self) -> usize {
        let wanted = self.ground.engines.count();
        loop {
            let Ok(status) = self.prepare().await else {
                return 0;
            };
            let Some(status) = status.filter(|status| status.is_primary()) else {
                continue;
            };
            let engines = status.engines.iter();
            if engines.filter(|engine| engine.state == "Healthy").count() >= wanted {
                return wanted;
            }
        }
    }

    fn welcome(&mut self, engines_healthy: usize) {
        let managers: Vec<Shown> = self.cast.iter().map(|actor| actor.shown.clone()).collect();
        let program = std::env::args_os().next();
        let program = program.map_or_else(
            || "swarm".to_owned(),
            |program| program.to_string_lossy().into_owned(),
        );
        let text = screen::welcome(&Welcome {
            managers: &managers,
            engines: self.ground.engines,
            engines_healthy,
            discovery: &self.ground.discovery,
            logs: self.logs.path(),
            program: &program,
        });
        self.screen.print(&text);
    }

    async fn tell(&mut self, number: usize, news: News, readers: &Readers) {
        match news {
            News::Started { pid } => self.started(number, pid),
            News::Died { at, how } => self.died(number, at, &how),
            News::Seen { at, status: None } => self.silent(number, at),
            News::Seen {
                at,
                status: Some(status),
            } => {
                let first = self.first_answer(number);
                self.heard_again(number, at);
                if self.is_takeover(number, &status) {
                    self.tell_takeover(number, at, readers).await;
                } else if let Some(actor) = self.cast.get(number)
                    && first
                {
                    let text = screen::back(&actor.shown);
                    self.screen.event(at, &text);
                }
            }
        }
    }

    fn started(&mut self, number: usize, pid: u32) {
        if let Some(actor) = self.cast.get_mut(number) {
            *actor = Actor::new(&actor.shown.address);
            actor.shown.pid = pid;
            actor.alive = true;
        }
    }

    fn died(&mut self, number: usize, at: Mono, how: &str) {
        let Some(actor) = self.cast.get_mut(number) else {
            return;
        };
        let text = screen::died(&actor.shown, how);
        if actor.shown.primary {
            self.lost = Some((at, number));
        }
        actor.alive = false;
        actor.shown.primary = false;
        self.screen.event(at, &text);
    }

    /// True for the first answer of a process. One of a process that is dead by now is none.
    fn first_answer(&mut self, number: usize) -> bool {
        let actor = self.cast.get_mut(number);
        actor
            .filter(|actor| actor.alive)
            .is_some_and(|actor| !std::mem::replace(&mut actor.answered, true))
    }

    fn silent(&mut self, number: usize, at: Mono) {
        let Some(actor) = self.cast.get_mut(number).filter(|actor| actor.answered) else {
            return;
        };
        let since = *actor.silent_since.get_or_insert(at);
        if actor.alive && !actor.silence_told && at.since(since) >= SILENCE_MIN {
            actor.silence_told = true;
            let text = format!(
                "{} (pid {}) does not answer, though it runs",
                actor.shown.address, actor.shown.pid
            );
            self.screen.event(at, &text);
        }
    }

    fn heard_again(&mut self, number: usize, at: Mono) {
        let Some(actor) = self.cast.get_mut(number) else {
            return;
        };
        actor.silent_since = None;
        if std::mem::take(&mut actor.silence_told) {
            let text = format!("{} answers again", actor.shown.address);
            self.screen.event(at, &text);
        }
    }

    /// Notes a change of primary.
    fn is_takeover(&mut self, number: usize, status: &ManagerStatus) -> bool {
        let newer = self.primary.is_none_or(|known| status.epoch > known.epoch);
        let alive = self.cast.get(number).is_some_and(|actor| actor.alive);
        if !status.is_primary() || !newer || !alive {
            return false;
        }
        for (other, actor) in self.cast.iter_mut().enumerate() {
            actor.shown.primary = other == number;
        }
        let epoch = status.epoch;
        self.primary = Some(Primary { number, epoch });
        true
    }

    async fn tell_takeover(&mut self, number: usize, at: Mono, readers: &Readers) {
        let dead = self.lost.take();
        let lost = dead.map_or(at - UNSEEN_MAX, |(died, _)| died);
        let dead = dead.map(|(_, number)| number);
        let waited = readers.waited(lost, at, dead).await;
        let epoch = self.primary.map_or(0, |primary| primary.epoch);
        if let Some(actor) = self.cast.get(number) {
            let text = screen::takeover(&actor.shown, epoch, waited);
            self.screen.event(at, &text);
        }
    }
}

/// Asks one manager for its status for as long as somebody wants to know.
async fn look(platform: SharedPlatform, address: HostPort, number: usize, teller: Teller) {
    let asker = Asker::new(platform.clone(), LOOK_LIMIT);
    let endpoint = Endpoint::Tcp(address);
    loop {
        let status = asker.status(&endpoint).await.ok().map(Box::new);
        let at = platform.mono();
        if teller
            .send((number, News::Seen { at, status }))
            .await
            .is_err()
        {
            return;
        }
        sleep(platform.as_ref(), LOOK_PERIOD).await;
    }
}

/// The signals that end everything; a closed terminal is one of them.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

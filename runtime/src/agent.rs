//! The agent behind `swarm join`: keeps one engine registered for as long as the engine answers.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use swarm_core::address::HostPort;
use swarm_core::config::Join;
use swarm_core::duration::GoDuration;
use swarm_core::rng::Random;

use crate::http::client::{ClientConfig, SendError};
use crate::http::{Client, body};
use crate::platform::{SharedPlatform, TimedOut, sleep, timeout};
use crate::store::{Store, StoreError};

/// How long an engine may take to answer whether it is there.
const CHECK_LIMIT: Duration = Duration::from_secs(5);
/// How long taking the registration away may take before the agent ends without.
const DEREGISTER_LIMIT: Duration = Duration::from_secs(3);
/// First pause after a failed attempt; it doubles up to the period.
const RETRY_LEAST: Duration = Duration::from_secs(1);

/// Keeps an engine registered.
pub struct Agent {
    platform: SharedPlatform,
    store: Arc<dyn Store>,
    client: Client,
    config: Join,
    random: Random,
    /// Whether a registration of ours was ever taken.
    registered: bool,
}

/// Why the engine is not registered at the moment.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The engine is not there: managers would find nobody at its address.
    #[error(
        "the engine at {engine} does not answer ({cause}), so it is not registered: see that it runs and that \
         --advertise is its address; --no-check registers it all the same"
    )]
    Engine {
        /// The advertised address.
        engine: HostPort,
        /// What happened instead of an answer.
        cause: String,
    },
    /// The store did not take the registration.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Agent {
    /// An agent that has not begun.
    #[must_use]
    pub fn new(platform: SharedPlatform, store: Arc<dyn Store>, config: Join) -> Self {
        let client = Client::new(platform.clone(), ClientConfig::default());
        let random = platform.random("agent");
        Self {
            platform,
            store,
            client,
            config,
            random,
            registered: false,
        }
    }

    /// Registers the engine until `stop` completes, then takes the registration away. Classic Swarm left it to its
    /// time limit (spec/classic.md H1).
    ///
    /// # Errors
    /// Before the first registration: when the engine does not answer, or the store refuses for good, for instance for
    /// want of rights. Later both are waited for.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<(), AgentError> {
        let ended = {
            let registering = self.register_for_ever();
            tokio::select! {
                biased;
                () = stop => Ok(()),
                error = registering => Err(error),
            }
        };
        ended?;
        // Without one the key there, if any, is that of another agent.
        if self.registered {
            self.deregister().await;
        }
        Ok(())
    }

    /// A registration ends some time after half its time limit, and is renewed before.
    fn period(&self) -> Duration {
        self.config.heartbeat.min(self.config.ttl / 3)
    }

    async fn register_for_ever(&mut self) -> AgentError {
        self.delay().await;
        let period = self.period();
        tracing::info!(
            addr = %self.config.advertise,
            discovery = %self.config.discovery.text,
            "Registering on the discovery service every {}...",
            GoDuration::from(period)
        );
        let mut trouble: Option<String> = None;
        let mut retry = RETRY_LEAST;
        loop {
            let pause = match self.register().await {
                Ok(()) => {
                    if !self.registered || trouble.take().is_some() {
                        tracing::info!(addr = %self.config.advertise, "Registered");
                    }
                    self.registered = true;
                    retry = RETRY_LEAST;
                    period
                }
                Err(error) if !self.registered && is_final(&error) => return error,
                Err(error) => {
                    let text = error.to_string();
                    if trouble.as_ref() == Some(&text) {
                        tracing::debug!("{text}");
                    } else {
                        tracing::warn!("{text}");
                        trouble = Some(text);
                    }
                    let pause = self.random.duration(retry / 2, retry).min(period);
                    retry = (retry * 2).min(period);
                    pause
                }
            };
            sleep(self.platform.as_ref(), pause).await;
        }
    }

    async fn delay(&mut self) {
        if self.config.delay.is_zero() {
            return;
        }
        let longest = self.config.delay.saturating_sub(Duration::from_nanos(1));
        let delay = self.random.duration(Duration::ZERO, longest);
        tracing::info!(
            "Add a random delay {} to avoid synchronized registration",
            GoDuration::from(delay)
        );
        sleep(self.platform.as_ref(), delay).await;
    }

    async fn register(&self) -> Result<(), AgentError> {
        if self.config.check {
            self.check().await?;
        }
        Ok(self
            .store
            .register(&self.config.advertise, self.config.ttl)
            .await?)
    }

    /// Any answer will do: an engine that wants another API version is there as well.
    async fn check(&self) -> Result<(), AgentError> {
        let engine = &self.config.advertise;
        let failed = |cause: String| AgentError::Engine {
            engine: engine.clone(),
            cause,
        };
        let mut request = Request::new(body::empty());
        *request.uri_mut() = http::Uri::from_static("/_ping");
        let answer: Result<Result<_, SendError>, TimedOut> = timeout(
            self.platform.as_ref(),
            CHECK_LIMIT,
            self.client.send(engine, request),
        )
        .await;
        match answer {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    async fn deregister(&self) {
        let engine = &self.config.advertise;
        let removal = self.store.deregister(engine);
        match timeout(self.platform.as_ref(), DEREGISTER_LIMIT, removal).await {
            Ok(Ok(())) => tracing::info!(addr = %engine, "Registration removed"),
            Ok(Err(error)) => {
                tracing::warn!(addr = %engine, %error, "Registration not removed: it ends by itself");
            }
            Err(error) => {
                tracing::warn!(addr = %engine, %error, "Registration not removed: it ends by itself");
            }
        }
    }
}

/// What is told at the start rather than waited for. Classic Swarm tried for ever, or never looked (spec/classic.md D2,
/// D11).
fn is_final(error: &AgentError) -> bool {
    match error {
        AgentError::Store(error) => error.is_final(),
        AgentError::Engine { .. } => true,
    }
}

#[cfg(test)]
mod tests;

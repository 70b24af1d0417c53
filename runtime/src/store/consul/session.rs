//! Registrations that end with the agent: a session deletes its key when it is not renewed (spec/classic.md 2.5).

use std::time::Duration;

use consulrs::api::kv::requests::SetKeyRequest;
use consulrs::api::session::requests::{
    CreateSessionRequest, DeleteSessionRequest, RenewSessionRequest,
};
use swarm_core::address::HostPort;

use super::super::StoreError;
use super::{CLASSIC_FLAGS, Consul, consistent};

/// Consul refuses shorter sessions unless `session_ttl_min` is lowered; it lets them live up to twice as long.
const SESSION_TTL_MIN: Duration = Duration::from_secs(10);
/// And longer ones always.
const SESSION_TTL_MAX: Duration = Duration::from_secs(86_400);

impl Consul {
    /// Renews the engine's session, or makes one and binds the key to it.
    pub(super) async fn register_with_session(
        &self,
        engine: &HostPort,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let key = self.layout.engine(engine);
        if let Some(session) = self.sessions.of(engine)
            && self.renew(&session).await?
            && self.holds(&key, &session).await?
        {
            return Ok(());
        }
        let session = self.create_session(ttl).await?;
        let acquired = self.put(&key, engine, Some(session.clone())).await?;
        if !acquired {
            // The agent before this one, or a classic one, holds the key: its session ends some time, the value stays
            // true until then, and the next heartbeat tries again.
            self.put(&key, engine, None).await?;
            return self.destroy(session).await;
        }
        self.sessions.set(engine, session);
        Ok(())
    }

    pub(super) async fn destroy_session(&self, engine: &HostPort) -> Result<(), StoreError> {
        let Some(session) = self.sessions.take(engine) else {
            return Ok(());
        };
        self.destroy(session).await
    }

    async fn destroy(&self, uuid: String) -> Result<(), StoreError> {
        let request = DeleteSessionRequest {
            uuid,
            ..DeleteSessionRequest::default()
        };
        self.write().send_only(request).await
    }

    /// False when the session is gone.
    async fn renew(&self, session: &str) -> Result<bool, StoreError> {
        let request = RenewSessionRequest {
            uuid: session.to_owned(),
            ..RenewSessionRequest::default()
        };
        match self.write().send_only(request).await {
            Ok(()) => Ok(true),
            Err(StoreError::Refused { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A renewal that succeeds proves nothing (HA.md section 2.1): the key tells.
    async fn holds(&self, key: &str, session: &str) -> Result<bool, StoreError> {
        let found = self.read_key(self.read(), key, consistent()).await?;
        Ok(found
            .pair
            .is_some_and(|pair| pair.session.as_deref() == Some(session)))
    }

    async fn create_session(&self, ttl: Duration) -> Result<String, StoreError> {
        let ttl = (ttl / 2).clamp(SESSION_TTL_MIN, SESSION_TTL_MAX);
        let request = CreateSessionRequest {
            behavior: Some("delete".to_owned()),
            // Without a delay a restarted agent registers at once; "0s" because Consul takes a missing one for 15 s.
            lock_delay: Some("0s".to_owned()),
            name: Some("swarm join".to_owned()),
            ttl: Some(format!("{}s", ttl.as_secs())),
            ..CreateSessionRequest::default()
        };
        Ok(self.write().execute(request).await?.content.id)
    }

    async fn put(
        &self,
        key: &str,
        engine: &HostPort,
        acquire: Option<String>,
    ) -> Result<bool, StoreError> {
        let request = SetKeyRequest {
            key: key.to_owned(),
            value: engine.to_string().into_bytes(),
            flags: Some(CLASSIC_FLAGS),
            acquire,
            ..SetKeyRequest::default()
        };
        Ok(self.write().execute(request).await?.content)
    }
}

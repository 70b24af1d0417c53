//! Registrations that end with the agent: a lease deletes its key when it is not kept alive.

use std::time::Duration;

use swarm_core::address::HostPort;

use super::super::StoreError;
use super::Etcd;
use super::gateway;
use super::wire::{Base64, Done, Int, LeaseAlive, LeaseGrant, LeaseId, Message, Put, Span};

impl Etcd {
    /// Keeps the engine's lease alive, or makes one and binds the key to it.
    pub(super) async fn register_with_lease(
        &self,
        engine: &HostPort,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let key = self.layout.engine(engine);
        if let Some(lease) = self.leases.of(engine)
            && self.keep_alive(lease).await?
            && self.holds(&key, lease).await?
        {
            return Ok(());
        }
        let lease = self.grant(ttl).await?;
        // Of two agents for one engine the last to write binds the key; the lease of the other ends without effect.
        let put = Put {
            key: Base64(key.into()),
            value: Base64(engine.to_string().into()),
            lease,
        };
        let _: Done = self.ask(&self.write(), gateway::PUT, &put).await?;
        self.leases.set(engine, lease);
        Ok(())
    }

    /// Ends the engine's lease, and its key if that is still bound to it.
    pub(super) async fn end_lease(&self, engine: &HostPort) -> Result<(), StoreError> {
        let Some(id) = self.leases.take(engine) else {
            return Ok(());
        };
        let revoked: Result<Done, StoreError> = self
            .ask(&self.write(), gateway::REVOKE, &LeaseId { id })
            .await;
        match revoked {
            // It ended by itself.
            Ok(Done {}) | Err(StoreError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn grant(&self, ttl: Duration) -> Result<Int, StoreError> {
        let ttl = Int(ttl.as_secs().max(1));
        let granted: LeaseId = self
            .ask(&self.write(), gateway::GRANT, &LeaseGrant { ttl })
            .await?;
        Ok(granted.id)
    }

    /// False when the lease is gone.
    async fn keep_alive(&self, id: Int) -> Result<bool, StoreError> {
        let alive: Message<LeaseAlive> = self
            .ask(&self.write(), gateway::KEEP_ALIVE, &LeaseId { id })
            .await?;
        Ok(alive.result.is_some_and(|alive| alive.ttl > Int(0)))
    }

    async fn holds(&self, key: &str, lease: Int) -> Result<bool, StoreError> {
        let found = self.range(&Span::key(key)).await?;
        Ok(found.kvs.iter().any(|pair| pair.lease == lease))
    }
}
